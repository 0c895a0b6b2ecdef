"""From a graph to something that runs: every actor made, every mistake found, every route laid."""

from __future__ import annotations

import hashlib
import typing
from typing import TYPE_CHECKING, Any, Final, final

import rfc8785
from msgspec import Struct
from msgspec.structs import asdict, replace

from neuraxis.actor import DETERMINISM_CLASSES, Actor, Determinism, Population
from neuraxis.errors import DeclarationInvalid, InputError, Problem, ScenarioInvalid, suggestion, told
from neuraxis.graph import LANES, OUTPUT, OVERFLOWS, PATH, POLICIES, ActorSpec, ChannelSpec, Graph
from neuraxis.message import ArraySpec, MessageType, message_type
from neuraxis.parameter import Resource, Unfit

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from fractions import Fraction

INPUT: Final = "@input"
STARTER: Final = "@start"
PSEUDO_PATHS: Final = (INPUT, OUTPUT, STARTER)
"""Paths of the outside world. They sort before every actor, because actor names start with a letter."""

SHARDS: Final = 64
"""Virtual shards of one determinism class. Part of the digest: never to be changed."""

ACTORS_MAX: Final = 2**20 - 1 - len(PSEUDO_PATHS)

Kind = type[Any] | ArraySpec


@final
class Route(Struct, frozen=True):
    """Where one output leads.

    Attributes:
        kind: What it carries.
        evidence: Whether `because` is mandatory.
        groups: (delay, input port, receivers) for each distinct delay and port. A receiver on the
            emergency lane is written as its complement `~position`.
    """

    kind: Kind
    evidence: bool
    groups: tuple[tuple[int, str, tuple[int, ...]], ...]


@final
class Wiring(Struct, frozen=True):
    """A checked graph, ready to run. Everything in it is in the order of paths.

    Attributes:
        name: Name of the graph.
        tick: Length of a tick, second.
        paths: The pseudo paths, then all actor paths, sorted. A position in it is what envelopes and
            digests use to name an actor.
        position: Position by path.
        actors: The actors; None for the pseudo paths.
        specs: Their specifications, with parameters as the actors see them; None for the pseudo paths.
        routes: By position: output name to route.
        channels: All channels, sorted.
        determinism: Effective class by position: the weakest of the actor and all upstream of it.
        shards: Shard by position; each class has its own 64.
        semantic: SHA-256 over the canonical form of all that may decide a result.
        here: By position, whether what is there runs in this process; all True but in a worker of a distributed run.
    """

    name: str
    tick: Fraction
    paths: tuple[str, ...]
    position: dict[str, int]
    actors: list[Actor | None]
    specs: tuple[ActorSpec | None, ...]
    routes: tuple[dict[str, Route], ...]
    channels: tuple[ChannelSpec, ...]
    determinism: tuple[Determinism, ...]
    shards: tuple[int, ...]
    semantic: bytes
    here: tuple[bool, ...]

    def real(self) -> range:
        """Return the positions of all real actors."""
        return range(len(PSEUDO_PATHS), len(self.paths))

    def made(self) -> Sequence[int]:
        """Return the positions of the real actors that run in this process, ascending."""
        return [position for position in self.real() if self.here[position]]

    def messages(self) -> dict[tuple[str, int], type[Any]]:
        """Return the registered message classes of the graph's ports and effects, by (name, version)."""
        declarations = [spec.cls.declaration for spec in self.specs if spec is not None]
        kinds: list[Kind] = [port.kind for each in declarations for port in each.inputs.values()]
        kinds += [port.kind for each in declarations for port in each.outputs.values()]
        effects = dict.fromkeys(kind for spec in self.specs if spec is not None for kind in spec.cls.effects)
        kinds += [*effects, *map(_returned, effects)]
        return {(each.name, each.version): each.cls for kind in kinds for each in _nested(kind)}


