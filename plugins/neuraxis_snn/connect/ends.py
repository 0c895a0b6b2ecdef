"""Which neurons the synapses of a projection join, and the checks that every rule shares."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import suggestion
from neuraxis_snn.connect import loops, with_numba, with_numpy
from neuraxis_snn.errors import MemoryShort, NetworkInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

By = Literal["numba", "numpy", "reference"]

NEURONS_MAX: Final = 2**31 - 1
"""Neurons of a population, and synapses of a neuron: both are counted in 31 bits."""

PROJECTIONS_MAX: Final = 2**24
"""Numbers of projections; the rest of the counter's last word says what is drawn."""

DRAWN: Final = {"sources": 0xC1, "targets": 0xC2, "weights": 0xC3, "delays": 0xC4}
"""Upper 8 bits of the counter's last word. The noise of neurons has its population there, far below."""

PIECE: Final = 1 << 16
"""Synapses that are worked on at once where they are sorted or get values: what they need stays in the cache."""

NO_SYNAPSES: Final = np.empty(0, np.int32)


@final
class Ends(Struct, frozen=True, eq=False):
    """The synapses of a projection, or of the part of it onto some targets, in the order of their targets.

    Attributes:
        pre: (synapses,) int32: the neuron that each begins at.
        starts: (hi - lo + 1,) int64: where the synapses onto each target begin in `pre`.
        lo, hi: Targets lo … hi - 1 are here.
        sources, targets: Sizes of the two populations.
        seed, projection: What its draws are keyed by, and those of its weights and delays.
        by: What computes: `numba`, `numpy` or `reference`; all give the same bits.
    """

    pre: np.ndarray
    starts: np.ndarray
    lo: int
    hi: int
    sources: int
    targets: int
    seed: tuple[int, int]
    projection: int
    by: By

    @property
    def post(self) -> np.ndarray:
        """(synapses,) int32: the neuron that each ends at, made anew at every call."""
        return np.repeat(np.arange(self.lo, self.hi, dtype=np.int32), np.diff(self.starts))

    def words(self, drawn: str) -> tuple[np.uint64, np.uint64, np.uint64]:
        """Return tag and key of the draws of one kind; see `DRAWN`."""
        return tag_and_key(self.seed, self.projection, drawn)

    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """Return the loops that compute it."""
        return functions(self.by)


def functions(by: By) -> Mapping[str, Callable[..., Any]]:
    """Return the loops of a path by name."""
    if by == "numba":
        return with_numba.functions()
    return with_numpy.functions() if by == "numpy" else loops.run


