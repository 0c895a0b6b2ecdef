"""The suite that every backend must pass: the same bits as the reference, whatever is computed.

A plugin that offers a backend derives from it and names its backend:

    class MyBackend(BackendSuite):
        def backend(self):
            return my_package.Backend()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from neuraxis.seams.backend import Backend
from neuraxis.testing import Suite
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.encoders import poisson
from neuraxis_snn.engine import Engine
from neuraxis_snn.errors import EngineMisuse, NetworkInvalid
from neuraxis_snn.functions import ARGUMENTS
from neuraxis_snn.models import MODELS, Model
from neuraxis_snn.network import Network
from neuraxis_snn.plasticity import PAIR_STDP, REWARD_STDP, RULES, TRIPLET_STDP
from neuraxis_snn.short_term import SHORT_TERM
from neuraxis_snn.spikes import Spikes
from neuraxis_snn.upkeep import Scaling, Upkeep, capped

STEPS: Final = 160
RUNGS: Final = 6
"""Powers of ten from the weakest to the strongest input of a model about which nothing is known."""

Run = tuple[dict[str, list[tuple[int, int]]], dict[str, Any]]


def _ends(pre: int, post: int, chance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.nonzero(np.random.default_rng(seed).random((pre, post)) < chance)
    return first, second


def _volleys(lines: int, steps: int, count: int, seed: int) -> Spikes:
    rng = np.random.default_rng(seed)
    return Spikes.of(zip(rng.integers(0, steps, count).tolist(), rng.integers(0, lines, count).tolist(), strict=True))


class BackendSuite(Suite):
    """Clauses for a backend. Derive, and define `backend`."""

    def backend(self) -> Backend:
        """Return the backend under test."""
        raise AssertionError("a suite defines `backend`")

    # ------------------------------------------------------------------------------- clauses

    def test_it_has_a_name_and_fits_the_protocol(self) -> None:
        assert isinstance(self.backend(), Backend)
        assert self.backend().name

    def test_it_refuses_what_is_no_network(self) -> None:
        _expect(NetworkInvalid, lambda: self.backend().build("a network"))

    def test_currents_with_sparse_synapses_and_many_delays_give_the_bits_of_the_reference(self) -> None:
        self._agree(_currents("float32"))
        self._agree(_currents("float64"))

    def test_drives_give_the_bits_of_the_reference_on_every_step_that_a_run_may_begin_with(self) -> None:
        for cut in (1, 2, 3, 90):
            self._agree(_driven(1), _with_key, [cut, STEPS - cut])
            self._agree(_driven(5), _with_key, [cut, STEPS - cut])

    def test_many_blocks_of_neurons_with_long_and_mixed_delays_give_the_bits_of_the_reference(self) -> None:
        self._agree(_blocks(), _with_key, [7, STEPS - 7])

    def test_every_model_gives_the_bits_of_the_reference(self) -> None:
        for model in MODELS.values():
            for precision in ("float32", "float64") if _has_functions(model) else ("float32",):
                self._agree(_alone(model, precision), _stirred)

    def test_jumps_with_all_to_all_synapses_give_the_bits_of_the_reference(self) -> None:
        self._agree(_jumps())

    def test_pair_plasticity_gives_the_bits_of_the_reference(self) -> None:
        self._agree(_pairs(dense=False))
        self._agree(_pairs(dense=True))

    def test_adaptive_thresholds_with_triplet_plasticity_give_the_bits_of_the_reference(self) -> None:
        self._agree(_adaptive())

    def test_every_rule_of_plasticity_gives_the_bits_of_the_reference(self) -> None:
        for precision in ("float32", "float64"):
            network, inputs = _learning(precision)
            self._agree((network, inputs), _rewarded, [50, 30, STEPS - 80])
            engine = self.backend().build(network)
            _rewarded(engine)
            engine.advance(STEPS, inputs)
            for name, each in network.projections.items():
                if each.rule is not None:
                    assert not np.array_equal(engine.weights(name), each.weights), f"{name} learned nothing"

    def test_rewards_and_pauses_of_learning_give_the_bits_of_the_reference(self) -> None:
        network, inputs = _learning("float32", ("pair_stdp", "reward_stdp"))
        found = []
        for backend in (self.backend(), ReferenceBackend()):
            engine = backend.build(network)
            for begin in range(0, STEPS, 40):
                given = {name: _cut(each, begin, begin + 40) for name, each in inputs.items()}
                engine.advance(40, given, learning=begin != 80)
                engine.reward("reward_stdp", 0.5 * begin - 30)
            weights = {name: engine.weights(name).tobytes() for name in network.projections}
            found.append((weights, engine.counters(), engine.trace("reward_stdp", "c").tobytes()))
        assert found[0] == found[1], "weights, counters or traces differ from the reference"

    def test_every_kind_of_short_term_plasticity_gives_the_bits_of_the_reference(self) -> None:
        self._agree(_short_term("float64"), cuts=[7, 80, STEPS - 87])

    def test_every_kind_of_short_term_plasticity_gives_the_bits_of_the_reference_in_single_precision(self) -> None:
        self._agree(_short_term("float32"))

    def test_upkeep_gives_the_bits_of_the_reference_wherever_a_run_is_cut(self) -> None:
        for cuts in ([STEPS], [7, 33, STEPS - 40]):
            self._agree(_upkeep(), cuts=cuts)
        network, inputs = _upkeep()
        engine = self.backend().build(network)
        engine.advance(STEPS, inputs)
        counters = engine.counters()
        for name in ("layer.v_clips", "busy.w_capped", "busy.factor_capped", "busy.pruned", "calm.upkeep_high"):
            assert counters[name] > 0, f"{name} counted nothing, so it proves nothing"

    def test_short_term_plasticity_goes_on_while_a_network_does_not_learn(self) -> None:
        network, inputs = _short_term("float64")
        engine, other = self.backend().build(network), self.backend().build(network)
        spikes = engine.advance(STEPS, inputs)["layer"].pairs()
        assert spikes == other.advance(STEPS, inputs, learning=False)["layer"].pairs()
        assert engine.trace("tsodyks_markram", "u").tobytes() == other.trace("tsodyks_markram", "u").tobytes()
        assert engine.trace("tsodyks_markram", "u").max() > 0.3

    def test_noise_gives_the_bits_of_the_reference(self) -> None:
        network = Network(dt="1 ms")
        network.population("source", 37, MODELS["poisson"])
        network.population("other", 5, MODELS["poisson"])

        def prepare(engine: Engine) -> None:
            engine.key = (0xDEADBEEF, 7)
            engine.write("source", "chance", poisson(np.linspace(0, 500, 37), "1 ms"))
            engine.write("other", "chance", poisson(np.full(5, 200.0), "1 ms"))

        self._agree((network, {}), prepare)

    def test_single_spikes_come_when_they_are_due(self) -> None:
        network = Network(dt="1 ms")
        network.population("source", 4, MODELS["timed"])
        engine = self.backend().build(network)
        engine.write("source", "wait", np.array([1, 3, -1, 8]))
        assert engine.advance(10)["source"].pairs() == [(0, 0), (2, 1), (7, 3)]

    def test_cutting_a_run_anywhere_changes_nothing(self) -> None:
        network, inputs = _adaptive()
        whole = self._run(self.backend(), network, inputs, [STEPS])
        assert whole == self._run(self.backend(), network, inputs, [1, 3, 50, 7, STEPS - 61])

    def test_a_captured_state_goes_on_in_another_engine(self) -> None:
        for network, inputs in (_pairs(dense=False), _blocks(), _currents("float64")):
            self._go_on_elsewhere(network, inputs)

    def _go_on_elsewhere(self, network: Network, inputs: dict[str, Spikes]) -> None:
        place, spikes = next(iter(inputs.items()))
        first = self.backend().build(network)
        begun = first.advance(60, {place: _cut(spikes, 0, 60)})
        second = self.backend().build(network)
        second.restore(first.capture())
        after = [engine.advance(100, {place: _cut(spikes, 60, STEPS)}) for engine in (first, second)]
        assert begun, "populations are recorded"
        assert any(len(each) for each in after[0].values()), "they spike after it too"
        assert [each.pairs() for each in after[0].values()] == [each.pairs() for each in after[1].values()]

    def test_nothing_changes_its_weights_while_it_does_not_learn(self) -> None:
        network, inputs = _adaptive()
        engine = self.backend().build(network)
        before = engine.weights("inputs->layer")
        engine.advance(STEPS, inputs, learning=False)
        assert np.array_equal(before, engine.weights("inputs->layer"))
        engine.advance(STEPS, inputs)
        assert not np.array_equal(before, engine.weights("inputs->layer"))

    def test_it_refuses_spikes_that_do_not_fit(self) -> None:
        network, _ = _jumps()
        engine = self.backend().build(network)
        _expect(EngineMisuse, lambda: engine.advance(5, {"inputs": Spikes.of([(5, 0)])}))
        _expect(EngineMisuse, lambda: engine.advance(5, {"inputs": Spikes.of([(0, 99)])}))
        _expect(EngineMisuse, lambda: engine.advance(5, {"nowhere": Spikes.of([(0, 0)])}))
        twice = Spikes(np.zeros(2, np.int32), np.zeros(2, np.int32))
        _expect(EngineMisuse, lambda: engine.advance(5, {"inputs": twice}))

    # --------------------------------------------------------------------------------- parts

    def _agree(
        self,
        made: tuple[Network, dict[str, Spikes]],
        prepare: Callable[[Engine], None] = lambda _: None,
        cuts: Sequence[int] = (90, STEPS - 90),
    ) -> None:
        network, inputs = made
        mine = self._run(self.backend(), network, inputs, cuts, prepare)
        truth = self._run(ReferenceBackend(), network, inputs, cuts, prepare)
        assert any(mine[0].values()), "a network that never spikes proves nothing"
        assert mine[0] == truth[0], "spikes differ from the reference"
        different = [name for name, value in truth[1].items() if mine[1][name] != value]
        assert not different, f"the bits of {different} differ from the reference"

    def _run(
        self,
        backend: Backend,
        network: Network,
        inputs: dict[str, Spikes],
        cuts: Sequence[int],
        prepare: Callable[[Engine], None] = lambda _: None,
    ) -> Run:
        engine = backend.build(network)
        prepare(engine)
        spikes: dict[str, list[tuple[int, int]]] = {}
        begin = 0
        for steps in cuts:
            given = {name: _cut(each, begin, begin + steps) for name, each in inputs.items()}
            for name, found in engine.advance(steps, given).items():
                spikes.setdefault(name, []).extend((step + begin, neuron) for step, neuron in found.pairs())
            begin += steps
        return spikes, {name: array.tobytes() for name, array in engine.capture()["arrays"].items()}


# --------------------------------------------------------------------------------- networks


def _currents(precision: Any) -> tuple[Network, dict[str, Spikes]]:
    network = Network(dt="0.1 ms", precision=precision)
    network.inputs("inputs", 20)
    network.population("layer", 12, MODELS["lif_exp"], rest="-52 mV", tau_exc="3 ms")
    pre, post = _ends(20, 12, 0.5, 1)
    delays = np.random.default_rng(2).integers(0, 30, len(pre))
    weights = np.random.default_rng(3).uniform(2, 14, len(pre))
    network.connect("inputs", "layer", "exc", weights=weights, pre=pre, post=post, delay=delays)
    pre, post = _ends(12, 12, 0.3, 4)
    network.connect("layer", "layer", "inh", weights=-3.0, pre=pre, post=post, delay="0.8 ms")
    return network, {"inputs": _volleys(20, STEPS, 200, 5)}


def _driven(delay: int) -> tuple[Network, dict[str, Spikes]]:
    network = Network(dt="0.1 ms")
    network.population("layer", 30, MODELS["lif_delta"], threshold="-65 mV", reset="-70 mV")
    network.population("other", 7, MODELS["lif_exp"], threshold="-69 mV", reset="-70 mV")
    network.drive("layer", "input", rate="20 kHz", weight=0.5)
    network.drive("layer", "input", rate="3 kHz", weight=-0.25, name="calm")
    network.drive("other", "exc", rate="9 kHz", weight=0.5)
    pre, post = _ends(30, 30, 0.2, 1)
    network.connect("layer", "layer", "input", weights=-0.5, pre=pre, post=post, delay=delay)
    pre, post = _ends(30, 7, 0.5, 2)
    network.connect("layer", "other", "inh", weights=-0.25, pre=pre, post=post, delay=delay + 1)
    return network, {}


def _blocks() -> tuple[Network, dict[str, Spikes]]:
    network = Network(dt="0.1 ms")
    network.inputs("inputs", 300)
    network.population("layer", 600, MODELS["lif_exp"], rest="-52 mV", tau_exc="3 ms")
    pre, post = _ends(300, 600, 0.05, 1)
    network.connect("inputs", "layer", "exc", weights=14.0, pre=pre, post=post, delay=pre % 40)
    pre, post = _ends(600, 600, 0.01, 2)
    weights = np.random.default_rng(3).uniform(0, 4, len(pre))
    network.connect("layer", "layer", "exc", weights=weights, pre=pre, post=post, delay="2.5 ms")
    network.connect("layer", "layer", "inh", weights=-2.0, pre=post, post=pre, delay=20 + post % 9, name="back")
    return network, {"inputs": _volleys(300, STEPS, 1500, 4)}


def _alone(model: Model, precision: Any) -> tuple[Network, dict[str, Spikes]]:
    """Return neurons of one model, whatever its units are: what arrives is weak at some and strong at others."""
    network = Network(dt="0.1 ms", precision=precision)
    network.inputs("inputs", 10)
    network.population(model.name, RUNGS * 3, model)
    strengths = np.repeat(10.0 ** np.arange(-1, RUNGS - 1), 3)
    for number, input in enumerate(model.inputs):
        weights = np.random.default_rng(number).uniform(0, 1, (10, len(strengths))) * strengths
        network.connect("inputs", model.name, input, weights=weights, delay=0, name=input)
    return network, {"inputs": _volleys(10, STEPS, 300, 9)}


def _stirred(engine: Engine) -> None:
    """Set the key of the noise, and the states of models that take no input: without it, sources do nothing."""
    engine.key = (0xDEADBEEF, 7)
    for each in engine.network.populations.values():
        if each.model is not None and not each.model.inputs:
            for state in each.model.states:
                engine.write(each.name, state, 10.0 ** (np.arange(each.size) % 8))


def _has_functions(model: Model) -> bool:
    return any(f"{name}(" in model.update for name in ARGUMENTS)


def _with_key(engine: Engine) -> None:
    engine.key = (0xDEADBEEF, 7)


def _jumps() -> tuple[Network, dict[str, Spikes]]:
    network = Network(dt="0.5 ms", precision="float64")
    network.inputs("inputs", 10)
    network.population("layer", 9, MODELS["lif_delta"])
    network.connect("inputs", "layer", "input", weights=np.random.default_rng(1).uniform(-1, 9, (10, 9)), delay=0)
    return network, {"inputs": _volleys(10, STEPS, 150, 2)}


def _pairs(*, dense: bool) -> tuple[Network, dict[str, Spikes]]:
    network = Network(dt="1 ms", precision="float64")
    network.inputs("inputs", 15)
    network.population("layer", 6, MODELS["lif_delta"], threshold="-62 mV", reset="-70 mV")
    pre, post = (None, None) if dense else _ends(15, 6, 0.6, 1)
    shape = (15, 6) if pre is None else len(pre)
    weights = np.random.default_rng(2).uniform(0, 1, shape)
    network.connect(
        "inputs", "layer", "input", weights=weights * 8, pre=pre, post=post, delay=2, rule=PAIR_STDP, w_max=8.0
    )
    return network, {"inputs": _volleys(15, STEPS, 300, 3)}


def _learning(precision: Any, names: Sequence[str] = tuple(RULES)) -> tuple[Network, dict[str, Spikes]]:
    """Rules, each on synapses of its own: all from outside in single precision, some among neurons in double."""
    network = Network(dt="1 ms", precision=precision)
    network.inputs("inputs", 9)
    network.population("layer", 5, MODELS["lif_delta"], threshold="-64 mV", reset="-70 mV")
    network.connect("inputs", "layer", "input", weights=2.0, delay=0, name="push")
    rng = np.random.default_rng(8)
    for name in names:
        rule = RULES[name]
        if precision == "float32":
            weights = rng.uniform(0, 1, (9, 5))
            network.connect("inputs", "layer", "input", weights=weights, delay=1, rule=rule, name=name)
        else:
            pre, post = _ends(5, 5, 0.6, len(name))
            weights = rng.uniform(0.1, 0.3, len(pre))
            ends: dict[str, Any] = {"pre": pre, "post": post, "w_min": 0.1, "w_max": 0.3}
            network.connect("layer", "layer", "input", weights=weights, rule=rule, name=name, **ends)
    return network, {"inputs": _volleys(9, STEPS, 250, 9)}


def _rewarded(engine: Engine) -> None:
    for name, each in engine.network.projections.items():
        if each.rule is not None and each.rule.signals:
            engine.reward(name, 2.0)


def _upkeep() -> tuple[Network, dict[str, Spikes]]:
    """All kinds of upkeep, with windows that do not meet, and neurons with a cap."""
    network = Network(dt="1 ms")
    network.inputs("inputs", 9)
    model = capped(MODELS["lif_delta"], v=("-69.9 mV", "-66 mV"))
    network.population("layer", 5, model, threshold="-67 mV", reset="-70 mV")
    rng = np.random.default_rng(8)
    busy = Upkeep(
        window="20 ms",
        change_max=0.01,
        scaling=Scaling(goal="400 Hz", beta=1.0, gamma=0.01, tau="50 ms"),
        prune_below=0.3,
        synapses_max=6,
    )
    network.connect(
        "inputs",
        "layer",
        "input",
        weights=rng.uniform(0, 2, (9, 5)),
        rule=PAIR_STDP,
        upkeep=busy,
        name="busy",
        w_max=2.0,
    )
    pre, post = _ends(5, 5, 0.6, 3)
    weights = rng.uniform(0, 1, len(pre))
    ends: dict[str, Any] = {"pre": pre, "post": post}
    calm = Upkeep(window="13 ms", total=6.0, prune_below=0.1, scaling=Scaling(goal="1 kHz", beta=9.0))
    network.connect("layer", "layer", "input", weights=weights, rule=REWARD_STDP, upkeep=calm, name="calm", **ends)
    return network, {"inputs": _volleys(9, STEPS, 250, 9)}


def _short_term(precision: Any) -> tuple[Network, dict[str, Spikes]]:
    """Every kind of short-term plasticity, with delays of their own, among neurons, and with a rule besides."""
    network = Network(dt="1 ms", precision=precision)
    network.inputs("inputs", 9)
    network.population("layer", 5, MODELS["lif_delta"], threshold="-64 mV", reset="-70 mV")
    rng = np.random.default_rng(8)
    pre, post = _ends(9, 5, 0.7, 3)
    weights, delays = rng.uniform(0, 12, len(pre)), rng.integers(0, 4, len(pre))
    for name, kind in SHORT_TERM.items():
        ends: dict[str, Any] = {"pre": pre, "post": post, "delay": delays}
        network.connect("inputs", "layer", "input", weights=weights, short_term=kind, name=name, **ends)
        ends = {"w_max": 2.0, "rule": PAIR_STDP, "name": f"{name}.learns"}
        network.connect("layer", "layer", "input", weights=rng.uniform(0, 2, (5, 5)), short_term=kind, **ends)
    return network, {"inputs": _volleys(9, STEPS, 250, 9)}


def _adaptive() -> tuple[Network, dict[str, Spikes]]:
    network = Network(dt="0.5 ms")
    network.inputs("inputs", 40)
    network.population("layer", 10, MODELS["lif_adaptive"], theta_start="2 mV", theta_period="5 ms")
    network.population("partners", 10, MODELS["lif_conductance"])
    weights = np.random.default_rng(1).uniform(0, 1, (40, 10))
    network.connect("inputs", "layer", "exc", weights=weights, delay=0, rule=TRIPLET_STDP)
    each = np.arange(10)
    network.connect("layer", "partners", "exc", weights=10.4, pre=each, post=each)
    network.connect("partners", "layer", "inh", weights=17.0 * (1 - np.eye(10)))
    return network, {"inputs": _volleys(40, STEPS, 900, 2)}


def _cut(spikes: Spikes, begin: int, end: int) -> Spikes:
    inside = (spikes.steps >= begin) & (spikes.steps < end)
    return Spikes(spikes.steps[inside] - np.int32(begin), spikes.neurons[inside])


def _expect(error: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")
