"""What actors of published networks do alike: build, compute, count, send spikes, and compare."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from neuraxis import Context, Output, on_start, on_timer, parameter, state
from neuraxis_snn.actors import EngineActor
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.plots import ACCENT, COLOURS, picture
from neuraxis_snn.published.claims import beside, missed
from neuraxis_snn.published.tally import Group, Tally
from neuraxis_snn.spikes import Spikes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuraxis import Chart
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.network import Network
    from neuraxis_snn.published.claims import Claim

WORD: Final = 0xFFFFFFFF


class PublishedNetwork(EngineActor):
    """Base of actors that compute a published network.

    It draws the network at tick 0, from its stream `network`, and computes every tick from 1 on: a run until 2 s is
    2 s of the model. Its spikes leave in one message a tick, numbered through all recorded populations.

    Attributes:
        seed: Two words from which the network was drawn, empty before the start.
        tally: What was counted.
    """

    groups_shown: ClassVar[int] = len(COLOURS)

    dt: float = parameter(float, "0.1 ms", unit="ms", help="step; a whole fraction of a tick")
    precision: str = parameter(str, "float64", choices=("float32", "float64"), help="of states and weights")
    skip: float = parameter(float, "200 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    spikes = Output(Spikes, "spikes of all neurons in this tick")
    seed: list[int] = state(factory=list)
    tally: Tally

    # ------------------------------------------------------------------ what a network supplies

    @abstractmethod
    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network that the parameters describe, drawn from a seed."""

    @abstractmethod
    def groups(self) -> tuple[Group, ...]:
        """Return the groups of neurons whose statistics are told: together all neurons that are recorded."""

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Set what differs from neuron to neuron at the start."""

    def claims(self) -> Sequence[Claim]:
        """Return what is published of this network as it is parametrised."""
        return ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """Return our figures by name."""
        found: dict[str, float | int | str | None] = {}
        for name in self.tally.groups:
            found |= {f"rate_{name}_hz": self.tally.rate(name), f"cv_{name}": self.tally.cv(name)}
        return found

    # --------------------------------------------------------------------------------- running

    def setup(self) -> None:
        """Check what can be checked; nothing is drawn yet."""
        skip = self.skip / self.dt
        if abs(skip - round(skip)) > 1e-9:
            reason = f"{self.skip:g} ms are {skip:g} steps of {self.dt:g} ms"
            raise NetworkInvalid(subject="skip", reason=reason, remedy="Use a multiple of the step.")
        self.tally = Tally(self.groups(), dt_ms=self.dt, skip=round(skip))

    @on_start
    def start(self, context: Context) -> None:
        """Draw the network."""
        word = int(context.stream("network").raw(1)[0])
        self.seed = [word & WORD, word >> 32]
        self._build()
        self.seed_noise(context)
        self.begin(self.engine, (self.seed[0], self.seed[1]))
        context.wake(1, "tick")

    @on_timer("tick")
    def go_on(self, context: Context) -> None:
        """Compute a tick."""
        if self.goes_on(context):
            context.wake(1, "tick")
        steps = self.steps(context)
        fired = self.advance(context, steps)
        self.tally.add(steps, fired)
        if len(fired):
            context.send("spikes", fired)

    def goes_on(self, context: Context) -> bool:
        """Say whether there is more to compute after this tick. `context` is for networks with an end of their own."""
        return True

    def advance(self, context: Context, steps: int) -> Spikes:
        """Compute steps, and return the spikes. `context` is for networks that do more than run on."""
        return self.joined(self.engine.advance(steps))

    def joined(self, found: Mapping[str, Spikes]) -> Spikes:
        """Return the spikes of recorded populations as those of one, numbered through."""
        if len(found) == 1:
            return next(iter(found.values()))
        steps = np.concatenate([each.steps for each in found.values()])
        neurons = np.concatenate([each.neurons + self._offsets[name] for name, each in found.items()])
        order = np.lexsort((neurons, steps))
        return Spikes(steps[order], neurons[order].astype(np.int32))

    def _build(self) -> None:
        network = self.network((self.seed[0], self.seed[1]))
        self.engine = self.backend.build(network)
        self._offsets, total = {}, 0
        for each in network.populations.values():
            if each.model is not None and each.record:
                self._offsets[each.name] = total
                total += each.size

    # --------------------------------------------------------------------------------- telling

    def figures(self) -> Mapping[str, float | int | str | None]:
        """Our figures, beside each what is published, and how many published figures are missed."""
        measured: Mapping[str, float | int | str | None] = self.measured()
        found: dict[str, float | int | str | None] = {}
        claims = self.claims()
        published = {each.figure: each.told for each in claims}
        for name, value in measured.items():
            found[name] = value
            if name in published:
                found[f"{name}_published"] = published[name]
        return {**found, "missed": missed(claims, measured)}

    def charts(self) -> Iterable[Chart]:
        """The table beside the publication, and the rate over time."""
        claims = self.claims()
        return [*([beside(claims, self.measured())] if claims else []), self._rate_chart()]

    def _rate_chart(self) -> Chart:
        def draw(figure: Any) -> None:
            axes = figure.subplots()
            for colour, name in zip((*COLOURS[:1], ACCENT, *COLOURS[2:]), self.tally.groups, strict=False):
                edges, rate = self.tally.over_time(name)
                axes.stairs(rate, edges, color=colour, label=name)
            axes.set(xlabel="time (ms)", ylabel="rate (Hz)", ylim=(0, None))
            axes.legend(frameon=False)

        width = self.tally.coarse_steps * self.dt
        caption = f"Mean rate of a neuron in bins of {width:g} ms, from the beginning."
        return picture("Rate over time", caption, draw, size=(9, 3))

    # ----------------------------------------------------------------------------------- state

    def capture(self) -> dict[str, Any]:
        """Return the state, with what the engine remembers and what was counted."""
        if not self.seed:
            return super(EngineActor, self).capture()
        return {**super().capture(), "tally": self.tally.capture()}

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state; the network is drawn again from its seed."""
        rest = dict(captured)
        if not rest["seed"]:
            super(EngineActor, self).restore(rest)
            return
        tally = rest.pop("tally")
        self.seed = list(rest["seed"])
        self._build()
        super().restore(rest)
        self.tally.restore(tally)
