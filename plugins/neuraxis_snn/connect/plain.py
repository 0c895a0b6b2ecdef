"""What `loops` needs to run as plain Python: marks that do nothing, and the generator of its random words.

The compiled form of `loops` puts Numba's decorators and the same text of the generator in this module's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from neuraxis_snn.noise import philox_of_arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., object])

philox: Final = philox_of_arrays


def formula(function: Function) -> Function:
    """Mark a function that is compiled into its callers."""
    return function


def loop(function: Function) -> Function:
    """Mark a function that is compiled and called from Python."""
    return function
