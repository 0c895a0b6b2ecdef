"""The kernels of the backend `cupy` on the processor: the same source, compiled as C++, on numpy's arrays."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neuraxis_snn.backends.batch import Batch
from neuraxis_snn.backends.with_cupy import KernelArrays, Launch

COMPILER = shutil.which(os.environ.get("CXX", "c++"))
LIKE_CUPY = SimpleNamespace(**{**vars(np), "asnumpy": np.array})
"""Numpy, with the one name that only CuPy has."""

SHIM = """
#define __global__
#define __device__
static const struct { unsigned x; } blockIdx = {0}, threadIdx = {0}, blockDim = {1}, gridDim = {1};
template <typename word> static inline void atomicAdd(word *sum, word value) { *sum += value; }
"""
"""What makes C++ of CUDA: one block of one thread."""

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler: install one, or set CXX")


@lru_cache(maxsize=512)
def compiled(text: str, name: str) -> Launch:
    """Compile a kernel with what processors have, but without contraction, and return what runs it."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "kernel.cpp"), Path(folder, "kernel.so")
        source.write_text(SHIM + text, encoding="utf-8")
        options = ["-std=c++17", "-O1", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
        subprocess.run([str(COMPILER), *options, "-o", str(library), str(source)], check=True)
        function = getattr(ctypes.CDLL(str(library)), name)
    function.restype = None

    def launch(count: int, *arguments: Any) -> None:
        given = [each.ctypes.data_as(ctypes.c_void_p) if isinstance(each, np.ndarray) else each for each in arguments]
        function(*(ctypes.c_longlong(each) if isinstance(each, int) else each for each in (count, *given)))

    return launch


class OnProcessor(KernelArrays):
    """The arrays of the backend `cupy`, with numpy in CuPy's place."""

    def running(self) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")


class KernelBackend:
    """Makes engines with them."""

    name = "cupy on the processor"

    def build(self, network: Any) -> Any:
        return self.build_batch([network])[0]

    def build_batch(self, networks: Any) -> Batch:
        return Batch(networks, self.name, lambda precision: OnProcessor(precision, LIKE_CUPY, compiled))
