"""A worker that replaces another computes again what was computed; its peers push what it needs for that."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from neuraxis.cluster.batch import Report, Want, decode, encode
from neuraxis.cluster.conduct import Conduct
from neuraxis.cluster.folder import open_part
from neuraxis.cluster.member import Member
from neuraxis.cluster.plan import ALL_SHARDS, Plan
from neuraxis.launch import new_sink, open_scenario
from neuraxis.simulation import Simulation

from .graphs import ROOT

UNTIL = 200


def test_a_worker_that_catches_up_asks_only_once(tmp_path: Path) -> None:
    opened = open_scenario(ROOT / "scenarios" / "ring.toml", overrides=[f"scenario.until={UNTIL}"])
    messages = opened.blueprint.messages(opened.resolved.wiring)
    with Simulation(opened.blueprint, wiring=opened.blueprint.wire()) as sim:
        sink = new_sink(tmp_path / "run", messages, opened.plugins, durable=False)
        sink.append(sim.header())
        sink.close()
    owners = tuple(1 + shard % 2 for shard in range(ALL_SHARDS))
    plan = Plan(1, owners, 1, UNTIL, 1_000, None, "none", "run")
    conduct = Conduct(plan)
    mail: dict[int, deque[bytes]] = {member: deque() for member in range(3)}

    def begin(worker: int, incarnation: int) -> Member:
        part = open_part(
            tmp_path / "run",
            plan,
            worker,
            incarnation,
            -1,
            blueprint=opened.blueprint,
            settings=opened.settings,
            plugins=opened.plugins,
            messages=messages,
        )
        return Member(
            plan, worker, incarnation, part, lambda to, parts: mail[to].append(b"".join(parts)), messages, squeeze=False
        )

    def talk() -> None:
        """Let the conductor hear where all are, and tell them what to do."""
        for member in members.values():
            member.look(0.0)
        while mail[0]:
            report, _ = decode(mail[0].popleft())
            assert isinstance(report, Report)
            conduct.take(report)
        for member in members.values():
            member.take(b"".join(encode(conduct.order())))

    def compute() -> int:
        """Compute as far as frames carry, without a clock; return how often a worker asked for a frame."""
        asked = 0
        while True:
            busy = False
            for worker, member in members.items():
                while member.work():
                    busy = True
                if mail[worker]:
                    frame = mail[worker].popleft()
                    asked += isinstance(decode(frame)[0], Want)
                    member.take(frame)
                    busy = True
            if not busy:
                return asked

    members = {worker: begin(worker, 1) for worker in plan.workers}
    try:
        talk()
        assert compute() == 0
        assert members[1].index >= UNTIL / 2
        members[2].close()
        conduct.replaced(2)
        members[2] = begin(2, 2)
        talk()
        compute()
        members[2].look(10.0)  # notes that it waits
        members[2].look(20.0)  # asks
        assert compute() == 1
        assert members[2].index == members[1].index
    finally:
        for member in members.values():
            member.close()
