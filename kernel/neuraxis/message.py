"""What may travel between actors: scalars, arrays, and registered message types.

A payload is deeply immutable, because in one process it is passed by reference. A message type is a
frozen attrs class or a frozen `msgspec.Struct` whose fields are immutable too; that is checked once,
when the type is registered. Arrays are frozen when they are sent: an array that owns its data is
passed on without a copy, a view is copied and counted.
"""

from __future__ import annotations

import enum
import mmap
import types
import typing
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, final

import msgspec
import numpy as np
from msgspec import Struct

from neuraxis.codec import canonical_array, is_canonical_dtype
from neuraxis.errors import DeclarationInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

Array = np.ndarray
"""A numpy array as a field of a message. Annotate `Annotated[Array, array("uint8", 28, 28)]` to have it checked."""

SCALARS: Final = (bool, int, float, str, bytes)
"""Plain types that may be sent as they are."""


@cache
def _element(name: str) -> np.dtype[Any]:
    return np.dtype(name)


@final
class ArraySpec(Struct, frozen=True):
    """What an array must look like.

    Attributes:
        dtype: Name of the element type, `"float32"`.
        shape: Length of each axis; a name is the actor's attribute that holds the length; None is any length.
    """

    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("any" if n is None else str(n) for n in self.shape)
        return f"array {self.dtype}({axes})"

    def misfit(self, value: Any) -> str | None:
        """Return what is wrong with `value`, or None if it fits."""
        if not isinstance(value, np.ndarray):
            return describe(value)
        fits = len(value.shape) == len(self.shape) and all(
            n is None or n == got for n, got in zip(self.shape, value.shape, strict=True)
        )
        return None if fits and value.dtype.newbyteorder("=") == self.element else describe(value)

    @property
    def element(self) -> np.dtype[Any]:
        """The element type as numpy's own."""
        return _element(self.dtype)


def array(dtype: str, *shape: int | str | None) -> ArraySpec:
    """Declare an array for a port or a message field.

    Args:
        dtype: Element type: booleans, integers or floats, such as `"uint16"`.
        shape: Length of each axis: a number, the name of an attribute of the actor, or None for any length.

    Raises:
        DeclarationInvalid: The element type has no canonical byte form.
    """
    try:
        resolved = np.dtype(dtype)
        canonical_array(np.empty(0, resolved))
    except TypeError as error:
        raise DeclarationInvalid(
            subject=f"array {dtype!r}",
            reason=str(error),
            remedy='Use a boolean, integer or float type such as "float32".',
        ) from None
    return ArraySpec(dtype=resolved.name, shape=shape)


def describe(value: Any) -> str:
    """Return a short text that tells what a value is, for messages."""
    if isinstance(value, np.ndarray):
        return f"array {value.dtype.name}{value.shape}"
    text = repr(value)
    return f"{type(value).__qualname__} {text if len(text) <= 60 else text[:57] + '…'}"


# ---------------------------------------------------------------------------- registration


