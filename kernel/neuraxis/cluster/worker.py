"""The process of a worker: a member, its link, a heart that beats in a thread of its own."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from neuraxis.cluster.batch import Report, encode
from neuraxis.cluster.bulk import Bulk
from neuraxis.cluster.folder import ALIVE_NAME, folder_of, open_part, plan_path, processes_of, read_plan
from neuraxis.cluster.launchers import LEASH
from neuraxis.cluster.member import REPLACED, Member
from neuraxis.errors import NeuraxisError, TransportUnusable, UsageInvalid, WorkerLost
from neuraxis.files import make_folder
from neuraxis.journal.read import read_journal
from neuraxis.launch import JOURNAL_NAME, has_begun, reopen, require_same_code
from neuraxis.seams.transport import CONDUCTOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis.cluster.plan import Plan
    from neuraxis.seams.transport import Link, Transport

_log = logging.getLogger(__name__)

BEAT_S: Final = 1.0
LOOK_S: Final = 0.05
"""Longest wait for a frame between two looks at the clock."""

PLAN_LOOK_S: Final = 0.5
"""Seconds between two looks for a plan."""

TELL_S: Final = 30.0
"""Seconds between two lines about waiting."""

ASLEEP_S: Final = 2.0
"""Seconds between two looks from which on whoever watches others was asleep, or busy, and could hear nobody."""

JOIN_AGAIN_S: Final = 0.5
"""Seconds between two attempts to join, while the way is cut."""

LOOKS_KEPT: Final = 30
"""Looks at what the worker computes that `neuraxis top` tells of; there is one a beat. Each takes the worker's time."""


@final
class Beat(msgspec.Struct, frozen=True):
    """A sign of life, as the file `alive` of a worker holds it.

    Attributes:
        number: Grows with every beat: whoever watches compares it, not clocks.
        doing: `starting`, a state of the member, or what it waits for.
        busiest: Actors by the share of the last looks in which they ran, largest first.
        memory: Largest resident memory so far, bytes.
    """

    number: int
    doing: str
    busiest: list[tuple[str, float]]
    memory: int = 0


GARBAGE_LOOKS: Final = 20_000
"""New containers after which Python looks for cycles: its own 700 take a sixth of the time of short ticks."""


@final
class Heart:
    """Writes a beat every second from a thread, whatever the worker computes."""

    def __init__(self, folder: Path) -> None:
        self.doing = "starting"
        self._path = folder / ALIVE_NAME
        self._ended = threading.Event()
        self._number = 0
        make_folder(folder)
        self._beat([])
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._go_on, name="heart", daemon=True)
        self._thread.start()

    def _go_on(self) -> None:
        looks: deque[str | None] = deque(maxlen=LOOKS_KEPT)
        while not self._ended.wait(BEAT_S):
            looks.append(_running_actor(self._watched))
            seen = Counter(path for path in looks if path is not None)
            busiest = sorted(seen.items(), key=lambda each: (-each[1], each[0]))[:5]
            self._beat([(name, round(count / len(looks), 3)) for name, count in busiest])

    def _beat(self, busiest: list[tuple[str, float]]) -> None:
        self._number += 1
        temporary = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk stops the run elsewhere; a heart must not
            temporary.write_bytes(msgspec.json.encode(Beat(self._number, self.doing, busiest, _memory())))
            os.replace(temporary, self._path)

    def close(self) -> None:
        """Stop beating."""
        self._ended.set()
        self._thread.join()


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _running_actor(thread: int) -> str | None:
    """Return the path of the actor that a thread computes now, from the frames of its tick loop; or None."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code.co_name in ("_run_tick", "_run_single_file") and "position" in frame.f_locals:
            scheduler = frame.f_locals.get("self")
            paths = getattr(getattr(scheduler, "wiring", None), "paths", ())
            position = frame.f_locals["position"]
            return paths[position] if position < len(paths) else None
        frame = frame.f_back
    return None


def pin(me: int, workers: int) -> bool:
    """Keep the workers of one host on cores of their own, where there are enough. Returns whether there are.

    Else the system wakes a worker on the core of the one that sent it something, which then waits while another core
    has nothing to do: with two workers on two cores a third of the time.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if workers > len(cores):
        return False
    os.sched_setaffinity(0, cores[me - 1 :: workers])
    return True