def _returned(effect: type[Any]) -> Any:
    """Return the type that an effect says its outcome has; None if it does not say, or cannot be understood here."""
    try:
        return typing.get_type_hints(effect.perform).get("return")
    except (NameError, AttributeError, TypeError):  # a name that is imported for type checkers only
        return None


def _nested(kind: Any) -> Iterator[MessageType]:
    """Yield the registered message types in a kind: itself, and those in its fields, however deep."""
    declared = message_type(kind) if isinstance(kind, type) else None
    if declared is not None:
        yield declared
        hints = typing.get_type_hints(declared.cls)
        for field in declared.fields:
            yield from _nested(hints[field])
    for part in typing.get_args(kind):
        yield from _nested(part)


def wire(graph: Graph, shards: Container[int] | None = None) -> Wiring:
    """Make the actors of a graph, check everything at once, and return it ready to run.

    Args:
        graph: The graph.
        shards: Only actors of these shards are made, for a worker that owns them; None makes all.

    Raises:
        ScenarioInvalid: With every mistake in the graph.
    """
    found = examine(graph, shards)
    if found.problems:
        raise ScenarioInvalid(name=graph.name, problems=tuple(found.problems))
    return found.wiring()


def examine(graph: Graph, shards: Container[int] | None = None) -> Examination:
    """Make the actors of a graph and check everything, without giving up at mistakes. Arguments as for `wire`."""
    found = Examination(graph, shards)
    found.actors_stand_alone()
    found.make_actors()
    found.channels_join()
    return found


# ---------------------------------------------------------------------------------- checking


