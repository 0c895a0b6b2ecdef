"""The error of NIR graphs, and the door to the library `nir`."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from neuraxis.errors import ExtraMissing, InputError


class NirUnusable(InputError):
    """A NIR file or graph cannot be computed, or a network cannot be written as one."""

    code: ClassVar[str] = "SNN111"
    graph: str
    node: str
    kind: str
    reason: str
    remedy: str

    def message(self) -> str:
        where = f"{self.graph}, node {self.node!r} ({self.kind})" if self.node else self.graph
        return f"{where}: {self.reason}. {self.remedy}"


def library(name: str) -> Any:
    """Return the library `nir` or `h5py`.

    Raises:
        ExtraMissing: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExtraMissing(library=name, extra="nir", purpose="reading and writing NIR graphs") from error
