"""From kernels to modules: a fresh instance each time, with tensors that were checked."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

import torch
from msgspec import Struct
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of

from neuraxis_morphogenesis.blueprints.errors import ArtefactCorrupt, CompilerMissing
from neuraxis_morphogenesis.blueprints.forging import Mode
from neuraxis_morphogenesis.blueprints.kernels import Kernel, Sealed
from neuraxis_morphogenesis.blueprints.with_torch import Graft, blank

CACHE_VARIABLE: Final = "NEURAXIS_CACHE"
"""Environment variable: where machine code is kept."""

COMPILED_MAX: Final = 4096
"""Modules that one process may compile."""


@final
class Factory(Struct, frozen=True):
    """Makes instances of one kernel. It keeps bytes, never a live module, so that no two grafts share anything.

    Attributes:
        sealed: The kernel, checked anew for each instance.
    """

    sealed: Sealed

    def make(self) -> Graft:
        """Return a fresh instance with the kernel's weights.

        Raises:
            ArtefactCorrupt: Bytes or tensors are not those of the kernel.
            BlueprintRefused: It is adversarial.
        """
        return instance(self.sealed.opened())


def instance(kernel: Kernel, *, quarantine: bool = False) -> Graft:
    """Return a fresh module of a kernel.

    Raises:
        ArtefactCorrupt: Its tensors do not fit the blueprint.
        BlueprintRefused: It is adversarial and this is no quarantine.
    """
    module = blank(kernel.granted(quarantine=quarantine))
    try:
        module.load_state_dict(tensors_of(kernel.weights), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise ArtefactCorrupt(artefact=kernel.name, reason=f"its tensors do not fit ({error})") from error
    return module


def machine_code(
    module: torch.nn.Module, cache: str, *, dynamic: bool = False
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a module compiled by `torch.compile`, as a whole; when it is first called.

    Machine code is kept in a folder for this torch and this instruction set; inside, torch keys it by graph.
    Such a folder is as trusted as the programs of its owner: it is made private, and never sent anywhere.

    Args:
        module: What to compile; its parameters are shared with the result.
        cache: Folder above those of all versions; empty for `NEURAXIS_CACHE`, or `~/.cache/neuraxis`.
        dynamic: Whether it is for batches of any size, or for one shape.

    Determinism: machine.
    """
    folder = code_folder(cache)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # torch reads its environment when it compiles; one process compiles for one torch and one processor
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    # all blueprints share one `forward`, and torch counts what it compiles by that function
    config = importlib.import_module("torch._dynamo.config")
    for name in ("recompile_limit", "accumulated_recompile_limit"):
        setattr(config, name, max(getattr(config, name), COMPILED_MAX))
    # modules are small: starting a pool of helpers takes longer than compiling
    setattr(importlib.import_module("torch._inductor.config"), "compile_threads", 1)  # noqa: B010 - untyped
    # who asks twice for gradients, as the monitor of isolation does, must find what the first time needed
    setattr(importlib.import_module("torch._functorch.config"), "donated_buffer", False)  # noqa: B010 - untyped
    compiled: Callable[[torch.Tensor], torch.Tensor] = torch.compile(module, fullgraph=True, dynamic=dynamic)
    return compiled


def require_compiler() -> None:
    """Make sure that `torch.compile` can work here.

    Raises:
        CompilerMissing: It finds no compiler of C++.
    """
    builder = importlib.import_module("torch._inductor.cpp_builder")
    problem = importlib.import_module("torch._inductor.exc").InvalidCxxCompiler
    try:
        builder.get_cpp_compiler()
    except problem as error:
        raise CompilerMissing(reason=str(error).split("\n")[0]) from error


def code_folder(cache: str) -> Path:
    """Return the folder of machine code for this torch and this processor."""
    root = cache or os.environ.get(CACHE_VARIABLE) or str(Path.home() / ".cache" / "neuraxis")
    return Path(root) / "blueprints" / f"torch-{torch.__version__}-{torch.backends.cpu.get_cpu_capability()}"


def runnable(module: Graft, mode: Mode, cache: str = "") -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what runs a module in the mode that the scenario pins: never compiled only if it happens to be ready."""
    return machine_code(module, cache) if mode == "compiled" else module
