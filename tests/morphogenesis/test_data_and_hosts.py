"""What trainers read, hosts of every kind, phases, rates, and the numerics profile."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from neuraxis import Graph, Resource, Simulation
from neuraxis.codec import pack
from neuraxis.errors import ExtraMissing, ScenarioInvalid
from neuraxis_morphogenesis.errors import DataUnusable, NumericsTooLate, PhaseSkipped
from neuraxis_morphogenesis.trainer.data import labelled, text
from neuraxis_morphogenesis.trainer.health import stands_out
from neuraxis_morphogenesis.trainer.phases import LEGAL, Phase, entered
from neuraxis_morphogenesis.trainer.rates import host_rate, seed_rate
from neuraxis_morphogenesis.trainer.with_torch import numerics
from tests.morphogenesis.gardener import resource

ROOT = Path(__file__).parents[2]
ADAM = {"optimiser": "adam", "rate": 0.01}
needs_torch = pytest.mark.skipif(numerics.find_spec("torch") is None, reason="torch is not installed")


def written(path: Path, **changes: np.ndarray | None) -> Resource:
    """Return a file of ten samples, with some arrays changed or left out."""
    arrays = {
        "train_inputs": np.arange(20, dtype=np.float32).reshape(10, 2),
        "train_labels": np.arange(10) % 3,
        "test_inputs": np.zeros((2, 2), np.float32),
        "test_labels": np.array([0, 2]),
        **changes,
    }
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return resource(path)


# --------------------------------------------------------------------------------------- data


def test_validation_is_the_end_of_the_training_part_and_shares_nothing_with_it(tmp_path: Path) -> None:
    data = labelled(written(tmp_path / "a.npz"), validation=0.3)
    assert data.train.inputs[:, 0].tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert data.validation.inputs[:, 0].tolist() == [14, 16, 18]
    assert len(data.test) == 2
    assert data.classes == 3


def test_pictures_of_bytes_become_numbers_from_zero_to_one(tmp_path: Path) -> None:
    pictures = np.full((10, 4, 4), 255, np.uint8)
    changes = {"train_inputs": None, "test_inputs": None, "train_images": pictures, "test_images": pictures[:2]}
    data = labelled(written(tmp_path / "a.npz", **changes), validation=0.3)
    assert data.shape == (4, 4)
    assert data.train.inputs.dtype == np.float32
    assert data.train.inputs.max() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"train_labels": None},
        {"train_labels": np.arange(9)},
        {"train_labels": np.arange(10.0)},
        {"test_inputs": np.zeros((0, 2)), "test_labels": np.zeros(0, int)},
        {"train_labels": np.array([{}] * 10, dtype=object)},
    ],
    ids=["missing", "too few", "no classes", "no test", "pickled"],
)
def test_a_file_that_is_no_such_data_is_refused_by_name(tmp_path: Path, changes: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataUnusable, match=r"a\.npz: .*train_inputs"):
        labelled(written(tmp_path / "a.npz", **changes), validation=0.3)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    for read in (lambda r: labelled(r, validation=0.3), lambda r: text(r, steps=4, validation=0.1)):
        with pytest.raises(DataUnusable, match="nowhere: it cannot be read"):
            read(Resource(str(tmp_path / "nowhere"), ""))


def test_pieces_of_a_text_ask_for_the_next_character_and_parts_do_not_overlap(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("abcd" * 30, encoding="utf-8")
    data = text(resource(path), steps=5, validation=0.2)
    assert data.classes == 4
    assert data.train.inputs[0].tolist() == [0, 1, 2, 3, 0]
    assert data.train.labels[0].tolist() == [1, 2, 3, 0, 1]
    assert [len(each) for each in (data.train, data.validation, data.test)] == [14, 4, 4]
    with pytest.raises(DataUnusable, match="shorter than 41 characters"):
        text(resource(path), steps=40, validation=0.2)


# ------------------------------------------------------------------------------ phases, rates


@pytest.mark.parametrize(("phase", "target"), list(product(get_args(Phase), get_args(Phase))))
def test_phases_follow_each_other_as_declared(phase: Phase, target: Phase) -> None:
    if target in LEGAL[phase]:
        assert entered(phase, target) == target
    else:
        with pytest.raises(PhaseSkipped, match=f"cannot go from '{phase}' to '{target}'"):
            entered(phase, target)


def test_the_hosts_rate_falls_on_a_cosine_and_the_seeds_warms_up() -> None:
    assert host_rate(1.0, 0.0) == 1
    assert host_rate(1.0, 0.5) == pytest.approx(0.505)
    assert host_rate(1.0, 1.0) == host_rate(1.0, 2.0) == pytest.approx(0.01)
    assert [seed_rate(1.0, age) for age in (0, 5, 10, 20)] == pytest.approx([0.001, 0.0505, 0.1, 0.1])
    assert seed_rate(1.0, 0, warmup=0) == pytest.approx(0.1)


def test_a_loss_stands_out_only_far_above_a_full_window() -> None:
    assert stands_out(40.0, [1.0] * 20)
    assert not stands_out(40.0, [1.0] * 19)
    assert not stands_out(11.0, [1.0] * 20)
    assert not stands_out(40.0, [20.0] * 20)
    assert not stands_out(40.0, [1.0, 30.0] * 10)


# -------------------------------------------------------------------------------------- hosts


def trained(data: Resource, **parameters: object) -> Simulation:
    from neuraxis_morphogenesis.trainer.actor import Trainer

    graph = Graph("alone", tick="1 s")
    graph.add("trainer", Trainer, data=data, numerics="native", grows=False, **parameters)
    return Simulation(graph, seed=2).advance(until=400)


@needs_torch
def test_a_host_of_convolutions_learns_digits(tmp_path: Path) -> None:
    with np.load(ROOT / "scenarios" / "data" / "mnist-part.npz") as file:
        parts = {name: file[name][:400] for name in file.files}
    np.savez(tmp_path / "digits.npz", **parts)
    sim = trained(resource(tmp_path / "digits.npz"), host="cnn", width=4, epochs=6, batch=20, **ADAM)
    figures = sim.figures()
    assert figures["trainer.test_accuracy"] > 0.4
    assert figures["trainer.epochs"] == 6


@needs_torch
def test_a_host_of_attention_learns_which_character_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the quick brown fox jumps over the lazy dog. " * 60, encoding="utf-8")
    shape = {"host": "transformer", "characters": 16, "width": 16, "depth": 1}
    sim = trained(resource(path), **shape, **ADAM, epochs=8, batch=8)
    assert sim.figures()["trainer.test_accuracy"] > 0.6


@needs_torch
def test_a_budget_of_multiply_adds_ends_the_training(few_signals: Resource) -> None:
    sim = trained(few_signals, width=8, epochs=1000, budget=3 * 400 * (40 * 8 + 64 + 80) * 5.0)
    assert sim.figures()["trainer.epochs"] == 5
    sample = 3 * (40 * 8 + 64 + 80)
    sim = trained(few_signals, width=8, epochs=1000, batch=100, budget=sample * 1234.5)
    assert sim.figures()["trainer.multiply_adds"] == sample * 1234  # the last step takes what the rest pays for
    sim = trained(few_signals, width=8, epochs=1000, batch=100, budget=sample * 1201.0)
    assert sim.figures()["trainer.multiply_adds"] == sample * 1200  # one sample is no batch


@needs_torch
def test_trainers_that_are_compared_begin_alike_and_see_the_same_order(few_signals: Resource) -> None:
    from neuraxis_morphogenesis.trainer.actor import Trainer

    for common in (True, False):
        graph = Graph("compared", tick="1 s")
        how = {"data": few_signals, "numerics": "native", "grows": False, "epochs": 3, "common": common}
        graph.add("one", Trainer, steps_per_tick=3, **how)  # the other one's epochs begin in other ticks
        graph.add("other", Trainer, steps_per_tick=8, **how)
        sim = Simulation(graph, seed=2).advance(until=100)
        assert sim.actor("one").phase == sim.actor("other").phase == "done"
        one, other = (pack(sim.actor(name).capture()["training"]) for name in ("one", "other"))
        assert (one == other) is common


@needs_torch
def test_a_host_that_does_not_fit_the_data_is_refused_before_the_first_tick(few_signals: Resource) -> None:
    with pytest.raises(ScenarioInvalid, match="host 'cnn': inputs of 1 axes are not for it"):
        trained(few_signals, host="cnn")


# ----------------------------------------------------------------------------------- numerics


@needs_torch
def test_portable_numerics_are_refused_after_torch_was_loaded_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert torch is sys.modules["torch"]
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    with pytest.raises(NumericsTooLate, match=r"Start Python with .*ONEDNN_MAX_CPU_ISA=SSE41"):
        numerics.ensure("portable")


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match="morphogenesis"):
        numerics.ensure("native")


@needs_torch
@pytest.mark.slow
def test_portable_numerics_pin_one_thread_deterministic_algorithms_and_the_instruction_set() -> None:
    words = (
        "from neuraxis_morphogenesis.trainer.with_torch import numerics; numerics.ensure('portable'); import torch;"
        "print(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),"
        "torch.backends.cpu.get_cpu_capability())"
    )
    clean = {name: value for name, value in os.environ.items() if name not in numerics.PINS}
    told = subprocess.run([sys.executable, "-c", words], env=clean, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1", "True", "DEFAULT"]
