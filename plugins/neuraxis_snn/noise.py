"""Noise of single neurons: a pure function of (key, population, neuron, step), so it has no state.

Philox4x32-10 with the counter (neuron, step block, step block's high word, population). One block of four words
serves four consecutive steps of a neuron. The function is written once, for words of 64 bits with a sign or without:
Python integers and arrays of any library run the same text.

Determinism: exact.
Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np

STEPS_PER_BLOCK: Final = 4
DROPPED_BITS: Final = 8
"""Of each word the upper 24 bits are used: single precision holds them exactly."""

MULTIPLIER_0: Final = 0xD2511F53
MULTIPLIER_1: Final = 0xCD9E8D57
WEYL_0: Final = 0x9E3779B9
WEYL_1: Final = 0xBB67AE85
ROUNDS: Final = 10

PHILOX: Final = """
def philox(c0, c1, c2, c3, k0, k1):
    for _ in range(10):
        m0 = c0 * M0
        m1 = c2 * M1
        c0 = (m1 >> HALF) & LOW ^ c1 ^ k0
        c1 = m1 & LOW
        c2 = (m0 >> HALF) & LOW ^ c3 ^ k1
        c3 = m0 & LOW
        k0 = (k0 + W0) & LOW
        k1 = (k1 + W1) & LOW
    return c0, c1, c2, c3
"""
"""Source of the function: four counter words and two key words of 32 bits each, in words of 64 bits.

Where words have a sign, a product may wrap and be shifted as a negative number: the mask takes off what that adds.
"""


def words(kind: Any) -> dict[str, Any]:
    """Return the constants of `PHILOX` as values of `kind`."""
    values = {"M0": MULTIPLIER_0, "M1": MULTIPLIER_1, "W0": WEYL_0, "W1": WEYL_1, "LOW": 0xFFFFFFFF, "HALF": 32}
    return {name: kind(value) for name, value in values.items()}


def _function(kind: Any) -> Any:
    space = words(kind)
    exec(compile(PHILOX, "<philox>", "exec"), space)
    return space["philox"]


philox_of_integers: Final = _function(int)
"""One neuron, in Python integers: slow and obvious. It takes arrays of int64 just as well."""

philox_of_arrays: Final = _function(np.uint64)
"""Many neurons at once, in numpy arrays of uint64."""


def words_of(key: tuple[int, int], counter: int, neurons: int, step: int) -> np.ndarray:
    """Return a word for each neuron in one step: (neurons,) uint32.

    Args:
        key: Two words of 32 bits.
        counter: Number of the population, or of what else draws.
        neurons: How many.
        step: The step, from 0.
    """
    block = step // STEPS_PER_BLOCK
    zero = np.zeros(neurons, np.uint64)
    result = philox_of_arrays(
        np.arange(neurons, dtype=np.uint64),
        zero + np.uint64(block & 0xFFFFFFFF),
        zero + np.uint64(block >> 32),
        zero + np.uint64(counter),
        zero + np.uint64(key[0]),
        zero + np.uint64(key[1]),
    )
    return np.asarray(result[step % STEPS_PER_BLOCK], dtype=np.uint32)


def word(key: tuple[int, int], counter: int, neuron: int, step: int) -> int:
    """Return the word of one neuron in one step."""
    return _block(neuron, step // STEPS_PER_BLOCK, counter, key)[step % STEPS_PER_BLOCK]


def draws(key: tuple[int, int], population: int, neurons: int, step: int) -> np.ndarray:
    """Return the draws of a population in one step: (neurons,) uint32, 0 … 2**24 - 1."""
    return words_of(key, population, neurons, step) >> np.uint32(DROPPED_BITS)


def draw(key: tuple[int, int], population: int, neuron: int, step: int) -> int:
    """Return the draw of one neuron in one step, 0 … 2**24 - 1."""
    return word(key, population, neuron, step) >> DROPPED_BITS


@lru_cache(maxsize=1 << 16)
def _block(neuron: int, block: int, population: int, key: tuple[int, int]) -> tuple[int, int, int, int]:
    words: tuple[int, int, int, int] = philox_of_integers(
        neuron, block & 0xFFFFFFFF, block >> 32, population, key[0], key[1]
    )
    return words
