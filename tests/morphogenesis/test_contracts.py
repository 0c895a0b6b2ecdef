"""The contracts: one truth in the `.proto` files, types that travel inside, and the way between them."""

from __future__ import annotations

import ast
import gc
import inspect
import sys
from collections.abc import Callable
from enum import IntEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

import neuraxis_morphogenesis
from neuraxis.codec import decode, encode, pack, unpack
from neuraxis.message import message_type
from neuraxis_morphogenesis import contracts
from neuraxis_morphogenesis.contracts import (
    AdaptationCommand,
    FieldReport,
    SeedLifecycleStage,
    SeedOperation,
    SystemStatePacket,
    enums,
)
from neuraxis_morphogenesis.errors import WireInvalid
from tests.morphogenesis.packets import COMMAND, REPORT, STATE

FOLDER = Path(contracts.__file__).parent
KINDS = [kind for kind in vars(contracts).values() if inspect.isclass(kind) and issubclass(kind, Struct)]
ENUMS = [
    kind for kind in vars(enums).values() if inspect.isclass(kind) and issubclass(kind, IntEnum) and kind.__members__
]
BYTES_MAX = 280

needs_protobuf = pytest.mark.skipif(find_spec("google.protobuf") is None, reason="protobuf is not installed")
needs_compiler = pytest.mark.skipif(find_spec("grpc_tools") is None, reason="grpcio-tools is not installed")


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field that its wire form keeps."""
    if get_origin(hint) is UnionType:
        return st.none() | messages(next(part for part in get_args(hint) if part is not NoneType))
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if get_origin(inner) is tuple:
            entries = st.dictionaries(st.text(max_size=8), values_of(get_args(inner)[1]), max_size=3)
            return entries.map(contracts.pairs)
        return st.lists(values_of(inner), max_size=2).map(tuple)
    if issubclass(hint, IntEnum):
        return st.sampled_from(list(hint))
    if issubclass(hint, Struct):
        return messages(hint)
    plain = {
        str: st.text(max_size=8),
        bytes: st.binary(max_size=8),
        bool: st.booleans(),
        int: st.integers(0, 2**32 - 1),
    }
    return plain.get(hint, st.floats(width=32, allow_nan=False))


def messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Return messages of a kind; of the payloads of a command only the first is there."""
    fields = {name: values_of(hint) for name, hint in get_type_hints(kind).items()}
    made = st.builds(kind, **(fields | ({"version": st.just(1)} if "version" in fields else {})))
    if kind is not AdaptationCommand:
        return made
    names = ("optimizer_adjustment", "circuit_breaker", "rollback_payload")
    return made.map(lambda command: replace(command, **dict.fromkeys(names)))


def test_every_message_is_registered_with_the_kernel() -> None:
    assert len(KINDS) == 26
    assert all(message_type(kind) is not None for kind in KINDS)


def test_the_stages_are_eleven_and_cancelled_is_none_of_them() -> None:
    assert [stage.name for stage in SeedLifecycleStage][1:] == [
        "DORMANT",
        "GERMINATED",
        "TRAINING",
        "BLENDING",
        "SHADOWING",
        "PROBATIONARY",
        "FOSSILIZED",
        "CULLED",
        "EMBARGOED",
        "RESETTING",
        "TERMINATED",
    ]
    assert len(SeedOperation) == 10


def test_enumerations_exist_nowhere_else_in_the_package() -> None:
    found = {
        f"{path.name}:{node.name}"
        for path in Path(neuraxis_morphogenesis.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases)
    }
    # places of a network's output, and levels that no message carries by name: the policy's own
    own = {"actions.py:Action", "risk.py:Level"}
    assert found - own == {f"enums.py:{each.__name__}" for each in ENUMS}


@pytest.mark.parametrize("packet", [STATE, COMMAND, REPORT], ids=lambda packet: type(packet).__name__)
def test_a_message_inside_comes_back_from_canonical_bytes_and_from_a_snapshot(packet: Struct) -> None:
    declared = message_type(type(packet))
    assert declared is not None
    known = {(each.name, each.version): each.cls for each in map(message_type, KINDS) if each is not None}
    for again in (decode(encode(packet), type(packet)), unpack(pack(packet), known)):
        assert again == packet
    seed = unpack(pack(STATE), known).seed_states[0]
    assert seed.stage is SeedLifecycleStage.BLENDING


@needs_protobuf
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_goes_out_on_the_wire_comes_back_equal(kind: type[Any]) -> None:
    from neuraxis_morphogenesis.contracts.wire import from_wire, to_wire

    @given(messages(kind))
    def comes_back(value: Struct) -> None:
        assert from_wire(kind, to_wire(value)) == value

    comes_back()


@needs_protobuf
def test_every_message_of_the_wire_travels_inside_with_the_same_fields_in_the_same_order() -> None:
    for part in ("state", "command", "library", "bus"):
        bindings = import_module(f"neuraxis_morphogenesis.contracts.{part}_pb2")
        for name, descriptor in bindings.DESCRIPTOR.message_types_by_name.items():
            assert list(getattr(contracts, name).__struct_fields__) == [each.name for each in descriptor.fields]


