"""Blueprints, and the kernels that are made of them."""

from __future__ import annotations

from typing import final

from msgspec import Struct

from neuraxis import message
from neuraxis_morphogenesis.contracts.enums import BlueprintTier


@final
@message("morphogenesis.parameter_bounds")
class ParameterBounds(Struct, frozen=True, kw_only=True):
    """What a parameter may be, both ends included."""

    min_value: float = 0.0
    max_value: float = 0.0


@final
@message("morphogenesis.blueprint_descriptor")
class BlueprintDescriptor(Struct, frozen=True, kw_only=True):
    """An entry of the catalogue.

    Attributes:
        blueprint_id: Names it, `BP009`.
        name: For people.
        tier: How far it is trusted.
        allowed_parameters: Bounds by parameter, in the order of the names.
        risk: From 0 to 1.
        stage: Stage of the curriculum in which it may first be used; not of a life.
        quarantine_only: It runs only in a process of its own, and never in a host.
        approval_required: Somebody must have approved it by name.
        description: For people.
    """

    blueprint_id: str = ""
    name: str = ""
    tier: BlueprintTier = BlueprintTier.UNSPECIFIED
    allowed_parameters: tuple[tuple[str, ParameterBounds], ...] = ()
    risk: float = 0.0
    stage: int = 0
    quarantine_only: bool = False
    approval_required: bool = False
    description: str = ""


@final
@message("morphogenesis.kernel_prefetch_request")
class KernelPrefetchRequest(Struct, frozen=True, kw_only=True):
    """Asks for a kernel ahead of its use.

    Attributes:
        request_id: Names the request; its answer carries it.
        blueprint_id: What is wanted.
        training_run_id: For which training.
        issued_at_ns: Model time, nanosecond; wall time under the live clock.
    """

    request_id: str = ""
    blueprint_id: str = ""
    training_run_id: str = ""
    issued_at_ns: int = 0


@final
@message("morphogenesis.kernel_artifact_ready")
class KernelArtifactReady(Struct, frozen=True, kw_only=True):
    """A kernel can be fetched.

    Attributes:
        request_id: The request.
        blueprint_id: What was wanted.
        artifact_ref: Where it lies.
        checksum: SHA-256 of its bytes, hexadecimal.
        guard_digest: SHA-256 of what its inputs must look like, hexadecimal.
        prewarm_p50_ms, prewarm_p95_ms: How long its first runs took.
    """

    request_id: str = ""
    blueprint_id: str = ""
    artifact_ref: str = ""
    checksum: str = ""
    guard_digest: str = ""
    prewarm_p50_ms: float = 0.0
    prewarm_p95_ms: float = 0.0


@final
@message("morphogenesis.kernel_artifact_error")
class KernelArtifactError(Struct, frozen=True, kw_only=True):
    """A kernel cannot be had.

    Attributes:
        request_id: The request.
        blueprint_id: What was wanted.
        reason: Why not.
    """

    request_id: str = ""
    blueprint_id: str = ""
    reason: str = ""


@final
@message("morphogenesis.kernel_catalog_update")
class KernelCatalogUpdate(Struct, frozen=True, kw_only=True):
    """A kernel was made.

    Attributes:
        blueprint_id: Of what.
        artifact_ref: Where it lies.
        checksum: SHA-256 of its bytes, hexadecimal.
        guard_digest: SHA-256 of what its inputs must look like, hexadecimal.
        compile_ms, prewarm_ms: How long it took.
    """

    blueprint_id: str = ""
    artifact_ref: str = ""
    checksum: str = ""
    guard_digest: str = ""
    compile_ms: float = 0.0
    prewarm_ms: float = 0.0
