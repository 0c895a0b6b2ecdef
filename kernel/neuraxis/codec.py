"""One canonical byte form for every value, and short digests for arrays.

Payloads are msgpack with sorted keys. msgpack rather than JSON, because JSON cannot tell NaN from
null; rather than protobuf, because protobuf has no canonical bytes. Arrays are extension values:
their bytes where the value must come back (`encode`), their xxh3-128 where only equality counts
(`ArrayHasher`). Trees of plain Python values, as actors keep them, have a form of their own (`pack`)
that keeps tuples, numpy scalars and the order of dicts, so that `unpack(pack(x))` behaves as `x` did.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
import numpy as np
from msgspec import msgpack
from xxhash import xxh3_128_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuraxis.message import MessageType

_ARRAY: Final = 1
_ARRAY_DIGEST: Final = 2
_MESSAGE: Final = 3
_SCALAR: Final = 4
_TUPLE: Final = 5
_APART: Final = 6

APART_BYTES_MIN: Final = 1024
"""Arrays of this size and more are kept apart from the tree when `pack` is given a list for them."""

HEADS_MAX: Final = 4096
"""Shapes of arrays whose encoded head an `ArrayHasher` remembers."""

NOT_CANONICAL: Final = (TypeError, OverflowError, UnicodeEncodeError, RecursionError)
"""What encoding raises for a value without canonical form: another type, beyond 64 bits, no Unicode, too deep."""

DTYPE_KINDS: Final = "biufc"
"""Array kinds with a canonical byte form: boolean, integers, floats, complex."""

_DTYPES: Final = frozenset(np.dtype(each).newbyteorder("<").str for each in "?bhiqBHIQefdFD")
"""Types of canonical arrays as they are written; what a damaged byte makes of them must not reach NumPy's parser."""


def is_canonical_dtype(dtype: np.dtype[Any]) -> bool:
    """Tell whether arrays of `dtype` have a canonical byte form."""
    return dtype.kind in DTYPE_KINDS and dtype.char not in "gG"  # long doubles differ from machine to machine


def canonical_array(array: np.ndarray) -> np.ndarray:
    """Return `array` itself if it is C-contiguous, little-endian and of a canonical kind, else a copy that is.

    Raises:
        TypeError: Objects, strings, structures and dates have no canonical byte form.
    """
    dtype = array.dtype
    if not is_canonical_dtype(dtype):
        raise TypeError(f"array of {dtype} has no canonical byte form; use booleans, integers or floats")
    if dtype.byteorder == ">":
        array = array.astype(dtype.newbyteorder("<"))
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _array_head(array: np.ndarray) -> bytes:
    return f"{array.dtype.str};{','.join(map(str, array.shape))}\0".encode()


def _array_from(data: memoryview | bytes) -> np.ndarray:
    raw = bytes(data)
    end = raw.index(b"\0")
    dtype, shape = raw[:end].decode().split(";")
    if dtype not in _DTYPES:
        raise ValueError(f"no canonical array has the type {dtype!r}")
    values = np.frombuffer(raw, dtype=dtype, offset=end + 1)
    return values.reshape([int(n) for n in shape.split(",") if n])


def _encode_foreign(value: Any) -> msgpack.Ext:
    if isinstance(value, np.ndarray):
        array = canonical_array(value)
        return msgpack.Ext(_ARRAY, _array_head(array) + array.tobytes())
    if isinstance(value, np.generic):
        array = canonical_array(np.asarray(value))
        return msgpack.Ext(_SCALAR, _array_head(array) + array.tobytes())
    raise TypeError(f"{type(value).__qualname__} has no canonical byte form")


def _decode_foreign(code: int, data: memoryview) -> Any:
    if code == _ARRAY:
        array = _array_from(data)
        array.setflags(write=False)
        return array
    if code == _SCALAR:
        return _array_from(data)[()]
    raise ValueError(f"unknown extension {code} in canonical bytes")


_CANONICAL: Final = msgpack.Encoder(enc_hook=_encode_foreign, order="deterministic")
_IN_ORDER: Final = msgpack.Encoder(enc_hook=_encode_foreign)


