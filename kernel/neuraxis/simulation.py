"""The embedding API: a simulation that a program opens, drives, asks and closes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, final

from msgspec import Struct

from neuraxis import __version__
from neuraxis.actor import DETERMINISM_CLASSES
from neuraxis.blueprint import Blueprint, History, execute_again, numerics
from neuraxis.codec import NOT_CANONICAL
from neuraxis.errors import NoReply, SimulationUnusable, UsageInvalid, suggestion
from neuraxis.journal.log import MemorySink
from neuraxis.journal.record import FORMAT, End, Header, Resumed, SnapshotMark
from neuraxis.message import describe
from neuraxis.parameter import duration, whole_ticks
from neuraxis.runner import Runner, Settings
from neuraxis.scheduler import state
from neuraxis.scheduler.envelope import MessageId, causes_of, source_of
from neuraxis.snapshot.container import Snapshot
from neuraxis.wiring import kind_name, resolve_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from neuraxis.actor import Actor
    from neuraxis.graph import Graph
    from neuraxis.journal.log import RecordSink
    from neuraxis.journal.record import BlockDigest, Record
    from neuraxis.plugins.manager import Plugins
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.envelope import Envelope
    from neuraxis.scheduler.limits import DeadLetter
    from neuraxis.scheduler.loop import Observer, Scheduler
    from neuraxis.snapshot.sign import Signer
    from neuraxis.trace.why import Explanation
    from neuraxis.wiring import Wiring

DEFAULT_SETTINGS: Final = Settings()
TRACE_NAME: Final = "trace.jsonl"


@final
class Output(Struct, frozen=True):
    """A message that left the simulation through `@output`.

    Attributes:
        port: Name of the output, as the channel gives it.
        value: The payload.
        source: Path of the actor that sent it.
        tick: When it was delivered.
        id: The message.
        causes: The messages that it rests on directly.
    """

    port: str
    value: Any
    source: str
    tick: int
    id: MessageId
    causes: tuple[int, ...]


@final
class Statistics(Struct, frozen=True):
    """Counts of a run so far.

    Attributes:
        messages: Messages delivered.
        dead_letters: Messages due but not delivered, by reason.
        failures: Failures of supervised actors, by path.
        waiting: Messages in backlogs.
        copies: Arrays copied because their sender did not own them.
        bytes_copied: Their size.
    """

    messages: int
    dead_letters: dict[str, int]
    failures: dict[str, int]
    waiting: int
    copies: int
    bytes_copied: int


@final
class Simulation:
    """A deterministic simulation that a program drives.

    Example:
        >>> sim = Simulation.from_scenario("scenarios/digits.toml", seed=7)
        >>> with sim:
        ...     sim.advance(ticks=1_000)
        ...     answer = sim.ask("executive", Question("seven"))
        ...     print(answer.value, sim.why(answer))

    It is used by one thread at a time. `AsyncSimulation` wraps it for programs with an event loop.

    Attributes:
        blueprint: What decides the run.
        folder: Where its records lie; None keeps them in memory.
        settings: What does not decide the run.
        signer: Signs the snapshots that are written, if it is set.
        facts: Further facts for the manifests of snapshots.
    """

    def __init__(
        self,
        graph: Graph | Blueprint,
        *,
        seed: int = 0,
        folder: Path | str | None = None,
        plugins: Plugins | None = None,
        settings: Settings = DEFAULT_SETTINGS,
        wiring: Wiring | None = None,
    ) -> None:
        """Open a new simulation; it stands at the end of tick 0, in which actors start.

        Args:
            graph: What to run; or a whole blueprint, which brings its own seed.
            seed: Root of all random streams.
            folder: Where journal and snapshots go. None keeps the records in memory.
            plugins: Plugins whose observer hooks are called.
            settings: What does not decide results.
            wiring: The graph, wired already and not in use yet; None wires it.

        Raises:
            ScenarioInvalid: The graph has mistakes; all of them are named.
            FileUnusable, UsageInvalid: The folder cannot be written, or holds a run already.
        """
        blueprint = graph if isinstance(graph, Blueprint) else Blueprint(graph, seed)
        if folder is not None and not -(2**63) <= blueprint.seed < 2**64:
            raise UsageInvalid(what="the seed has more than 64 bits", remedy="Choose a smaller one for runs on disk.")
        wiring = wiring or blueprint.wire()
        sink: RecordSink = MemorySink()
        if folder is not None:
            from neuraxis.launch import new_sink  # only runs on disk load the journal's file code

            sink = new_sink(Path(folder), blueprint.messages(wiring), plugins, durable=settings.durable)
        self._open(blueprint, wiring, sink, Path(folder) if folder is not None else None, plugins, settings)
        try:
            sink.append(self.header())
            self._begin(History(), None)
        except BaseException:
            self._runner.close()
            raise

    @classmethod
    def from_scenario(
        cls,
        path: Path | str,
        *,
        seed: int | None = None,
        overrides: Iterable[str] = (),
        backend: str | None = None,
        folder: Path | str | None = None,
    ) -> Self:
        """Open a new simulation from a scenario file.

        Args:
            path: The TOML file.
            seed: Replaces the scenario's.
            overrides: Changes such as `"actors.relay.limit=5"`.
            backend: Replaces the scenario's.
            folder: Where journal and snapshots go. None keeps the records in memory.

        Raises:
            ScenarioInvalid: With every mistake in the file.
            PluginUnusable, FileUnusable: A plugin or file cannot be used.
        """
        from neuraxis.launch import open_scenario

        opened = open_scenario(Path(path), seed=seed, overrides=tuple(overrides), backend=backend)
        return cls(
            opened.blueprint,
            folder=folder,
            plugins=opened.plugins,
            settings=opened.settings,
            wiring=opened.resolved.wiring,
        )

    @classmethod
    def resumed(
        cls,
        blueprint: Blueprint,
        wiring: Wiring,
        records: list[Record],
        sink: RecordSink,
        *,
        snapshot: Snapshot | None,
        folder: Path,
        plugins: Plugins | None,
        settings: Settings,
        mark: Resumed,
    ) -> Self:
        """Go on with a recorded run. `neuraxis.launch.resume_run` finds all of this in a run folder."""
        self = cls.__new__(cls)
        self._open(blueprint, wiring, sink, folder, plugins, settings)
        self._base_name = mark.base
        try:
            self._begin(History(records), snapshot)
            sink.append(mark)
        except BaseException:
            self._runner.close()
            raise
        return self

    @classmethod
    def part(
        cls,
        blueprint: Blueprint,
        wiring: Wiring,
        records: list[Record],
        sink: RecordSink,
        *,
        snapshot: Snapshot | None,
        folder: Path,
        run: str,
        plugins: Plugins | None,
        settings: Settings,
    ) -> Self:
        """Open one worker's part of a run. `neuraxis.cluster` drives it, and it only.

        Args:
            blueprint: What decides the run.
            wiring: The graph, with the actors of this worker made.
            records: What is known of the run's past: inputs, intents and outcomes.
            sink: Where records go; takes the header first.
            snapshot: The worker's part of a snapshot to begin from; None is the beginning.
            folder: Where the worker's records lie.
            run: Name of the whole run, a part of the keys of effects.
            plugins: Plugins whose observer hooks are called.
            settings: What does not decide results.
        """
        self = cls.__new__(cls)
        self._open(blueprint, wiring, sink, folder, plugins, settings, run=run)
        try:
            sink.append(self.header())
            if self.settings.trace == "full":
                self._runner.write_trace(folder / TRACE_NAME, after=snapshot.tick if snapshot is not None else -1)
            self._runner.begin_part(History(records), snapshot)
            if plugins is not None:
                plugins.notify("simulation_opened", name=self.name, folder=folder, tick=self.tick)
        except BaseException:
            self._runner.close()
            raise
        return self

    def _open(
        self,
        blueprint: Blueprint,
        wiring: Wiring,
        sink: RecordSink,
        folder: Path | None,
        plugins: Plugins | None,
        settings: Settings,
        run: str = "",
    ) -> None:
        self.blueprint = blueprint
        self._run = run
        self.folder = folder
        self.settings = settings
        self._plugins = plugins
        self.signer: Signer | None = None
        self.facts: dict[str, Any] = {}
        self._base_name = ""
        self._closed = False
        self._runner = Runner(blueprint, wiring, sink, settings, self.run_name)
        self._runner.on_snapshot_due = self.snapshot

    def header(self) -> Header:
        """Return the first record of the run's journal."""
        return header_of(self.run_name, self.blueprint, self._scheduler.wiring, self.settings, self._lock())

    def _lock(self) -> list[dict[str, Any]]:
        """Return what code makes the run; only runs on disk pay for hashing it."""
        if self._plugins is not None:
            return self._plugins.lock()
        if self.folder is None:
            return [{"name": "neuraxis", "version": __version__}]
        from neuraxis.plugins.manager import Plugins

        return Plugins().lock()

    def _begin(self, history: History, snapshot: Snapshot | None) -> None:
        if self.settings.trace == "full" and self.folder is not None:
            self._runner.write_trace(self.folder / TRACE_NAME, after=snapshot.tick if snapshot is not None else -1)
        self._runner.begin(history, snapshot)
        if self._plugins is not None:
            self._plugins.notify("simulation_opened", name=self.name, folder=self.folder, tick=self.tick)

    # ------------------------------------------------------------------------------- facts

    @property
    def _scheduler(self) -> Scheduler:
        return self._runner.scheduler

    @property
    def runner(self) -> Runner:
        """What drives the scheduler; for other rooms of the kernel."""
        return self._runner

    @property
    def wiring(self) -> Wiring:
        """The wired graph, to look at."""
        return self._scheduler.wiring

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return self.blueprint.graph.name

    @property
    def run_name(self) -> str:
        """Name of the run: its folder's, or the scenario's."""
        return self._run or (self.folder.name if self.folder is not None else self.name)

    @property
    def tick(self) -> int:
        """The tick at whose end the simulation stands."""
        return self._scheduler.calendar.now

    @property
    def time(self) -> str:
        """The model time at the end of that tick, with its unit."""
        return duration(self.tick * self.blueprint.graph.tick) if self.tick else "0 s"

    @property
    def digest(self) -> str:
        """Digest of everything delivered up to here, hexadecimal."""
        self._require_whole()
        return self._scheduler.recorder.digest()

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each determinism class that has actors."""
        self._require_whole()
        return self._scheduler.recorder.digests()

    @property
    def determinism(self) -> str:
        """The weakest effective determinism class of all actors."""
        wiring = self._scheduler.wiring
        classes = [wiring.determinism[position] for position in wiring.real()]
        return max(classes, key=DETERMINISM_CLASSES.index, default="exact")

    @property
    def statistics(self) -> Statistics:
        """Counts up to here."""
        scheduler = self._scheduler
        paths = scheduler.wiring.paths
        return Statistics(
            messages=scheduler.delivered,
            dead_letters=dict(sorted(scheduler.dead_letters.counts.items())),
            failures={
                paths[position]: g.state.failures for position, g in scheduler.guards.items() if g.state.failures
            },
            waiting=sum(len(backlog) for backlog in scheduler.limits.backlogs.values()),
            copies=scheduler.freezer.copies,
            bytes_copied=scheduler.freezer.bytes_copied,
        )

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """The newest messages that were due and not delivered, oldest first."""
        return list(self._scheduler.dead_letters.newest)

    @property
    def outputs(self) -> list[Output]:
        """The newest messages that left through `@output`, oldest first."""
        return [self._output(tick, envelope) for tick, envelope in self._scheduler.outputs]

    def pending(self) -> dict[int, Mail]:
        """Return the messages that are on their way, by the tick in which they are due, to look at.

        Raises:
            SimulationUnusable: The simulation is closed, or failed.
        """
        self._require_usable()
        return self._scheduler.calendar.pending()

    def actor(self, path: str) -> Actor:
        """Return an actor, to look at. Changing it breaks every promise.

        Raises:
            UsageInvalid: There is none at `path`.
            SimulationUnusable: The simulation is closed, or failed; `recover` goes back to the last good tick.
        """
        return dict(self.actors())[self._known(path)]

    def actors(self) -> list[tuple[str, Actor]]:
        """Return all actors with their paths, in the order of paths, to look at."""
        self._require_usable()
        scheduler = self._scheduler
        pairs = zip(scheduler.wiring.paths, scheduler.actors, strict=True)
        return [(path, actor) for path, actor in pairs if actor is not None]

    def figures(self) -> dict[str, Any]:
        """Return the figures of all actors as `path.figure`."""
        return {f"{path}.{name}": value for path, actor in self.actors() for name, value in actor.figures().items()}

    def block_digest(self) -> BlockDigest:
        """Return the digests of all shards that had mail, up to here."""
        return self._runner.block_digest()

    def records(self) -> list[Record]:
        """Return everything journaled so far, the header first."""
        return self._runner.sink.records()

    # ----------------------------------------------------------------------------- driving

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def advance(self, ticks: int | str | None = None, *, until: int | str | None = None) -> Self:
        """Run on.

        Args:
            ticks: How many ticks, or a span of model time such as `"10 ms"`.
            until: Instead: the tick, or the model time, at whose end to stop.

        Raises:
            UsageInvalid: Neither or both are given, or the end lies in the past.
            ActorFailed, ChannelOverflow, PayloadRejected: A tick failed and was discarded; the simulation
                stands at the end of the tick before, and `recover` makes it usable again.
            InvariantBroken: An invariant does not hold.
        """
        self._require_usable()
        if (ticks is None) == (until is None):
            raise UsageInvalid(what="advance() needs one end", remedy="Pass either ticks=… or until=….")
        tick = self.blueprint.graph.tick
        end = self.tick + whole_ticks(ticks, tick) if ticks is not None else whole_ticks(until or 0, tick)
        if end < self.tick:
            remedy = "Resume from an earlier snapshot instead."
            raise UsageInvalid(what=f"cannot go back from tick {self.tick} to {end}", remedy=remedy)
        self._runner.run_to(end)
        return self

    def inject(self, target: str, payload: Any) -> MessageId:
        """Send an input. It is journaled now and delivered in the next tick.

        Args:
            target: `"path.input"`, or a path alone if only one of its inputs takes such a payload.
            payload: What to send.

        Raises:
            UsageInvalid: There is no such actor or input.
            PayloadRejected: The input does not take it.
        """
        self._require_usable()
        path, port = self._address(target, payload)
        return self._runner.inject(path, port, payload)

    def ask(self, target: str, payload: Any, *, within: int = 1_000) -> Output:
        """Send an input and run until it is answered.

        The answer is the first message on `@output` whose direct causes include the input: the actor
        sends it while it handles the input, or later with `because=[…]`.

        Args:
            target: As for `inject`.
            payload: The question.
            within: Ticks to wait at most.

        Raises:
            NoReply: There was no answer in time.
        """
        question, asked = self.inject(target, payload), self.tick
        end = asked + within
        while self.tick < end:
            self._runner.run_to(min(self._scheduler.calendar.next_tick() or end, end))
            for tick, envelope in self._scheduler.outputs:
                if tick > asked and question in causes_of(envelope[4]):
                    return self._output(tick, envelope)
        raise NoReply(target=target, within=within, tick=self.tick)

    def watch(self, invariant: Callable[[], str | None] | None) -> None:
        """Check something at the end of every stretch of ticks: it returns a sentence if it does not hold."""
        self._runner.invariant = invariant

    def recover(self) -> Self:
        """After a failed tick: rebuild the state at the end of the tick before from the records.

        Effects are not repeated. The state can then be looked at and captured; running on fails again,
        unless an input changes what happens.
        """
        if self._scheduler.failed is not None:
            self._runner.rebuild(self._base())
        return self

    # ----------------------------------------------------------------------------- records

    def snapshot(self) -> Snapshot:
        """Take a snapshot; with a run folder, write and journal it, signed by `signer` if there is one.

        Changes no digest.

        Raises:
            StateNotCapturable: An actor's state cannot be captured.
            FileUnusable: The disk is full; nothing is left behind.
        """
        self._require_usable()
        facts = {
            "run": self.run_name,
            "scenario": self.name,
            "tick": self.tick,
            "seed": str(self.blueprint.seed),
            "semantic": self._scheduler.wiring.semantic.hex(),
            "neuraxis": __version__,
            "digests": self.digests,
            **self.facts,
        }
        snapshot = Snapshot(facts=facts, state=state.capture(self._scheduler))
        if self.folder is not None:
            from neuraxis.snapshot.shelf import Shelf

            if self._runner.trace is not None:
                self._runner.trace.flush()  # whoever resumes from here goes on behind these lines
            shelf = Shelf(self.folder)
            try:
                path, digest = shelf.put(snapshot, signer=self.signer, durable=self.settings.durable)
            except NOT_CANONICAL as error:
                raise state.uncapturable(snapshot.state, error) from error
            self._runner.sink.append(SnapshotMark(self.tick, path.name, digest))
            shelf.keep_newest(self.settings.snapshots_kept, also=self._base_name)
            if self._plugins is not None:
                self._plugins.notify("snapshot_taken", tick=self.tick, file=path)
        return snapshot

    def again(self, *, until: int | None = None, observer: Observer | None = None) -> Scheduler:
        """Execute this run once more, calling nothing outside, and return the scheduler at its end.

        Args:
            until: Last tick; None is the current one.
            observer: Sees every tick.
        """
        end = self.tick if until is None else until
        return execute_again(
            self.blueprint, History(self.records()), until=end, snapshot=self._base(), observer=observer
        )

    def why(self, message: Output | MessageId | str) -> Explanation:
        """Walk from a message back to the inputs that caused it.

        Args:
            message: An output, a message id, or text: `"path#7"` is message 7 of an actor, from 0.

        Raises:
            UsageInvalid: No such message was delivered.
        """
        from neuraxis.trace.why import explain

        wanted = message.id if isinstance(message, Output) else message
        return explain(lambda observer: self.again(observer=observer), wanted)

    def finish(self, result: Mapping[str, Any] | None = None) -> None:
        """Write the end of the run into the journal, with what it came to. Resuming then prints that."""
        self._runner.sink.append(End(self.tick, self.digests, dict(result or {})))
        self._runner.sink.sync()

    def close(self) -> None:
        """Release everything. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._plugins is not None:
                digests = {} if self._scheduler.is_torn else self.digests
                self._plugins.notify("simulation_closed", tick=self.tick, digests=digests)
        finally:
            self._runner.close()

    # ------------------------------------------------------------------------------- parts

    def _require_whole(self) -> None:
        if self._scheduler.is_torn:
            remedy = "Call recover() to go back to the end of the tick before."
            raise SimulationUnusable(reason=str(self._scheduler.failed), remedy=remedy)

    def _require_usable(self) -> None:
        if self._closed:
            raise SimulationUnusable(reason="the simulation is closed", remedy="Open a new one, or resume its run.")
        if self._scheduler.failed is not None:
            remedy = "Call recover() to go back to the end of the last good tick."
            raise SimulationUnusable(reason=self._scheduler.failed, remedy=remedy)

    def _base(self) -> Snapshot | None:
        """Return where executing this run again begins: a snapshot if the code changed on the way, else None."""
        if not self._base_name or self.folder is None:
            return None
        from neuraxis.snapshot.container import read_snapshot
        from neuraxis.snapshot.shelf import Shelf

        return read_snapshot(
            Shelf(self.folder).folder / self._base_name, self.blueprint.messages(self._scheduler.wiring)
        )

    def _known(self, path: str) -> str:
        wiring = self._scheduler.wiring
        real = [wiring.paths[position] for position in wiring.made()]
        if path not in real:
            raise UsageInvalid(what=f"there is no actor {path!r}", remedy=suggestion(path, real))
        return path

    def _address(self, target: str, payload: Any) -> tuple[str, str]:
        path, dot, port = target.rpartition(".")
        if not dot:
            path, port = target, ""
        actor = self.actor(path)
        inputs = actor.declaration.inputs
        if port:
            if port not in inputs:
                raise UsageInvalid(what=f"{path} has no input {port!r}", remedy=suggestion(port, inputs))
            return path, port
        fitting = [name for name, each in inputs.items() if resolve_kind(actor, each.kind) is type(payload)]
        fitting = fitting or (list(inputs) if len(inputs) == 1 else [])
        if len(fitting) != 1:
            kinds = ", ".join(f"{name} ({kind_name(each.kind)})" for name, each in inputs.items())
            what = f"{path} has {len(fitting) or 'no'} inputs for {describe(payload)}"
            raise UsageInvalid(what=what, remedy=f"Write {path}.INPUT with one of: {kinds}.")
        return path, fitting[0]

    def _output(self, tick: int, envelope: Envelope) -> Output:
        _, message, port, payload, cause = envelope
        source = self._scheduler.wiring.paths[source_of(message)]
        return Output(port, payload, source, tick, MessageId(message), causes_of(cause))


def header_of(run: str, blueprint: Blueprint, wiring: Wiring, settings: Settings, lock: list[dict[str, Any]]) -> Header:
    """Return the first record of the journal of a run.

    Args:
        run: Its name.
        blueprint: What decides it.
        wiring: Its graph.
        settings: What does not decide it.
        lock: Which code computes it.
    """
    return Header(
        format=FORMAT,
        run=run,
        scenario=dict(settings.scenario or {}),
        seed=blueprint.seed,
        semantic=wiring.semantic.hex(),
        lock=lock,
        numerics=numerics(),
        settings={
            "clock": blueprint.clock,
            "trace": settings.trace,
            "durable": settings.durable,
            "block": settings.block,
            **settings.extra,
        },
    )