def leashed() -> bool:
    """End this process when its standard input does, if whoever started it said so. Returns whether."""
    if os.environ.pop(LEASH, "") != "1":
        return False

    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(0, 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        os._exit(1)

    threading.Thread(target=watch, name="leash", daemon=True).start()
    return True


def await_plan(run: Path, seconds: float, tell: Callable[[str], None]) -> bool:
    """Wait until workers own a run. Returns False if the run is over.

    Args:
        run: The run folder; it need not be there yet.
        seconds: How long at most.
        tell: Takes a line about the wait, now and then.

    Raises:
        UsageInvalid: Nobody began the run in this time.
        PluginUnusable, JournalDamaged: What is there of it cannot be used.
    """
    journal = run / JOURNAL_NAME
    began, told, size = time.monotonic(), 0.0, -1
    while True:
        if plan_path(run).is_file():
            if has_begun(journal):  # the header comes after the plan
                return True
        elif (now := _size_of(journal)) != size:
            size = now
            if has_begun(journal) and _is_over(run):
                return False
        waited = time.monotonic() - began
        if waited >= seconds:
            raise UsageInvalid(
                what=f"nobody began a run in {run} within {seconds:g} s",
                remedy=f"neuraxis run SCENARIO --workers N --launcher join --folder {run}; or wait longer: --wait.",
            )
        if waited >= told:
            tell(f"waiting for a run in {run}: {waited:.0f} s of {seconds:g} s")
            told = waited + TELL_S
        time.sleep(min(PLAN_LOOK_S, seconds - waited))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1  # not there yet


def _is_over(run: Path) -> bool:
    opened, wiring, path = reopen(run, shards=frozenset())
    return read_journal(path, opened.blueprint.messages(wiring), tolerate_damage=True).ended() is not None


def await_merge(run: Path, epoch: int, seconds: float) -> None:
    """Wait until the conductor has merged what the workers of an epoch wrote, so that nobody joins it again."""
    until = time.monotonic() + seconds
    with contextlib.suppress(UsageInvalid):  # the plan went away while it was read
        while time.monotonic() < until and plan_path(run).is_file() and read_plan(run).epoch == epoch:
            time.sleep(PLAN_LOOK_S)


def serve(run: Path, me: int, incarnation: int, tick: int, transport: Transport) -> str:
    """Work for a distributed run until it is over. Returns why it left, or an empty text.

    Args:
        run: The run folder.
        me: Which worker this is.
        incarnation: How many processes it has had, with this one.
        tick: The snapshot to begin from; -1 is where the epoch began.
        transport: The way to the others.

    Raises:
        NeuraxisError: It cannot go on; the conductor was told.
    """
    plan = read_plan(run)
    heart = Heart(folder_of(run, me, incarnation))
    link: Link | None = None
    try:
        if processes_of(run, me)[-1] != folder_of(run, me, incarnation):
            return REPLACED  # it was taken for dead while it started, and must not take the place of the newer one
        link = _joined(transport, plan, me, again=incarnation > 1)
        try:
            member = _member(run, plan, me, incarnation, tick, link, squeeze=transport.name != "local")
            gc.freeze()  # what stands now stays: the collector need not look at it again and again
            gc.set_threshold(GARBAGE_LOOKS)
            return _work(plan, member, link, heart)
        except NeuraxisError as error:
            if not (isinstance(error, WorkerLost) and error.worker == CONDUCTOR):  # a conductor that lives replaces it
                _tell(link, plan, me, incarnation, error)
            raise
    finally:
        heart.close()
        if link is not None:
            link.close()


def _joined(transport: Transport, plan: Plan, me: int, *, again: bool) -> Link:
    """Join. What replaces another process may come while the broker is away or full, and tries again for a while."""
    until = time.monotonic() + (plan.patience if again else 0.0)
    while True:
        try:
            return transport.join(plan.key, me)
        except TransportUnusable as error:
            if time.monotonic() >= until:
                raise
            _log.info("cannot join yet", extra={"worker": me, "error": error.reason})
        time.sleep(JOIN_AGAIN_S)


def _member(run: Path, plan: Plan, me: int, incarnation: int, tick: int, link: Link, *, squeeze: bool) -> Member:
    header = read_journal(run / JOURNAL_NAME, {}, header_only=True).header
    opened, wiring, _ = reopen(run, shards=plan.shards_of(me))
    require_same_code(header.lock, opened)
    messages = opened.blueprint.messages(wiring)
    part = open_part(
        run,
        plan,
        me,
        incarnation,
        tick,
        blueprint=opened.blueprint,
        wiring=wiring,
        settings=opened.settings,
        plugins=opened.plugins,
        messages=messages,
    )
    bulk = Bulk(plan.token, me, incarnation)
    return Member(plan, me, incarnation, part, link.send, messages, squeeze=squeeze, bulk=bulk)


def _work(plan: Plan, member: Member, link: Link, heart: Heart) -> str:
    receive, take, work, clock = link.receive, member.take, member.work, time.monotonic
    heard = looked = clock()
    try:
        while member.state != "leaving":
            more = work()
            if not more:
                frame = receive(LOOK_S)
                if frame is not None:
                    take(frame)
            now = clock()
            if now - looked < LOOK_S:
                continue
            if now - looked > ASLEEP_S:
                heard += now - looked
            looked = now
            heart.doing = member.state
            if more and (frame := receive(0.0)) is not None:
                take(frame)
            member.look(now)
            if member.heard:
                member.heard = False
                heard = now
            elif now - heard > plan.patience:
                raise WorkerLost(
                    worker=CONDUCTOR,
                    reason=f"the conductor has given no sign of life for {plan.patience:.0f} s",
                    remedy="neuraxis resume RUN goes on from the newest snapshot.",
                )
        member.look(clock())
        return member.away
    finally:
        member.close()


def _tell(link: Link, plan: Plan, me: int, incarnation: int, error: NeuraxisError) -> None:
    """Tell the conductor why this worker cannot go on."""
    facts: dict[str, Any] = {
        "error": type(error).__name__,
        "code": error.code,
        "text": error.message(),
        "exit_code": error.exit_code,
    }
    report = Report(plan.epoch, me, incarnation, "failed", -1, -1, (-1, -1), facts, {})
    with contextlib.suppress(NeuraxisError):
        for _ in range(3):
            link.send(CONDUCTOR, encode(report))
            time.sleep(0.05)
