"""What `wire` makes of a graph: a hash of all that may decide a result, shards, and the names of kinds."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from neuraxis import Graph, Options, Population, Resource, Simulation, array, parameter
from neuraxis.actor import Actor as ActorBase
from neuraxis.graph import ActorSpec
from neuraxis.wiring import kind_name, semantic_form, wire
from tests.kernel.actors import Camera, Dial, Noisy, Plain, Point, dials

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def semantic(change: Callable[[Graph], object] = lambda graph: None, *, tick: str = "1 ms", **sizes: Any) -> bytes:
    """Return the semantic hash of a graph of two dials after a change."""
    graph = Graph("g", tick=tick)
    graph.add("a", Plain, size=4, **sizes)
    graph.add("b", Plain, size=4)
    change(graph)
    return wire(graph).semantic


def test_semantic_hash_covers_all_that_may_decide_a_result() -> None:
    changes = [
        semantic(),
        semantic(tick="5 ms"),
        semantic(tau="21 ms"),
        semantic(flags=[True]),
        semantic(flags=[True, False]),
        semantic(lambda graph: graph.add("c", Plain, size=4)),
        semantic(lambda graph: graph.add("c", Plain, size=4, kind="other")),
        semantic(lambda graph: graph.add("c", Plain, size=2**60)),
        semantic(lambda graph: graph.add("c", Plain, size=4, options=Options(shard=3))),
        semantic(lambda graph: graph.add("c", Plain, size=4, options=Options(on_failure="restart"))),
        *(
            semantic(lambda graph, given=given: graph.connect("a.points", "b.point", **given))
            for given in (
                {},
                {"delay": 2},
                {"lane": "emergency"},
                {"capacity": 3},
                {"capacity": 3, "overflow": "drop_oldest"},
            )
        ),
    ]
    assert len(set(changes)) == len(changes)


def test_semantic_hash_leaves_out_what_cannot_change_a_result() -> None:
    assert semantic(secret=5) == semantic()
    connect = {"source": "a.points", "target": "b.point"}
    plain = semantic(lambda graph: graph.connect(**connect))
    assert semantic(lambda graph: graph.connect(**connect, tolerates=("loss",), key="channels[0]")) == plain
    assert semantic(tau="0.02 s") == semantic(tau="20 ms")


def test_semantic_form_names_resources_by_their_content(tmp_path: Path) -> None:
    resource = Resource(path=str(tmp_path / "here"), sha256=hashlib.sha256(b"x").hexdigest())
    parameters = {"tau": 20.0, "wait": 5, "size": 1, "mode": "soft", "flags": (), "data": resource, "secret": 0}
    form = semantic_form(Fraction(1, 1000), [ActorSpec("a", "Dial", Dial, parameters)], [])
    assert form["actors"][0]["parameters"]["data"] == {"sha256": resource.sha256}
    assert "secret" not in form["actors"][0]["parameters"]


def test_shard_is_the_chosen_one_or_a_hash_of_the_path() -> None:
    graph = dials(a=1, b=1)
    graph.add("c", Plain, size=1, options=Options(shard=63))
    wiring = wire(graph)
    assert wiring.shards[wiring.position["c"]] == 63
    digest = hashlib.blake2b(b"a", digest_size=8).digest()
    assert wiring.shards[wiring.position["a"]] == int.from_bytes(digest, "little") % 64
    assert len({wire(dials(**{f"x{n}": 1})).shards[-1] for n in range(200)}) > 50


def test_kinds_are_named_as_people_write_them() -> None:
    assert [kind_name(kind) for kind in (int, Point, array("uint8", 2, None))] == [
        "int",
        "test-point/1",
        "array uint8(2, any)",
    ]


def test_wiring_knows_the_messages_of_ports() -> None:
    graph = Graph("camera")
    graph.add("c", Camera)
    graph.add("d", Plain, size=1)
    assert {("test-frame", 1), ("test-point", 1)} <= set(wire(graph).messages())


def test_population_counts_as_another_thing_than_an_actor_of_its_name() -> None:
    class Some(Population):
        pass

    class Same(ActorBase):
        size: int = parameter(int)

    hashes = set()
    for cls in (Some, Same):
        graph = Graph("g")
        graph.add("p", cls, kind="some", size=3)
        hashes.add(wire(graph).semantic)
    assert len(hashes) == 2


def test_noisy_graph_runs_the_same_with_its_actors_under_another_name() -> None:
    digests = set()
    for name in ("one", "two"):
        graph = Graph(name)
        graph.add("n", Noisy)
        digests.add(Simulation(graph, seed=1).advance(9).digest)
    assert len(digests) == 1
