"""Where kernels are made: a process of its own for each, with limits, and a pipe that carries no pickles.

The parent's half. The child is `python -m neuraxis_morphogenesis.blueprints.with_torch.forge`: it sets its own
limits before it loads anything, and tells how far it came. Whatever it does, it can hurt only itself, and the
parent gets a typed answer. Adversarial blueprints run here alone, with the tight limits of a quarantine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Final, Literal, final

import msgspec
from msgspec import Struct

from neuraxis_morphogenesis.blueprints.catalogue import Grant
from neuraxis_morphogenesis.blueprints.errors import ForgeFailed
from neuraxis_morphogenesis.blueprints.kernels import Sealed

Mode = Literal["eager", "compiled"]
Ending = Literal["finished", "refused", "memory", "cpu", "time", "crashed"]
"""How the child ended: by itself, with an error, or by a limit."""

CHILD: Final = "neuraxis_morphogenesis.blueprints.with_torch.forge"
FRAME_BYTES_MAX: Final = 2**30
GIB: Final = 2**30

ENVIRONMENT: Final = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CXX", "NEURAXIS_CACHE")
"""What the child sees of the environment; secrets of the parent are none of its business."""

ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
"""So that no helper outlives the child."""


@final
class Limits(Struct, frozen=True):
    """What the child may use.

    Attributes:
        memory_bytes: Address space.
        cpu_s: Processor seconds.
        wall_s: Seconds by the clock.
        file_bytes: Size of a file that it writes; None for any.
    """

    memory_bytes: int
    cpu_s: int
    wall_s: float
    file_bytes: int | None


WORKSHOP: Final = Limits(memory_bytes=16 * GIB, cpu_s=1_000, wall_s=1_000.0, file_bytes=None)
QUARANTINE: Final = Limits(memory_bytes=6 * GIB, cpu_s=60, wall_s=90.0, file_bytes=2**20)


@final
class Order(Struct, frozen=True, kw_only=True):
    """What the child is to do.

    Attributes:
        granted: The blueprint.
        name: Of the kernel.
        seed: Of its first weights.
        mode: `compiled` also makes machine code, in `cache`.
        cache: Folder of machine code.
        quarantine: Whether it may be an adversarial blueprint.
        provoke: Whether to let it learn and run on instead of making a kernel: the quarantine's examination.
        limits: What it may use.
    """

    granted: Grant
    name: str
    seed: int
    mode: Mode
    cache: str
    quarantine: bool
    provoke: bool
    limits: Limits


@final
class Frame(Struct, frozen=True, kw_only=True):
    """What the child tells: how far it came, what it found, or what it made."""

    phase: str
    facts: dict[str, float | str] = {}
    kernel: bytes = b""


@final
class Report(Struct, frozen=True):
    """What became of an order.

    Attributes:
        ending: How the child ended.
        phases: How far it came, in order.
        facts: What it measured.
        kernel: What it made, if it came that far.
        reason: What ended it, for people.
    """

    ending: Ending
    phases: tuple[str, ...]
    facts: dict[str, float | str]
    kernel: Sealed | None
    reason: str


def carry_out(order: Order) -> Report:
    """Run an order in a process of its own and wait for it, at most `limits.wall_s`.

    Never raises for what the child does.
    """
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **ONE_THREAD}
    with subprocess.Popen(
        [sys.executable, "-m", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # its own group, so that a limit ends its compilers, too
    ) as child:
        try:
            told, noise = child.communicate(msgspec.msgpack.encode(order), timeout=order.limits.wall_s)
            late = False
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            told, noise = child.communicate()
            late = True
    return _report(order, _frames(told), child.returncode, late, noise)


def forged(order: Order) -> tuple[Sealed, dict[str, float | str]]:
    """Run an order and return the kernel and what was measured.

    Raises:
        ForgeFailed: The child was refused, failed or met a limit.
    """
    report = carry_out(order)
    if report.kernel is None or report.ending != "finished":
        at = report.phases[-1] if report.phases else "the start"
        raise ForgeFailed(artefact=order.name, ending=report.ending, phase=at, reason=report.reason)
    return report.kernel, report.facts


def _frames(told: bytes) -> list[Frame]:
    frames, at = [], 0
    while at + 4 <= len(told):
        size = int.from_bytes(told[at : at + 4], "big")
        if size > FRAME_BYTES_MAX or at + 4 + size > len(told):
            break  # the child was cut off while it spoke
        try:
            frames.append(msgspec.msgpack.decode(told[at + 4 : at + 4 + size], type=Frame))
        except msgspec.MsgspecError:
            break  # what it says cannot be trusted from here on
        at += 4 + size
    return frames


def _report(order: Order, frames: list[Frame], status: int, late: bool, noise: bytes) -> Report:
    facts = {name: value for frame in frames for name, value in frame.facts.items()}
    made = next((frame.kernel for frame in frames if frame.kernel), None)
    kernel = None if made is None else Sealed(order.name, str(facts.pop("checksum", "")), made)
    reason = str(facts.pop("error", ""))
    phases = tuple(frame.phase for frame in frames)
    ending: Ending = "crashed"
    if late:
        ending, reason = "time", f"not done after {order.limits.wall_s:g} s"
    elif status == -signal.SIGXCPU:
        ending, reason = "cpu", f"used {order.limits.cpu_s} s of the processor"
    elif phases[-1:] == ("out of memory",):
        ending = "memory"
    elif phases[-1:] == ("refused",):
        ending = "refused"
    elif phases[-1:] == ("done",) and status == 0:
        ending = "finished"
    else:
        tail = noise.decode(errors="replace").strip().splitlines()[-1:]
        reason = f"status {status}: {tail[0][:300] if tail else 'no words'}"
    return Report(ending, phases, facts, kernel, reason)
