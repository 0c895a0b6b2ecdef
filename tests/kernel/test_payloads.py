"""What may be sent, how it is frozen, and what is refused."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import attrs
import msgspec
import numpy as np
import pytest

from neuraxis import Actor, Array, Graph, Input, NeuraxisError, Output, Simulation, array, message, on, parameter
from neuraxis.errors import ActorFailed, DeclarationInvalid, PayloadRejected
from neuraxis.message import Freezer, Misfit, coerce, describe, message_type
from neuraxis.testing.checks import FrozenPayloads
from tests.kernel.actors import Frame, Point


@message("test-holder")
@attrs.frozen
class Holder:
    """Arrays in every place where one can hide."""

    maybe: Array | None = None
    several: tuple[Array, ...] = ()
    inner: Frame | None = None


@message("test-shaped")
class Shaped(msgspec.Struct, frozen=True):
    image: Annotated[Array, array("uint8", 2, None)]
    note: str = ""


class Sender(Actor):
    """Sends whatever the test puts into `payload`, on a port of the kind that the test wants."""

    go = Input(str)
    integer = Output(int)
    real = Output(float)
    truth = Output(bool)
    text = Output(str)
    raw = Output(bytes)
    pixels = Output(array("float32", "side", None))
    any_length = Output(array("int64", None))
    scalar = Output(array("float64"))
    frame = Output(Frame)
    holder = Output(Holder)
    shaped = Output(Shaped)
    side: int = parameter(int, 2)
    payload: Any = None

    @on(go)
    def send(self, context: Any, port: str) -> None:
        context.send(port, Sender.payload)


class Receiver(Actor):
    """Keeps the very objects it gets, for the test to look at."""

    got: ClassVar[list[Any]] = []
    integer = Input(int)
    real = Input(float)
    truth = Input(bool)
    text = Input(str)
    raw = Input(bytes)
    pixels = Input(array("float32", None, None))
    any_length = Input(array("int64", None))
    scalar = Input(array("float64"))
    frame = Input(Frame)
    holder = Input(Holder)
    shaped = Input(Shaped)

    @on(integer)
    def a(self, context: Any, value: Any) -> None:
        self.got.append(value)

    b = on(real)(lambda self, context, value: self.got.append(value))
    c = on(truth)(lambda self, context, value: self.got.append(value))
    d = on(text)(lambda self, context, value: self.got.append(value))
    e = on(raw)(lambda self, context, value: self.got.append(value))
    f = on(pixels)(lambda self, context, value: self.got.append(value))
    g = on(any_length)(lambda self, context, value: self.got.append(value))
    h = on(scalar)(lambda self, context, value: self.got.append(value))
    i = on(frame)(lambda self, context, value: self.got.append(value))
    j = on(holder)(lambda self, context, value: self.got.append(value))
    k = on(shaped)(lambda self, context, value: self.got.append(value))


def build() -> Simulation:
    graph = Graph("payloads")
    graph.add("sender", Sender)
    graph.add("receiver", Receiver)
    for port in Sender.declaration.outputs:
        graph.connect(f"sender.{port}", f"receiver.{port}")
    return Simulation(graph)


def transmit(port: str, payload: Any) -> tuple[Any, Simulation]:
    """Send a payload through a simulation and return what arrives."""
    Sender.payload = payload
    Receiver.got.clear()
    sim = build()
    sim.inject("sender.go", port)
    sim.advance(ticks=2)
    (arrived,) = Receiver.got
    return arrived, sim


def refused(port: str, payload: Any) -> PayloadRejected:
    """Send a payload that is refused, and return the refusal."""
    with pytest.raises(ActorFailed) as failed:
        transmit(port, payload)
    cause = failed.value.__cause__
    assert isinstance(cause, PayloadRejected)
    assert (cause.actor, cause.port) == ("sender", port)
    return cause


# -------------------------------------------------------------------------------- scalars


@pytest.mark.parametrize(
    ("port", "payload"),
    [
        ("integer", 0),
        ("integer", -(2**63)),
        ("integer", 2**64 - 1),
        ("real", 1.5),
        ("real", float("inf")),
        ("truth", True),
        ("text", "naïve ∑ \0 🧠"),
        ("text", ""),
        ("raw", b"\0\xff"),
    ],
)
def test_scalar_of_the_declared_type_arrives_as_it_is(port: str, payload: Any) -> None:
    arrived, _ = transmit(port, payload)
    assert type(arrived) is type(payload)
    assert arrived == payload


@pytest.mark.parametrize(
    ("port", "payload", "expected"),
    [
        ("integer", np.int16(-3), -3),
        ("integer", np.uint64(2**64 - 1), 2**64 - 1),
        ("real", np.float32(0.5), 0.5),
        ("real", np.float64(0.1), 0.1),
        ("real", 3, 3.0),
        ("real", np.int8(3), 3.0),
        ("truth", np.bool_(True), True),
    ],
)
def test_numpy_scalar_becomes_the_plain_scalar_that_it_equals(port: str, payload: Any, expected: Any) -> None:
    arrived, _ = transmit(port, payload)
    assert type(arrived) is type(expected)
    assert arrived == expected


@pytest.mark.parametrize(
    ("port", "payload"),
    [
        ("integer", True),
        ("integer", 1.0),
        ("integer", "1"),
        ("integer", None),
        ("real", True),
        ("real", 2**53 + 1),
        ("real", 10**400),
        ("real", "1.0"),
        ("truth", 1),
        ("text", b"bytes"),
        ("text", type("Text", (str,), {})("subclass")),
        ("raw", bytearray(b"mutable")),
        ("raw", memoryview(b"view")),
        ("pixels", [[1.0, 2.0]]),
        ("scalar", 1.0),
        ("frame", Point("p", 0.0, 0.0)),
    ],
)
def test_payload_of_another_type_is_refused_in_the_handler_that_sends_it(port: str, payload: Any) -> None:
    assert refused(port, payload).got


def test_integer_of_more_than_64_bits_is_refused_and_names_its_sender() -> None:
    Sender.payload = 2**64
    sim = build()
    sim.inject("sender.go", "integer")
    with pytest.raises(PayloadRejected, match="sender") as refusal:
        sim.advance(ticks=2)
    assert "one without" in refusal.value.got


def test_text_with_a_lone_surrogate_is_refused_and_names_its_sender() -> None:
    Sender.payload = "\ud800"
    sim = build()
    sim.inject("sender.go", "text")
    with pytest.raises(PayloadRejected, match="sender"):
        sim.advance(ticks=2)
    assert sim.tick == 1


@pytest.mark.parametrize("payload", [2**64, -(2**63) - 1])
def test_input_without_canonical_form_is_refused_at_once_and_not_journaled(payload: int) -> None:
    sim = build()
    before = len(sim.records())
    graph = Graph("g")
    graph.add("receiver", Receiver)
    with Simulation(graph) as other, pytest.raises(PayloadRejected, match="receiver"):
        other.inject("receiver.integer", payload)
    assert len(sim.records()) == before


def test_input_text_with_a_lone_surrogate_is_refused_at_once() -> None:
    with pytest.raises(PayloadRejected):
        build().inject("receiver.text", "\udfff")


# --------------------------------------------------------------------------------- arrays


def test_array_that_owns_its_data_is_passed_by_reference_and_frozen() -> None:
    mine = np.ones((2, 3), np.float32)
    arrived, sim = transmit("pixels", mine)
    assert arrived is mine
    assert not mine.flags.writeable
    assert sim.statistics.copies == 0
    with pytest.raises(ValueError, match="read-only"):
        mine[0, 0] = 2


@pytest.mark.parametrize(
    "make",
    [
        lambda base: base[:2],
        lambda base: base.T[:2, :3].T[:2],
        lambda base: base[::-1][:2],
        lambda base: np.asfortranarray(base[:2].copy()),
        lambda base: base[:2].astype(">f4"),
        lambda base: base[:2].copy().view(np.matrix),
        lambda base: np.frombuffer(bytearray(base[:2].tobytes()), np.float32).reshape(2, -1),
    ],
    ids=["view", "transposed", "reversed", "fortran", "big-endian", "subclass", "foreign-memory"],
)
def test_array_that_others_could_change_is_copied_and_counted(make: Any) -> None:
    base = np.arange(12, dtype=np.float32).reshape(4, 3)
    sent = make(base)
    expected = np.array(sent, np.float32)
    arrived, sim = transmit("pixels", sent)
    base[:] = -1
    assert arrived is not sent
    assert type(arrived) is np.ndarray
    assert arrived.dtype == np.dtype("<f4")
    assert arrived.flags.c_contiguous
    assert not arrived.flags.writeable
    assert np.array_equal(arrived, expected)
    assert (sim.statistics.copies, sim.statistics.bytes_copied) == (1, expected.nbytes)


def test_view_of_frozen_memory_is_passed_by_reference() -> None:
    base = np.zeros((4, 3), np.float32)
    base.setflags(write=False)
    view = base[1:3]
    arrived, sim = transmit("pixels", view)
    assert arrived is view
    assert sim.statistics.copies == 0


def test_read_only_view_of_memory_that_its_owner_can_write_is_copied() -> None:
    base = np.zeros((4, 3), np.float32)
    view = base[:2]
    view.setflags(write=False)
    arrived, sim = transmit("pixels", view)
    base[:] = 7
    assert arrived[0, 0] == 0
    assert sim.statistics.copies == 1


def test_array_over_bytes_is_passed_by_reference() -> None:
    over = np.frombuffer(bytes(24), np.float32).reshape(2, 3)
    arrived, sim = transmit("pixels", over)
    assert arrived is over
    assert sim.statistics.copies == 0


@pytest.mark.parametrize("shape", [(0,), (5,)])
def test_array_of_free_length_may_be_empty(shape: tuple[int, ...]) -> None:
    arrived, _ = transmit("any_length", np.zeros(shape, np.int64))
    assert arrived.shape == shape


def test_array_without_axes_is_an_array() -> None:
    arrived, _ = transmit("scalar", np.array(2.5))
    assert arrived.shape == ()
    assert float(arrived) == 2.5


@pytest.mark.parametrize(
    ("port", "payload"),
    [
        ("pixels", np.zeros((3, 3), np.float32)),
        ("pixels", np.zeros((2, 3), np.float64)),
        ("pixels", np.zeros(2, np.float32)),
        ("any_length", np.zeros((1, 1), np.int64)),
        ("any_length", np.array(0)),
        ("any_length", np.array([object()])),
        ("scalar", np.zeros(1)),
        ("shaped", Shaped(np.zeros((3, 3), np.uint8))),
        ("shaped", Shaped(np.zeros((2, 3), np.int8))),
        ("frame", Frame(1, np.array([object()]), Point("p", 0.0, 0.0))),
        ("frame", Frame(1, np.array(["text"]), Point("p", 0.0, 0.0))),
        ("frame", Frame(1, np.array([1], "M8[s]"), Point("p", 0.0, 0.0))),
        ("frame", Frame(1, np.zeros(1, np.longdouble), Point("p", 0.0, 0.0))),
        ("frame", Frame(1, np.zeros(1, [("a", "i4")]), Point("p", 0.0, 0.0))),
        ("frame", Frame(1, [1, 2], Point("p", 0.0, 0.0))),  # type: ignore[arg-type]
        ("holder", Holder(several=(np.array([None]),))),
        ("holder", Holder(inner=Frame(1, None, Point("p", 0.0, 0.0)))),  # type: ignore[arg-type]
    ],
)
def test_array_of_another_shape_or_dtype_is_refused_and_described(port: str, payload: Any) -> None:
    refusal = refused(port, payload)
    assert "array" in refusal.expected
    assert refusal.message().endswith("Send what the port declares.")


def test_big_endian_array_fits_a_port_of_its_type() -> None:
    arrived, _ = transmit("any_length", np.array([1, 2], ">i8"))
    assert arrived.tolist() == [1, 2]


def test_arrays_in_messages_are_frozen_wherever_they_hide() -> None:
    arrays = [np.arange(3) + n for n in range(4)]
    sent = Holder(arrays[0], (arrays[1], arrays[2]), Frame(1, arrays[3], Point("p", 1.0, 2.0)))
    arrived, sim = transmit("holder", sent)
    assert arrived is sent
    assert not any(each.flags.writeable for each in arrays)
    assert sim.statistics.copies == 0


def test_views_in_messages_are_copied_wherever_they_hide() -> None:
    base = np.arange(10)
    sent = Holder(base[:1], (base[1:2], base[2:3]), Frame(1, base[3:4], Point("p", 1.0, 2.0)))
    arrived, sim = transmit("holder", sent)
    base[:] = -1
    assert arrived.maybe.tolist() == [0]
    assert [each.tolist() for each in arrived.several] == [[1], [2]]
    assert arrived.inner.free.tolist() == [3]
    assert arrived.inner.corner is sent.inner.corner  # type: ignore[union-attr]
    assert sim.statistics.copies == 4


def test_view_in_a_struct_message_is_copied() -> None:
    base = np.zeros((2, 6), np.uint8)
    arrived, _ = transmit("shaped", Shaped(base[:, :3], "n"))
    base[:] = 1
    assert arrived.image.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert arrived.note == "n"


def test_copying_a_view_runs_no_initialiser_of_the_message_again() -> None:
    made = []

    @message("test-counted")
    @attrs.frozen
    class Counted:
        data: Array

        def __attrs_post_init__(self) -> None:
            made.append(1)

    admit = Freezer().admission(Counted)
    assert admit is not None
    admit(Counted(np.arange(4)[1:]))
    assert made == [1]


def test_writing_through_an_older_view_is_found_by_the_kit() -> None:
    """A view made before sending stays writable: no flag forbids it, so the suite of actors looks for it."""

    class Sly(Actor):
        go = Input(int)
        out = Output(array("int64", 3))

        @on(go)
        def act(self, context: Any, value: int) -> None:
            if value == 1:
                mine = np.zeros(3, np.int64)
                Sly.view = mine[:]  # type: ignore[attr-defined]
                context.send("out", mine)
            else:
                Sly.view[:] = 9  # type: ignore[attr-defined]

    graph = Graph("sly")
    graph.add("a", Sly)
    graph.add("b", Receiver)
    graph.connect("a.out", "b.any_length", delay=5)
    sim = Simulation(graph)
    watch = FrozenPayloads(sim)
    sim.inject("a", 1)
    watch.advance(2)
    sim.inject("a", 2)
    with pytest.raises(AssertionError, match="was changed after it was sent"):
        watch.advance(3)


def test_sending_the_same_message_to_many_passes_one_object() -> None:
    graph = Graph("many")
    graph.add("sender", Sender)
    for index in range(3):
        graph.add(f"r{index}", Receiver)
        graph.connect("sender.any_length", f"r{index}.any_length", delay=1 + index)
    Sender.payload = np.arange(4)
    Receiver.got.clear()
    sim = Simulation(graph)
    sim.inject("sender.go", "any_length")
    sim.advance(ticks=6)
    assert len(Receiver.got) == 3
    assert all(each is Sender.payload for each in Receiver.got)


# ---------------------------------------------------------------------- bits in the digest


def digest_with(port: str, payload: Any) -> str:
    return transmit(port, payload)[1].digest


def test_digest_tells_zero_from_minus_zero() -> None:
    assert digest_with("real", 0.0) != digest_with("real", -0.0)
    assert digest_with("scalar", np.array(0.0)) != digest_with("scalar", np.array(-0.0))


def test_digest_tells_the_bits_of_nan_apart() -> None:
    quiet, other = (np.frombuffer(bits, np.float64)[0] for bits in (b"\0\0\0\0\0\0\xf8\x7f", b"\1\0\0\0\0\0\xf8\x7f"))
    assert digest_with("real", float(quiet)) != digest_with("real", float(other))
    assert digest_with("scalar", np.array(quiet)) != digest_with("scalar", np.array(other))
    assert digest_with("scalar", np.array(quiet)) == digest_with("scalar", np.array(quiet))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.arange(4), np.arange(4).reshape(4, 1)),
        (np.zeros((0, 2)), np.zeros((2, 0))),
        (np.arange(4, dtype=np.int32), np.arange(4, dtype=np.uint32)),
        (np.zeros(2, np.float32), np.zeros(1, np.float64)),
        (np.array(1), np.array([1])),
    ],
)
def test_digest_tells_arrays_of_the_same_bytes_and_another_shape_or_dtype_apart(a: Any, b: Any) -> None:
    corner = Point("p", 0.0, 0.0)
    assert digest_with("frame", Frame(1, a, corner)) != digest_with("frame", Frame(1, b, corner))


def test_digest_does_not_depend_on_the_memory_layout_of_an_array() -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    layouts = [values.copy(), np.asfortranarray(values), values.astype(">f4"), np.repeat(values, 2, 1)[:, ::2]]
    assert len({digest_with("pixels", each) for each in layouts}) == 1


# --------------------------------------------------------------------------- registration


def register(cls: type[Any], **options: Any) -> type[Any]:
    return message("test-refused", **options)(cls)


def test_class_that_is_not_frozen_is_refused() -> None:
    @attrs.define
    class Open:
        x: int

    class Loose(msgspec.Struct):
        x: int

    class Plain:
        x: int

    for cls in (Open, Loose, Plain):
        with pytest.raises(DeclarationInvalid, match="not a frozen class"):
            register(cls)


@pytest.mark.parametrize(
    "hint",
    [list[int], dict[str, int], set[int], Any, object, bytearray, tuple[list[int], ...], int | list[int], tuple],
)
def test_class_with_a_field_that_can_change_is_refused(hint: Any) -> None:
    cls = attrs.frozen(type("Mutable", (), {"__annotations__": {"x": hint}}))
    with pytest.raises(DeclarationInvalid, match="can change after sending"):
        register(cls)


def test_class_with_an_unregistered_class_inside_is_refused() -> None:
    inner = attrs.frozen(type("Inner", (), {"__annotations__": {"x": int}}))
    outer = attrs.frozen(type("Outer", (), {"__annotations__": {"x": inner}}))
    with pytest.raises(DeclarationInvalid, match="Inner"):
        register(outer)


@pytest.mark.parametrize(
    "hint",
    [
        bool,
        None,
        Literal["a", 1],
        tuple[int, ...],
        tuple[int, str],
        int | None,
        float | str | None,
        Array,
        Annotated[Array, array("int8", 3)],
        Array | None,
        tuple[Array, ...],
        Point,
        tuple[Point, ...],
        Annotated[int, "a note"],
    ],
)
def test_class_with_immutable_fields_is_registered(hint: Any) -> None:
    cls = attrs.frozen(type("Fine", (), {"__annotations__": {"x": hint}}))
    register(cls)
    declared = message_type(cls)
    assert declared is not None
    assert str(declared) == "test-refused/1"
    assert declared.fields == ("x",)


def test_class_variables_of_a_message_are_no_fields() -> None:
    class Unit(msgspec.Struct, frozen=True):
        limits: ClassVar[list[int]] = [1, 2]
        x: int

    register(Unit)
    declared = message_type(Unit)
    assert declared is not None
    assert declared.fields == ("x",)


def test_private_field_is_refused_because_no_digest_would_see_it() -> None:
    with pytest.raises(DeclarationInvalid, match="private"):
        register(attrs.frozen(type("Hidden", (), {"__annotations__": {"_x": int}})))


def test_omitting_defaults_is_refused_because_it_depends_on_identity() -> None:
    class Sparse(msgspec.Struct, frozen=True, omit_defaults=True):
        x: float = 0.5

    with pytest.raises(DeclarationInvalid, match="omit_defaults"):
        register(Sparse)


def test_union_of_messages_that_look_alike_is_refused() -> None:
    left, right = (attrs.frozen(type(name, (), {"__annotations__": {"x": int}})) for name in ("Left", "Right"))
    for index, cls in enumerate((left, right)):
        message(f"test-side-{index}")(cls)
    either = attrs.frozen(type("Either", (), {"__annotations__": {"x": left | right}}))  # type: ignore[operator]
    with pytest.raises(DeclarationInvalid, match="read back"):
        register(either)


def test_version_counts_from_one() -> None:
    with pytest.raises(DeclarationInvalid, match="below 1"):
        register(Point, version=0)


def test_subclass_is_not_registered_by_its_parent() -> None:
    @attrs.frozen
    class Child(Point):
        z: float = 0.0

    assert message_type(Child) is None
    assert message_type(Point) is not None
    refused("frame", Child("c", 0.0, 0.0))


@pytest.mark.parametrize("dtype", ["object", "U3", "M8[s]", "g", "not-a-type", "i4,f8"])
def test_array_of_a_type_without_canonical_bytes_cannot_be_declared(dtype: str) -> None:
    with pytest.raises(DeclarationInvalid, match=r"boolean, integer or float|not understood|canonical"):
        array(dtype, 3)


def test_array_specification_reads_as_people_write_it() -> None:
    assert str(array("f4", 2, "side", None)) == "array float32(2, side, any)"


def test_description_of_a_payload_is_short() -> None:
    assert describe(np.zeros((2, 3), np.int8)) == "array int8(2, 3)"
    assert len(describe("x" * 1_000)) < 80


def test_coercion_tells_what_it_expected() -> None:
    with pytest.raises(Misfit) as misfit:
        coerce(Point, 3)
    assert misfit.value.expected == "test-point/1"
    assert isinstance(DeclarationInvalid(subject="a", reason="b", remedy="c"), NeuraxisError)
