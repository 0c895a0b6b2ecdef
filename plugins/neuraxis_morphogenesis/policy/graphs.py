"""The state graph: what a policy sees, as arrays. Six kinds of nodes, twelve kinds of edges.

Every feature has a mask: what was not measured is 0 there, and nothing pretends that it was. Layers are those that
seeds sit behind; what is told about layer i comes from metrics named `layer.i.NAME`.

Determinism: exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
from msgspec import Struct

from neuraxis import message
from neuraxis_morphogenesis.blueprints.catalogue import Blueprint
from neuraxis_morphogenesis.contracts import BlueprintTier, SeedState, SystemStatePacket
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage

NODES: Final = {"layer": 12, "seed": 14, "activation": 8, "parameter": 10, "global": 16, "blueprint": 14}
"""Kinds of nodes, and how many features each has."""

EDGE_FEATURES: Final = 3
"""Strength (1), flow (alpha of the seed at its end, else 1), and distance in layers."""

RELATIONS: Final[tuple[tuple[str, str, str], ...]] = (
    ("layer", "connects", "layer"),
    ("layer", "feeds", "activation"),
    ("activation", "influences", "layer"),
    ("parameter", "tunes", "layer"),
    ("seed", "monitors", "layer"),
    ("layer", "hosts", "seed"),
    ("global", "informs", "seed"),
    ("global", "weighs", "blueprint"),
    ("blueprint", "fits", "seed"),
    ("seed", "reports", "global"),
    ("layer", "sums", "global"),
    ("blueprint", "offers", "global"),
)

PRIORS: Final = {
    "loss": (0.8, 0.3),
    "gradient_norm": (1.0, 0.5),
    "samples_per_s": (4500.0, 500.0),
    "hook_latency_ms": (12.0, 6.0),
}
"""Mean and standard deviation before anything was seen."""

EWMA: Final = 0.1
Z_MAX: Final = 5.0

GLOBAL: Final = (
    "accuracy_delta",
    "grad_conflict_rate",
    "hook_latency_ms",
    "loss_delta",
    "loss_ewma",
    "loss_volatility",
    "progress",
    "samples_per_s",
    "step_latency_ms",
)
"""Metrics of the training among the global features, beside seven of the packet itself."""

LAYER: Final = ("gradient_norm", "weight_norm", "update_ratio", "parameters", "dead_share", "mean", "deviation")
ACTIVATION: Final = ("mean", "deviation", "dead_share", "norm", "similarity", "drift")
PARAMETER: Final = ("optimizer_lr", "optimizer_momentum", "weight_decay", "warmup", "clip_norm", "parameters")


@final
@message("morphogenesis.state_graph")
class StateGraph(Struct, frozen=True, eq=False):
    """What a policy sees.

    Attributes:
        values: (nodes, features) float32 for each kind of `NODES`; 0 where it was not measured.
        masks: (nodes, features) bool for each kind: what was measured.
        edges: (2, edges) int64 for each of `RELATIONS`: from, to.
        attributes: (edges, `EDGE_FEATURES`) float32 for each of `RELATIONS`.
        seeds: Names of the slots, in the order of their nodes.
        blueprints: Ids, in the order of their nodes.
    """

    values: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...]
    edges: tuple[np.ndarray, ...]
    attributes: tuple[np.ndarray, ...]
    seeds: tuple[str, ...]
    blueprints: tuple[str, ...]

    def coverage(self) -> float:
        """Return the share of features that were measured."""
        return float(sum(int(each.sum()) for each in self.masks)) / max(1, sum(each.size for each in self.masks))


Norms = dict[str, tuple[float, float]]
"""Running mean and variance by name."""

Memory = Mapping[str, tuple[float, float, float, float]]
"""What became of blueprints: how often each was tried, mean gain, last gain, and share of culls."""


def renormed(norms: Norms, packet: SystemStatePacket) -> Norms:
    """Return running statistics after a packet (EWMA of 0.1 from `PRIORS` on)."""
    metrics = {**dict(packet.training_metrics), "loss": packet.validation_loss}
    after = dict(norms)
    for name, (mean, deviation) in PRIORS.items():
        value = metrics.get(name)
        if value is not None and math.isfinite(value):
            old, variance = norms.get(name, (mean, deviation**2))
            step = EWMA * (value - old)
            after[name] = (old + step, (1 - EWMA) * (variance + step * (value - old)))
    return after


def slots_of(packet: SystemStatePacket, slots: Sequence[str]) -> tuple[SeedState, ...]:
    """Return all seeds: those that the packet lists, and known slots that it does not, as dormant.

    A system that never grew anything lists no seed; it must still be able to begin.
    """
    listed = {seed.seed_id for seed in packet.seed_states}
    empty = (SeedState(seed_id=name, stage=Stage.DORMANT) for name in slots if name not in listed)
    return (*packet.seed_states, *empty)


def state_graph(
    packet: SystemStatePacket,
    seeds: Sequence[SeedState],
    blueprints: Sequence[Blueprint],
    *,
    norms: Norms,
    memory: Memory,
    level: int,
) -> StateGraph:
    """Return the graph of a packet.

    Args:
        packet: The training.
        seeds: From `slots_of`.
        blueprints: Candidates; with their metadata and what became of them they are the context.
        norms: From `renormed`.
        memory: By blueprint id.
        level: Of risk, 0 to 4.
    """
    metrics = dict(packet.training_metrics)
    layers = max((seed.layer_depth for seed in seeds), default=0) + 1
    rows = {
        "layer": [_layer(index, layers, seeds, metrics) for index in range(layers)],
        "seed": [_seed(seed, norms) for seed in seeds],
        "activation": [_activation(index, layers, seeds, metrics) for index in range(layers)],
        "parameter": [_parameter(metrics)],
        "global": [_global(packet, metrics, norms, level)],
        "blueprint": [_blueprint(each, memory.get(each.blueprint_id)) for each in blueprints],
    }
    tables = [_table(rows[kind], width) for kind, width in NODES.items()]
    edges, attributes = _edges(seeds, layers, len(blueprints))
    return StateGraph(
        values=tuple(values for values, _ in tables),
        masks=tuple(mask for _, mask in tables),
        edges=edges,
        attributes=attributes,
        seeds=tuple(seed.seed_id for seed in seeds),
        blueprints=tuple(each.blueprint_id for each in blueprints),
    )


# -------------------------------------------------------------------------------- features

Row = list[float | None]
"""Features of a node; None was not measured."""


def _table(rows: list[Row], width: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.zeros((len(rows), width), np.float32)
    mask = np.zeros((len(rows), width), bool)
    if rows:
        told = np.array(rows, float)  # None becomes no number
        known = np.isfinite(told)
        values[:, : told.shape[1]] = np.clip(np.where(known, told, 0.0), -100.0, 100.0)
        mask[:, : told.shape[1]] = known
    return values, mask


def _z(name: str, value: float | None, norms: Norms) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    mean, variance = norms.get(name, (PRIORS[name][0], PRIORS[name][1] ** 2))
    return max(-Z_MAX, min(Z_MAX, (value - mean) / math.sqrt(variance + 1e-12)))


def _log(value: float | None) -> float | None:
    return None if value is None or value <= 0 else math.log10(value)


def _global(packet: SystemStatePacket, metrics: Mapping[str, float], norms: Norms, level: int) -> Row:
    told: Row = [_z(name, metrics.get(name), norms) if name in PRIORS else metrics.get(name) for name in GLOBAL]
    return [
        packet.current_epoch / 100,
        packet.validation_accuracy,
        _z("loss", packet.validation_loss, norms),
        packet.training_loss,
        _z("gradient_norm", metrics.get("gradient_norm"), norms),
        level / 4,
        len(packet.seed_states) / 10,
        *told,
    ]


def _seed(seed: SeedState, norms: Norms) -> Row:
    metrics = dict(seed.metrics)
    stages = (Stage.DORMANT, Stage.GERMINATED, Stage.TRAINING, Stage.BLENDING, Stage.SHADOWING, Stage.PROBATIONARY)
    is_out = seed.stage in (Stage.CULLED, Stage.EMBARGOED, Stage.RESETTING, Stage.TERMINATED)
    return [
        *(float(seed.stage is each) for each in stages),
        float(seed.stage is Stage.FOSSILIZED),
        float(is_out),
        metrics.get("alpha"),
        _log(seed.learning_rate),
        _z("gradient_norm", seed.gradient_norm, norms) if seed.gradient_norm else None,
        seed.layer_depth / 16,
        seed.age_epochs / 50,
        metrics.get("contribution"),
    ]


def _at(seeds: Sequence[SeedState], index: int) -> list[SeedState]:
    return [seed for seed in seeds if seed.layer_depth == index]


def _alpha(seed: SeedState) -> float:
    return dict(seed.metrics).get("alpha", 0.0)


def _layer(index: int, layers: int, seeds: Sequence[SeedState], metrics: Mapping[str, float]) -> Row:
    here = _at(seeds, index)
    live = sum(Stage.GERMINATED <= seed.stage <= Stage.PROBATIONARY for seed in here)
    told: Row = [metrics.get(f"layer.{index}.{name}") for name in LAYER]
    return [index / 16, float(len(here)), float(live), float(index == 0), float(index == layers - 1), *told]


def _activation(index: int, layers: int, seeds: Sequence[SeedState], metrics: Mapping[str, float]) -> Row:
    told: Row = [metrics.get(f"activation.{index}.{name}") for name in ACTIVATION]
    return [index / layers, sum(_alpha(seed) for seed in _at(seeds, index)), *told]


def _parameter(metrics: Mapping[str, float]) -> Row:
    family = metrics.get("optimizer_family_index")
    told: Row = [_log(metrics.get(n)) if n in ("optimizer_lr", "parameters") else metrics.get(n) for n in PARAMETER]
    return [*(None if family is None else float(family == each) for each in range(4)), *told]


def _blueprint(entry: Blueprint, known: tuple[float, float, float, float] | None) -> Row:
    tiers = (BlueprintTier.SAFE, BlueprintTier.EXPERIMENTAL, BlueprintTier.HIGH_RISK)
    return [
        *(float(entry.tier is each) for each in tiers),
        entry.risk,
        entry.stage / 6,
        float(entry.approval_required),
        len(entry.ranges) / 2,
        *(float(each in entry.layouts) for each in ("features", "sequence", "map")),
        *(known if known is not None else (0.0, None, None, None)),
    ]


# ----------------------------------------------------------------------------------- edges


def _edges(
    seeds: Sequence[SeedState], layers: int, blueprints: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    line = [(index, index + 1, 1.0, 1.0) for index in range(layers - 1)]
    sits = [(index, seed.layer_depth, _alpha(seed), 0.0) for index, seed in enumerate(seeds)]
    dormant = [index for index, seed in enumerate(seeds) if seed.stage is Stage.DORMANT]
    found = {
        "connects": line,
        "feeds": [(index, index, 1.0, 0.0) for index in range(layers)],
        "influences": [(index, index, 1.0, 0.0) for index in range(layers)],
        "tunes": [(0, index, 1.0, 0.0) for index in range(layers)],
        "monitors": sits,
        "hosts": [(layer, seed, alpha, 0.0) for seed, layer, alpha, _ in sits],
        "informs": [(0, index, 1.0, 0.0) for index in range(len(seeds))],
        "reports": [(index, 0, _alpha(seed), 0.0) for index, seed in enumerate(seeds)],
        "sums": [(index, 0, 1.0, 0.0) for index in range(layers)],
    }
    each = np.arange(blueprints)
    many = {
        "weighs": (np.zeros_like(each), each),
        "fits": (np.tile(each, len(dormant)), np.repeat(dormant, blueprints)),
        "offers": (each, np.zeros_like(each)),
    }
    ends, told = [], []
    for _, name, _ in RELATIONS:
        if name in many:
            ends.append(np.array(many[name], np.int64))
            told.append(np.tile(np.array([1.0, 1.0, 0.0], np.float32), (len(many[name][0]), 1)))
        else:
            listed = found[name]
            ends.append(np.array([edge[:2] for edge in listed], np.int64).reshape(-1, 2).T.copy())
            told.append(np.array([(1.0, *edge[2:]) for edge in listed], np.float32).reshape(-1, EDGE_FEATURES))
    return tuple(ends), tuple(told)
