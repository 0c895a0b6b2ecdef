"""The way between the types that travel inside and protobuf, the wire form at the edges.

The two have the same names: a class here, its fields, and the message in the `.proto` files. Floats of 32 bits lose
what does not fit into them; everything else comes back as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from typing import Any, Final, TypeVar, final

from msgspec import Struct

from neuraxis.errors import ExtraMissing
from neuraxis_morphogenesis.contracts import bus, command, library, state
from neuraxis_morphogenesis.contracts import enums as enumerations
from neuraxis_morphogenesis.errors import WireInvalid

T = TypeVar("T", bound=Struct)

Put = Callable[[Any, Any], None]
Get = Callable[[Any], Any]

MODULES: Final = {"state": state, "command": command, "library": library, "bus": bus}
"""The modules of the types. The bindings of each are in the module of that name with `_pb2`."""


SINGLE_MAX: Final = (2 - 2**-23) * 2.0**127
"""The largest float of 32 bits."""


def to_wire(value: Struct) -> bytes:
    """Return the protobuf bytes of a message. Maps are written in the order of their names.

    Raises:
        WireInvalid: A number does not fit into its field, or it is no message of the contracts.
        ExtraMissing: protobuf is not installed.
    """
    form = form_of(type(value))
    try:
        return bytes(form.packed(value).SerializeToString(deterministic=True))
    except (ValueError, TypeError, OverflowError) as error:
        remedy = "Keep numbers within the type that the .proto file declares."
        raise WireInvalid(subject=type(value).__name__, reason=str(error), remedy=remedy) from error


def from_wire(kind: type[T], data: bytes) -> T:
    """Return the message of a kind that bytes carry.

    Raises:
        WireInvalid: They are no such message, hold a member or version that is unknown here, or it is no kind of the
            contracts.
        ExtraMissing: protobuf is not installed.
    """
    from google.protobuf.message import DecodeError

    form = form_of(kind)
    try:
        value: T = form.unpacked(form.binding.FromString(data))
    except (DecodeError, ValueError) as error:
        remedy = "Send bytes of this message, made of the same contracts."
        raise WireInvalid(subject=kind.__name__, reason=str(error) or "cannot be read", remedy=remedy) from error
    version = getattr(value, "version", state.SCHEMA_VERSION)
    if version != state.SCHEMA_VERSION:
        remedy = f"Send version {state.SCHEMA_VERSION}: other versions are not understood."
        raise WireInvalid(subject=kind.__name__, reason=f"it is of version {version}", remedy=remedy)
    return value


@final
class Form:
    """How messages of one kind are put into their binding and taken from it.

    Attributes:
        kind: The class that travels inside.
        binding: The class that protobuf knows.
    """

    def __init__(self, kind: type[Struct], binding: Any, forms: dict[str, Form]) -> None:
        """Plan the way of each field. `forms` holds those that were made before, by name of message."""
        self.kind = kind
        self.binding = binding
        forms[kind.__name__] = self
        fields = [binding.DESCRIPTOR.fields_by_name[name] for name in kind.__struct_fields__]
        assert len(fields) == len(binding.DESCRIPTOR.fields), "a class and its message have the same fields"
        ways = [(field.name, *_way(field, forms)) for field in fields]
        self._puts: list[tuple[str, Put]] = [(name, put) for name, put, _ in ways]
        self._gets: list[tuple[str, Get]] = [(name, get) for name, _, get in ways]

    def packed(self, value: Any) -> Any:
        """Return the binding that holds `value`."""
        target = self.binding()
        for name, put in self._puts:
            put(target, getattr(value, name))
        return target

    def unpacked(self, source: Any) -> Any:
        """Return the message that a binding holds."""
        return self.kind(**{name: get(source) for name, get in self._gets})


def _way(field: Any, forms: dict[str, Form]) -> tuple[Put, Get]:
    """Return how a field is written to a binding, and how it is read from one."""
    name, read = field.name, attrgetter(field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map_way(name, field.message_type.fields_by_name["value"], forms)
    if field.message_type is not None:
        form = _inner(field.message_type, forms)
        return _messages_way(name, form) if field.is_repeated else _message_way(name, form)
    if field.enum_type is not None:
        enumeration = getattr(enumerations, field.enum_type.name)
        return (lambda target, value: setattr(target, name, int(value))), lambda source: enumeration(read(source))
    if field.is_repeated:
        return (lambda target, value: read(target).extend(value)), lambda source: tuple(read(source))
    if field.type == field.TYPE_FLOAT:
        return (lambda target, value: setattr(target, name, _single(name, value))), read
    return (lambda target, value: setattr(target, name, value)), read


def _message_way(name: str, form: Form) -> tuple[Put, Get]:
    def put(target: Any, value: Any) -> None:
        if value is not None:
            getattr(target, name).CopyFrom(form.packed(value))

    return put, lambda source: form.unpacked(getattr(source, name)) if source.HasField(name) else None


def _messages_way(name: str, form: Form) -> tuple[Put, Get]:
    def put(target: Any, value: Any) -> None:
        getattr(target, name).extend([form.packed(each) for each in value])

    return put, lambda source: tuple([form.unpacked(each) for each in getattr(source, name)])


def _map_way(name: str, field: Any, forms: dict[str, Form]) -> tuple[Put, Get]:
    if field.message_type is not None:
        form = _inner(field.message_type, forms)

        def put_messages(target: Any, value: Any) -> None:
            entries = getattr(target, name)
            for key, each in value:
                entries[key].CopyFrom(form.packed(each))

        return put_messages, lambda source: tuple(
            [(key, form.unpacked(each)) for key, each in sorted(getattr(source, name).items())]
        )
    is_single = field.type == field.TYPE_FLOAT

    def put(target: Any, value: Any) -> None:
        getattr(target, name).update({key: _single(key, each) for key, each in value} if is_single else dict(value))

    return put, lambda source: tuple(sorted(getattr(source, name).items()))


def _single(name: str, value: float) -> float:
    """Refuse a number that 32 bits would make infinite."""
    if abs(value) > SINGLE_MAX and not math.isinf(value):
        raise ValueError(f"{name} is {value!r}, beyond 32 bits")
    return value


def _inner(descriptor: Any, forms: dict[str, Form]) -> Form:
    return forms[descriptor.name] if descriptor.name in forms else _made(descriptor.name, forms)


def _made(name: str, forms: dict[str, Form]) -> Form:
    for part, module in MODULES.items():
        kind = getattr(module, name, None)
        bindings = import_module(f"neuraxis_morphogenesis.contracts.{part}_pb2")
        if kind is not None and hasattr(bindings, name):
            return Form(kind, getattr(bindings, name), forms)
    remedy = "Use a message of neuraxis_morphogenesis.contracts."
    raise WireInvalid(subject=name, reason="it is no message of the contracts", remedy=remedy)


_FORMS: Final[dict[str, Form]] = {}
"""Forms that were made, by name. They follow from the contracts alone."""


def form_of(kind: type[Struct]) -> Form:
    """Return how messages of a kind are put into their binding.

    Raises:
        WireInvalid: It is no kind of the contracts.
        ExtraMissing: protobuf is not installed.
    """
    form = _FORMS.get(kind.__name__)
    if form is None:
        if find_spec("google.protobuf") is None:
            raise ExtraMissing(library="protobuf", extra="morphogenesis", purpose="the wire form of contracts")
        form = _made(kind.__name__, _FORMS)
    return form
