"""A memory that learns as Bayes would: BCPNN between hypercolumns, in each of which one minicolumn wins.

A pattern has one of `minis` units active in each of `hypers` hypercolumns. It is learned by being shown: its units
spike as Poisson processes of 100 Hz for 100 ms, and the rule `bcpnn` between units of different hypercolumns follows.
Every pattern is shown several times, each time with some of its hypercolumns drawn anew, and never as it is.

Then weights stand still. Neurons with currents get w as weights, and as a bias the logarithm of their own probability;
a basket cell in each hypercolumn answers each spike with inhibition for all of it. A cue is 200 ms of 100 Hz; what
spikes in the last 200 ms, long after the cue, is what is recalled: in each hypercolumn the unit with the most spikes.

    completion   half of the hypercolumns are cued
    distortion   all are, a quarter of them wrongly
    rivalry      half are cued as in one pattern, half as in another; one of both is to win everywhere
    prototype    all are cued as in one of the showings; what is recalled is the pattern behind them

Sources: Lansner & Ekeberg, Int. J. Neural Syst. 1 (1989); the rule: Tully, Hennig & Lansner, Front. Synaptic
Neurosci. 6:8 (2014); these tests: Ravichandran, Lansner & Herman (2024), with images and a layer of 3,000 units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neuraxis import parameter, state
from neuraxis_snn.connect import fixed_out_degree
from neuraxis_snn.encoders import poisson
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.functions import functions
from neuraxis_snn.models import LIF_ALPHA, POISSON, RELAY
from neuraxis_snn.network import Network
from neuraxis_snn.plasticity import BCPNN
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.tally import Group
from neuraxis_snn.spikes import NO_SPIKES, Spikes, in_a_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis import Context
    from neuraxis.seams.backend import Backend
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision

TASKS: Final = ("completion", "distortion", "rivalry", "prototype")
"""In turn, one a recall."""

SHOWN_HZ: Final = 100.0
EPS: Final = 0.02
"""What probabilities have on top. With less, a unit that was active in a single showing is as good as one of many."""

WEIGHT_MV: Final = 0.8
"""Of a logarithm of 1."""

DRIVE_MV: Final = 15.0
PHASES_MS: Final = (50, 200, 50, 200)
"""Of a recall: inhibition for all, the cue, a pause, and what counts."""

LEARNS: Final[dict[str, Any]] = {"tau_z": "5 ms", "tau_e": "20 ms", "tau_p": "20 s", "rate_max": "100 Hz", "eps": EPS}

_SOURCE: Final = "Ravichandran et al. 2024 show it with images; the bound is ours"
_ABILITIES: Final = {
    "completion": "patterns are completed",
    "distortion": "distorted patterns are repaired",
    "rivalry": "one of two patterns wins",
    "prototype": "a showing recalls what is behind all",
}


def _claims(measure: str) -> tuple[Claim, ...]:
    """Return what is asked: of exact recalls where patterns were shown as they are, else of right hypercolumns."""
    return (
        *(Claim(f"{task}{measure}", _ABILITIES[task], _SOURCE, 0.95, 1.0) for task in TASKS),
        Claim("rate_winners_hz", "up to 100 Hz", "Ravichandran et al. 2024", None, 100.0),
        Claim("rate_neurons_hz", "about 1 Hz with 100 units in a hypercolumn", "Ravichandran et al. 2024"),
    )


def patterns(*, seed: tuple[int, int], hypers: int, minis: int, count: int, projection: int) -> np.ndarray:
    """Draw patterns: (count, hypers) int64, the active minicolumn of each hypercolumn.

    Args:
        seed: From which they are drawn.
        hypers, minis: Hypercolumns, and minicolumns in each.
        count: Patterns.
        projection: Tells sets of draws under one seed apart.
    """
    ends = fixed_out_degree(count * hypers, minis, degree=1, multapses=True, seed=seed, projection=projection)
    return ends.post[np.argsort(ends.pre, kind="stable")].astype(np.int64).reshape(count, hypers)


def distorted(prototypes: np.ndarray, minis: int, wrong: int, *, seed: tuple[int, int], projection: int) -> np.ndarray:
    """Return patterns with `wrong` of their hypercolumns drawn anew: of the shape of `prototypes`.

    Args:
        prototypes: (count, hypers) of `patterns`.
        minis: Minicolumns of a hypercolumn.
        wrong: Hypercolumns that are drawn anew; some may be drawn as they were.
        seed, projection: As for `patterns`; one more projection is drawn from, too.
    """
    count, hypers = prototypes.shape
    found = prototypes.copy()
    if wrong:
        ends = fixed_out_degree(count, hypers, degree=wrong, multapses=False, seed=seed, projection=projection)
        others = patterns(seed=seed, hypers=hypers, minis=minis, count=count, projection=projection + 1)
        found[ends.pre, ends.post] = others[ends.pre, ends.post]
    return found


def synapses(hypers: int, minis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (pre, post) of all synapses: every unit to all of the other hypercolumns."""
    of = np.arange(hypers * minis) // minis
    pre, post = np.nonzero(of[:, None] != of[None, :])
    return pre, post


