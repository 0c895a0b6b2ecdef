"""The catalogue: fifty blueprints with their tiers, risks, stages and parameter ranges, and who may have which.

It describes and judges; it makes nothing. `with_torch.build` makes modules of what was granted here.

Determinism: exact.
Source: reference table of templates (docs/blueprints.md).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, final

from msgspec import Struct

from neuraxis.errors import suggestion
from neuraxis_morphogenesis.blueprints.errors import BlueprintRefused, BlueprintUnknown
from neuraxis_morphogenesis.blueprints.site import Layout, Site
from neuraxis_morphogenesis.contracts import BlueprintDescriptor, BlueprintTier, ParameterBounds, pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

ANYWHERE: Final[tuple[Layout, ...]] = ("features", "sequence", "map")
NOT_CAUSAL: Final[tuple[Layout, ...]] = ("features", "map")
"""Layouts of modules that look at all places at once, which a causal sequence forbids."""


@final
class Range(Struct, frozen=True):
    """What a parameter of a blueprint may be: `low` to `high`, both inclusive."""

    low: float
    high: float
    default: float
    is_whole: bool

    def fits(self, value: float) -> bool:
        """Return whether `value` is finite, in the range, and whole where it must be."""
        return math.isfinite(value) and self.low <= value <= self.high and (not self.is_whole or value == int(value))


@final
class Blueprint(Struct, frozen=True):
    """One entry of the catalogue.

    Attributes:
        blueprint_id: `BP001` … `BP050`.
        name: Its name.
        tier: `SAFE`, `EXPERIMENTAL` (needs approval) or `HIGH_RISK` (quarantine only).
        risk: 0 to 1.
        stage: Curriculum stage, 0 to 6; not a stage of life.
        ranges: Parameters by name.
        layouts: Where it fits.
        description: What it computes, in a sentence.
    """

    blueprint_id: str
    name: str
    tier: BlueprintTier
    risk: float
    stage: int
    ranges: dict[str, Range]
    layouts: tuple[Layout, ...]
    description: str

    @property
    def approval_required(self) -> bool:
        """Whether a person must have approved it."""
        return self.tier is not BlueprintTier.SAFE

    @property
    def quarantine_only(self) -> bool:
        """Whether it may only run in the quarantined process."""
        return self.tier is BlueprintTier.HIGH_RISK

    def defaults(self) -> dict[str, float]:
        """Return the parameters that a request without any gets."""
        return {name: each.default for name, each in self.ranges.items()}


def _whole(low: int, high: int, default: int) -> Range:
    return Range(low, high, default, True)


def _real(low: float, high: float, default: float) -> Range:
    return Range(low, high, default, False)


def _entry(
    number: int,
    name: str,
    risk: float,
    stage: int,
    description: str,
    layouts: tuple[Layout, ...] = ANYWHERE,
    **ranges: Range,
) -> Blueprint:
    tier = BlueprintTier.SAFE if number <= 35 else BlueprintTier.EXPERIMENTAL
    tier = BlueprintTier.HIGH_RISK if number >= 43 else tier
    return Blueprint(f"BP{number:03}", name, tier, risk, stage, ranges, layouts, description)


_ENTRIES: Final = (
    _entry(1, "identity_passthrough", 0.0, 0, "returns its input; has no parameters"),
    _entry(2, "linear_projection", 0.1, 0, "a linear map of the channels", scale=_real(0.5, 2, 1)),
    _entry(3, "layer_norm_basic", 0.1, 0, "layer norm of the channels", epsilon=_real(1e-6, 1e-3, 1e-5)),
    _entry(4, "dropout_light", 0.2, 0, "a hidden layer with dropout", dropout=_real(0, 0.4, 0.2)),
    _entry(5, "relu_activation", 0.1, 0, "rectified channels above learned thresholds"),
    _entry(6, "batch_norm_1d", 0.2, 0, "batch norm of the channels", NOT_CAUSAL, momentum=_real(0.5, 0.99, 0.9)),
    _entry(7, "pooling_max", 0.2, 0, "maximum over neighbouring places", kernel=_whole(2, 5, 3)),
    _entry(8, "skip_connection", 0.2, 1, "a random projection around the site, gated by channel"),
    _entry(9, "residual_block", 0.3, 1, "normalised local layers in residual steps", depth=_whole(1, 4, 2)),
    _entry(10, "concat_fusion", 0.3, 1, "parallel local branches, fused", branches=_whole(2, 4, 2)),
    _entry(11, "gelu_activation", 0.2, 1, "GELU of channels with learned slopes"),
    _entry(12, "layer_scaling", 0.3, 1, "one factor for each channel", scale=_real(0.8, 1.2, 1)),
    _entry(13, "grouped_conv", 0.4, 1, "convolution in groups of channels", groups=_whole(2, 8, 4)),
    _entry(14, "highway_gate", 0.4, 1, "a transform behind a transform gate", gate_bias=_real(-3, 3, -1)),
    _entry(15, "depthwise_separable", 0.4, 2, "depthwise, then pointwise convolution", kernel=_whole(3, 7, 3)),
    _entry(16, "squeeze_excitation", 0.4, 2, "channels rescaled by their means", reduction=_whole(4, 16, 4)),
    _entry(17, "channel_attention", 0.4, 2, "channels attend to channels", NOT_CAUSAL, heads=_whole(1, 4, 2)),
    _entry(18, "spatial_attention", 0.4, 2, "places rescaled by their neighbourhood", radius=_whole(1, 3, 2)),
    _entry(19, "cross_attention", 0.5, 2, "places attend to a learned context", heads=_whole(2, 4, 2)),
    _entry(20, "attention_single_head", 0.5, 2, "one head over a window", sequence_length=_whole(16, 256, 64)),
    _entry(21, "feedforward_gated", 0.5, 2, "gated feed-forward layer (SwiGLU)", hidden_multiple=_real(2, 6, 2)),
    _entry(22, "multi_head_attention_4", 0.5, 3, "scaled dot-product attention", heads=_whole(4, 6, 4)),
    _entry(23, "transformer_block", 0.5, 3, "attention and feed-forward layers", layers=_whole(1, 6, 1)),
    _entry(24, "conv_transformer", 0.5, 3, "convolution before attention", kernel=_whole(3, 11, 5)),
    _entry(25, "dynamic_conv", 0.5, 3, "kernels mixed anew at every place", experts=_whole(2, 8, 4)),
    _entry(26, "adaptive_pooling", 0.5, 3, "a coarse view, spread out again", NOT_CAUSAL, output_size=_whole(4, 16, 8)),
    _entry(27, "feature_pyramid", 0.5, 3, "views at several scales, summed", NOT_CAUSAL, levels=_whole(3, 5, 3)),
    _entry(28, "dense_connection", 0.5, 3, "each layer sees all before it", growth_rate=_whole(8, 48, 16)),
    _entry(29, "multi_head_attention_8", 0.5, 4, "attention that fades with distance", heads=_whole(8, 10, 8)),
    _entry(30, "graph_attention", 0.5, 4, "attention along the grid's edges", hops=_whole(1, 3, 2)),
    _entry(31, "temporal_conv", 0.5, 4, "gated causal convolution", ("features", "sequence"), dilation=_whole(1, 5, 2)),
    _entry(32, "dilated_conv", 0.5, 4, "near and far convolution side by side", dilation=_whole(1, 8, 2)),
    _entry(33, "deformable_conv", 0.5, 4, "samples where it looks", NOT_CAUSAL, offset_groups=_whole(1, 4, 1)),
    _entry(34, "non_local_block", 0.5, 4, "dot products within a window, no softmax", window=_whole(4, 16, 8)),
    _entry(35, "learned_positional", 0.5, 4, "a learned wave over places", frequency=_real(0.1, 1, 0.5)),
    _entry(
        36,
        "mixture_of_experts_4",
        0.7,
        5,
        "two experts for each place, of limited capacity",
        experts=_whole(4, 8, 4),
        capacity=_real(1, 2, 1.5),
    ),
    _entry(37, "hierarchical_attention", 0.7, 5, "attention to ever coarser blocks", levels=_whole(2, 4, 2)),
    _entry(38, "memory_augmented", 0.8, 5, "reads a memory by content", memory_slots=_whole(32, 128, 32)),
    _entry(39, "neural_ode_block", 0.8, 5, "integrates a learned flow", steps=_whole(1, 10, 4)),
    _entry(40, "differentiable_nas", 0.8, 5, "a soft choice of operations", temperature=_real(0.5, 2, 1)),
    _entry(41, "meta_learning_layer", 0.8, 5, "fast weights for the sample", NOT_CAUSAL, adapt_steps=_whole(1, 5, 2)),
    _entry(42, "recursive_processing", 0.8, 5, "one gated cell, applied to itself", depth=_whole(2, 6, 3)),
    _entry(43, "exploding_gradient", 0.9, 6, "gradients grow with every layer", scale=_real(5, 20, 10)),
    _entry(44, "vanishing_gradient", 0.9, 6, "gradients shrink with every layer", decay=_real(0, 0.1, 0.05)),
    _entry(45, "nan_injection", 1.0, 6, "puts no-numbers into its output", frequency=_real(0.01, 0.1, 0.05)),
    _entry(46, "infinite_loop", 1.0, 6, "a loop that never ends once it learned", iterations=_whole(1000, 10000, 2000)),
    _entry(47, "memory_leak", 1.0, 6, "keeps every activation for ever", growth_rate=_real(1, 5, 2)),
    _entry(48, "deadlock_pattern", 1.0, 6, "threads that wait for each other's locks", threads=_whole(2, 16, 2)),
    _entry(49, "race_condition", 0.9, 6, "threads that add without a lock", window_ns=_whole(10, 1000, 100)),
    _entry(50, "adversarial_noise", 0.9, 6, "noise against its own weights", epsilon=_real(0.1, 1, 0.5)),
)

CATALOGUE: Final[Mapping[str, Blueprint]] = {each.blueprint_id: each for each in _ENTRIES}
"""All fifty, by id, in order."""

CONSERVATIVE: Final = tuple(f"BP{number:03}" for number in range(1, 11))
"""What may be germinated in conservative mode."""


@final
class Grant(Struct, frozen=True):
    """A request that was granted: a blueprint, with all its parameters, for a site."""

    blueprint_id: str
    parameters: tuple[tuple[str, float], ...]
    site: Site

    @property
    def artefact(self) -> str:
        """Name in the library: the same request has the same name."""
        words = ",".join(f"{name}={value!r}" for name, value in self.parameters)
        text = f"{self.blueprint_id};{words};{self.site}"
        return f"{self.blueprint_id}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def described(blueprint_id: str) -> Blueprint:
    """Return the entry of that id.

    Raises:
        BlueprintUnknown: There is none.
    """
    try:
        return CATALOGUE[blueprint_id]
    except KeyError:
        raise BlueprintUnknown(blueprint_id=blueprint_id) from None


def grant(
    blueprint_id: str,
    site: Site,
    parameters: Mapping[str, float] | None = None,
    *,
    approved: Iterable[str] = (),
    quarantine: bool = False,
) -> Grant:
    """Judge a request for a blueprint by its id. Every way to a module leads through here.

    Args:
        blueprint_id: Which.
        site: Where it is to sit.
        parameters: All of its parameters, or None for the defaults.
        approved: Ids that a person approved; `EXPERIMENTAL` ones need it.
        quarantine: True only in the quarantined process, where `HIGH_RISK` ones may run.

    Raises:
        BlueprintUnknown: There is no such blueprint.
        BlueprintRefused: Tier, approval, site or parameters forbid it.
    """
    entry = described(blueprint_id)
    if entry.quarantine_only and not quarantine:
        _refuse(entry, "it is adversarial", "Examine it with blueprints.quarantine; it is never grafted.")
    if entry.tier is BlueprintTier.EXPERIMENTAL and blueprint_id not in tuple(approved):
        _refuse(entry, "it is experimental and was not approved", "Add its id to `approved`.")
    if site.layout not in entry.layouts:
        _refuse(entry, f"it does not fit a site of {site}", f"It takes {', '.join(entry.layouts)}.")
    values = entry.defaults() if parameters is None else dict(parameters)
    if set(values) != set(entry.ranges):
        wrong = sorted(set(values) ^ set(entry.ranges))[0]
        _refuse(entry, f"parameter {wrong!r} is missing or unknown", suggestion(wrong, entry.ranges))
    for name, allowed in entry.ranges.items():
        if not allowed.fits(values[name]):
            kind = "a whole number" if allowed.is_whole else "a number"
            _refuse(entry, f"{name} = {values[name]!r}", f"Write {kind} from {allowed.low:g} to {allowed.high:g}.")
    return Grant(blueprint_id, tuple((name, float(values[name])) for name in entry.ranges), site)


def pool(
    site: Site | None = None,
    *,
    tier: BlueprintTier | None = None,
    approved: Iterable[str] = (),
    conservative: bool = False,
) -> tuple[Blueprint, ...]:
    """Return what may be grafted, sorted by id; adversarial blueprints never are.

    Args:
        site: Only what fits there.
        tier: Only of this tier.
        approved: Experimental ids that a person approved.
        conservative: Only the first ten safe ones.
    """
    allowed = frozenset(approved)
    return tuple(
        entry
        for entry in CATALOGUE.values()
        if not entry.quarantine_only
        and (not entry.approval_required or entry.blueprint_id in allowed)
        and (tier is None or entry.tier is tier)
        and (site is None or site.layout in entry.layouts)
        and (not conservative or entry.blueprint_id in CONSERVATIVE)
    )


def select(candidates: tuple[Blueprint, ...], context: bytes | None = None) -> Blueprint:
    """Return one of the candidates: the first, or the one that SHA-256 of a context points at.

    Raises:
        BlueprintRefused: There is no candidate.
    """
    if not candidates:
        raise BlueprintRefused(
            blueprint_id="(any)", reason="nothing fits the request", remedy="Allow another tier, or approve more."
        )
    if context is None:
        return candidates[0]
    return candidates[int.from_bytes(hashlib.sha256(context).digest()[:4], "big") % len(candidates)]


def descriptor(entry: Blueprint) -> BlueprintDescriptor:
    """Return an entry as a message of the contracts."""
    bounds = {name: ParameterBounds(min_value=each.low, max_value=each.high) for name, each in entry.ranges.items()}
    return BlueprintDescriptor(
        blueprint_id=entry.blueprint_id,
        name=entry.name,
        tier=entry.tier,
        allowed_parameters=pairs(bounds),
        risk=entry.risk,
        stage=entry.stage,
        quarantine_only=entry.quarantine_only,
        approval_required=entry.approval_required,
        description=entry.description,
    )


def _refuse(entry: Blueprint, reason: str, remedy: str) -> None:
    raise BlueprintRefused(blueprint_id=entry.blueprint_id, reason=reason, remedy=remedy)
