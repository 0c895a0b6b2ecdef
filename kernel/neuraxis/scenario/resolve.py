"""From what a scenario file says to what it means: names become classes, files, backends and a wired graph."""

from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from neuraxis.blueprint import ScriptedInput
from neuraxis.errors import InputError, Problem, ScenarioInvalid, UnitInvalid, UsageInvalid, suggestion
from neuraxis.faults import check_plan, parse_fault
from neuraxis.files import is_file, read_bytes
from neuraxis.graph import OUTPUT, ActorSpec, ChannelSpec, Graph, Options
from neuraxis.message import ArraySpec, Misfit, coerce, describe, message_type
from neuraxis.parameter import Parameter, Resource, Unfit
from neuraxis.scenario import format as form
from neuraxis.scenario.expand import PatternUnfit, members, pairs
from neuraxis.scenario.expect import Expectation, expectations
from neuraxis.wiring import ACTORS_MAX, SHARDS, Examination, Wiring, examine, kind_name, resolve_kind

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from neuraxis.actor import Actor
    from neuraxis.faults import Plan
    from neuraxis.plugins.manager import Plugins
    from neuraxis.scenario.model import Scenario, Table
    from neuraxis.scheduler.effects import Clock
    from neuraxis.seams.backend import Backend

__all__ = ["Expectation", "Resolved", "refused", "resolve"]

BACKEND_VARIABLE: Final = "NEURAXIS_BACKEND"
BACKENDS_BY_DEFAULT: Final = ("numba", "numpy")
"""The fastest first; the first whose library is installed is taken."""

CHANNELS_MAX: Final = 2_000_000
"""Channels of one scenario; each costs about a kilobyte while the graph is built."""

FIGURES_OF_ALL: Final = ("ticks", "messages")


@final
class Resolved(Struct, frozen=True):
    """What a scenario means.

    Attributes:
        graph: Actors and channels.
        wiring: The same, checked and ready to run once.
        until: Tick at which a run ends.
        inputs: Inputs that the scenario scripts.
        faults: Faults that happen in every run.
        expect, always: Expectations at the end, and during a run.
        clock, trace, durable, snapshot_every: As in `[run]`.
        backend: Name of the backend that computes networks; empty if nothing needs one.
    """

    graph: Graph
    wiring: Wiring
    until: int
    inputs: tuple[ScriptedInput, ...]
    faults: Plan
    expect: tuple[Expectation, ...]
    always: tuple[Expectation, ...]
    clock: Clock
    trace: str
    durable: bool
    snapshot_every: int | None
    backend: str


def resolve(
    scenario: Scenario, plugins: Plugins, *, backend: str | None = None, shards: Container[int] | None = None
) -> Resolved:
    """Return what a scenario means.

    Args:
        scenario: What its files say.
        plugins: The plugins that it names.
        backend: Replaces what environment and scenario say.
        shards: Only actors of these are made; None makes all.

    Raises:
        ScenarioInvalid: With every mistake of form and meaning.
        FileUnusable: A resource cannot be read.
    """
    return _Resolution(scenario, plugins, backend, shards).resolved()


def refused(scenario: Scenario, problems: Iterable[Problem]) -> ScenarioInvalid:
    """Return the error that names all mistakes of a scenario, those of its form first, each with file and line."""
    unique: dict[tuple[str, str], Problem] = {}
    for each in (*scenario.problems, *problems):
        unique.setdefault((each.key, each.expected), each)
    found = list(unique.values())
    if scenario.sources is not None:
        from neuraxis.scenario.positions import located

        found = sorted((located(each, scenario.sources) for each in found), key=_place)
    name = scenario.sources.files[-1].name if scenario.sources is not None else scenario.name
    return ScenarioInvalid(name=name, problems=tuple(found))


