"""Canonical bytes: one form a value, and everything comes back as it was."""

from __future__ import annotations

import contextlib
import gc
from enum import IntEnum
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neuraxis import codec, message
from neuraxis.codec import APART_BYTES_MIN, ArrayHasher, canonical_array, decode, encode, pack, unpack
from tests.kernel.actors import Frame, Point


class Colour(IntEnum):
    RED = 1


@message("painted")
@attrs.frozen
class Painted:
    colour: Colour


MESSAGES = {("test-point", 1): Point, ("test-frame", 1): Frame}

dtypes = st.sampled_from(["?", "i1", "u1", "i2", "<u4", ">i4", "i8", "u8", "f2", "f4", ">f8", "c8", "c16"])
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=5)))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(width=64)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
numpy_scalars = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, ())).map(lambda each: each[()])
points = st.builds(Point, st.text("ab"), st.floats() | st.integers(0, 3), st.floats() | st.booleans())
frames = st.builds(Frame, st.integers(0, 9), arrays, points)
keys = st.text("abc", max_size=3) | st.integers(-5, 5)
trees = st.recursive(
    scalars | numpy_scalars | arrays | points | frames,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Tell whether two trees are equal to the last bit, the type of every node and the order of every dict."""
    if isinstance(a, np.ndarray | np.generic):
        little = a.dtype.newbyteorder("<")
        return (
            type(a) is type(b)
            and b.dtype == little
            and a.shape == b.shape
            and a.astype(little).tobytes() == b.tobytes()
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return np.float64(a).tobytes() == np.float64(b).tobytes()
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, Point | Frame):
        return all(same(getattr(a, each.name), getattr(b, each.name)) for each in type(a).__attrs_attrs__)
    return bool(a == b)


# ------------------------------------------------------------------------------ trees


@given(trees)
def test_tree_comes_back_as_it_was_to_the_last_bit(tree: Any) -> None:
    assert same(tree, unpack(pack(tree), MESSAGES))


@given(trees)
def test_tree_comes_back_also_with_its_large_arrays_apart(tree: Any) -> None:
    apart: list[np.ndarray] = []
    big = np.arange(APART_BYTES_MIN, dtype=">u2")
    data = pack([tree, (big, {"deep": big}), Frame(1, big, Point("p", 1.0, 2.0))], apart)
    assert len(apart) >= 3
    assert len(data) < len(pack([tree, (big, {"deep": big}), Frame(1, big, Point("p", 1.0, 2.0))]))
    back = unpack(data, MESSAGES, apart)
    assert same(tree, back[0])
    assert np.array_equal(back[1][1]["deep"], big)
    assert np.array_equal(back[2].free, big)


@given(trees)
def test_packing_what_was_unpacked_gives_the_same_bytes(tree: Any) -> None:
    data = pack(tree)
    assert pack(unpack(data, MESSAGES)) == data


def test_integer_in_a_field_of_floats_comes_back_as_an_integer() -> None:
    """Else a run that was resumed would deliver other bytes than the run that was not."""
    point = unpack(pack(Point("p", 1, 2.0)), MESSAGES)
    assert (type(point.x), type(point.y)) == (int, float)
    assert encode(point) == encode(Point("p", 1, 2.0))


def test_member_of_an_enumeration_comes_back_as_that_member_and_nothing_else_is_written_as_one() -> None:
    painted = Painted(Colour.RED)
    again = unpack(pack([painted]), {("painted", 1): Painted})
    assert again == [painted]
    assert again[0].colour is Colour.RED
    assert decode(encode(painted), Painted).colour is Colour.RED
    with pytest.raises(TypeError, match=r"value.colour is a int and no Colour"):
        pack(Painted(1))  # type: ignore[arg-type]


def test_order_of_a_dict_is_kept() -> None:
    assert list(unpack(pack({"b": 1, 3: 2, "a": 3}), {})) == ["b", 3, "a"]


def test_arrays_come_back_frozen() -> None:
    for value in (unpack(pack(np.arange(3)), {}), unpack(pack(Frame(1, np.arange(3), Point("", 0, 0))), MESSAGES).free):
        with pytest.raises(ValueError, match="read-only"):
            value[0] = 1


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({1, 2}, "value is a set"),
        ([1, {"a": (0, object())}], r"value\[1\].a\[1\] is a object"),
        ({"x": Frame(1, {1}, Point("", 0, 0))}, "value.x.free is a set"),  # type: ignore[arg-type]
        ({(1, 2): 3}, "value has a key of type tuple"),
        ({True: 3}, "key of type bool"),
        ({1.5: 3}, "key of type float"),
        (type("Whole", (int,), {})(3), "value is a Whole"),
        (type("Text", (str,), {})("a"), "value is a Text"),
        (bytearray(b"x"), "value is a bytearray"),
        (np.array([object()]), "no canonical byte form"),
        (np.array(["text"]), "no canonical byte form"),
    ],
)
def test_value_without_canonical_form_is_refused_and_located(value: Any, where: str) -> None:
    with pytest.raises(TypeError, match=where):
        pack(value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [2**70]])
def test_integer_beyond_64_bits_is_refused(value: Any) -> None:
    with pytest.raises(OverflowError):
        pack(value)
    with pytest.raises(OverflowError):
        encode(value)


def test_unregistered_message_type_is_named() -> None:
    with pytest.raises(ValueError, match="test-point/1 is not registered"):
        unpack(pack(Point("p", 0, 0)), {})


def test_message_type_with_other_fields_is_refused() -> None:
    @attrs.frozen
    class Other:
        name: str

    with pytest.raises(ValueError, match="1 fields, not 3"):
        unpack(pack(Point("p", 0, 0)), {("test-point", 1): message("test-point")(Other)})


@given(trees, st.integers(0), st.integers(0, 7))
def test_damaged_bytes_raise_value_error_or_give_another_tree_but_never_crash(tree: Any, place: int, bit: int) -> None:
    data = bytearray(pack(tree))
    data[place % len(data)] ^= 1 << bit
    with contextlib.suppress(ValueError, TypeError):  # readers of journals and snapshots treat both as damage
        unpack(bytes(data), MESSAGES)


@pytest.mark.parametrize("dtype", [",", "<,", "<f3", "<g2", ">f8", "V8", ""])
def test_array_of_a_type_that_is_not_canonical_is_refused(dtype: str) -> None:
    data = pack(np.zeros(2)).replace(b"<f8;", f"{dtype:3};".encode())
    with pytest.raises(ValueError, match="no canonical array"):
        unpack(data, {})


@pytest.mark.parametrize("data", [b"", b"\xc1", pack([1, 2])[:-1], pack(1) + b"\0"])
def test_bytes_that_are_no_tree_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(data, {})


def test_reference_to_an_array_that_is_not_there_is_refused() -> None:
    apart: list[np.ndarray] = []
    data = pack(np.zeros(APART_BYTES_MIN), apart)
    with pytest.raises(ValueError):
        unpack(data, {}, [])


# --------------------------------------------------------------------------- payloads


@given(points | frames)
def test_payload_has_the_same_bytes_every_time(payload: Any) -> None:
    assert encode(payload) == encode(unpack(pack(payload), MESSAGES))


@given(st.floats(), st.floats())
def test_payloads_have_the_same_bytes_only_if_their_bits_are_the_same(a: float, b: float) -> None:
    equal_bits = np.float64(a).tobytes() == np.float64(b).tobytes()
    assert (encode(a) == encode(b)) == equal_bits


@given(arrays)
def test_array_comes_back_from_its_canonical_bytes(array: np.ndarray) -> None:
    assert same(array, decode(encode(array), np.ndarray))


def test_payload_comes_back_as_its_type() -> None:
    assert decode(encode(Point("p", 1.0, 2.0)), Point) == Point("p", 1.0, 2.0)
    frame = decode(encode(Frame(3, np.arange(4), Point("p", 1.0, 2.0))), Frame)
    assert frame.free.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("data", [encode(3), encode("text"), encode({"name": 1}), b"\xc1", encode((1, 2, 3))])
def test_bytes_of_another_type_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data, Point)


def test_unknown_extension_is_refused() -> None:
    import msgspec

    with pytest.raises(ValueError, match="unknown extension 99"):
        unpack(msgspec.msgpack.encode(msgspec.msgpack.Ext(99, b"")), {})


def test_object_without_canonical_form_is_refused_in_a_payload() -> None:
    with pytest.raises(TypeError, match="object has no canonical byte form"):
        encode(object())


@given(arrays)
def test_canonical_array_is_itself_if_it_can_be(array: np.ndarray) -> None:
    canonical = canonical_array(array)
    assert canonical.flags.c_contiguous
    assert canonical.dtype.byteorder != ">"
    assert canonical.shape == array.shape
    assert (canonical is array) == (array.flags.c_contiguous and array.dtype.byteorder != ">")


# ----------------------------------------------------------------------------- hashes


@given(arrays, arrays)
def test_hash_of_an_array_tells_content_shape_and_dtype(a: np.ndarray, b: np.ndarray) -> None:
    hasher = ArrayHasher()
    x, y = canonical_array(a), canonical_array(b)
    equal = (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
    assert (hasher.digest(a) == hasher.digest(b)) == equal
    assert hasher.digest(a) == ArrayHasher().digest(a.copy())


def test_frozen_array_is_hashed_once_and_forgotten_with_the_array() -> None:
    hasher = ArrayHasher()
    big = np.zeros(ArrayHasher.REMEMBER_BYTES_MIN, np.uint8)
    big.setflags(write=False)
    first = hasher.digest(big)
    assert hasher.digest(big) == first
    assert len(hasher._known) == 1
    del big
    gc.collect()
    assert not hasher._known


def test_writable_array_is_hashed_every_time() -> None:
    hasher = ArrayHasher()
    big = np.zeros(ArrayHasher.REMEMBER_BYTES_MIN, np.uint8)
    before = hasher.digest(big)
    big[7] = 1
    assert hasher.digest(big) != before


def test_new_array_in_the_place_of_a_dead_one_has_its_own_hash() -> None:
    hasher, digests = ArrayHasher(), set()
    for value in range(20):
        array = np.full(ArrayHasher.REMEMBER_BYTES_MIN, value, np.uint8)
        array.setflags(write=False)
        digests.add(hasher.digest(array))
        del array
    assert len(digests) == 20


def test_heads_of_ever_new_shapes_do_not_pile_up() -> None:
    hasher = ArrayHasher()
    expected = hasher.digest(np.zeros(3))
    for size in range(codec.HEADS_MAX + 10):
        hasher.digest(np.empty((0, size), np.uint8))
    assert len(hasher._heads) <= codec.HEADS_MAX
    assert hasher.digest(np.zeros(3)) == expected


def test_scalars_beside_arrays_are_encoded_as_ever() -> None:
    encoder = ArrayHasher().encoder
    assert encoder.encode(np.float32(1.5)) == encode(np.float32(1.5))
    assert encoder.encode([1, "a"]) == encode([1, "a"])
