"""Export to Neo: what Elephant computes from it equals what we compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuraxis.errors import UsageInvalid
from neuraxis_snn import statistics
from neuraxis_snn.export_neo import Signals, to_neo, write_neo
from neuraxis_snn.statistics import Trains

neo = pytest.importorskip("neo", reason="needs the extra neo")
pq = pytest.importorskip("quantities", reason="needs the extra neo")

SIZE, UNTIL, SKIP = 12, 2_000.0, 200.0


@pytest.fixture
def trains() -> Trains:
    fired = np.random.default_rng(6).random((20_000, SIZE)) < np.linspace(0.0005, 0.004, SIZE)
    fired[:, 3] = False
    steps, who = np.nonzero(fired)
    return Trains.of(steps * 0.1, who, size=SIZE, until_ms=UNTIL, skip_ms=SKIP)


def signals(*, times: np.ndarray | None = None, unit: str = "mV") -> Signals:
    at = np.arange(1, 51) * 0.1 if times is None else times
    return Signals(at, np.arange(len(at) * 4.0).reshape(len(at), 2, 2), ("v", "w"), (unit, ""), (3, 7))


def test_every_neuron_is_a_train_with_units_and_span(trains: Trains) -> None:
    (segment,) = to_neo({"spikes": trains}, name="net").segments
    assert len(segment.spiketrains) == SIZE
    for neuron, train in enumerate(segment.spiketrains):
        assert train.rescale("ms").magnitude.tolist() == trains.train(neuron).tolist()
        assert (train.t_start, train.t_stop) == (SKIP * pq.ms, UNTIL * pq.ms)
        assert (train.annotations["actor"], train.annotations["neuron"]) == ("spikes", neuron)
    assert len(segment.spiketrains[3]) == 0


def test_even_samples_are_an_analog_signal_and_others_are_not(trains: Trains) -> None:
    odd = signals(times=np.array([1.0, 2.0, 4.0]))
    (segment,) = to_neo({"spikes": trains}, {"even": signals(), "odd": odd}).segments
    v, w = segment.analogsignals
    assert (v.name, v.units, w.units) == ("even/v", 1.0 * pq.mV, 1.0 * pq.dimensionless)
    assert v.t_start.rescale("ms").magnitude == pytest.approx(0.1)
    assert v.sampling_period.rescale("ms").magnitude == pytest.approx(0.1)
    assert v.magnitude.tolist() == signals().values[:, 0].tolist()
    assert v.array_annotations["neuron"].tolist() == [3, 7]
    assert segment.irregularlysampledsignals[0].times.rescale("ms").magnitude.tolist() == [1.0, 2.0, 4.0]


def test_a_unit_that_does_not_exist_is_refused(trains: Trains) -> None:
    with pytest.raises(UsageInvalid, match="no unit 'millivolt-ish'"):
        to_neo({"spikes": trains}, {"states": signals(unit="millivolt-ish")})


def test_a_file_is_read_back_as_it_was_written(trains: Trains, tmp_path: Path) -> None:
    pytest.importorskip("nixio", reason="needs the extra neo")
    path = tmp_path / "spikes.nix"
    for _ in range(2):  # the second replaces the first
        write_neo(path, {"spikes": trains}, {"states": signals()}, name="net")
    with neo.io.NixIO(str(path), "ro") as file:
        (block,) = file.read_all_blocks()
    assert block.name == "net"
    (segment,) = block.segments
    found = {train.name: train.rescale("ms").magnitude.tolist() for train in segment.spiketrains}
    assert found == {f"spikes/{neuron}": trains.train(neuron).tolist() for neuron in range(SIZE)}
    assert segment.analogsignals[0].magnitude.tolist() == signals().values[:, 0].tolist()


@pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity")  # Elephant 1.2.1 still passes it
def test_elephant_computes_from_the_export_what_we_compute(trains: Trains) -> None:
    es = pytest.importorskip("elephant.statistics", reason="needs Elephant")
    from elephant.conversion import BinnedSpikeTrain
    from elephant.spike_train_correlation import correlation_coefficient

    (segment,) = to_neo({"spikes": trains}).segments
    exported = list(segment.spiketrains)
    rates = [float(es.mean_firing_rate(each).rescale("Hz")) for each in exported]
    assert rates == pytest.approx(statistics.rates(trains).tolist())
    gaps = [es.isi(each) for each in exported]
    enough = [each for each in gaps if len(each) >= statistics.INTERVALS_LEAST]
    assert len(enough) > 5
    assert np.mean([es.cv(each) for each in enough]) == pytest.approx(statistics.cv(trains))
    assert np.mean([es.cv2(each) for each in enough]) == pytest.approx(statistics.cv2(trains))
    assert np.mean([es.lvr(each, R=5 * pq.ms) for each in enough]) == pytest.approx(statistics.lvr(trains))
    binned = BinnedSpikeTrain(exported, bin_size=5 * pq.ms)
    counts = binned.to_array().sum(axis=0)
    assert counts.tolist() == statistics.counts(trains).tolist()
    assert counts.var() / counts.mean() == pytest.approx(statistics.fano(trains))
    spiking = BinnedSpikeTrain([each for each in exported if len(each)], bin_size=5 * pq.ms)
    table = correlation_coefficient(spiking)
    assert table[np.triu_indices(len(table), 1)] == pytest.approx(statistics.correlations(trains))


def test_a_run_is_exported_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("nixio", reason="needs the extra neo")
    from neuraxis import Simulation
    from neuraxis.inspection import inspect_run, write_files

    root = Path(__file__).parents[2]
    with Simulation.from_scenario(root / "scenarios" / "raster.toml", backend="numpy", folder=tmp_path / "run") as sim:
        sim.advance(until="200 ms").snapshot()
        seen = sim.figures()["raster.spikes"]
    found = inspect_run(tmp_path / "run", "spikes").found
    write_files(found, "spikes", {"neo": tmp_path / "spikes.nix"})
    with neo.io.NixIO(str(tmp_path / "spikes.nix"), "ro") as file:
        (block,) = file.read_all_blocks()
    assert sum(len(train) for train in block.segments[0].spiketrains) == seen > 0
