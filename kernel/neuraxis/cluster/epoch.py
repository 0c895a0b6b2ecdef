"""A run on workers from its opening to its result: what `neuraxis run --workers` and `resume --workers` do."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct
from msgspec.structs import replace

from neuraxis import __version__, errors
from neuraxis.actor import DETERMINISM_CLASSES
from neuraxis.cluster import bulk
from neuraxis.cluster.conductor import Conductor
from neuraxis.cluster.folder import plan_path, read_plan, write_plan
from neuraxis.cluster.launchers import LAUNCHERS
from neuraxis.cluster.local import Local
from neuraxis.cluster.merge import Merged, clear, merge
from neuraxis.cluster.plan import Plan, by_hand, cut, window_of
from neuraxis.errors import NeuraxisError, TransportFailed, UsageInvalid, WorkerFailed, suggestion
from neuraxis.files import write_atomically
from neuraxis.journal.log import FileSink
from neuraxis.journal.read import read_journal
from neuraxis.journal.record import End, Resumed
from neuraxis.journal.write import JournalWriter
from neuraxis.launch import new_sink, reopen, require_same_code
from neuraxis.parameter import duration
from neuraxis.plugins.manager import Plugins
from neuraxis.result import Result, page_of, result_of
from neuraxis.simulation import header_of
from neuraxis.snapshot.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis.cluster.batch import Failure
    from neuraxis.launch import Opened
    from neuraxis.seams.launcher import Launcher
    from neuraxis.seams.transport import Transport
    from neuraxis.snapshot.sign import Signer

NO_SHARDS: Final[frozenset[int]] = frozenset()
"""What a conductor owns: none of its actors is made."""


@final
class Wish(Struct, frozen=True):
    """How a run is to be distributed. Decides no result.

    Attributes:
        workers: How many.
        transport: URL of the way between them.
        launcher: What starts them.
        places: Worker by actor or group, where a person chose; the rest is placed automatically.
        patience: Seconds without a sign of life after which a worker counts as lost.
    """

    workers: int
    transport: str = "local:"
    launcher: str = "local"
    places: Mapping[str, int] = {}
    patience: float = 60.0


def maker_of(scheme: str, plugins: Plugins | None = None) -> Callable[[str], Transport]:
    """Return what makes a transport of a URL with that scheme.

    Raises:
        UsageInvalid: No plugin offers it.
    """
    if scheme == "local":
        return Local
    offered = dict(plugins.transports) if plugins is not None else {}
    if scheme not in offered:
        offered.update(Plugins(["transports"]).transports)  # no result depends on it, so no scenario need name it
    if scheme not in offered:
        raise UsageInvalid(
            what=f"no plugin offers a transport {scheme!r}",
            remedy=f"{suggestion(scheme, ['local', *offered])} Write local:, nats://HOST:PORT or redis://HOST:PORT.",
        )
    return offered[scheme]


def transport_of(url: str, plugins: Plugins | None = None) -> Transport:
    """Return the transport that a URL names; it connects nowhere yet.

    Raises:
        UsageInvalid: No plugin offers its scheme.
        TransportUnusable: The URL is none of its kind.
    """
    return maker_of(url.partition(":")[0], plugins)(url)


def launcher_of(name: str, plugins: Plugins) -> Launcher:
    """Return the launcher of that name.

    Raises:
        UsageInvalid: There is none.
    """
    known = {**LAUNCHERS, **plugins.launchers}
    if name not in known:
        raise UsageInvalid(what=f"there is no launcher {name!r}", remedy=suggestion(name, known))
    return known[name]()


@final
class Epoch:
    """One start of a run on workers.

    Attributes:
        plan: Who owns what.
        conductor: What watches the workers.
        folder: The run folder.
        opened: The scenario.
    """

    def __init__(
        self,
        opened: Opened,
        folder: Path,
        sink: FileSink,
        wish: Wish,
        *,
        number: int,
        base: str,
        signer: Signer | None,
        launcher: Launcher | None = None,
    ) -> None:
        """Make the plan, reserve the run's name at the transport, and join it.

        Raises:
            UsageInvalid: The partition is impossible.
            TransportUnusable: The transport cannot carry the run.
        """
        self.folder = folder
        self.opened = opened
        self._sink = sink
        self._signer = signer
        self._began = time.perf_counter()
        wiring = opened.resolved.wiring
        owners = by_hand(wiring, wish.places, wish.workers) if wish.places else cut(wiring, wish.workers)
        transport = transport_of(wish.transport, opened.plugins)
        launcher = launcher or launcher_of(wish.launcher, opened.plugins)
        transport.check()
        key = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{folder.name}.{number}")
        transport.create(key)
        self._transport = transport
        self.plan = Plan(
            epoch=number,
            owners=owners,
            window=window_of(wiring, owners),
            until=opened.resolved.until,
            block=opened.settings.block,
            snapshot_every=opened.settings.snapshot_every,
            transport=transport.url,
            key=key,
            base=base,
            token=secrets.token_hex(8),
            patience=wish.patience,
        )
        try:
            write_plan(folder, self.plan)
            self.conductor = Conductor(folder, self.plan, transport, launcher)
        except BaseException:
            transport.remove(key)
            raise

    def run(self, show: Callable[[int, str], None]) -> Merged:
        """Run to the end and merge what workers wrote.

        Raises:
            NeuraxisError: As `Conductor.run`; or what failed in a tick, which was discarded everywhere.
            KeyboardInterrupt: Asked to stop: the run was ended in order, merged, and can be resumed.
        """
        stopped: KeyboardInterrupt | None = None
        over = False
        try:
            self.conductor.start()
            try:
                self.conductor.run(show)
            except KeyboardInterrupt as error:
                stopped = error
                self.conductor.stop()
                self.conductor.run(show)
            over = True
        finally:
            self.conductor.close(kill=not over)
            _leave_nothing(self._transport, self.plan)
        merged = consolidate(self.opened, self.folder, self._sink, signer=self._signer)
        failure = min((each.failure for each in merged.told if each.failure is not None), key=_order, default=None)
        if stopped is not None:
            raise stopped
        if failure is not None:
            raise _raised(failure)
        return merged

    def conclude(self, merged: Merged, *, report: Path | None) -> Result:
        """Judge the run, write its report, and end its journal."""
        opened, wiring = self.opened, self.opened.resolved.wiring
        counts = [each.statistics for each in merged.told]
        figures: dict[str, Any] = {}
        for each in merged.told:
            figures.update(each.figures)
        by_path = {path: place for place, path in enumerate(wiring.paths)}
        figures = {name: figures[name] for name in sorted(figures, key=lambda n: (by_path[n.rpartition(".")[0]],))}
        classes = [wiring.determinism[position] for position in wiring.real()]
        facts = {
            "scenario": opened.scenario.name,
            "run": str(self.folder),
            "seed": opened.blueprint.seed,
            "ticks": merged.tick,
            "time": duration(merged.tick * opened.blueprint.graph.tick) if merged.tick else "0 s",
            "messages": merged.delivered,
            "digest": merged.digest,
            "digests": merged.digests,
            "determinism": max(classes, key=DETERMINISM_CLASSES.index, default="exact"),
            "workers": len(self.plan.workers),
            "transport": self.plan.transport,
            "backend": opened.resolved.backend,
            "wall_s": round(time.perf_counter() - self._began, 3),
            "figures": figures,
            "dead_letters": _summed(each["dead_letters"] for each in counts),
            "failures": _summed(each["failures"] for each in counts),
            "waiting": merged.waiting,
        }
        troubles = [trouble for each in merged.told for trouble in each.troubles]
        result = result_of(facts, opened.resolved.expect, troubles)
        charts = sorted((chart for each in merged.told for chart in each.charts), key=lambda each: by_path[each[0]])
        page = page_of(result, [chart for _, chart in charts], summary=opened.scenario.summary)
        for path in filter(None, (self.folder / "report.html", report)):
            write_atomically(path, [page.encode(errors="replace")])
        judged = [[j.figure, j.expected, j.got, j.holds] for j in result.judged]
        self._sink.append(End(merged.tick, merged.digests, {**result.summary, "judged": judged}))
        self._sink.sync()
        return result

    def close(self) -> None:
        """Let go of the journal, and of processes."""
        self._sink.close()
        self.conductor.let_go()


def begin(
    opened: Opened, folder: Path, wish: Wish, *, signer: Signer | None = None, launcher: Launcher | None = None
) -> Epoch:
    """Begin a new run on workers.

    Args:
        opened: The scenario, opened with `shards=NO_SHARDS`.
        folder: The run folder.
        wish: How to distribute it.
        signer: Signs snapshots of the whole run.
        launcher: Starts workers, instead of the one that the wish names.

    Raises:
        UsageInvalid, TransportUnusable, FileUnusable: It cannot be distributed so, or not written there.
    """
    wiring = opened.resolved.wiring
    messages = opened.blueprint.messages(wiring)
    sink = new_sink(folder, messages, opened.plugins, durable=opened.settings.durable)
    try:
        epoch = Epoch(opened, folder, sink, wish, number=1, base="", signer=signer, launcher=launcher)
        try:
            settings = replace(opened.settings, extra={**opened.settings.extra, "workers": wish.workers})
            sink.append(header_of(folder.name, opened.blueprint, wiring, settings, opened.plugins.lock()))
        except BaseException:
            epoch.conductor.close(kill=True)
            raise
        return epoch
    except BaseException:
        sink.close()
        raise


def resume(folder: Path, wish: Wish, *, signer: Signer | None = None, launcher: Launcher | None = None) -> Epoch | End:
    """Go on with a run, on workers. Returns its end if it is complete.

    Args:
        folder: The run folder.
        wish: How to distribute what is left of it.
        signer: Signs snapshots of the whole run.
        launcher: Starts workers, instead of the one that the wish names.

    Raises:
        As `begin`; JournalDamaged, PluginUnusable: As `neuraxis.launch.resume_run`.
    """
    opened, wiring, path = reopen(folder, shards=NO_SHARDS)
    messages = opened.blueprint.messages(wiring)
    writer = JournalWriter(path, durable=opened.settings.durable, anew=False)
    try:
        journal = read_journal(path, messages)
        if (end := journal.ended()) is not None:
            writer.close()
            return end
        require_same_code(journal.header.lock, opened)
        writer.go_on(end=journal.end, chain=journal.chain)
        sink = FileSink(writer, messages)
        if plan_path(folder).is_file():
            _sweep_after(opened, folder)
            consolidate(opened, folder, sink, signer=signer)
            journal = read_journal(path, messages)
        marked = {mark.file: mark.sha256 for mark in journal.snapshots()}
        snapshot, _ = Shelf(folder).newest_sound(messages, marked=marked)
        base = f"{snapshot.tick:012d}.nxs" if snapshot is not None else ""
        number = 2 + sum(1 for _ in journal.of(Resumed))
        epoch = Epoch(opened, folder, sink, wish, number=number, base=base, signer=signer, launcher=launcher)
        sink.append(Resumed(snapshot.tick if snapshot is not None else 0))
        return epoch
    except BaseException:
        writer.close()
        raise


def merge_left_behind(folder: Path, *, signer: Signer | None = None) -> bool:
    """Make one run of what workers left behind whose conductor was killed. Returns whether there was anything.

    Raises:
        FileUnusable: The run is conducted at this moment.
        JournalDamaged: The run's journal is damaged.
    """
    if not plan_path(folder).is_file():
        return False
    opened, wiring, path = reopen(folder, shards=NO_SHARDS)
    messages = opened.blueprint.messages(wiring)
    writer = JournalWriter(path, durable=opened.settings.durable, anew=False)
    try:
        journal = read_journal(path, messages)
        writer.go_on(end=journal.end, chain=journal.chain)
        _sweep_after(opened, folder)
        consolidate(opened, folder, FileSink(writer, messages), signer=signer)
    finally:
        writer.close()
    return True


def consolidate(opened: Opened, folder: Path, sink: FileSink, *, signer: Signer | None = None) -> Merged:
    """Make one run of what workers wrote, and remove their folders; also after everything was killed.

    Args:
        opened: The scenario; none of its actors needs to be made.
        folder: The run folder.
        sink: The run's journal, open for writing.
        signer: Signs the snapshot.
    """
    wiring = opened.resolved.wiring
    facts = {
        "run": folder.name,
        "scenario": opened.scenario.name,
        "seed": str(opened.blueprint.seed),
        "semantic": wiring.semantic.hex(),
        "neuraxis": __version__,
    }
    merged = merge(
        folder,
        wiring,
        opened.blueprint.seed,
        opened.blueprint.messages(wiring),
        sink,
        facts,
        signer=signer,
        durable=opened.settings.durable,
    )
    clear(folder)
    return merged


def _sweep_after(opened: Opened, folder: Path) -> None:
    """Remove what a conductor that was killed left at the broker, which may be gone too, and in shared memory."""
    plan = read_plan(folder)
    with suppress(NeuraxisError):
        _leave_nothing(transport_of(plan.transport, opened.plugins), plan)


def _leave_nothing(transport: Transport, plan: Plan) -> None:
    bulk.remove(plan.token)
    with suppress(TransportFailed):
        transport.remove(plan.key)


def _order(failure: Failure) -> tuple[int, int, int]:
    return failure.order()


def _raised(failure: Failure) -> NeuraxisError:
    """Return the error that a tick failed with in a worker."""
    cls = getattr(errors, failure.error, None)
    if isinstance(cls, type) and issubclass(cls, NeuraxisError):
        with suppress(TypeError):
            return cls(**failure.facts)
    return WorkerFailed(worker=0, text=f"tick {failure.tick} failed with {failure.error}: {failure.facts}")


def _summed(counts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