@final
class MessageType(Struct, frozen=True):
    """The registration of a message class.

    Attributes:
        name: Name of the contract, `"spikes"`.
        version: Version of the contract, from 1.
        cls: The class.
        fields: Names of all fields, in order.
        arrays: Fields that hold arrays, with what they must look like (None: any array).
        nests: Fields that may hold arrays further down: in unions, tuples and other messages.
        members: Fields that hold a member of an enumeration, with the enumeration.
    """

    name: str
    version: int
    cls: type[Any]
    fields: tuple[str, ...]
    arrays: tuple[tuple[str, ArraySpec | None], ...]
    nests: tuple[str, ...]
    members: tuple[tuple[str, type[enum.Enum]], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


def message(name: str, *, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Register a class as a message type.

    The class is a frozen attrs class or a frozen `msgspec.Struct`. Its fields are scalars, None,
    literals, tuples, unions, arrays, or other registered messages. A field may be an `IntEnum` or `StrEnum`,
    of which its value is written.

    Example:
        >>> @message("question")
        ... @attrs.frozen
        ... class Question:
        ...     text: str

    Raises:
        DeclarationInvalid: The class is not frozen, or a field may hold something that can change.
    """

    def register(cls: type[T]) -> type[T]:
        if version < 1:
            raise DeclarationInvalid(subject=name, reason=f"version {version} is below 1", remedy="Count from 1.")
        _require_frozen(cls)
        hints, fields = typing.get_type_hints(cls, include_extras=True), field_names(cls)
        for field in fields:
            if not _is_enumeration(hints[field]):
                _require_immutable(cls, field, hints[field])
        _require_canonical(cls, fields)
        arrays = tuple((field, _spec_of(hints[field])) for field in fields if _is_array(hints[field]))
        nests = tuple(field for field in fields if not _is_array(hints[field]) and _may_hold_arrays(hints[field]))
        members = tuple((field, hints[field]) for field in fields if _is_enumeration(hints[field]))
        declared = MessageType(name, version, cls, fields, arrays, nests, members)
        cls.__neuraxis_message__ = declared  # type: ignore[attr-defined]
        return cls

    return register


def message_type(cls: type[Any]) -> MessageType | None:
    """Return the registration of `cls`, or None. A subclass is not registered by its parent."""
    declared = cls.__dict__.get("__neuraxis_message__")
    return declared if isinstance(declared, MessageType) else None


def field_names(cls: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of an attrs class or `msgspec.Struct`, in order."""
    if issubclass(cls, msgspec.Struct):
        return cls.__struct_fields__
    return tuple(each.name for each in cls.__attrs_attrs__)


def _require_frozen(cls: type[Any]) -> None:
    if issubclass(cls, msgspec.Struct):
        is_frozen = cls.__struct_config__.frozen
    elif hasattr(cls, "__attrs_attrs__"):
        is_frozen = "frozen" in getattr(cls.__setattr__, "__name__", "")
    else:
        is_frozen = False
    if not is_frozen:
        raise DeclarationInvalid(
            subject=f"message {cls.__qualname__}",
            reason="is not a frozen class",
            remedy="Decorate it with @attrs.frozen, or derive from msgspec.Struct with frozen=True.",
        )


def _require_immutable(cls: type[Any], field: str, hint: Any) -> None:
    origin = typing.get_origin(hint)
    if hint in SCALARS or hint in (None, type(None)) or _is_array(hint) or origin is typing.Literal:
        return
    if origin is Annotated:
        _require_immutable(cls, field, typing.get_args(hint)[0])
        return
    if origin in (tuple, typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            if part is not Ellipsis:
                _require_immutable(cls, field, part)
        return
    if isinstance(hint, type) and message_type(hint) is not None:
        return
    raise DeclarationInvalid(
        subject=f"message {cls.__qualname__}, field {field!r}",
        reason=f"its type {getattr(hint, '__qualname__', hint)} can change after sending",
        remedy="Use scalars, tuples, arrays or registered messages (a dict becomes a tuple of pairs).",
    )


def _require_canonical(cls: type[Any], fields: tuple[str, ...]) -> None:
    """Refuse what would be missing from the canonical bytes, or could not be read back from them."""
    hidden = [field for field in fields if field.startswith("_")]
    if hidden:
        reason, remedy = f"its field {hidden[0]!r} is private, so no digest would see it", "Remove the underscore."
    elif issubclass(cls, msgspec.Struct) and cls.__struct_config__.omit_defaults:
        reason = "leaves out fields that are their default, which depends on object identity"
        remedy = "Remove omit_defaults=True."
    else:
        try:
            msgspec.msgpack.Decoder(cls, dec_hook=lambda _kind, value: value)
        except TypeError as error:
            reason, remedy = f"has no bytes that can be read back: {error}", "Give each alternative a field of its own."
        else:
            return
    raise DeclarationInvalid(subject=f"message {cls.__qualname__}", reason=reason, remedy=remedy)


def _is_enumeration(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, enum.IntEnum | enum.StrEnum)


def _is_array(hint: Any) -> bool:
    if typing.get_origin(hint) is Annotated:
        return _is_array(typing.get_args(hint)[0])
    return hint is np.ndarray or typing.get_origin(hint) is np.ndarray


def _may_hold_arrays(hint: Any) -> bool:
    declared = message_type(hint) if isinstance(hint, type) else None
    if declared is not None:
        return bool(declared.arrays or declared.nests)
    return _is_array(hint) or any(_may_hold_arrays(part) for part in typing.get_args(hint))


def _spec_of(hint: Any) -> ArraySpec | None:
    if typing.get_origin(hint) is Annotated:
        return next((extra for extra in typing.get_args(hint)[1:] if isinstance(extra, ArraySpec)), None)
    return None


# ------------------------------------------------------------------------------- admission


@final
class Misfit(Exception):
    """A payload does not fit; `expected` and `got` say why."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got


@final
class Received(mmap.mmap):
    """Memory that another process wrote, and nobody writes to any more; mapped to be read only."""


@final
class Freezer:
    """Freezes arrays on their way out, and counts what it had to copy.

    Attributes:
        copies: Arrays copied because they did not own their data or were not canonical.
        bytes_copied: Their size.
    """

    def __init__(self) -> None:
        self.copies = 0
        self.bytes_copied = 0

    def freeze(self, value: np.ndarray) -> np.ndarray:
        """Return a frozen array with the content of `value`: itself if it owns its data, else a copy."""
        flags = value.flags
        if value.base is None and flags.c_contiguous and type(value) is np.ndarray and value.dtype.isnative:
            if flags.writeable:
                value.setflags(write=False)
            return value
        if not flags.writeable and flags.c_contiguous and type(value) is np.ndarray and _rests_on_frozen(value):
            return value
        copy = np.array(canonical_array(value), copy=True, order="C", subok=False)
        copy.setflags(write=False)
        self.copies += 1
        self.bytes_copied += copy.nbytes
        return copy

    def admission(self, kind: type[Any] | ArraySpec) -> Callable[[Any], Any] | None:
        """Return the function that checks and freezes payloads of `kind`.

        None means that a test of the exact type is enough, which the sender does itself.
        The function raises `Misfit`.
        """
        if isinstance(kind, ArraySpec):
            return self._array_admission(kind)
        if kind in SCALARS:
            return None
        declared = message_type(kind)
        assert declared is not None, "the graph admits only registered types"
        return self._message_admission(declared) if declared.arrays or declared.nests else None

    def _array_admission(self, spec: ArraySpec) -> Callable[[Any], Any]:
        dtype, axes = np.dtype(spec.dtype), len(spec.shape)
        lengths = [(axis, length) for axis, length in enumerate(spec.shape) if length is not None]
        freeze = self.freeze

        def admit(value: Any) -> Any:
            # names of dtypes are slow to make, so only what does not fit at first sight is looked at closely
            if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != axes:
                return look_closely(value)
            for axis, length in lengths:
                if value.shape[axis] != length:
                    return look_closely(value)
            return freeze(value)

        def look_closely(value: Any) -> Any:
            got = spec.misfit(value)
            if got is not None:
                raise Misfit(str(spec), got)
            return freeze(value)

        return admit

    def _message_admission(self, declared: MessageType) -> Callable[[Any], Any]:
        cls, arrays, nests = declared.cls, declared.arrays, declared.nests
        replace = _replacer(cls)

        def admit(value: Any) -> Any:
            if type(value) is not cls:
                raise Misfit(str(declared), describe(value))
            changed = None
            for field, spec in arrays:
                content = getattr(value, field)
                got = spec.misfit(content) if spec is not None else _alien(content)
                if got is not None:
                    raise Misfit(f"{declared} with {field} as {spec or 'an array of numbers'}", got)
                kept = self.freeze(content)
                if kept is not content:
                    changed = {} if changed is None else changed
                    changed[field] = kept
            for field in nests:
                content = getattr(value, field)
                kept = self.freeze_within(content)
                if kept is not content:
                    changed = {} if changed is None else changed
                    changed[field] = kept
            return value if changed is None else replace(value, **changed)

        return admit

    def freeze_within(self, value: Any) -> Any:
        """Return `value` with all arrays in it frozen: itself if none had to be copied.

        Raises:
            Misfit: An array in a message is not what its field declares.
        """
        if isinstance(value, np.ndarray):
            got = _alien(value)
            if got is not None:
                raise Misfit("an array of numbers", got)
            return self.freeze(value)
        if type(value) is tuple:
            kept = tuple(map(self.freeze_within, value))
            return value if all(a is b for a, b in zip(kept, value, strict=True)) else kept
        declared = message_type(type(value))
        admit = self.admission(type(value)) if declared is not None else None
        return value if admit is None else admit(value)


def _alien(value: Any) -> str | None:
    """Return what `value` is if it is no array with a canonical byte form, else None."""
    return None if isinstance(value, np.ndarray) and is_canonical_dtype(value.dtype) else describe(value)


def _replacer(cls: type[Any]) -> Callable[..., Any]:
    if issubclass(cls, msgspec.Struct):
        return msgspec.structs.replace
    return _evolve


def _evolve(value: Any, **changed: Any) -> Any:
    """Return a copy of an attrs instance with other values in some fields; runs no initialiser again."""
    kind = type(value)
    copy = object.__new__(kind)
    for each in kind.__attrs_attrs__:
        object.__setattr__(copy, each.name, changed.get(each.name, getattr(value, each.name)))
    return copy


def _rests_on_frozen(value: np.ndarray) -> bool:
    """Tell whether nobody can write to the memory of a read-only view."""
    base = value.base
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    owner = base.obj if isinstance(base, memoryview) else base
    return owner is None or isinstance(owner, bytes | Received)


def coerce(kind: type[Any], value: Any) -> Any:
    """Return `value` as the exact scalar type `kind` where that loses nothing.

    Takes numpy scalars, and integers for floats up to 2**53, where every integer is a float.

    Raises:
        Misfit: `value` is of another type.
    """
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        value = value.item()
    if type(value) is kind:
        return value
    if kind is float and type(value) is int and abs(value) <= 2**53:
        return float(value)
    declared = message_type(kind)
    raise Misfit(str(declared) if declared else kind.__name__, describe(value))
