"""What is told about each block of the host: its weights, its gradient, and what it makes of a probe."""

from __future__ import annotations

import torch
from torch import Tensor

from neuraxis_morphogenesis.trainer.with_torch.gradients import count, norm
from neuraxis_morphogenesis.trainer.with_torch.training import PROBE, Training

TINY = 1e-12


def layer_metrics(training: Training) -> dict[str, float]:
    """Return metrics named `layer.i.NAME` and `activation.i.NAME` for the blocks of the host, from 0."""
    network = training.network
    network.train(False)
    found: dict[str, float] = {}
    with torch.no_grad():
        x = network.host.entry(torch.from_numpy(training.data.validation.inputs[:PROBE]))
        for number, (block, slot) in enumerate(zip(network.host.blocks, network.slots, strict=True)):
            before, x = x, block(x)
            parameters = list(block.parameters())
            weight = float(torch.stack([each.norm() for each in parameters]).norm())
            layer = {
                "gradient_norm": norm(parameters),
                "weight_norm": weight,
                "update_ratio": training.rate * norm(parameters) / (weight + TINY),
                "parameters": float(count(parameters)),
                **_distribution(x),
            }
            activation = {"norm": float(x.norm()), **_distribution(x)}
            if before.shape == x.shape:
                product = float((before * x).sum() / (before.norm() * x.norm() + TINY))
                activation |= {"similarity": product, "drift": 1 - product}
            found |= {f"layer.{number}.{name}": value for name, value in layer.items()}
            found |= {f"activation.{number}.{name}": value for name, value in activation.items()}
            x = slot(x, torch.full((len(x),), slot.alpha))
    network.train(True)
    return found


def _distribution(x: Tensor) -> dict[str, float]:
    return {
        "mean": float(x.mean()),
        "deviation": float(x.std(correction=0)),
        "dead_share": float((x == 0).to(torch.float32).mean()),
    }