@final
class Examination:
    """Goes through one graph and collects every problem before anybody gives up.

    Attributes:
        problems: The mistakes found.
        actors: The actors that could be made, by path.
    """

    def __init__(self, graph: Graph, shards: Container[int] | None = None) -> None:
        self.graph = graph
        self._shards = shards
        self.problems: list[Problem] = []
        self.specs: dict[str, ActorSpec] = {}
        self.actors: dict[str, Actor] = {}

    def wiring(self) -> Wiring:
        """Return the graph ready to run; there must be no problems."""
        return _assemble(self.graph, self.specs, self.actors, self._shards)

    def problem(self, spec: ActorSpec | ChannelSpec, key: str, got: str, expected: str) -> None:
        subject = spec.key or (spec.path if isinstance(spec, ActorSpec) else spec.name)
        self.problems.append(Problem(where="", key=".".join(filter(None, (subject, key))), got=got, expected=expected))

    def actors_stand_alone(self) -> None:
        for spec in self.graph.actors:
            if spec.path in self.specs:
                self.problem(
                    spec,
                    "",
                    f"a second actor at {spec.path!r}",
                    "Every path is used once; rename one of them.",
                )
            if not PATH.fullmatch(spec.path):
                remedy = "Start with a letter; use letters, digits, - and _, and / between parts."
                self.problem(spec, "", f"no valid path: {spec.path!r}", remedy)
            self.specs[spec.path] = spec
            options = spec.options
            for key in ("messages_per_tick", "checkpoint_every", "failures_max", "pause"):
                value = getattr(options, key)
                if value is not None and value < 1:
                    self.problem(spec, key, str(value), "Write at least 1.")
            if options.on_failure not in POLICIES:
                self.problem(spec, "on_failure", repr(options.on_failure), f"Write one of {', '.join(POLICIES)}.")
            if options.shard is not None and not 0 <= options.shard < SHARDS:
                self.problem(spec, "shard", str(options.shard), f"Write 0 … {SHARDS - 1}.")
        if len(self.specs) > ACTORS_MAX:
            remedy = f"At most {ACTORS_MAX}; use a Population for many alike actors."
            self.problems.append(Problem(where="", key="actors", got=f"{len(self.specs)} actors", expected=remedy))

    def make_actors(self) -> None:
        shards = None if self._shards is None else _shards_of(self.specs, self.graph.channels)
        for spec in sorted(self.specs.values(), key=lambda spec: spec.path):
            before = len(self.problems)
            accepted = self.accept(spec)
            if len(self.problems) > before:
                continue
            self.specs[spec.path] = replace(spec, parameters=accepted)
            if shards is not None and self._shards is not None and shards[spec.path] not in self._shards:
                continue  # another worker makes it
            try:
                self.actors[spec.path] = spec.cls(**accepted)
            except InputError as error:
                self.problem(spec, "", "", str(error))
            except (ValueError, TypeError, ArithmeticError, LookupError, OSError) as error:
                reason = f"not usable: {told(error)}"
                self.problem(spec, "", reason, f"Change the parameters of {spec.kind}.")
            except (Exception, SystemExit) as error:
                raise DeclarationInvalid(
                    subject=f"{spec.kind} at {spec.path}",
                    reason=f"its setup() raised {told(error)}",
                    remedy="Correct the code of the actor.",
                ) from error

    def accept(self, spec: ActorSpec) -> dict[str, Any]:
        declared = spec.cls.declaration.parameters
        for name in sorted(set(spec.parameters) - set(declared)):
            self.problem(spec, name, f"no parameter of {spec.kind}", suggestion(name, declared))
        accepted = {}
        for name, each in declared.items():
            value = spec.parameters.get(name, each.default)
            if name not in spec.parameters and each.is_required:
                self.problem(spec, name, "missing", f"Write {each.description()}: {each.help or 'it is mandatory'}.")
                continue
            try:
                accepted[name] = each.accept(value, self.graph.tick)
            except Unfit as unfit:
                self.problem(spec, name, unfit.got, unfit.expected)
        return accepted

    def channels_join(self) -> None:
        seen: set[tuple[Any, ...]] = set()
        limits: dict[tuple[str, str, str], ChannelSpec] = {}
        for channel in sorted(self.graph.channels, key=_channel_order):
            self.check_ends(channel)
            if channel.capacity is not None and channel.capacity < 0:
                self.problem(channel, "capacity", str(channel.capacity), "Write 0 or more.")
            for key, choices in (("lane", LANES), ("overflow", OVERFLOWS)):
                if getattr(channel, key) not in choices:
                    self.problem(channel, key, repr(getattr(channel, key)), f"Write one of {', '.join(choices)}.")
            if channel.delay < 1:
                remedy = "A message takes at least 1 tick; shorter delays live inside a population."
                self.problem(channel, "delay", f"{channel.delay} ticks", remedy)
            place = (channel.source, channel.target, channel.input)
            other = limits.setdefault(place, channel) if channel.lane == "normal" else channel
            if (other.capacity, other.overflow) != (channel.capacity, channel.overflow):
                remedy = f"It shares its backlog with {other.name}; give both the same capacity and overflow."
                self.problem(channel, "capacity", str(channel.capacity), remedy)
            identity = (channel.source, channel.output, channel.target, channel.input, channel.delay)
            if identity in seen:
                self.problem(channel, "", f"a duplicate of {channel.name}", "Delete one, or give it another delay.")
            seen.add(identity)
        self.check_cycles()

    def check_ends(self, channel: ChannelSpec) -> None:
        sent = self.port_kind(channel, "from", channel.source, "output", channel.output)
        if channel.target == OUTPUT:
            return
        taken = self.port_kind(channel, "to", channel.target, "input", channel.input)
        if sent is None or taken is None:
            return
        if not _fits(sent, taken):
            remedy = f"{channel.source}.{channel.output} sends {kind_name(sent)}; join ports of one kind."
            self.problem(channel, "to", f"a port for {kind_name(taken)}", remedy)

    def port_kind(self, channel: ChannelSpec, key: str, path: str, what: str, port: str) -> Kind | None:
        spec = self.specs.get(path)
        if spec is None:
            self.problem(channel, key, f"the unknown actor {path!r}", suggestion(path, self.specs))
            return None
        declaration = spec.cls.declaration
        ports = declaration.outputs if what == "output" else declaration.inputs
        if port not in ports:
            self.problem(channel, key, f"the unknown {what} {path}.{port}", suggestion(port, ports))
            return None
        actor, kind = self.actors.get(path), ports[port].kind
        lengths = [n for n in kind.shape if isinstance(n, str)] if isinstance(kind, ArraySpec) else []
        absent = [n for n in lengths if actor is not None and not hasattr(actor, n)]
        if absent:
            remedy = f"Name an attribute of {spec.cls.__name__} that holds a length."
            self.problem(channel, key, f"{path}.{port}, whose shape names {absent[0]!r}", remedy)
        return None if actor is None or absent else resolve_kind(actor, kind)

    def check_cycles(self) -> None:
        edges: dict[str, list[str]] = {}
        for channel in self.graph.channels:
            if channel.delay < 1:
                edges.setdefault(channel.source, []).append(channel.target)
        cycle = _find_cycle(edges)
        if cycle is not None:
            got = "a cycle with no delay: " + " -> ".join(cycle)
            remedy = "Give every channel a delay of at least 1 tick."
            self.problems.append(Problem(where="", key="channels", got=got, expected=remedy))