@needs_protobuf
@pytest.mark.parametrize("packet", [STATE, COMMAND, REPORT], ids=lambda packet: type(packet).__name__)
def test_reference_packets_are_below_280_bytes(packet: Struct) -> None:
    from neuraxis_morphogenesis.contracts.wire import to_wire

    assert len(to_wire(packet)) < BYTES_MAX


def held(act: Callable[[], Any]) -> int:
    """Return how many of Python's blocks of memory the result of an operation holds."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):  # after a full collection: it empties the interpreter's lists of free objects
            act()
        before = sys.getallocatedblocks()
        result = act()
        after = sys.getallocatedblocks()
    finally:
        gc.enable()
    del result
    return after - before


@needs_protobuf
@pytest.mark.parametrize("packet", [STATE, COMMAND, REPORT], ids=lambda each: type(each).__name__)
def test_reference_packets_take_at_most_four_blocks_on_the_wire_and_leave_none_behind(packet: Struct) -> None:
    from neuraxis_morphogenesis.contracts.wire import form_of, from_wire, to_wire

    kind, data = type(packet), to_wire(packet)
    binding = form_of(kind).binding
    acts = (lambda: to_wire(packet), lambda: binding.FromString(data), lambda: (from_wire(kind, data), None)[1])
    none = min(held(lambda: None) for _ in range(5))
    written, parsed, left = (min(held(act) for _ in range(5)) - none for act in acts)
    assert 0 < written + parsed <= 4
    assert left <= 0


@needs_protobuf
def test_what_has_no_wire_form_is_refused_by_name() -> None:
    from neuraxis_morphogenesis.contracts.wire import from_wire, to_wire

    with pytest.raises(WireInvalid, match=r"training_loss is 1e\+300, beyond 32 bits"):
        to_wire(replace(STATE, training_loss=1e300))
    with pytest.raises(WireInvalid, match="SystemStatePacket"):
        to_wire(replace(STATE, current_epoch=-1))
    with pytest.raises(WireInvalid, match="of version 2"):
        from_wire(SystemStatePacket, to_wire(replace(STATE, version=2)))
    with pytest.raises(WireInvalid, match="AdaptationCommand"):
        from_wire(AdaptationCommand, b"\xff\xff\xff")
    with pytest.raises(WireInvalid, match="99 is not a valid FieldReportOutcome"):
        from_wire(FieldReport, to_wire(REPORT).replace(b"\x38\x01", b"\x38\x63"))


# ------------------------------------------------------------------------------- compatibility


@pytest.fixture
def published() -> Any:
    descriptor = pytest.importorskip("google.protobuf.descriptor_pb2", reason="protobuf is not installed")
    return descriptor.FileDescriptorSet.FromString((FOLDER / "published.binpb").read_bytes())


def changed(published: Any, change: Any) -> list[str]:
    """Return what the check says about a copy of the contracts that was changed."""
    from neuraxis_morphogenesis.contracts.compatibility import breaks

    copy = type(published).FromString(published.SerializeToString())
    found = {message.name: message for file in copy.file for message in file.message_type}
    change(found, {enum.name: enum for file in copy.file for enum in file.enum_type})
    return breaks(published, copy)


def test_removed_renumbered_and_retyped_fields_are_found(published: Any) -> None:
    def change(found: Any, _: Any) -> None:
        del found["SeedState"].field[0]
        found["GateEvent"].field[1].number = 77
        found["FieldReport"].field[0].type = 9
        del found["SystemStatePacket"].reserved_range[:]
        found["PolicyUpdate"].name = "Other"

    assert changed(published, change) == [
        "FieldReport.version was optional uint32 and is optional string",
        "message PolicyUpdate is gone",
        "SeedState.seed_id is gone",
        "SystemStatePacket no longer reserves 100 to 199",
        "GateEvent.passed was number 2 and is 77",
    ]


def test_removed_and_renumbered_members_are_found(published: Any) -> None:
    def change(_: Any, found: Any) -> None:
        del found["HealthStatus"].value[4]
        found["CommandType"].value[3].number = 99

    assert changed(published, change) == [
        "HealthStatus.HEALTH_STATUS_CRITICAL is gone",
        "CommandType.COMMAND_OPTIMIZER was 3 and is 99",
    ]


def test_additions_break_nobody(published: Any) -> None:
    def change(found: Any, enumerations: Any) -> None:
        found["SeedState"].field.add(name="extra", number=50, type=5, label=1)
        enumerations["HealthStatus"].value.add(name="HEALTH_STATUS_NEW", number=9)

    assert changed(published, change) == []


@needs_compiler
def test_bindings_and_enumerations_are_those_of_the_proto_files() -> None:
    from neuraxis_morphogenesis.contracts.build import made, out_of_date

    assert out_of_date(made(FOLDER), FOLDER) == []


@needs_compiler
def test_a_proto_file_that_breaks_others_is_not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from neuraxis_morphogenesis.contracts import build

    for path in [*FOLDER.glob("*.proto"), FOLDER / "published.binpb"]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "state.proto").read_text(encoding="utf-8")
    (tmp_path / "state.proto").write_text(text.replace("bool passed = 2;", ""), encoding="utf-8")
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    monkeypatch.setattr(build, "PUBLISHED", tmp_path / "published.binpb")
    assert build.main([]) == 1
    assert not (tmp_path / "state_pb2.py").exists()
