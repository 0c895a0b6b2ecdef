"""Kernels: blueprints made for a site, with first weights and digests, sealed by a checksum.

Determinism: exact.
"""

from __future__ import annotations

import hashlib
from typing import final

from msgspec import Struct

from neuraxis import message
from neuraxis.codec import decode, encode
from neuraxis_morphogenesis.blueprints.catalogue import Grant, grant
from neuraxis_morphogenesis.blueprints.errors import ArtefactCorrupt
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import BlueprintTier
from neuraxis_morphogenesis.contracts.pairs import Numbers


def kernel_name(granted: Grant, seed: int) -> str:
    """Return the name of a kernel: the same request with the same seed has the same name."""
    return f"{granted.artefact}-{seed}"


@final
@message("morphogenesis.kernel")
class Kernel(Struct, frozen=True, kw_only=True):
    """Everything that is needed to make instances: an id of the catalogue and tensors, and no code.

    Attributes:
        name: In the library.
        blueprint_id, parameters, site: What it was made of.
        tier, stage: Of the blueprint.
        seed: Of its first weights.
        weights: Its state, as safetensors.
        graph_digest: SHA-256 of the graph that `torch.export` made of it, hexadecimal.
        guard_digest: SHA-256 of what its inputs must look like, hexadecimal.
        torch_version: By which it was made.
    """

    name: str
    blueprint_id: str
    parameters: Numbers
    site: Site
    tier: BlueprintTier
    stage: int
    seed: int
    weights: bytes
    graph_digest: str
    guard_digest: str
    torch_version: str

    def granted(self, *, quarantine: bool = False) -> Grant:
        """Return the request that it answers, judged again: what is stored opens no door that is shut.

        Raises:
            BlueprintRefused: It is adversarial, or its parameters are out of range by now.
        """
        # experimental kernels were approved when they were compiled, and whoever germinates them asks again
        return grant(
            self.blueprint_id,
            self.site,
            dict(self.parameters),
            approved=(self.blueprint_id,),
            quarantine=quarantine,
        )


@final
@message("morphogenesis.sealed_kernel")
class Sealed(Struct, frozen=True):
    """A kernel as bytes, with their checksum. This is what is stored, cached and sent.

    Attributes:
        name: Of the kernel.
        checksum: SHA-256 of `data`, hexadecimal.
        data: Canonical bytes of the kernel.
    """

    name: str
    checksum: str
    data: bytes

    def opened(self) -> Kernel:
        """Return the kernel.

        Raises:
            ArtefactCorrupt: The bytes do not fit the checksum, or hold another kernel.
        """
        if hashlib.sha256(self.data).hexdigest() != self.checksum:
            raise ArtefactCorrupt(artefact=self.name, reason="its checksum does not fit")
        try:
            kernel: Kernel = decode(self.data, Kernel)
        except ValueError as error:
            raise ArtefactCorrupt(artefact=self.name, reason=str(error)) from error
        if kernel.name != self.name:
            raise ArtefactCorrupt(artefact=self.name, reason=f"it holds {kernel.name}")
        return kernel


def sealed(kernel: Kernel) -> Sealed:
    """Return a kernel as bytes with their checksum."""
    data = encode(kernel)
    return Sealed(kernel.name, hashlib.sha256(data).hexdigest(), data)