def _fits(sent: Kind, taken: Kind) -> bool:
    if isinstance(sent, ArraySpec) and isinstance(taken, ArraySpec):
        axes = list(zip(sent.shape, taken.shape, strict=False))
        same_rank = len(sent.shape) == len(taken.shape)
        return sent.dtype == taken.dtype and same_rank and all(a is None or b is None or a == b for a, b in axes)
    return sent is taken


def _find_cycle(edges: Mapping[str, list[str]]) -> list[str] | None:
    """Return the nodes of one cycle, the first once more at the end, or None."""
    finished: set[str] = set()
    for root in sorted(edges):
        trail: list[str] = []
        stack: list[tuple[str, bool]] = [(root, True)]
        while stack:
            node, entering = stack.pop()
            if not entering:
                finished.add(trail.pop())
            elif node in trail:
                return [*trail[trail.index(node) :], node]
            elif node not in finished:
                trail.append(node)
                stack.append((node, False))
                stack.extend((following, True) for following in sorted(edges.get(node, ()), reverse=True))
    return None


# ---------------------------------------------------------------------------------- assembly


def _assemble(
    graph: Graph, specs: Mapping[str, ActorSpec], actors: Mapping[str, Actor], owned: Container[int] | None
) -> Wiring:
    paths = (*PSEUDO_PATHS, *sorted(specs))
    position = {path: index for index, path in enumerate(paths)}
    channels = tuple(sorted(graph.channels, key=_channel_order))
    leaving: dict[str, list[ChannelSpec]] = {}
    for channel in channels:
        leaving.setdefault(channel.source, []).append(channel)
    determinism = _effective_classes(specs, channels)
    shards = _shards_of(specs, channels)
    return Wiring(
        name=graph.name,
        tick=graph.tick,
        paths=paths,
        position=position,
        actors=[actors.get(path) for path in paths],
        specs=tuple(specs.get(path) for path in paths),
        routes=tuple(
            _routes(specs[path], actors[path], leaving.get(path, ()), position) if path in actors else {}
            for path in paths
        ),
        channels=channels,
        determinism=tuple(determinism[path] for path in paths),
        shards=tuple(shards[path] for path in paths),
        semantic=hashlib.sha256(rfc8785.dumps(semantic_form(graph.tick, specs.values(), channels))).digest(),
        here=tuple(owned is None or shards[path] in owned for path in paths),
    )