def _place(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (problem.where, 0)


@final
class _Resolution:
    """Goes through one scenario and collects every problem before anybody gives up."""

    def __init__(
        self, scenario: Scenario, plugins: Plugins, backend: str | None, shards: Container[int] | None
    ) -> None:
        self.shards = shards
        self.scenario = scenario
        self.plugins = plugins
        self.wanted_backend = backend
        self.problems: list[Problem] = []
        self.groups: dict[str, tuple[str, ...]] = {}
        self.backends: dict[str, Backend] = {}
        self.backend = ""
        self.unmade: set[str] = set()
        self.graph = self._graph()
        self.tick: Fraction = self.graph.tick

    def resolved(self) -> Resolved:
        scenario, run = self.scenario, self.scenario.run
        until = self._value("scenario.until", form.SCENARIO["until"], scenario.until, 0)
        self._actors()
        self._channels()
        every = run.get("snapshot_every")
        if every is not None:
            every = self._value("run.snapshot_every", form.RUN["snapshot_every"], every, None)
        faults = self._faults()
        self.problems += self.plugins.review(self.graph)
        found = self._examine()
        inputs = tuple(self._inputs(found.actors))
        expect, always = self._expectations("expect", found.actors), self._expectations("always", found.actors)
        if self.problems or scenario.problems:
            raise refused(scenario, self.problems)
        wiring = found.wiring()
        self._check_faults(faults, wiring)
        if self.problems:
            raise refused(scenario, self.problems)
        return Resolved(
            graph=self.graph,
            wiring=wiring,
            until=until,
            inputs=inputs,
            faults=tuple(sorted(fault for _, fault in faults)),
            expect=expect,
            always=always,
            clock=run.get("clock", "virtual"),
            trace=run.get("trace", "digest"),
            durable=run.get("durable", False),
            snapshot_every=every,
            backend=self.backend,
        )

    def problem(self, key: str, got: str, expected: str) -> None:
        self.problems.append(Problem(where="", key=key, got=got, expected=expected))

    def _value(self, key: str, declared: Parameter, value: Any, otherwise: Any) -> Any:
        """Return a value as the kernel sees it; a mistake in its form was noted when it was read."""
        try:
            return declared.accept(value, self.tick)
        except Unfit as unfit:
            if all(each.key != key for each in self.scenario.problems):
                self.problem(key, unfit.got, unfit.expected)
            return otherwise

    def _graph(self) -> Graph:
        try:
            graph = Graph(self.scenario.name, tick=self.scenario.tick)
        except UnitInvalid as error:
            if all(each.key != "scenario.tick" for each in self.scenario.problems):
                self.problem("scenario.tick", repr(error.text), f"It {error.reason}. {error.remedy}")
            return Graph(self.scenario.name)
        if graph.tick <= 0:
            self.problem("scenario.tick", repr(self.scenario.tick), 'Write a time above 0, such as "1 ms".')
            return Graph(self.scenario.name)
        return graph

    # ------------------------------------------------------------------------------- actors

    def _actors(self) -> None:
        for name, table in self.scenario.actors.items():
            self._add(name, table)

    def _add(self, name: str, table: Table) -> None:
        key = f"actors.{name}"
        kind = table.get("kind")
        if not isinstance(kind, str):
            known = ", ".join(list(self.plugins.actors)[:12]) or "none: name plugins in [scenario]"
            self.problem(f"{key}.kind", "missing" if kind is None else repr(kind), f"Write a kind. Known: {known}.")
            return
        cls = self.plugins.actors.get(kind)
        if cls is None:
            hint = suggestion(kind, self.plugins.actors)
            self.problem(f"{key}.kind", f"the unknown kind {kind!r}", f"{hint} Kinds come from [scenario] plugins.")
            return
        keys = {*form.ACTOR, *cls.declaration.parameters}
        for each in table:
            if each not in keys:
                self.problem(f"{key}.{each}", f"no parameter of {kind}", suggestion(each, sorted(keys)))
        written = {each: value for each, value in table.items() if each in form.ACTOR and each != "kind"}
        options = {each: self._value(f"{key}.{each}", form.ACTOR[each], value, None) for each, value in written.items()}
        count = options.pop("count", None)
        if count is not None and count + len(self.graph.actors) > ACTORS_MAX:
            remedy = f"At most {ACTORS_MAX:,} actors; use a Population for many alike ones."
            self.problem(f"{key}.count", f"{count:,}", remedy)
            count = 1
        if count is not None:
            self.groups[name] = members(name, count)
        parameters = self._parameters(key, cls, table)
        spec = Options(**{each: value for each, value in options.items() if value is not None})
        for number, path in enumerate(self.groups.get(name, (name,))):
            own = spec if spec.shard is None else replace(spec, shard=(spec.shard + number) % SHARDS)
            self.graph.actors.append(ActorSpec(path, kind, cls, parameters, own, key))

    def _parameters(self, key: str, cls: type[Actor], table: Table) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, declared in cls.declaration.parameters.items():
            value = table.get(name)
            if declared.is_seam:
                found[name] = self._backend(f"{key}.{name}", value)
            elif value is not None and declared.kind is Resource:
                resource = self._resource(f"{key}.{name}", value)
                if not resource.path:
                    self.unmade.add(key)  # what its setup says without the file is no mistake of its own
                found[name] = resource
            elif value is not None:
                found[name] = value
        return found

    def _resource(self, key: str, name: Any) -> Resource:
        table = self.scenario.resources.get(name) if isinstance(name, str) else None
        if table is None:
            hint = suggestion(str(name), self.scenario.resources)
            self.problem(key, f"the unknown resource {name!r}", f"{hint} Declare it as [resources.NAME].")
            return Resource("", "")
        path = table.get("path")
        if not isinstance(path, str):
            return Resource("", "")
        file = self.scenario.folder / path
        if not is_file(file):
            near = sorted(each.name for each in file.parent.glob("*"))
            hint = suggestion(file.name, near) if near else f"Restore it as {file}."
            self.problem(f"resources.{name}.path", f"the missing file {path!r}", hint)
            return Resource("", "")
        digest = hashlib.sha256(read_bytes(file, remedy="Make it readable.")).hexdigest()
        pinned = table.get("sha256")
        if pinned is None:
            self.problem(f"resources.{name}.sha256", "missing", f'Write: sha256 = "{digest}"')
        elif pinned != digest:
            expected = f"{file} has another content. Restore it"
            if self.scenario.sources is not None:  # else this is a run that goes on, whose past rests on the content
                expected += f', or pin the new one: sha256 = "{digest}"'
            self.problem(f"resources.{name}.sha256", repr(pinned), f"{expected}.")
        return Resource(str(file), digest)

    def _backend(self, key: str, written: Any) -> Any:
        variable = os.environ.get(BACKEND_VARIABLE)
        choices = (
            (self.wanted_backend, "--backend"),
            (variable, BACKEND_VARIABLE),
            (written, key),
            (self.scenario.run.get("backend"), "run.backend"),
            (self._backend_by_default(), key),
        )
        name, source = next((name, source) for name, source in choices if name)
        if name not in self.backends:
            try:
                self.backends[name] = self.plugins.backend(name)
            except InputError as error:
                known = (
                    suggestion(str(name), self.plugins.backends) if name not in self.plugins.backends else str(error)
                )
                self.problem(source, f"the unusable backend {name!r}", known)
                self.unmade.add(key)
                return None
        self.backend = name
        return self.backends[name]

    def _backend_by_default(self) -> str:
        usable = [name for name in BACKENDS_BY_DEFAULT if name in self.plugins.backends and find_spec(name)]
        return usable[0] if usable else BACKENDS_BY_DEFAULT[-1]

    # ----------------------------------------------------------------------------- channels

    def _channels(self) -> None:
        for number, table in enumerate(self.scenario.channels):
            self._join(f"channels[{number}]", table)

    def _join(self, key: str, table: Table) -> None:
        source, target = table.get("from"), table.get("to")
        if not isinstance(source, str) or not isinstance(target, str):
            return  # noted when the file was read
        (sender, _, output), (receiver, _, port) = source.rpartition("."), target.rpartition(".")
        for end, name, what in (("from", sender, "OUTPUT"), ("to", receiver, "INPUT")):
            if not name:
                self.problem(f"{key}.{end}", repr(table[end]), f"Write NAME.{what}, such as relay.{what.lower()}.")
                return
        written = {each: value for each, value in table.items() if each in form.CHANNEL}
        facts = {each: self._value(f"{key}.{each}", form.CHANNEL[each], value, None) for each, value in written.items()}
        options = {each: value for each, value in facts.items() if value is not None}
        for each in ("from", "to"):
            options.pop(each, None)
        pattern = options.pop("pattern", "")
        for end, name in (("from", sender), ("to", receiver)):
            if not self._is_known(name):
                names = [*self.groups, *(spec.path for spec in self.graph.actors)]
                self.problem(f"{key}.{end}", f"the unknown actor {name!r}", suggestion(name, dict.fromkeys(names)))
                return
        try:
            joined = list(islice(pairs(sender, receiver, pattern, self.groups), CHANNELS_MAX + 1))
        except PatternUnfit as unfit:
            self.problem(f"{key}.pattern", unfit.got, unfit.expected)
            return
        if len(joined) + len(self.graph.channels) > CHANNELS_MAX:
            remedy = f"At most {CHANNELS_MAX:,} in all; use a Population, whose members share one channel."
            self.problem(f"{key}.pattern", f"more than {CHANNELS_MAX:,} channels", remedy)
            return
        self.graph.channels += [ChannelSpec(one, output, other, port, key=key, **options) for one, other in joined]

    def _is_known(self, name: str) -> bool:
        if name == OUTPUT or name in self.groups or name in self.scenario.actors:
            return True
        return any(spec.path == name for spec in self.graph.actors)

    # --------------------------------------------------------------------------- everything

    def _examine(self) -> Examination:
        found = examine(self.graph, self.shards)
        noted = {*self.unmade, *(each.key for each in self.problems)}
        fresh: dict[str, Problem] = {}
        for each in found.problems:  # members of a group have one mistake in common: it is told once
            if each.key not in noted:
                fresh.setdefault(each.key, each)
        self.problems += fresh.values()
        return found

    def _faults(self) -> list[tuple[str, Any]]:
        found = []
        for number, text in enumerate(self.scenario.faults):
            key = f"scenario.faults[{number}]"
            try:
                fault = parse_fault(text)
            except UsageInvalid as error:
                self.problem(key, repr(text), error.remedy)
                continue
            if fault.kind == "restart":
                self.problem(key, repr(text), "A run restarts by `neuraxis resume`; use explore --plan for this one.")
            found.append((key, fault))
        return found

    def _check_faults(self, faults: Iterable[tuple[str, Any]], wiring: Wiring) -> None:
        for key, fault in faults:
            try:
                check_plan((fault,), wiring)
            except UsageInvalid as error:
                self.problem(key, repr(str(fault)), f"{error.what}. {error.remedy}")

    def _inputs(self, actors: Mapping[str, Actor]) -> Iterable[ScriptedInput]:
        for number, table in enumerate(self.scenario.inputs):
            key = f"inputs[{number}]"
            target = table.get("to")
            if not isinstance(target, str) or "value" not in table:
                continue
            tick = self._value(f"{key}.at", form.INPUT["at"], table.get("at", 0), 0)
            path, _, port = target.rpartition(".")
            actor = actors.get(path)
            if actor is None:
                if all(spec.path != path for spec in self.graph.actors):  # else its own mistake was told
                    self.problem(f"{key}.to", f"the unknown actor {path!r}", suggestion(path, actors))
                elif self.shards is not None:
                    yield ScriptedInput(tick, path, port, None)  # for an actor of another worker: it counts, no more
                continue
            declared = actor.declaration.inputs.get(port)
            if declared is None:
                hint = suggestion(port, actor.declaration.inputs)
                self.problem(f"{key}.to", f"the unknown input {target!r}", hint)
                continue
            try:
                payload = _payload(resolve_kind(actor, declared.kind), table["value"])
            except Misfit as misfit:
                self.problem(f"{key}.value", misfit.got, f"Write {misfit.expected}.")
                continue
            yield ScriptedInput(tick, path, port, payload)

    def _expectations(self, section: str, actors: Mapping[str, Actor]) -> tuple[Expectation, ...]:
        table = self.scenario.expect if section == "expect" else self.scenario.always
        noted = tuple(each.key for each in self.scenario.problems)
        sound = {
            figure: wanted
            for figure, wanted in table.items()
            if not any(key.startswith(f"{section}.{figure}") for key in noted)
        }
        found = expectations(sound)
        if not found:
            return found
        known = list(FIGURES_OF_ALL)
        unmade = [f"{spec.path}." for spec in self.graph.actors if spec.path not in actors]
        for path, actor in actors.items():
            try:
                known += [f"{path}.{name}" for name in actor.figures()]
            except (Exception, SystemExit):  # noqa: BLE001 - one that has no figures before it ran; the end of the run will tell
                unmade.append(f"{path}.")
        for each in found:
            if each.figure not in known and not each.figure.startswith(tuple(unmade)):
                self.problem(f"{section}.{each.figure}", "an unknown figure", suggestion(each.figure, known))
        return found


def _payload(kind: Any, value: Any) -> Any:
    """Return what a scenario wrote as a payload for a port of this kind.

    Raises:
        Misfit: It is no such payload.
    """
    if isinstance(kind, ArraySpec):
        try:
            made = np.array(value, dtype=kind.dtype)
        except (ValueError, TypeError, OverflowError) as error:
            raise Misfit(f"lists of numbers for {kind}", str(error)) from error
        misfit = kind.misfit(made)
        if misfit is not None:
            raise Misfit(f"lists of numbers for {kind}", misfit)
        return made
    declared = message_type(kind)
    if declared is None:
        return coerce(kind, value)
    if not isinstance(value, dict):
        raise Misfit(f"a table with the fields of {kind_name(kind)}", describe(value))
    specs = dict(declared.arrays)
    fields = {
        name: _payload(spec, item) if (spec := specs.get(name)) is not None else item for name, item in value.items()
    }
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise Misfit(f"a table with the fields of {kind_name(kind)}", str(error)) from error