def learned(
    showings: np.ndarray, minis: int, backend: Backend, *, seed: tuple[int, int], precision: Precision = "float64"
) -> tuple[np.ndarray, np.ndarray]:
    """Show patterns one after the other, each for 100 ms and 50 ms apart, and return what was learned.

    Args:
        showings: (showings, hypers) minicolumns.
        minis: Minicolumns of a hypercolumn.
        backend: On which it is computed.
        seed: Key of the noise.
        precision: Of weights and traces.

    Returns:
        Weights of `synapses` as logarithms, and the bias of each unit, ln(p + eps): float64.
    """
    hypers = showings.shape[1]
    size, each = hypers * minis, np.arange(hypers * minis)
    network = Network(dt="1 ms", precision=precision)
    network.population("shown", size, POISSON, record=False)
    network.population("units", size, RELAY, record=False)
    network.connect("shown", "units", "fire", weights=1.0, pre=each, post=each)
    pre, post = synapses(hypers, minis)
    network.connect("units", "units", "hear", weights=0.0, pre=pre, post=post, rule=BCPNN, name="among", **LEARNS)
    engine: Engine = backend.build(network)
    engine.key = seed
    for shown in showings:
        for active, steps in ((shown, 100), (None, 50)):
            engine.write("shown", "chance", poisson(_rates(active, hypers, minis), "1 ms"))
            engine.advance(steps)
    own = engine.trace("among", "pj").astype(np.float64) + EPS
    return engine.weights("among").astype(np.float64), np.asarray(functions("float64", "array")["log"](own))