def _routes(
    spec: ActorSpec, actor: Actor, channels: Iterable[ChannelSpec], position: Mapping[str, int]
) -> dict[str, Route]:
    groups: dict[str, dict[tuple[int, str], list[int]]] = {name: {} for name in spec.cls.declaration.outputs}
    for channel in channels:
        target = position[channel.target]
        receiver = ~target if channel.lane == "emergency" else target
        groups[channel.output].setdefault((channel.delay, channel.input), []).append(receiver)
    return {
        name: Route(
            kind=resolve_kind(actor, output.kind),
            evidence=output.evidence,
            groups=tuple((delay, port, tuple(targets)) for (delay, port), targets in sorted(groups[name].items())),
        )
        for name, output in spec.cls.declaration.outputs.items()
    }


def _shards_of(specs: Mapping[str, ActorSpec], channels: Iterable[ChannelSpec]) -> dict[str, int]:
    """Return the shard of every path, the pseudo paths among them; each determinism class has its own."""
    return {
        path: _shard(path, specs.get(path)) + SHARDS * DETERMINISM_CLASSES.index(each)
        for path, each in _effective_classes(specs, channels).items()
    }


def _effective_classes(specs: Mapping[str, ActorSpec], channels: Iterable[ChannelSpec]) -> dict[str, Determinism]:
    rank = dict.fromkeys(PSEUDO_PATHS, 0)
    rank.update((path, DETERMINISM_CLASSES.index(spec.cls.determinism)) for path, spec in specs.items())
    leaving: dict[str, set[str]] = {}
    for channel in channels:
        leaving.setdefault(channel.source, set()).add(channel.target)
    for weakest in range(len(DETERMINISM_CLASSES) - 1, 0, -1):
        reached = [path for path in rank if rank[path] == weakest]
        while reached:
            for target in sorted(leaving.get(reached.pop(), ())):
                if rank.get(target, weakest) < weakest:
                    rank[target] = weakest
                    reached.append(target)
    return {path: DETERMINISM_CLASSES[each] for path, each in rank.items()}


def _shard(path: str, spec: ActorSpec | None) -> int:
    """Return the virtual shard of a path: the chosen one, or one by a hash that never changes."""
    if spec is not None and spec.options.shard is not None:
        return spec.options.shard
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "little") % SHARDS


def _channel_order(channel: ChannelSpec) -> tuple[Any, ...]:
    return (channel.source, channel.output, channel.target, channel.input, channel.delay, channel.key)


def resolve_kind(actor: Actor, kind: Kind) -> Kind:
    """Replace names in an array's shape by the lengths that the actor's attributes hold."""
    if not isinstance(kind, ArraySpec):
        return kind
    return replace(kind, shape=tuple(getattr(actor, n) if isinstance(n, str) else n for n in kind.shape))


def kind_name(kind: Kind) -> str:
    """Return a kind of payload as people write it."""
    if isinstance(kind, ArraySpec):
        return str(kind)
    declared = message_type(kind)
    return str(declared) if declared is not None else kind.__name__


def semantic_form(tick: Fraction, specs: Iterable[ActorSpec], channels: Iterable[ChannelSpec]) -> dict[str, Any]:
    """Return, as JSON values, all of a graph that may decide a result, and nothing else.

    Left out are names of files, backends, tolerances for faults, and parameters declared with
    `semantic=False`: changing them keeps every digest and golden.
    """
    return {
        "tick": str(tick),
        "actors": [
            {
                "path": spec.path,
                "kind": spec.kind,
                "population": issubclass(spec.cls, Population),
                "parameters": {
                    name: _plain(spec.parameters[name])
                    for name, declared in sorted(spec.cls.declaration.parameters.items())
                    if declared.semantic
                },
                "options": {name: _plain(value) for name, value in asdict(spec.options).items()},
            }
            for spec in sorted(specs, key=lambda spec: spec.path)
        ],
        "channels": [
            [
                each.source,
                each.output,
                each.target,
                each.input,
                each.delay,
                each.lane,
                _plain(each.capacity),
                each.overflow,
            ]
            for each in channels
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Resource):
        return {"sha256": value.sha256}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)  # canonical JSON has no integers beyond 53 bits
    return value
