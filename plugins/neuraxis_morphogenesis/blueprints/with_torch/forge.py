"""The child that makes one kernel: `python -m neuraxis_morphogenesis.blueprints.with_torch.forge`.

It reads an order from its standard input and writes frames to its standard output. Limits come first; torch
is loaded under them.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from neuraxis_morphogenesis.blueprints.catalogue import Grant, described, grant
from neuraxis_morphogenesis.blueprints.forging import Frame, Limits, Order
from neuraxis_morphogenesis.blueprints.kernels import Kernel, sealed

if TYPE_CHECKING:
    import torch

BATCH = 4
BATCH_MAX = 4096
PROVOCATIONS = 16
"""Passes and steps of an examination."""


def main() -> None:
    """Carry out the order."""
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    _limit(order.limits)
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the frames
    try:
        _carry_out(order, pipe)
    except MemoryError as error:
        _tell(pipe, "out of memory", error=str(error) or "MemoryError")
    except Exception as error:  # noqa: BLE001 - this is the root of a process: it tells its parent
        memory = "allocate memory" in str(error)
        _tell(pipe, "out of memory" if memory else "refused", error=f"{type(error).__name__}: {error}"[:2000])
    pipe.close()
    sys.stderr.flush()
    os._exit(0)  # threads that an adversarial blueprint left behind must not hold the process


def _limit(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    # a second between soft and hard limit: the soft one ends it with a signal that tells why
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))


def _tell(pipe: BinaryIO, phase: str, *, kernel: bytes = b"", **facts: float | str) -> None:
    data = msgspec.msgpack.encode(Frame(phase=phase, facts=facts, kernel=kernel))
    pipe.write(len(data).to_bytes(4, "big") + data)
    pipe.flush()


def _carry_out(order: Order, pipe: BinaryIO) -> None:
    import torch

    torch.set_num_threads(1)
    from safetensors.torch import save

    from neuraxis_morphogenesis.blueprints.with_torch import build
    from neuraxis_morphogenesis.blueprints.with_torch.load import instance, machine_code

    granted = _granted_again(order)
    module = build(granted, seed=order.seed)
    _tell(pipe, "built", parameters=sum(each.numel() for each in module.parameters()))
    weights = save({name: value.contiguous() for name, value in module.state_dict().items()})
    x = torch.rand(BATCH, *granted.site.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    _require(torch.equal(module(x), x), "its output is not its input at the start")
    _tell(pipe, "identity")
    if order.provoke:
        _provoke(module, x, pipe)
        _tell(pipe, "done")
        return
    began = time.perf_counter()
    graph = _exported(module, x)
    entry = described(granted.blueprint_id)
    made = sealed(
        Kernel(
            name=order.name,
            blueprint_id=granted.blueprint_id,
            parameters=granted.parameters,
            site=granted.site,
            tier=entry.tier,
            stage=entry.stage,
            seed=order.seed,
            weights=weights,
            graph_digest=hashlib.sha256(graph.encode()).hexdigest(),
            guard_digest=hashlib.sha256(_guards(x).encode()).hexdigest(),
            torch_version=str(torch.__version__),
        )
    )
    _tell(pipe, "exported", kernel=made.data, checksum=made.checksum, export_ms=_ms_since(began))
    loaded = instance(made.opened(), quarantine=order.quarantine)
    _require(torch.equal(loaded(x), x), "what is loaded of it is not the identity")
    _tell(pipe, "loaded")
    if order.mode == "compiled":
        began = time.perf_counter()
        compiled = machine_code(module, order.cache)
        _require(torch.equal(compiled(x), x), "its compiled output is not its input at the start")
        if any(True for _ in module.parameters()):
            compiled(x).square().sum().backward()
            module.zero_grad()
        _tell(pipe, "compiled", compile_ms=_ms_since(began))
    _tell(pipe, "trained", gradient=_step(module, x))
    _tell(pipe, "done")


def _provoke(module: torch.nn.Module, x: torch.Tensor, pipe: BinaryIO) -> None:
    """Let it learn, and see what becomes of it."""
    import torch

    _tell(pipe, "trained", first_gradient=_step(module, x))
    for _ in range(PROVOCATIONS):
        y = module(x)
        gradient = _step(module, x)
    finite = bool(torch.isfinite(y).all())
    _tell(pipe, "survived", finite=float(finite), gradient=gradient, largest=float(y.abs().max()))


def _granted_again(order: Order) -> Grant:
    """Judge the order here, too: the pipe is a border."""
    granted = order.granted
    return grant(
        granted.blueprint_id,
        granted.site,
        dict(granted.parameters),
        approved=(granted.blueprint_id,),
        quarantine=order.quarantine,
    )


def _exported(module: torch.nn.Module, x: torch.Tensor) -> str:
    """Return the graph of a module as text, for any batch."""
    import torch

    batch = torch.export.Dim("batch", min=2, max=BATCH_MAX)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},))
    return str(program.graph)


def _guards(x: torch.Tensor) -> str:
    return f"batch 2-{BATCH_MAX}, shape {tuple(x.shape[1:])}, {x.dtype}, stride {x.stride()[1:]}, contiguous"


def _step(module: torch.nn.Module, x: torch.Tensor) -> float:
    """Make one step downhill from the distance to a target; return the norm of the gradient."""
    import torch

    parameters = list(module.parameters())
    if not parameters:
        return 0.0
    target = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) - 0.5
    module.zero_grad()
    (module(x) - target).square().mean().backward()
    gradients: list[Any] = [each.grad for each in parameters if each.grad is not None]
    norm = float(torch.stack([each.norm() for each in gradients]).norm())
    with torch.no_grad():
        for each in parameters:
            if each.grad is not None:
                each.sub_(0.01 * each.grad)
    return norm


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3


if __name__ == "__main__":
    main()
