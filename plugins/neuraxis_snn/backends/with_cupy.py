"""CuPy: arrays on a CUDA device, and kernels made of the equations, compiled without contraction."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.arrays import Arrays
from neuraxis_snn.backends.batch import Batch
from neuraxis_snn.backends.cuda_code import ADD_AT, Kernel, head, reads
from neuraxis_snn.errors import DeviceMissing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from neuraxis_snn.engine import Engine
    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.network import Network
    from neuraxis_snn.numbers import Precision

NAME: Final = "cupy"

OPTIONS: Final = ("--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true", "--std=c++17")
"""One IEEE operation for each that is written, rounded to nearest, with subnormal numbers."""

THREADS: Final = 128
"""Threads of a block."""

Launch = Callable[..., None]
"""Runs a kernel: takes the number of entries, then its other arguments, arrays and whole numbers."""


@final
class CupyBackend:
    """Computes networks with CuPy."""

    name: str = NAME

    def __init__(self) -> None:
        """Make sure that CuPy and a device are there.

        Raises:
            ExtraMissing: CuPy is not installed.
            DeviceMissing: It finds no CUDA device.
        """
        if importlib.util.find_spec("cupy") is None:
            raise ExtraMissing(library="cupy", extra="cuda", purpose="the backend 'cupy'")
        import cupy

        if not cupy.cuda.is_available():
            reason, remedy = "CuPy finds no CUDA device", 'Install a driver, or use the backend "numba".'
            raise DeviceMissing(device="cuda", reason=reason, remedy=remedy)
        self._cupy = cupy

    def build(self, network: Any) -> Engine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return self.build_batch([network])[0]

    def build_batch(self, networks: Sequence[Network]) -> Batch:
        """Return copies of a network that are computed together; see `Batch`.

        Args:
            networks: One for each copy: `[network] * 5`, or networks that differ in parameters, rates and weights.

        Raises:
            NetworkInvalid: They differ in more than that, or one is no network.
        """
        return Batch(networks, NAME, lambda precision: KernelArrays(precision, self._cupy, _launched))


@lru_cache(maxsize=256)
def _launched(text: str, name: str) -> Launch:
    import cupy

    compiled = cupy.RawModule(code=text, options=OPTIONS).get_function(name)

    def launch(count: int, *arguments: Any) -> None:
        given = [np.int64(each) if isinstance(each, int) else each for each in (count, *arguments)]
        compiled((-(-count // THREADS),), (THREADS,), tuple(given))

    return launch


class KernelArrays(Arrays):
    """Operations on CuPy's arrays: its own, and kernels for equations and for sums."""

    def __init__(self, precision: Precision, xp: Any, compiled: Callable[[str, str], Launch]) -> None:
        """Take CuPy, and what compiles a kernel: source and name to what runs it."""
        super().__init__(precision, xp)
        self.compiled = compiled

    def running(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def mirror(self, host: np.ndarray) -> Any:
        return self.put(host)

    def load(self, mirror: Any, host: np.ndarray) -> None:
        mirror[...] = self.xp.asarray(host)

    def store(self, mirror: Any, host: np.ndarray) -> None:
        host[...] = self.host(mirror)

    def host(self, values: Any) -> np.ndarray:
        return np.asarray(self.xp.asnumpy(values))

    def repeated(self, values: Any, counts: Any) -> Any:
        if isinstance(counts, int):
            return self.xp.repeat(values, counts)
        ends = self.xp.cumsum(counts)
        return values[self.xp.searchsorted(ends, self.xp.arange(int(ends[-1])), side="right")]

    def add_at(self, sums: Any, places: Any, values: Any) -> None:
        if len(places):
            precision: Precision = "float32" if sums.dtype == np.int32 else "float64"  # whose integers these are
            launch = self.compiled(head(precision) + ADD_AT, "add_at")
            launch(len(places), sums, self.xp.ascontiguousarray(places), values, values.strides[0] // values.itemsize)

    def equations(self, statements: Iterable[Statement], keep: Collection[str]) -> Callable[[dict[str, Any]], None]:
        given = tuple(statements)
        return _Equations(self, given, keep).execute if given else lambda _values: None


@final
class _Equations:
    """Statements as a kernel, which is compiled when the types of what it reads are known."""

    def __init__(self, arrays: KernelArrays, statements: tuple[Statement, ...], keep: Collection[str]) -> None:
        self._arrays, self._statements, self._keep = arrays, statements, frozenset(keep)
        self._reads = reads(statements)
        self._kernels: dict[tuple[str, ...], tuple[Kernel, Launch]] = {}

    def execute(self, values: dict[str, Any]) -> None:
        """Execute them on a dictionary of values."""
        xp, given = self._arrays.xp, {name: values[name] for name in self._reads}
        kernel, launch = self._kernel(tuple(each.dtype.name for each in given.values()))
        shape = np.broadcast_shapes(*(each.shape for each in given.values()))
        arguments: list[Any] = []
        for each in given.values():
            strides = [stride // each.itemsize for stride in xp.broadcast_to(each, shape).strides]
            arguments += [each, *([0] * (2 - len(strides))), *strides]
        found = {name: xp.empty(shape, bool if holds else self._arrays.kind) for name, holds in kernel.results.items()}
        count = int(np.prod(shape))
        if count:
            launch(count, shape[-1] if shape else 1, *arguments, *found.values())
        values |= found

    def _kernel(self, kinds: tuple[str, ...]) -> tuple[Kernel, Launch]:
        if kinds not in self._kernels:
            named = dict(zip(self._reads, kinds, strict=True))
            kernel = Kernel(self._statements, self._keep, self._arrays.precision, named)
            self._kernels[kinds] = kernel, self._arrays.compiled(kernel.text, "equations")
        return self._kernels[kinds]