def tag_and_key(seed: tuple[int, int], projection: int, drawn: str) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Return the last word of the counter, and the key."""
    return np.uint64(DRAWN[drawn] << 24 | projection), np.uint64(seed[0]), np.uint64(seed[1])


# ------------------------------------------------------------------------------------ checks


@final
class Plan:
    """The checked arguments that all rules share."""

    def __init__(
        self,
        rule: str,
        sources: int,
        targets: int,
        seed: tuple[int, int],
        projection: int,
        part: tuple[int, int] | None,
        by: By | None,
        *,
        autapses: bool = True,
    ) -> None:
        """Check them.

        Raises:
            NetworkInvalid: A size, the seed, the projection, the part or the path is wrong, or autapses are forbidden
                between populations that cannot be one.
            ExtraMissing: `by` is `numba`, which is not installed.
        """
        self.rule = rule
        self.sources = self.whole("sources", sources, 1, NEURONS_MAX)
        self.targets = self.whole("targets", targets, 1, NEURONS_MAX)
        if not isinstance(seed, tuple) or len(seed) != 2:
            self.refuse(f"seed is {seed!r}", "Give two words of 32 bits, such as seed=(1, 2).")
        self.seed = (self.whole("seed[0]", seed[0], 0, 2**32 - 1), self.whole("seed[1]", seed[1], 0, 2**32 - 1))
        self.projection = self.whole("projection", projection, 0, PROJECTIONS_MAX - 1)
        if part is not None and (not isinstance(part, tuple) or len(part) != 2):
            self.refuse(f"part is {part!r}", "Give the first target and the one behind the last: part=(lo, hi).")
        self.lo = self.whole("part[0]", part[0], 0, self.targets) if part is not None else 0
        self.hi = self.whole("part[1]", part[1], self.lo, self.targets) if part is not None else self.targets
        self.by: By = self._path(by)
        self.skip_self = not autapses
        if self.skip_self and self.sources != self.targets:
            reason = (
                f"autapses are forbidden, but {self.sources} sources and {self.targets} targets are no one population"
            )
            self.refuse(reason, "Leave autapses allowed between two populations.")

    def whole(self, name: str, value: Any, low: int, high: int) -> int:
        """Return a whole number within low … high. Raises `NetworkInvalid`."""
        is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool | np.bool_)
        if not is_whole or not low <= value <= high:
            self.refuse(f"{name} is {value!r}", f"Use a whole number from {low} to {high}.")
        return int(value)

    def chance(self, name: str, value: Any) -> float:
        """Return a probability. Raises `NetworkInvalid`."""
        found = self.number(name, value)
        if not 0 <= found <= 1:
            self.refuse(f"{name} is {value!r}", "Use a probability from 0 to 1.")
        return found

    def number(self, name: str, value: Any) -> float:
        """Return a finite number. Raises `NetworkInvalid`."""
        is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            self.refuse(f"{name} is {value!r}", "Use a finite number.")
        return float(value)

    def refuse(self, reason: str, remedy: str) -> NoReturn:
        raise NetworkInvalid(subject=self.rule, reason=reason, remedy=remedy)

    def _path(self, by: By | None) -> By:
        if by is None:
            return "numba" if with_numba.compiles() else "numpy"
        if by not in ("numba", "numpy", "reference"):
            self.refuse(f"nothing computes by {by!r}", suggestion(str(by), ("numba", "numpy", "reference")))
        functions(by)
        return by

    # --------------------------------------------------------------------------------- parts

    @property
    def rows(self) -> int:
        """Number of targets that are wanted."""
        return self.hi - self.lo

    def words(self, drawn: str) -> tuple[np.uint64, np.uint64, np.uint64]:
        """Return tag and key of the draws of one kind."""
        return tag_and_key(self.seed, self.projection, drawn)

    def function(self, name: str) -> Callable[..., Any]:
        """Return a loop of the chosen path."""
        return functions(self.by)[name]

    def equal(self, degree: int) -> np.ndarray:
        """Return `starts` of rows that all have `degree` synapses."""
        self.require(self.rows * degree)
        return np.arange(self.rows + 1, dtype=np.int64) * degree

    def ends(self, pre: np.ndarray, starts: np.ndarray) -> Ends:
        """Return what was drawn."""
        return Ends(pre, starts, self.lo, self.hi, self.sources, self.targets, self.seed, self.projection, self.by)

    def room(self, synapses: int) -> np.ndarray:
        """Return room for the sources of so many synapses. Raises `MemoryShort`."""
        self.require(synapses)
        return np.empty(synapses, np.int32)

    def require(self, synapses: int) -> None:
        """Refuse more synapses, and targets that they lie under, than there is memory for. Raises `MemoryShort`."""
        require(self.rule, 4 * synapses + 16 * self.rows)


def require(subject: str, needed: int) -> None:
    """Refuse, before anything is allocated, what does not fit into memory.

    Raises:
        MemoryShort: It needs more bytes than this machine, or the group that limits this process, has available.
    """
    available = available_bytes()
    if available is not None and needed > available:
        raise MemoryShort(subject=subject, needed=needed, available=available)


def available_bytes() -> int | None:
    """Return how many bytes can be allocated without swapping, or None where the system does not tell."""
    found = [each for each in (_by_meminfo(), _by_group()) if each is not None]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _by_meminfo(path: str = "/proc/meminfo") -> int | None:
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _by_group(folder: str = "/sys/fs/cgroup") -> int | None:
    """Return what the control group (version 2) of a container leaves."""
    try:
        limit = (Path(folder) / "memory.max").read_text(encoding="ascii").strip()
        used = (Path(folder) / "memory.current").read_text(encoding="ascii").strip()
        files = (Path(folder) / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    if not limit.isdecimal():
        return None
    kept = next((int(line.split()[1]) for line in files if line.startswith("inactive_file ")), 0)
    return max(0, int(limit) - int(used) + kept)