def build(
    weights: np.ndarray, hypers: int, minis: int, *, dt: str = "0.5 ms", precision: Precision = "float64"
) -> Network:
    """Return the network that recalls: `cue` are Poisson sources, `quiet` is a line that silences, `neurons` answer.

    Args:
        weights: Of `learned`.
        hypers, minis: Hypercolumns, and minicolumns in each.
        dt: Step.
        precision: Of states and weights.
    """
    size, each = hypers * minis, np.arange(hypers * minis)
    network = Network(dt=dt, precision=precision)
    network.inputs("quiet", 1)
    network.population("cue", size, POISSON, record=False)
    membrane: dict[str, Any] = {
        "tau": "20 ms",
        "rest": "-70 mV",
        "reset": "-60 mV",
        "threshold": "-50 mV",
        "refractory": "5 ms",
    }
    network.population("neurons", size, LIF_ALPHA, tau_exc="5 ms", tau_inh="5 ms", **membrane)
    network.population("baskets", hypers, RELAY, record=False)
    pre, post = synapses(hypers, minis)
    network.connect("cue", "neurons", "exc", weights=25.0, pre=each, post=each)
    network.connect("neurons", "neurons", "exc", weights=WEIGHT_MV * weights, pre=pre, post=post, delay="1 ms")
    network.connect("neurons", "baskets", "fire", weights=1.0, pre=each, post=each // minis)
    network.connect("baskets", "neurons", "inh", weights=-20.0, pre=each // minis, post=each)
    network.connect("quiet", "neurons", "inh", weights=-100.0, delay=0)
    network.drive("neurons", "exc", rate="1 kHz", weight=0.5)
    return network


def begin(engine: Engine, bias: np.ndarray) -> None:
    """Give neurons their biases: `DRIVE_MV` on average.

    Args:
        engine: Of `build`.
        bias: Of `learned`.
    """
    mean = float(np.cumsum(bias)[-1]) / len(bias)  # one after the other, so the same everywhere
    engine.write("neurons", "current", DRIVE_MV + (bias - mean))


def recall(engine: Engine, cue: np.ndarray, minis: int, dt_ms: float) -> tuple[Spikes, np.ndarray]:
    """Recall from a cue, in 500 ms.

    Args:
        engine: Of `build`.
        cue: (hypers,) minicolumns; -1 where nothing is cued.
        minis: Minicolumns of a hypercolumn.
        dt_ms: Length of a step.

    Returns:
        All spikes, and the spikes of each unit in the last 200 ms: (hypers, minis).
    """
    silence, shown, pause, counted = (round(each / dt_ms) for each in PHASES_MS)
    nothing = poisson(np.zeros(1), f"{dt_ms!r} ms")[0]
    quiet = Spikes.of((step, 0) for step in range(0, silence, max(1, round(5 / dt_ms))))
    parts = []
    for steps, rates, given in (
        (silence, None, quiet),
        (shown, _rates(cue, len(cue), minis), NO_SPIKES),
        (pause + counted, None, NO_SPIKES),
    ):
        engine.write("cue", "chance", nothing if rates is None else poisson(rates, f"{dt_ms!r} ms"))
        before = engine.step
        parts.append((before, engine.advance(steps, {"quiet": given})))
    first = parts[0][0]
    fired = in_a_row([(at - first, found) for at, found in parts])["neurons"]
    late = fired.neurons[fired.steps >= silence + shown + pause]
    return fired, np.bincount(late, minlength=len(cue) * minis).reshape(len(cue), minis)


def _rates(active: np.ndarray | None, hypers: int, minis: int) -> np.ndarray:
    rates = np.zeros((hypers, minis))
    if active is not None:
        chosen = np.flatnonzero(active >= 0)
        rates[chosen, active[chosen]] = SHOWN_HZ
    return rates.reshape(-1)


class BcpnnMemory(PublishedNetwork):
    """Hypercolumns that learn patterns from distorted showings, and recall one a tick of 500 ms.

    Determinism: exact.
    """

    dt: float = parameter(float, "0.5 ms", unit="ms", help="step of recalls; a whole fraction of a tick")
    hypers: int = parameter(int, 16, at_least=2, help="hypercolumns")
    minis: int = parameter(int, 16, at_least=2, help="minicolumns in each hypercolumn")
    patterns: int = parameter(int, 16, at_least=2, help="patterns that are learned")
    showings: int = parameter(int, 8, at_least=1, help="times that each is shown")
    wrong: int = parameter(int, 3, at_least=0, help="hypercolumns that are drawn anew in each showing")
    skip: float = parameter(float, "0 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    shown: list[int] = state(factory=lambda: [0] * len(TASKS))
    exact: list[int] = state(factory=lambda: [0] * len(TASKS))
    right: list[int] = state(factory=lambda: [0] * len(TASKS))
    winning: int = state(0)

    def setup(self) -> None:
        """Check that there are hypercolumns to distort."""
        super().setup()
        if self.wrong > self.hypers:
            reason = f"{self.wrong} of {self.hypers} hypercolumns cannot be drawn anew"
            raise NetworkInvalid(subject="wrong", reason=reason, remedy="Use at most as many as there are.")

    def network(self, seed: tuple[int, int]) -> Network:
        """Learn, and return the network that recalls."""
        sizes = {"hypers": self.hypers, "minis": self.minis}
        self._prototypes = patterns(seed=seed, count=self.patterns, projection=0, **sizes)
        repeated = np.tile(self._prototypes, (self.showings, 1))
        self._showings = distorted(repeated, self.minis, self.wrong, seed=seed, projection=1)
        precision: Precision = self.precision  # type: ignore[assignment]
        weights, self._bias = learned(self._showings, self.minis, self.backend, seed=seed, precision=precision)
        return build(weights, self.hypers, self.minis, dt=f"{self.dt!r} ms", precision=precision)

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Give neurons their biases."""
        begin(engine, self._bias)

    def groups(self) -> tuple[Group, ...]:
        """All units."""
        return (Group("neurons", 0, self.hypers * self.minis),)

    def advance(self, context: Context, steps: int) -> Spikes:
        """Do the next task with a pattern drawn at random."""
        needed = round(sum(PHASES_MS) / self.dt)
        if steps != needed:
            reason = f"a tick has {steps} steps, a recall {needed}"
            raise NetworkInvalid(subject="tick", reason=reason, remedy=f"Use ticks of {sum(PHASES_MS)} ms.")
        which = (context.tick - 1) % len(TASKS)
        cue, wanted = self._task(context, TASKS[which])
        fired, counts = recall(self.engine, cue, self.minis, self.dt)
        found = np.where(counts.max(axis=1) > 0, counts.argmax(axis=1), -1)
        right = [int((found == each).sum()) for each in wanted]
        self.shown[which] += 1
        self.exact[which] += max(right) == self.hypers
        self.right[which] += max(right)
        self.winning += int(counts.max(axis=1).sum())
        return fired

    def _task(self, context: Context, task: str) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return a cue, and the patterns of which one is to be recalled."""
        first, second = context.stream("pattern").permutation(self.patterns)[:2].tolist()
        order, prototype = context.stream("hypers").permutation(self.hypers), self._prototypes[first]
        cue, some = prototype.copy(), order[: self.hypers // 2]
        if task == "completion":
            cue[some] = -1
        elif task == "distortion":
            some = order[: self.hypers // 4]
            cue[some] = context.stream("minis").integers(0, self.minis, len(some))
        elif task == "rivalry":
            cue[some] = self._prototypes[second][some]
            return cue, [prototype, self._prototypes[second]]
        else:
            showing = int(context.stream("showing").integers(0, self.showings))
            cue = self._showings[showing * self.patterns + first]
        return cue, [prototype]

    def claims(self) -> Sequence[Claim]:
        """What is asked of the tests, and what rates are published."""
        return _claims("_hypercolumns" if self.wrong else "")

    def measured(self) -> Mapping[str, float | int | str | None]:
        """The share of exact recalls and of right hypercolumns by task, and rates."""
        found: dict[str, float | int | str | None] = {}
        for which, task in enumerate(TASKS):
            shown = self.shown[which]
            found[task] = self.exact[which] / shown if shown else None
            found[f"{task}_hypercolumns"] = self.right[which] / (shown * self.hypers) if shown else None
        recalls = sum(self.shown)
        found["rate_winners_hz"] = self.winning / (recalls * self.hypers * PHASES_MS[-1] / 1000) if recalls else None
        return {**found, "rate_neurons_hz": self.tally.rate("neurons"), "recalls": recalls}