def encode(value: Any) -> bytes:
    """Return the canonical bytes of a payload.

    Raises:
        TypeError: The value, or a part of it, has no canonical form.
        OverflowError: An integer needs more than 64 bits.
    """
    return _CANONICAL.encode(value)


def decode(data: bytes, kind: type[Any]) -> Any:
    """Return the payload of type `kind` that `data` was made from. Arrays come back frozen.

    Raises:
        ValueError: `data` is not the canonical form of a `kind`.
    """
    if kind is np.ndarray:
        return msgpack.decode(data, ext_hook=_decode_foreign)
    try:
        return msgpack.decode(data, type=kind, ext_hook=_decode_foreign, dec_hook=_adopt)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def _adopt(_kind: type[Any], value: Any) -> Any:
    return value  # an array already decoded by the extension hook


# ----------------------------------------------------------------------------- state trees


def pack(value: Any, apart: list[np.ndarray] | None = None) -> bytes:
    """Return the bytes of a tree of plain values, such as an actor's state.

    Takes None, booleans, integers, floats, text, bytes, lists, tuples, dicts with text or integer
    keys, arrays, numpy scalars and registered messages. The order of dicts is kept.

    Args:
        value: The tree.
        apart: If given, large arrays are appended to it and only referred to in the bytes.

    Raises:
        TypeError: Another type is in the tree; the text says where.
        OverflowError: An integer needs more than 64 bits.
    """
    if type(value) is list and _PLAIN.issuperset(map(type, value)):
        return _IN_ORDER.encode(value)
    try:
        return _IN_ORDER.encode(_tagged(value, apart))
    except _Alien as alien:
        raise TypeError(f"value{''.join(reversed(alien.where))} {alien.what}") from None


_PLAIN: Final = frozenset((int, float, str, bytes, bool, type(None)))


