"""Plain Python for what `primitives` tells the compiler: used where compilation is off (`NUMBA_DISABLE_JIT=1`).

Then the generated function of a network runs as it is written, line by line: slow, with the same bits, open to a
debugger, and seen by coverage.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ALONE = threading.Lock()
"""Who holds it adds alone."""


def select(condition: Any, then: Any, otherwise: Any) -> Any:
    """Return `then` where the condition holds, else `otherwise`."""
    return then if condition else otherwise


def get(array: np.ndarray, index: int) -> Any:
    """Return `array[index]` of a flat array."""
    return array[index]


def put(array: np.ndarray, index: int, value: Any) -> None:
    """Set `array[index]` of a flat array."""
    array[index] = value


def fetch(array: np.ndarray, index: int) -> None:
    """Do nothing: to ask for memory is a hint without effect on any result."""


def add_at_once(array: np.ndarray, index: int, value: int) -> Any:
    """Add to `array[index]`, which other threads see at once, and return what was there before."""
    with ALONE:
        before = int(array[index])
        array[index] = before + value
        return before


def look(array: np.ndarray, index: int) -> int:
    """Return `array[index]` as other threads left it."""
    return int(array[index])


def give_way() -> None:
    """Let other threads run."""
    time.sleep(0)
