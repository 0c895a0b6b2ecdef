"""Monitors: what they count is what happened, their memory does not grow, and they change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuraxis import Actor, Context, Graph, Output, Simulation, codec, on_start, on_timer, parameter
from neuraxis.errors import ActorFailed, ScenarioInvalid
from neuraxis.testing import ActorSuite
from neuraxis_snn import MODELS, PAIR_STDP, Network, Spikes, sampling, statistics
from neuraxis_snn.actors import EngineActor, Neurons
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.monitors import SpikeMonitor, StateMonitor, WeightMonitor
from neuraxis_snn.sampling import Samples, Weights
from neuraxis_snn.spike_monitor import WAITING_MAX
from neuraxis_snn.statistics import Trains
from neuraxis_snn.watched import WatchedNeurons

SIZE, STEPS = 20, 10


class Chatter(Actor):
    """Sends random spikes of 20 neurons, ten steps a tick, in nine of ten ticks."""

    chance: float = parameter(float, 0.01)
    spikes = Output(Spikes)

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(1, "tick")

    @on_timer("tick")
    def chat(self, context: Context) -> None:
        context.wake(1, "tick")
        fired = context.stream("spikes").random(STEPS * SIZE).reshape(STEPS, SIZE) < self.chance
        if context.tick % 10:
            steps, neurons = np.nonzero(fired)
            context.send("spikes", Spikes(steps.astype(np.int32), neurons.astype(np.int32)))


class Learner(EngineActor):
    """A plastic projection whose weights are sent every tick."""

    dt: float = parameter(float, "1 ms", unit="ms")
    weights = Output(Weights)

    def setup(self) -> None:
        network = Network(dt="1 ms")
        network.inputs("lines", 6)
        network.population("cells", 3, MODELS["lif_delta"], rest="-70 mV", reset="-70 mV", threshold="-69 mV")
        network.connect(
            "lines",
            "cells",
            MODELS["lif_delta"].inputs[0],
            weights=np.full((6, 3), 0.5),
            delay=0,
            rule=PAIR_STDP,
            w_max=1.0,
        )
        self.engine = self.backend.build(network)

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(1, "tick")

    @on_timer("tick")
    def learn(self, context: Context) -> None:
        context.wake(1, "tick")
        fired = context.stream("spikes").random(6 * 5).reshape(5, 6) < 0.3
        steps, lines = np.nonzero(fired)
        given = Spikes(steps.astype(np.int32), lines.astype(np.int32))
        self.engine.advance(5, {"lines": given})
        (name,) = self.engine.network.projections
        context.send("weights", sampling.weigh(self.engine, name, bins=8))


def chatting(**parameters: Any) -> Graph:
    graph = Graph("chat", tick="1 ms")
    graph.add("chatter", Chatter)
    graph.add("monitor", SpikeMonitor, size=SIZE, dt="0.1 ms", **parameters)
    graph.connect("chatter.spikes", "monitor.spikes")
    return graph


def monitor_after(ticks: int, graph: Graph) -> SpikeMonitor:
    with Simulation(graph, seed=3) as sim:
        found = sim.advance(ticks=ticks).actor("monitor")
        assert isinstance(found, SpikeMonitor)
        found.capture()  # counts what waits
        return found


def state_bytes(actor: Actor) -> int:
    return len(codec.pack(actor.capture()))


# ------------------------------------------------------------------------------------- spikes


@pytest.mark.parametrize("skip", [0, 137])
def test_what_is_counted_on_the_way_is_what_all_spikes_together_give(skip: int) -> None:
    monitor = monitor_after(1_001, chatting(skip=skip))
    kept = monitor.trains()
    assert len(kept) == monitor.seen > 1_000
    assert kept.end == pytest.approx(1_000)
    whole = Trains.of(kept.times, kept.neurons, size=SIZE, until_ms=1_000, skip_ms=float(skip))
    told, wanted = monitor.summary(), statistics.summary(whole)
    assert told == {name: pytest.approx(wanted[name]) for name in told}
    assert monitor.rates() == pytest.approx(statistics.rates(whole))
    _, lengths = statistics.intervals(whole)
    assert monitor.intervals.sum() == len(lengths)
    assert monitor.intervals[:3].tolist() == [(np.rint(lengths * 10) == n).sum() for n in (1, 2, 3)]


def test_the_first_step_of_the_first_tick_lies_at_zero() -> None:
    graph = Graph("g", tick="1 ms")
    graph.add("monitor", SpikeMonitor, size=4, dt="0.1 ms")
    with Simulation(graph) as sim:
        sim.advance(ticks=1)
        sim.inject("monitor.spikes", Spikes.of([(0, 1), (7, 2)]))
        sim.advance(ticks=3)
        monitor = sim.actor("monitor")
        assert isinstance(monitor, SpikeMonitor)
        kept = monitor.trains()
        assert (kept.times.tolist(), kept.neurons.tolist()) == ([0.0, pytest.approx(0.7)], [1, 2])
        assert (kept.begin, kept.end) == (0.0, pytest.approx(3.0))
        assert sim.figures()["monitor.rate_hz"] == pytest.approx(2 / 4 / 0.003)


def test_a_channel_with_a_longer_delay_shifts_nothing() -> None:
    quick = monitor_after(101, chatting())
    slow_graph = Graph("chat", tick="1 ms")
    slow_graph.add("chatter", Chatter)
    slow_graph.add("monitor", SpikeMonitor, size=SIZE, dt="0.1 ms")
    slow_graph.connect("chatter.spikes", "monitor.spikes", delay=4)
    slow = monitor_after(104, slow_graph)
    assert slow.until == quick.until == 100
    assert slow.summary() == quick.summary()
    assert slow.trains().times.tolist() == quick.trains().times.tolist()


def test_the_newest_spikes_are_kept_and_the_others_counted() -> None:
    everything, few = monitor_after(300, chatting()), monitor_after(300, chatting(keep=50))
    assert few.summary() == everything.summary()
    kept = few.trains()
    assert len(kept) == 50
    whole = everything.trains()
    newest = np.sort(whole.times)[-50:]
    assert np.sort(kept.times) == pytest.approx(newest)
    assert kept.begin == pytest.approx(newest[0])


def test_only_spikes_in_the_window_are_kept() -> None:
    monitor = monitor_after(300, chatting(window="20 ms"))
    kept = monitor.trains()
    assert (kept.begin, kept.end) == (pytest.approx(279), pytest.approx(299))
    assert 0 < len(kept) < monitor.seen
    assert kept.times.min() >= 279


def test_a_monitor_may_keep_no_spikes_and_still_count() -> None:
    monitor = monitor_after(300, chatting(keep=0))
    assert monitor.summary() == monitor_after(300, chatting()).summary()
    assert len(monitor.trains()) == 0
    assert all(chart.picture for chart in monitor.charts())


def test_the_course_covers_the_whole_run_however_long() -> None:
    monitor = monitor_after(3_001, chatting(keep=10))
    assert monitor.course_ticks == 8
    assert monitor.course.sum() == monitor.seen
    titles = [chart.title for chart in monitor.charts()]
    assert titles == ["Spikes", "Rate", "Intervals", "Rates"]


def test_the_memory_of_a_spike_monitor_does_not_grow_with_the_run() -> None:
    with Simulation(chatting(keep=200), seed=3) as sim:
        monitor = sim.advance(ticks=100).actor("monitor")
        assert isinstance(monitor, SpikeMonitor)
        before = state_bytes(monitor)
        for _ in range(60):
            sim.advance(ticks=100)
            assert monitor._waiting_count <= WAITING_MAX + STEPS * SIZE
        assert sim.figures()["monitor.spikes"] > WAITING_MAX
        assert state_bytes(monitor) <= before + 40  # digits of counters
        assert before < 200 * 12 + SIZE * 32 + 7 * 1024 + 600


def test_looking_at_a_monitor_changes_nothing() -> None:
    with Simulation(chatting(), seed=3) as often, Simulation(chatting(), seed=3) as once:
        for _ in range(90):
            often.advance(ticks=1).figures()
        one, other = often.actor("monitor"), once.advance(ticks=90).actor("monitor")
        assert codec.pack(one.capture()) == codec.pack(other.capture())


def test_silence_is_time_too() -> None:
    graph = Graph("g", tick="1 ms")
    graph.add("monitor", SpikeMonitor, size=4, dt="0.1 ms")
    with Simulation(graph) as sim:
        sim.advance(ticks=1).inject("monitor.spikes", Spikes.of([(0, 1)]))
        assert sim.advance(ticks=1_000).figures()["monitor.rate_hz"] == pytest.approx(1 / 4)
        assert sim.figures()["monitor.fano"] == pytest.approx(1 - 1 / 200)


@pytest.mark.parametrize(
    ("spikes", "complaint"),
    [
        (Spikes.of([(0, 4)]), "not of one of 4 neurons"),
        (Spikes.of([(10, 0)]), "10 steps of a tick"),
        (Spikes(np.array([3, 1], np.int32), np.array([0, 0], np.int32)), "not in order"),
    ],
)
def test_spikes_that_cannot_be_are_refused_with_the_remedy(spikes: Spikes, complaint: str) -> None:
    graph = Graph("g", tick="1 ms")
    graph.add("monitor", SpikeMonitor, size=4, dt="0.1 ms")
    with Simulation(graph) as sim:
        sim.advance(ticks=1).inject("monitor.spikes", spikes)
        with pytest.raises(ActorFailed, match=complaint):
            sim.advance(ticks=1)


def test_spikes_that_come_too_late_are_refused() -> None:
    graph = Graph("g", tick="1 ms")
    graph.add("quick", Chatter)
    graph.add("slow", Chatter)
    graph.add("monitor", SpikeMonitor, size=SIZE, dt="0.1 ms")
    graph.connect("quick.spikes", "monitor.spikes")
    graph.connect("slow.spikes", "monitor.spikes", delay=3)
    with Simulation(graph) as sim, pytest.raises(ActorFailed, match="one delay"):
        sim.advance(ticks=20)


def test_bins_that_are_no_whole_steps_are_a_mistake_of_the_graph() -> None:
    graph = Graph("g", tick="1 ms")
    graph.add("monitor", SpikeMonitor, size=4, dt="0.1 ms", bin="0.25 ms")
    with pytest.raises(ScenarioInvalid, match="whole number of steps"):
        Simulation(graph)


# ------------------------------------------------------------------------------------- states


def watched(kind: type[Neurons] = WatchedNeurons, **parameters: Any) -> Graph:
    graph = Graph("watched", tick="1 ms")
    graph.add("chatter", Chatter)
    common = {"size": SIZE, "lines": SIZE, "weight": 90.0, "dt": "0.1 ms", "chance": 0.2, "among": 5.0}
    graph.add("neurons", kind, backend=NumpyBackend(), **common, **parameters)
    graph.connect("chatter.spikes", "neurons.spikes_in")
    graph.add("spikes", SpikeMonitor, size=SIZE, dt="0.1 ms", keep=500)
    graph.connect("neurons.spikes", "spikes.spikes")
    if kind is WatchedNeurons:
        graph.add("states", StateMonitor, dt="0.1 ms", keep=30, units=("mV",))
        graph.connect("neurons.samples", "states.samples")
    return graph


def test_watching_neurons_changes_no_spike() -> None:
    found = []
    for kind, parameters in ((Neurons, {}), (WatchedNeurons, {"watched": (0, 3), "every": "0.3 ms"})):
        with Simulation(watched(kind, **parameters), seed=5) as sim:
            monitor = sim.advance(ticks=60).actor("spikes")
            assert isinstance(monitor, SpikeMonitor)
            found.append(monitor.trains())
    assert len(found[0]) > 20
    assert found[0].times.tolist() == found[1].times.tolist()
    assert found[0].neurons.tolist() == found[1].neurons.tolist()


def test_samples_are_the_states_at_their_times() -> None:
    with Simulation(watched(watched=(0, 3), every="1 ms"), seed=5) as sim:
        for tick in range(1, 12):
            sim.advance(ticks=1)
            neurons, monitor = sim.actor("neurons"), sim.actor("states")
            assert isinstance(neurons, WatchedNeurons)
            assert isinstance(monitor, StateMonitor)
            before = neurons.engine.read("neurons", "v")[[0, 3]]
            sim.advance(ticks=1)  # the sample of a tick arrives in the next one
            times, values = monitor.kept()
            assert times[-1] == pytest.approx(2 * tick - 1)
            assert values[-1, 0].tolist() == before.tolist()


def test_samples_within_a_tick_lie_where_their_steps_end() -> None:
    with Simulation(watched(every="0.3 ms"), seed=5) as sim:
        monitor = sim.advance(ticks=5).actor("states")
        assert isinstance(monitor, StateMonitor)
        assert monitor.kept()[0] == pytest.approx(0.3 * np.arange(1, 14))


def test_sampling_cuts_a_run_without_changing_it() -> None:
    def network() -> Network:
        made = Network(dt="0.1 ms")
        made.inputs("lines", 4)
        made.population("cells", 4, MODELS["lif_exp"])
        made.connect("lines", "cells", "exc", weights=40.0, delay=0)
        return made

    given = {"lines": Spikes.of((step, step % 4) for step in range(0, 200, 3))}
    whole, cut = (ReferenceBackend().build(network()) for _ in range(2))
    plan = sampling.plan(cut.network, "cells", states=["v"], neurons=[1], every_ms=0.7, dt_ms=0.1)
    spikes, samples = sampling.advance_sampled(cut, 200, given, plan)
    assert spikes["cells"].pairs() == whole.advance(200, given)["cells"].pairs()
    assert samples.steps.tolist() == list(range(7, 201, 7))


def test_the_memory_of_a_state_monitor_does_not_grow_with_the_run() -> None:
    with Simulation(watched(), seed=5) as sim:
        monitor = sim.advance(ticks=50).actor("states")
        assert isinstance(monitor, StateMonitor)
        before = state_bytes(monitor)
        sim.advance(ticks=100)
        assert monitor.taken == 149
        assert len(monitor.kept()[0]) == 30
        assert state_bytes(monitor) <= before + 8
        (chart,) = monitor.charts()
        assert chart.caption == "30 of 149 samples of neuron 0."


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"states": ("volt",)}, "no state 'volt'"),
        ({"watched": (3, 1)}, "ascending"),
        ({"watched": (SIZE,)}, f"0 … {SIZE - 1}"),
        ({"every": "0.25 ms"}, "whole number of steps"),
    ],
)
def test_what_cannot_be_sampled_is_a_mistake_of_the_graph(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScenarioInvalid, match=complaint):
        Simulation(watched(**changes))


def samples(neuron: int, size: int = 1) -> Samples:
    ones = np.arange(neuron, neuron + size, dtype=np.int32)
    return Samples(("v",), ones, np.array([1], np.int32), np.zeros((1, 1, size)))


@pytest.mark.parametrize(
    ("keep", "sent", "complaint"),
    [(10, [samples(0), samples(1)], "other states or neurons"), (2**20, [samples(0, 64)], "Keep fewer samples")],
)
def test_samples_that_do_not_fit_are_refused(keep: int, sent: list[Samples], complaint: str) -> None:
    graph = Graph("g", tick="1 ms")
    graph.add("monitor", StateMonitor, keep=keep)
    with Simulation(graph) as sim:
        for each in sent:
            sim.inject("monitor.samples", each)
        with pytest.raises(ActorFailed, match=complaint):
            sim.advance(ticks=1)


# ------------------------------------------------------------------------------------ weights


def learning(**parameters: Any) -> Graph:
    graph = Graph("learning", tick="5 ms")
    graph.add("learner", Learner, backend=NumpyBackend())
    graph.add("monitor", WeightMonitor, **parameters)
    graph.connect("learner.weights", "monitor.weights")
    return graph


def test_the_weights_of_an_engine_are_weighed() -> None:
    network = Network(dt="1 ms")
    network.inputs("lines", 4)
    network.population("cells", 1, MODELS["lif_delta"])
    kind = MODELS["lif_delta"].inputs[0]
    values = np.array([[0.0], [0.25], [0.5], [1.0]])
    network.connect("lines", "cells", kind, weights=values, delay=0, rule=PAIR_STDP, w_max=1.0)
    (name,) = network.projections
    told = sampling.weigh(ReferenceBackend().build(network), name, bins=4)
    assert (told.low, told.high, told.counts.tolist()) == (0.0, 1.0, [1, 1, 1, 1])
    assert told.quantiles.tolist() == [0.0, 0.0, 0.25, 0.5, 1.0]
    assert (told.mean, told.at_low, told.at_high) == (0.4375, 1, 1)


def test_weights_that_are_all_alike_are_weighed_too() -> None:
    network = Network(dt="1 ms")
    network.inputs("lines", 3)
    network.population("cells", 1, MODELS["lif_delta"])
    network.connect("lines", "cells", MODELS["lif_delta"].inputs[0], weights=2.0, delay=0)
    (name,) = network.projections
    told = sampling.weigh(ReferenceBackend().build(network), name)
    assert (told.low, told.high, told.mean) == (2.0, 3.0, 2.0)
    assert told.counts.tolist() == [3] + [0] * 49


def test_a_weight_monitor_covers_the_whole_run_in_a_fixed_number_of_entries() -> None:
    with Simulation(learning(keep=16), seed=1) as sim:
        monitor = sim.advance(ticks=21).actor("monitor")
        assert isinstance(monitor, WeightMonitor)
        before = state_bytes(monitor)
        for _ in range(10):
            sim.advance(ticks=13)
            ticks = monitor.ticks[: monitor.rows]
            assert ticks[0] == 1
            assert len(set(np.diff(ticks).tolist())) == 1  # evenly spread
            assert monitor.rows <= 16
            assert ticks[-1] + monitor.stride > monitor.taken
        assert state_bytes(monitor) <= before + 8
        assert monitor.newest[6] == 150
        figures = sim.figures()
        assert figures["monitor.entries"] == 150
        assert figures["monitor.lowest"] <= figures["monitor.median"] <= figures["monitor.highest"]
        assert figures["monitor.lowest"] < 0.5 or figures["monitor.highest"] > 0.5  # it has learned
        assert all(chart.picture for chart in monitor.charts())


def test_weights_of_another_projection_are_refused() -> None:
    def weights(name: str) -> Weights:
        return Weights(name, 0.0, 1.0, np.ones(2, np.int64), np.zeros(5), 0.5, 0, 0)

    graph = Graph("g", tick="1 ms")
    graph.add("monitor", WeightMonitor)
    with Simulation(graph) as sim:
        sim.inject("monitor.weights", weights("a"))
        sim.inject("monitor.weights", weights("b"))
        with pytest.raises(ActorFailed, match="monitor of its own"):
            sim.advance(ticks=1)


def test_monitors_that_saw_nothing_have_figures_and_no_pictures() -> None:
    graph = Graph("g", tick="1 ms")
    graph.add("states", StateMonitor)
    graph.add("weights", WeightMonitor)
    with Simulation(graph) as sim:
        assert sim.advance(ticks=2).figures() == {"states.samples": 0, "weights.entries": 0}
        assert not [chart for _, actor in sim.actors() for chart in actor.charts()]


# --------------------------------------------------------------------------------- all actors


class TestMonitors(ActorSuite):
    """Every clause that any actor must keep, for all monitors and the watched neurons."""

    ticks = 40

    def graph(self) -> Graph:
        graph = watched(watched=(0, 2), every="0.5 ms")
        graph.add("learner", Learner, backend=NumpyBackend())
        graph.add("weights", WeightMonitor, keep=8)
        graph.connect("learner.weights", "weights.weights")
        return graph
