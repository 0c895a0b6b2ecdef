"""A campaign: rounds of a scenario over real processes under faults, each compared with one process."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
from msgspec import Struct

from neuraxis.cluster.epoch import NO_SHARDS, Wish, transport_of
from neuraxis.errors import NeuraxisError, UsageInvalid, told
from neuraxis.explore.round import BrokerDeeds, Round, can_disconnect
from neuraxis.explore.strikes import OF_THE_CONDUCTOR, OF_WORKERS, Strike, draw_strikes
from neuraxis.explore.struck_conductor import Task
from neuraxis.journal.read import read_journal
from neuraxis.journal.record import InputRecord
from neuraxis.launch import JOURNAL_NAME, open_scenario
from neuraxis.result import conclude
from neuraxis.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

STRIKES_OF_ROUND: Final = 8
ROUNDS_WITHOUT: Final = 3
"""Rounds in a row in which nothing happened, after which a campaign gives up."""

SAME: Final = ("digest", "digests", "ticks", "messages", "figures", "dead_letters", "failures", "waiting")
"""What must be the same in one process and in many, beside the inputs."""

NO_DEEDS: Final = BrokerDeeds()
_ENCODE: Final = msgspec.msgpack.Encoder(order="deterministic").encode


@final
class Failure(Struct, frozen=True):
    """A round that came to something else than one process, or to no end.

    Attributes:
        strikes: What was planned for it.
        finding: What is wrong, as a sentence.
        differs: Whether a result differs; else it is an error or a hang.
        folder: Its run folder and logs, which are kept.
    """

    strikes: tuple[Strike, ...]
    finding: str
    differs: bool
    folder: str


@final
class Campaign(Struct, frozen=True):
    """What a campaign came to.

    Attributes:
        rounds: Runs over real processes.
        planned, fired: Faults by kind.
        replaced: Processes of workers that were replaced.
        failure: The first round that failed, or None.
    """

    rounds: int
    planned: Mapping[str, int]
    fired: Mapping[str, int]
    replaced: int
    failure: Failure | None


def kinds_for(transport: str, deeds: BrokerDeeds) -> tuple[str, ...]:
    """Return the kinds of faults that are possible over a transport.

    Args:
        transport: Its URL.
        deeds: What can be done to its broker.
    """
    kinds = [*OF_WORKERS, *OF_THE_CONDUCTOR]
    kinds += ["disconnect"] if can_disconnect(transport) else []
    kinds += ["restart"] if deeds.restart is not None else []
    kinds += ["fill"] if deeds.fill is not None else []
    return tuple(kinds)


def wage(
    scenario: Path,
    folder: Path,
    wish: Wish,
    *,
    seed: int,
    faults: int,
    strikes: Sequence[Strike] | None = None,
    overrides: Sequence[str] = (),
    backend: str | None = None,
    limit_s: float = 300.0,
    deeds: BrokerDeeds = NO_DEEDS,
    show: Callable[[int, str], None] = lambda _fired, _note: None,
) -> Campaign:
    """Run rounds until so many faults have fired, or one round fails.

    Args:
        scenario: The scenario file.
        folder: Takes the folders of the rounds; those of rounds that hold are deleted.
        wish: How runs are distributed. A patience of a few seconds keeps rounds short.
        seed: Decides all plans of faults, and which frames are struck.
        faults: How many must fire.
        strikes: Run one round with these only.
        overrides: Changes of values, as for `neuraxis run --set`.
        backend: What computes networks.
        limit_s: Seconds that a round may take.
        deeds: What can be done to the broker; what is missing is not done.
        show: Called before each round with the faults fired so far and a few words.

    Raises:
        UsageInvalid: In several rounds no fault fired at all: the run is too short.
        NeuraxisError: The scenario cannot be run in one process, or not be distributed so.
    """
    open_again = partial(open_scenario, scenario, overrides=list(overrides), backend=backend)
    opened = open_again(shards=NO_SHARDS)
    transport_of(wish.transport, opened.plugins).check()
    messages = opened.blueprint.messages(opened.resolved.wiring)
    expected = _alone(open_again)
    kinds = kinds_for(wish.transport, deeds)
    planned: Counter[str] = Counter()
    fired: Counter[str] = Counter()
    rounds = replaced = idle = 0
    failure: Failure | None = None
    while failure is None and (fired.total() < faults if strikes is None else rounds == 0):
        if idle == ROUNDS_WITHOUT:
            raise UsageInvalid(
                what=f"in {ROUNDS_WITHOUT} rounds no fault happened before the run was over",
                remedy="Run for longer: a larger --until.",
            )
        rounds += 1
        count = min(STRIKES_OF_ROUND, faults - fired.total())
        plan = tuple(strikes) if strikes is not None else draw_strikes(
            seed, rounds, count=count, workers=wish.workers, until=opened.resolved.until, kinds=kinds
        )  # fmt: skip
        show(fired.total(), f"round {rounds}, {replaced} processes replaced")
        planned.update(strike.kind for strike in plan)
        own = folder / f"{folder.name}-{rounds}"
        orders = own.with_name(f"{own.name}.orders")
        task = Task(str(scenario), list(overrides), backend, str(own), wish, seed)
        each = Round(task, orders, own, plan, limit_s=limit_s, deeds=deeds)
        finding, differs = _finding(each, own / JOURNAL_NAME, messages, expected)
        fired.update(each.fired)
        replaced += each.replaced
        idle = 0 if each.fired else idle + 1
        if finding is not None:
            failure = Failure(plan, finding, differs, str(own))
        else:
            for path in (own, orders):
                shutil.rmtree(path)
    return Campaign(rounds, dict(planned), dict(fired), replaced, failure)


def _alone(open_again: Callable[..., Any]) -> dict[str, Any]:
    """Return what one process comes to."""
    opened = open_again()
    with Simulation(
        opened.blueprint, plugins=opened.plugins, settings=opened.settings, wiring=opened.resolved.wiring
    ) as sim:
        sim.advance(until=opened.resolved.until)
        summary = conclude(sim, (), backend=opened.resolved.backend, wall_s=0.0).summary
        inputs = _inputs_in(sim.records())
    return {**{name: summary[name] for name in SAME}, "inputs": inputs}


def _inputs_in(records: Iterable[object]) -> list[tuple[int, int, str, str]]:
    """Return which inputs there were; what they carried is part of the digest."""
    inputs = [each for each in records if isinstance(each, InputRecord)]
    return sorted((each.tick, each.id, each.target, each.port) for each in inputs)


def _finding(each: Round, journal: Path, messages: Any, expected: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Run a round; return what is wrong with it, if anything is, and whether a result differs."""
    try:
        came_to = each.run()
        if came_to.summary is None:
            return came_to.error, came_to.exit_code == 3
        got = {**came_to.summary, "inputs": _inputs_in(read_journal(journal, messages).records)}
    except UsageInvalid:
        raise  # the broker cannot be struck as was asked for
    except NeuraxisError as error:
        return told(error), error.exit_code == 3
    for name in (*SAME, "inputs"):
        if _ENCODE(got[name]) != _ENCODE(expected[name]):
            return f"{name}: {_short(got[name])} on workers, {_short(expected[name])} in one process", True
    return None, False


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
