"""A NIR file as an actor: spikes in, spikes out."""

from __future__ import annotations

from collections.abc import Mapping

from neuraxis import Context, Inbox, Input, Output, Resource, on_inbox, on_start, on_timer, parameter, state
from neuraxis.errors import suggestion
from neuraxis_snn.actors import EngineActor
from neuraxis_snn.nir_graphs.errors import NirUnusable
from neuraxis_snn.nir_graphs.reading import read_nir
from neuraxis_snn.spikes import NO_SPIKES, Spikes


class NirNeurons(EngineActor):
    """The network of a NIR file. It computes all steps of a tick at once, every tick.

    Spikes of the output leave `lag` steps after their time in the graph; see `nir_graphs.reading`.
    Determinism: exact.
    """

    file: Resource = parameter(Resource, help="the NIR file")
    dt: float = parameter(float, "0.1 ms", unit="ms", help="step; a whole fraction of a tick")
    precision: str = parameter(str, "float32", choices=("float32", "float64"), help="of states and weights")
    cycles: str = parameter(
        str, "refuse", choices=("refuse", "one-step"), help="what to do with cycles that have too little delay"
    )
    entry: str = parameter(str, "", help="the input of the graph where spikes come in, if it has several")
    exit: str = parameter(str, "", help="the output of the graph whose spikes leave, if it has several")

    spikes_in = Input(Spikes, "spikes on the lines of the input, with steps counted from the start of the tick")
    spikes = Output(Spikes, "spikes of the output in this tick")
    came: int = state(0)
    spiked: int = state(0)

    def setup(self) -> None:
        """Read the file, and make its network."""
        made = read_nir(
            self.file.path,
            dt=f"{self.dt!r} ms",
            precision=self.precision,  # type: ignore[arg-type]
            cycles=self.cycles,  # type: ignore[arg-type]
        )
        self._entry = self._one(self.entry, made.inputs, "entry")
        outlet = made.outputs[self._one(self.exit, made.outputs, "exit")]
        if not outlet.spikes:
            self._refuse(outlet.population, "it never spikes", "Choose an output of neurons that spike.")
        self._population, self.lag = outlet.population, outlet.lag
        self.engine = made.build(self.backend)

    def _one(self, name: str, known: Mapping[str, object], parameter: str) -> str:
        """Return the door of that name, or the only one."""
        if name and name not in known:
            self._refuse(name, f"the graph has no such {parameter}", suggestion(name, known))
        if not name and len(known) > 1:
            self._refuse("", f"the graph has {len(known)} doors", f"Write {parameter} = one of {', '.join(known)}.")
        return name or next(iter(known))

    def _refuse(self, node: str, reason: str, remedy: str) -> None:
        raise NirUnusable(graph=self.file.path, node=node, kind="door", reason=reason, remedy=remedy)

    @on_start
    def begin(self, context: Context) -> None:
        """Compute every tick."""
        context.wake(1, "tick")

    @on_timer("tick")
    def go_on(self, context: Context) -> None:
        """Be there in the next tick too, with or without mail."""
        context.wake(1, "tick")

    @on_inbox
    def compute(self, context: Context, inbox: Inbox) -> None:
        """Compute the steps of this tick."""
        given = inbox.payloads("spikes_in")
        spikes = given[0] if len(given) == 1 else Spikes.of(pair for each in given for pair in each.pairs())
        self.came += len(spikes)
        found = self.engine.advance(self.steps(context), {self._entry: spikes if given else NO_SPIKES})
        fired = found[self._population]
        self.spiked += len(fired)
        if len(fired):
            context.send("spikes", fired)

    def figures(self) -> Mapping[str, int]:
        """How many spikes came, how many left, and how many steps these are late."""
        return {"came": self.came, "spikes": self.spiked, "lag": self.lag}
