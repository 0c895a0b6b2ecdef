"""Random streams that are opened by name and have no state.

A stream is Philox4x64-10 under a key derived from (run seed, actor path, stream name); its counter is
(draw, tick, row). Opening a stream in a tick therefore always gives the same numbers, whatever ran
before, and adding an actor or a stream changes no other. A population draws one row a member: row `r`
is what a single actor standing for that member would draw.

Only draws whose bits are the same everywhere are offered: integers, uniform floats and permutations.
They use no mathematical library. Wrap `Stream.generator()` for numpy's other distributions, whose bits
may change with numpy and the machine; such an actor must declare `determinism = "machine"`.

Determinism: exact.
Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, final

import numpy as np

from neuraxis.errors import UsageInvalid

_MULTIPLIERS: Final = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL: Final = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS: Final = 10
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_TO_UNIT: Final = 2.0**-53

ROW_OF_SINGLE: Final = 0
"""Row counter of an actor that is no member of a population; member `r` draws at row `r + 1`."""


def stream_key(seed: int, path: str, name: str) -> tuple[int, int]:
    """Return the 128-bit Philox key of a stream as two 64-bit words."""
    text = f"neuraxis stream\0{seed}\0{path}\0{name}".encode()
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


@final
class Stream:
    """A named source of random numbers, positioned at one tick.

    Draws continue through the tick; the next tick starts a new sequence.
    """

    __slots__ = ("_bits", "_key", "_row", "_tick")

    def __init__(self, key: tuple[int, int], *, row: int = ROW_OF_SINGLE) -> None:
        self._bits = np.random.Philox(key=0)
        self._key = np.array(key, dtype=np.uint64)
        self._row = row
        self._tick = -1

    def at(self, tick: int) -> Stream:
        """Position the stream at the start of `tick`, unless it is in that tick already. Returns itself."""
        if tick != self._tick:
            self._tick = tick
            counter = np.array([0, tick, self._row, 0], dtype=np.uint64)
            self._bits.state = {
                "bit_generator": "Philox",
                "state": {"counter": counter, "key": self._key},
                "buffer": np.zeros(4, dtype=np.uint64),
                "buffer_pos": 4,
                "has_uint32": 0,
                "uinteger": 0,
            }
        return self

    def raw(self, n: int) -> np.ndarray:
        """Return the next `n` words: (n,) uint64, uniform."""
        return np.asarray(self._bits.random_raw(n), dtype=np.uint64)

    def random(self, n: int | None = None) -> Any:
        """Return one float, or (n,) float64, uniform on the multiples of 2**-53 in [0, 1)."""
        if n is None:
            return (int(self._bits.random_raw()) >> 11) * _TO_UNIT
        return (self.raw(n) >> np.uint64(11)).astype(np.float64) * _TO_UNIT

    def bernoulli(self, p: float) -> bool:
        """Return True with probability `p`."""
        return bool(self.random() < p)

    def integers(self, low: int, high: int, n: int | None = None) -> Any:
        """Return one integer, or (n,) int64, uniform on low … high - 1.

        Words above the largest multiple of the range are skipped, so there is no bias.

        Raises:
            UsageInvalid: The range is empty or wider than 2**63.
        """
        span = high - low
        if not 0 < span <= 2**63:
            raise UsageInvalid(what=f"integers({low}, {high}) is an empty or too wide range", remedy="Use low < high.")
        limit = 2**64 - 2**64 % span
        if n is None:
            word = int(self._bits.random_raw())
            while word >= limit:
                word = int(self._bits.random_raw())
            return low + word % span
        parts: list[np.ndarray] = []
        missing = n
        while missing > 0:
            words = self.raw(missing)
            if limit < 2**64:
                words = words[words < np.uint64(limit)]
            parts.append((words % np.uint64(span)).astype(np.int64))
            missing -= len(words)
        return np.concatenate(parts) + np.int64(low) if parts else np.empty(0, np.int64)

    def permutation(self, n: int) -> np.ndarray:
        """Return a uniform permutation of 0 … n - 1 as (n,) int64."""
        return np.argsort(self.raw(n), kind="stable").astype(np.int64)

    def generator(self) -> np.random.Generator:
        """Return a numpy Generator that draws from this stream in this tick.

        Determinism: machine. numpy may change its distributions between versions.
        """
        return np.random.Generator(self._bits)


def member_rows(key: tuple[int, int], *, tick: int, size: int, draws: int) -> np.ndarray:
    """Return what the members of a population draw in one tick.

    Args:
        key: Key of the population's stream.
        tick: The tick.
        size: Members.
        draws: Words for each member.

    Returns:
        (size, draws) uint64; row `r` equals `Stream(key, row=r + 1).at(tick).raw(draws)`.

    Determinism: exact.
    """
    blocks = -(-draws // 4)
    # numpy's Philox raises the counter before it makes a block, so the first block is number 1
    block = np.tile(np.arange(1, blocks + 1, dtype=np.uint64), size)
    row = np.repeat(np.arange(1, size + 1, dtype=np.uint64), blocks)
    words = philox4x64(block, np.full_like(block, tick), row, np.zeros_like(block), key)
    return np.ascontiguousarray(np.stack(words, axis=-1).reshape(size, blocks * 4)[:, :draws])


def philox4x64(
    c0: np.ndarray, c1: np.ndarray, c2: np.ndarray, c3: np.ndarray, key: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Apply Philox4x64-10 to many counters at once.

    Args:
        c0, c1, c2, c3: (n,) uint64, words of the counters.
        key: The two key words.

    Returns:
        Four (n,) uint64.

    Determinism: exact.
    """
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(c0, _MULTIPLIERS[0])
        high1, low1 = _multiply(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), low1, high0 ^ c3 ^ np.uint64(k1), low0
        k0, k1 = (k0 + _WEYL[0]) % 2**64, (k1 + _WEYL[1]) % 2**64
    return c0, c1, c2, c3


def _multiply(word: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the high and low 64 bits of word × factor; numpy has no 128-bit product."""
    factor_low, factor_high = np.uint64(factor & 0xFFFFFFFF), np.uint64(factor >> 32)
    low, high = word & _LOW, word >> _HALF
    bottom = low * factor_low
    middle = high * factor_low + (bottom >> _HALF)
    cross = low * factor_high + (middle & _LOW)
    return high * factor_high + (middle >> _HALF) + (cross >> _HALF), word * np.uint64(factor)
