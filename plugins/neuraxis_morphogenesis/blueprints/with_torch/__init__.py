"""The modules of all blueprints, and the way to a fresh one.

graft           identity at start, views of a site, weights from a stream
pointwise       one place at a time
convolutions    neighbouring places
attention       places, channels, neighbours, memory
experimental    experts, flows, search, fast weights, recursion
adversarial     for the quarantined process alone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from neuraxis_morphogenesis.blueprints.with_torch import attention, convolutions, experimental, pointwise
from neuraxis_morphogenesis.blueprints.with_torch.graft import Graft, initialise

if TYPE_CHECKING:
    from neuraxis_morphogenesis.blueprints.catalogue import Grant

__all__ = ["MODULES", "Graft", "blank", "build"]

_SAFE: Final[tuple[type[Graft], ...]] = (
    pointwise.IdentityPassthrough,
    pointwise.LinearProjection,
    pointwise.LayerNormBasic,
    pointwise.DropoutLight,
    pointwise.ReluActivation,
    pointwise.BatchNorm1d,
    convolutions.PoolingMax,
    pointwise.SkipConnection,
    convolutions.ResidualBlock,
    convolutions.ConcatFusion,
    pointwise.GeluActivation,
    pointwise.LayerScaling,
    convolutions.GroupedConv,
    pointwise.HighwayGate,
    convolutions.DepthwiseSeparable,
    attention.SqueezeExcitation,
    attention.ChannelAttention,
    convolutions.SpatialAttention,
    attention.CrossAttention,
    attention.AttentionSingleHead,
    pointwise.FeedforwardGated,
    attention.MultiHeadAttention4,
    attention.TransformerBlock,
    attention.ConvTransformer,
    convolutions.DynamicConv,
    convolutions.AdaptivePooling,
    convolutions.FeaturePyramid,
    convolutions.DenseConnection,
    attention.MultiHeadAttention8,
    attention.GraphAttention,
    convolutions.TemporalConv,
    convolutions.DilatedConv,
    convolutions.DeformableConv,
    attention.NonLocalBlock,
    attention.LearnedPositional,
    experimental.MixtureOfExperts4,
    attention.HierarchicalAttention,
    attention.MemoryAugmented,
    experimental.NeuralOdeBlock,
    experimental.DifferentiableNas,
    experimental.MetaLearningLayer,
    experimental.RecursiveProcessing,
)

_ADVERSARIAL: Final = (
    "ExplodingGradient",
    "VanishingGradient",
    "NanInjection",
    "InfiniteLoop",
    "MemoryLeak",
    "DeadlockPattern",
    "RaceCondition",
    "AdversarialNoise",
)

MODULES: Final[dict[str, type[Graft]]] = {f"BP{number:03}": kind for number, kind in enumerate(_SAFE, start=1)}
"""Classes by id, without the adversarial ones."""


def build(granted: Grant, *, seed: int) -> Graft:
    """Return a fresh module of a blueprint, the identity at its start.

    torch's own random state is left as it was.

    Args:
        granted: What `catalogue.grant` allowed. Adversarial blueprints are granted in quarantine alone.
        seed: From a named stream of whoever asks.

    Determinism: exact (weights); computing with it is of class machine.
    """
    module = blank(granted)
    initialise(module, seed=seed, name=granted.artefact)
    return module


def blank(granted: Grant) -> Graft:
    """Return a module of a blueprint whose weights are still to be given. torch's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        return _class_of(granted.blueprint_id)(granted.site, **dict(granted.parameters))


def _class_of(blueprint_id: str) -> type[Graft]:
    if blueprint_id in MODULES:
        return MODULES[blueprint_id]
    from neuraxis_morphogenesis.blueprints.with_torch import adversarial  # blocks, spins and leaks: never by default

    return getattr(adversarial, _ADVERSARIAL[int(blueprint_id[2:]) - 43])
