"""NIR files, read without trust: everything is checked before a single array is made.

A NIR file is HDF5. Such a file can claim sizes that no memory holds, point into other files, and contain itself;
so its whole tree is looked at first, and then read from the bytes that were looked at.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from neuraxis.errors import suggestion
from neuraxis_snn.nir_graphs.errors import NirUnusable, library

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_BYTES_MAX: Final = 2**30
ARRAY_BYTES_MAX: Final = 2**32
"""Bytes that all arrays of a file may have together, once they are unpacked."""

OBJECTS_MAX: Final = 100_000
DEPTH_MAX: Final = 16
VERSIONS: Final = (0, 1)
"""Major versions of the format that are read."""

NODES: Final = (
    *("Affine", "AvgPool2d", "Conv1d", "Conv2d", "CubaLI", "CubaLIF", "Delay", "Flatten", "I", "IF", "Input", "LI"),
    *("LIF", "Linear", "NIRGraph", "Output", "Scale", "SumPool2d", "Threshold"),
)
"""Types of nodes that the format has."""

_FOREIGN: Final = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What `nir` and `h5py` raise at files that are no NIR graph."""


def load(path: str | Path) -> Any:
    """Read a NIR file.

    Args:
        path: Where it lies.

    Returns:
        The `nir.NIRGraph`. Its types are not checked yet.

    Raises:
        NirUnusable: It is missing, damaged, too large, of another version, or holds what a NIR graph does not.
        ExtraMissing: `nir` is not installed.
    """
    h5py, nir = library("h5py"), library("nir")
    label = str(path)
    try:
        size = Path(path).stat().st_size
        if size > FILE_BYTES_MAX:
            _refuse(label, f"it has {size:,} bytes, more than {FILE_BYTES_MAX:,}", "Split the graph.")
        content = Path(path).read_bytes()
    except OSError as error:
        reason, remedy = f"it cannot be read ({error})", "Name a NIR file that can be read."
        raise NirUnusable(graph=label, node="", kind="", reason=reason, remedy=remedy) from error
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            _check(file, label, h5py)
        return nir.read(io.BytesIO(content), type_check=False)
    except _FOREIGN as error:
        reason = f"it is no NIR graph, or damaged ({type(error).__name__}: {str(error)[:200]})"
        remedy = "Write it again with nir.write."
        raise NirUnusable(graph=label, node="", kind="", reason=reason, remedy=remedy) from error


def _check(file: Any, label: str, h5py: Any) -> None:
    total = 0
    for place, found in _everything(file, label, h5py):
        if not isinstance(found, h5py.Dataset):
            continue
        if found.external or found.is_virtual:
            _refuse(label, f"the array {place} lies in another file", "Write the graph into one file.")
        text = h5py.check_string_dtype(found.dtype) is not None
        if not text and found.dtype.kind not in "biuf":
            _refuse(label, f"the array {place} has the type {found.dtype}", "Use numbers and texts.")
        total += int(found.size or 0) * max(found.dtype.itemsize, 1)
        if total > ARRAY_BYTES_MAX:
            _refuse(label, f"its arrays have more than {ARRAY_BYTES_MAX:,} bytes", "Split the graph.")
        if place.endswith("/type") and "metadata" not in place.split("/"):
            _check_type(place, found[()], label)
    if not isinstance(file.get("version"), h5py.Dataset) or not isinstance(file.get("node"), h5py.Group):
        _refuse(label, "it has no version, or no node", "Write it again with nir.write.")
    version = file["version"][()]
    written = version.decode("utf-8", "replace") if isinstance(version, bytes) else str(version)
    major = re.match(r"(\d{1,6})\.", written)
    if major is None or int(major[1]) not in VERSIONS:
        _refuse(label, f"it has version {written[:40]!r} of the format", "Write it again with nir 1.")
    kind = file["node"].get("type")
    if not isinstance(kind, h5py.Dataset) or kind[()] != b"NIRGraph":
        _refuse(label, "its outermost node is no NIRGraph", "Put the nodes into a nir.NIRGraph.")


def _check_type(place: str, kind: Any, label: str) -> None:
    name = kind.decode("utf-8", "replace") if isinstance(kind, bytes) else str(kind)
    if name not in NODES:
        node = place.removesuffix("/type").rpartition("/")[2]
        reason = f"NIR has no nodes of the type {name[:40]!r}"
        raise NirUnusable(graph=label, node=node, kind=name[:40], reason=reason, remedy=suggestion(name, NODES))


def _everything(file: Any, label: str, h5py: Any) -> Iterator[tuple[str, Any]]:
    """Yield every group and array with its path, and refuse links out of the file and nests without end."""
    waiting, count = [("", file, 0)], 0
    while waiting:
        place, group, depth = waiting.pop()
        if depth > DEPTH_MAX:
            _refuse(label, f"{place[:80]} lies deeper than {DEPTH_MAX} levels", "Use fewer graphs inside graphs.")
        for name in group:
            count += 1
            if count > OBJECTS_MAX:
                _refuse(label, f"it has more than {OBJECTS_MAX:,} parts", "Split the graph.")
            below = f"{place}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                _refuse(label, f"{below} is a link", "Write the graph into one file, without links.")
            found = group[name]
            yield below, found
            if isinstance(found, h5py.Group):
                waiting.append((below, found, depth + 1))


def _refuse(label: str, reason: str, remedy: str) -> NoReturn:
    raise NirUnusable(graph=label, node="", kind="", reason=reason, remedy=remedy)