class _Alien(Exception):
    """Something that has no packed form, and where it is, the innermost place first."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.where: list[str] = []

    def within(self, place: str) -> _Alien:
        self.where.append(place)
        return self


def _tagged(value: Any, apart: list[np.ndarray] | None) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is np.ndarray:
        if apart is None or value.nbytes < APART_BYTES_MIN:
            return value
        apart.append(canonical_array(value))
        return msgpack.Ext(_APART, msgpack.encode(len(apart) - 1))
    if kind is list or kind is tuple:
        items = list(value)
        for index, item in enumerate(items):
            if type(item) not in _PLAIN:
                items[index] = _part(item, f"[{index}]", apart)
        return items if kind is list else msgpack.Ext(_TUPLE, _IN_ORDER.encode(items))
    if kind is dict:
        for key in value:
            if type(key) not in (str, int):
                raise _Alien(f"has a key of type {type(key).__qualname__}; keys are text or integers")
        return {key: _part(item, f".{key}", apart) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value
    declared: MessageType | None = kind.__dict__.get("__neuraxis_message__")
    if declared is not None:
        # field by field, and not as `encode`: an int in a field of floats must come back as an int
        members = dict(declared.members)
        fields = [
            _member(getattr(value, name), members[name], f".{name}")
            if name in members
            else _part(getattr(value, name), f".{name}", apart)
            for name in declared.fields
        ]
        return msgpack.Ext(_MESSAGE, _IN_ORDER.encode([declared.name, declared.version, fields]))
    raise _Alien(f"is a {kind.__qualname__}")


def _part(value: Any, place: str, apart: list[np.ndarray] | None) -> Any:
    try:
        return _tagged(value, apart)
    except _Alien as alien:
        raise alien.within(place) from None


def _member(value: Any, enumeration: type[Any], place: str) -> Any:
    if type(value) is not enumeration:
        raise _Alien(f"is a {type(value).__qualname__} and no {enumeration.__qualname__}").within(place)
    return value.value


def unpack(data: bytes, messages: Mapping[tuple[str, int], type[Any]], apart: Sequence[np.ndarray] = ()) -> Any:
    """Return the tree that `pack` was given. Its arrays are frozen; copy those that must change.

    Args:
        data: What `pack` returned.
        messages: Registered message classes by (name, version).
        apart: The arrays that `pack` kept apart.

    Raises:
        ValueError: The bytes are not such a tree, or name an unknown message type.
    """

    def restore(code: int, content: memoryview) -> Any:
        if code == _TUPLE:
            return tuple(msgpack.decode(content, ext_hook=restore))
        if code == _APART:
            return apart[msgpack.decode(content, type=int)]
        if code == _MESSAGE:
            name, version, values = msgpack.decode(content, ext_hook=restore)
            try:
                kind = messages[name, version]
            except KeyError:
                raise ValueError(f"message type {name}/{version} is not registered") from None
            return _remade(kind, values)
        return _decode_foreign(code, content)

    try:
        return msgpack.decode(data, ext_hook=restore)
    except (msgspec.MsgspecError, IndexError) as error:
        raise ValueError(str(error)) from error


def _remade(kind: type[Any], values: list[Any]) -> Any:
    """Return a message with these values in its fields, as they were: nothing else is converted or derived again."""
    names = kind.__neuraxis_message__.fields
    if len(names) != len(values):
        raise ValueError(f"message type {kind.__neuraxis_message__} has {len(names)} fields, not {len(values)}")
    for name, enumeration in kind.__neuraxis_message__.members:
        values[names.index(name)] = enumeration(values[names.index(name)])
    if issubclass(kind, msgspec.Struct):
        return kind(**dict(zip(names, values, strict=True)))
    remade = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(remade, name, value)
    return remade


# --------------------------------------------------------------------------------- digests


@final
class ArrayHasher:
    """Encodes values with arrays replaced by their xxh3-128, each frozen array hashed once.

    The hash of a large frozen array is remembered for as long as the array lives, so it travels
    with the array from actor to actor. Nothing here depends on object identity but the time it takes.

    Determinism: exact.
    Source: xxh3, github.com/Cyan4973/xxHash.
    """

    REMEMBER_BYTES_MIN: Final = 4096

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[np.ndarray], bytes]] = {}
        self._heads: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self.encoder = msgpack.Encoder(enc_hook=self._hook(), order="deterministic")

    def digest(self, array: np.ndarray) -> bytes:
        """Return dtype, shape and xxh3-128 of a canonical array, as bytes."""
        head = self._heads.get((array.dtype.char, array.shape)) or self._head(array)
        if array.nbytes < self.REMEMBER_BYTES_MIN or array.flags.writeable:
            return head + xxh3_128_digest(array)  # type: ignore[arg-type]  # an array is a buffer
        identity = id(array)
        known = self._known.get(identity)
        if known is not None and known[0]() is array:
            return known[1]
        value = head + xxh3_128_digest(array)  # type: ignore[arg-type]
        forget = self._known.pop
        self._known[identity] = (weakref.ref(array, lambda _: forget(identity, None)), value)
        return value

    def _head(self, array: np.ndarray) -> bytes:
        if len(self._heads) >= HEADS_MAX:  # shapes that change all the time must not pile up
            self._heads.clear()
        head = self._heads[array.dtype.char, array.shape] = _array_head(array)
        return head

    def _hook(self) -> Callable[[Any], msgpack.Ext]:
        # What it uses is local to the closure: small arrays go through here in every tick.
        heads, small, ext, ndarray, digest = self._heads, self.REMEMBER_BYTES_MIN, msgpack.Ext, np.ndarray, self.digest

        def encode_foreign(value: Any) -> msgpack.Ext:
            if type(value) is not ndarray:
                return _encode_foreign(value)
            if value.nbytes < small:
                head = heads.get((value.dtype.char, value.shape))
                if head is not None:
                    return ext(_ARRAY_DIGEST, head + xxh3_128_digest(value))  # type: ignore[arg-type]
            return ext(_ARRAY_DIGEST, digest(value))  # arrays are canonical since they were admitted

        return encode_foreign
