"""`python -m bench.growth --rate 0.6 --decay 0.001`: how settings suit networks that learn MNIST-1D, before a study.

Trains a small network, a large one, and a small one behind whose first block a blueprint grows, alone: without actors,
gates or a policy. First weights and orders are those of trainers with `common = true`. Prints the accuracy on the
validation part, mean and standard error over seeds: the table by which the third study was tuned, docs/growth-study.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from neuraxis import Resource
from neuraxis.rng import Stream, stream_key
from neuraxis_morphogenesis.blueprints.catalogue import CATALOGUE
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.study.__main__ import seeds_of
from neuraxis_morphogenesis.trainer.data import DataSet, labelled
from neuraxis_morphogenesis.trainer.with_torch import numerics
from neuraxis_morphogenesis.trainer.with_torch.growth import Config
from neuraxis_morphogenesis.trainer.with_torch.hosts import Design
from neuraxis_morphogenesis.trainer.with_torch.training import Training
from neuraxis_morphogenesis.trainer.with_torch.validation import validate

DATA = Path(__file__).parents[1] / "scenarios" / "data" / "mnist1d.npz"
BATCH = 100
TRAINING_EPOCHS, BLENDING_EPOCHS = 1, 6


def main(words: Sequence[str]) -> None:
    """Train, and print a line for each network."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--seeds", default="0-9")
    parser.add_argument("--widths", type=int, nargs=2, default=(32, 73), help="of the small and of the large network")
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--budget", type=float, default=1.5e9, help="multiply-adds")
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=0.0)
    parser.add_argument("--blueprint", default="BP004", choices=CATALOGUE)
    parser.add_argument("--at", type=float, default=0.15, help="share of the budget after which it is grafted")
    parser.add_argument("--share", type=float, default=1.0, help="its learning rate, as a share of the host's")
    asked = parser.parse_args(words)
    numerics.ensure("native")
    torch.set_num_threads(1)
    data = labelled(Resource(str(DATA), hashlib.sha256(DATA.read_bytes()).hexdigest()), validation=0.2)
    small, large = asked.widths
    for name, width, blueprint in (("small", small, ""), ("large", large, ""), ("grown", small, asked.blueprint)):
        found = [_trained(data, asked, width, blueprint, seed) for seed in seeds_of(asked.seeds)]
        error = np.std(found, ddof=1) / len(found) ** 0.5 if len(found) > 1 else float("nan")
        print(f"{name:<6} {np.mean(found):.3f} ± {error:.3f}", flush=True)


def _trained(data: DataSet, asked: argparse.Namespace, width: int, blueprint: str, seed: int) -> float:
    """Return the accuracy on validation when the budget is spent."""
    design = Design(kind="mlp", shape=data.shape, classes=data.classes, width=width, depth=asked.depth)
    how = {"rate": asked.rate, "decay": asked.decay, "seed_rate_share": asked.share, "seed_warmup_epochs": 8.0}
    word = int(Stream(stream_key(seed, "", "weights")).at(0).raw(1)[0] >> np.uint64(1))
    training = Training(Config(design=design, isolation="host_learns", **how), data, seed=word)
    orders, size, epoch = Stream(stream_key(seed, "", "order")), len(data.train), 0
    born: int | None = None
    while training.macs < asked.budget:
        if blueprint and born is None and training.macs >= asked.at * asked.budget:
            born = epoch
            training.attach("block1", blueprint, CATALOGUE[blueprint].defaults(), "residual", seed=7 * seed)
            training.enter("block1", Stage.TRAINING)
        elif born is not None and epoch == born + TRAINING_EPOCHS:
            training.enter("block1", Stage.BLENDING, blend_steps=BLENDING_EPOCHS * (size // BATCH))
        elif born is not None and epoch == born + TRAINING_EPOCHS + BLENDING_EPOCHS:
            training.enter("block1", Stage.PROBATIONARY)
        for batch in orders.at(epoch).permutation(size)[: size // BATCH * BATCH].reshape(-1, BATCH):
            if training.macs < asked.budget:
                training.train(batch, progress=training.macs / asked.budget, epoch_share=BATCH / size)
        epoch += 1
    return validate(training.network, data.validation).accuracy


if __name__ == "__main__":
    main(sys.argv[1:])
