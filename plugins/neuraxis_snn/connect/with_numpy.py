"""The loops, written for arrays: the portable path, and a second witness of every bit.

Each function has the arguments of its namesake in `loops` and writes the same. Rows are worked off in groups, so that
temporary arrays stay small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neuraxis_snn.connect import formulas, loops
from neuraxis_snn.noise import philox_of_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

U: Final = np.uint64
AT_ONCE: Final = 1 << 19
"""Draws that are worked on at once."""

Words = tuple[np.uint64, np.uint64, np.uint64]
"""Tag and key."""


def functions() -> Mapping[str, Callable[..., Any]]:
    """Return the functions by name."""
    return {
        "draw_with": draw_with,
        "draw_without": draw_without,
        "count_targets": count_targets,
        "draw_by_chance": draw_by_chance,
        "draw_targets": draw_targets,
        "draw_by_distance": draw_by_distance,
        "draw_values": draw_values,
        "count": count,
        "place": place,
        "put": put,
    }


# ------------------------------------------------------------------------------------- draws


def _draws(rows: Any, numbers: Any, attempt: int, words: Words) -> np.ndarray:
    """Return draws as words of 64 bits, for rows and numbers that broadcast together."""
    tag, key0, key1 = words
    rows, numbers = np.broadcast_arrays(np.asarray(rows).astype(U), np.asarray(numbers).astype(U))
    zero = np.zeros(rows.shape, U)
    a, b, c, d = philox_of_arrays(rows.copy(), numbers >> U(1), zero + U(attempt), zero + tag, zero + key0, zero + key1)
    return np.asarray(np.where(numbers & U(1), (c << U(32)) | d, (a << U(32)) | b))


def _groups(starts: np.ndarray, at_once: int = AT_ONCE) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that hold about `at_once` synapses."""
    begin, rows = 0, len(starts) - 1
    while begin < rows:
        end = int(np.searchsorted(starts, starts[begin] + at_once, side="right")) - 1
        end = min(max(end, begin + 1), rows)
        yield begin, end
        begin = end


def _ragged(starts: np.ndarray, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return row and number within its row of every synapse of the rows begin … end - 1."""
    rows = np.repeat(np.arange(begin, end), np.diff(starts[begin : end + 1]))
    return rows, np.arange(starts[begin], starts[end]) - starts[rows]


def _equal(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows of `width` draws each."""
    step = max(1, AT_ONCE // max(width, 1))
    for begin in range(0, rows, step):
        yield begin, min(rows, begin + step)


def unit(words: np.ndarray) -> np.ndarray:
    """Return `formulas.unit` of every word."""
    return np.asarray(((words >> formulas.BITS_12).astype(np.float64) + 0.5) * formulas.UNIT_STEP)


def logarithm(x: np.ndarray) -> np.ndarray:
    """Return what `formulas.logarithms` makes of every number."""
    parts = x.view(U)
    exponent = (parts >> formulas.BITS_52).astype(np.float64) - 1023.0
    mantissa = ((parts & formulas.MANTISSA) | formulas.ONE).view(np.float64)
    is_high = mantissa > formulas.SQRT_TWO
    mantissa, exponent = np.where(is_high, mantissa * 0.5, mantissa), np.where(is_high, exponent + 1.0, exponent)
    return np.asarray(formulas.logarithm_of_parts(mantissa, exponent))


def exponential(x: np.ndarray) -> np.ndarray:
    """Return `formulas.exponential` of every number."""
    inside = np.maximum(x, formulas.EXP_LEAST)
    whole = np.floor(inside * formulas.LOG2_E + 0.5)
    found = formulas.exponential_of_parts(inside, whole) * formulas.POWERS[(-whole).astype(np.int64)]
    return np.where(x < formulas.EXP_LEAST, 0.0, found)


def normal_quantile(u: np.ndarray) -> np.ndarray:
    """Return what `formulas.normal_quantiles` makes of every number."""
    q = u - 0.5
    z = formulas.normal_centre(q)
    outside = np.flatnonzero(np.abs(q) > 0.425)
    some, side = u[outside], q[outside] < 0.0
    root = np.sqrt(-logarithm(np.where(side, some, 1.0 - some)))
    far = np.where(root <= 5.0, formulas.normal_tail(root), formulas.normal_end(root))
    z[outside] = np.where(side, -far, far)
    return np.asarray(z)


def _past_self(chosen: np.ndarray, own: Any, skip_self: bool) -> np.ndarray:
    """Return numbers among all neurons for numbers among all but one's own."""
    return chosen + (chosen >= own) if skip_self else chosen


# ------------------------------------------------------------------------------------- rules


def draw_with(
    pre: np.ndarray, starts: np.ndarray, first: int, sources: int, skip_self: bool, *words: np.uint64
) -> None:
    """Do what `loops.draw_with` does."""
    limit = U(sources - skip_self)
    for begin, end in _groups(starts):
        rows, numbers = _ragged(starts, begin, end)
        chosen = formulas.below(_draws(first + rows, numbers, 0, _three(words)), limit).astype(np.int64)
        pre[starts[begin] : starts[end]] = _past_self(chosen, first + rows, skip_self)


def draw_without(
    pre: np.ndarray, starts: np.ndarray, first: int, sources: int, skip_self: bool, *words: np.uint64
) -> None:
    """Do what `loops.draw_without` does; every row is as long as the first."""
    degree = int(starts[1] - starts[0]) if len(starts) > 1 else 0
    for begin, end in _equal(len(starts) - 1, max(degree, sources)):
        own = np.arange(first + begin, first + end)
        chosen = _sample(own, sources - skip_self, degree, _three(words))
        pre[starts[begin] : starts[end]] = _past_self(chosen, own[:, None], skip_self).ravel()


def _sample(rows: np.ndarray, choices: int, degree: int, words: Words) -> np.ndarray:
    """Return (rows, degree) numbers below `choices`, different within a row, by Floyd's algorithm."""
    every = np.arange(len(rows))
    taken = np.zeros((len(rows), choices), np.bool_)
    drawn = _draws(rows[:, None], np.arange(degree)[None, :], 0, words)
    chosen = np.empty((len(rows), degree), np.int64)
    for number in range(degree):
        last = choices - degree + number
        candidate = formulas.below(drawn[:, number], U(last + 1)).astype(np.int64)
        candidate = np.where(taken[every, candidate], last, candidate)
        taken[every, candidate] = True
        chosen[:, number] = candidate
    return chosen


def count_targets(starts: np.ndarray, first: int, total: int, targets: int, *words: np.uint64) -> None:
    """Do what `loops.count_targets` does."""
    rows = len(starts) - 1
    starts[:] = 0
    for begin in range(0, total, AT_ONCE):
        numbers = np.arange(begin, min(total, begin + AT_ONCE))
        drawn = _draws(numbers // loops.WORDS_AT_ONCE, numbers % loops.WORDS_AT_ONCE, 0, _three(words))
        chosen = formulas.below(drawn, U(targets)).astype(np.int64) - first
        starts[1:] += np.bincount(chosen[(chosen >= 0) & (chosen < rows)], minlength=rows)


def draw_by_chance(
    pre: np.ndarray,
    starts: np.ndarray,
    counting: bool,
    first: int,
    sources: int,
    skip_self: bool,
    per_log: float,
    at_once: int,
    *words: np.uint64,
) -> None:
    """Do what `loops.draw_by_chance` does, with one jump in every row at a time."""
    choices = sources - skip_self
    rows = np.arange(len(starts) - 1)
    source = np.full(len(rows), -1, np.int64)
    number = 0
    if counting:
        starts[:] = 0
    while len(rows):
        jump = logarithm(unit(_draws(first + rows, np.full(len(rows), number), 0, _three(words)))) * per_log
        stays = jump < choices - 1 - source
        rows, source = rows[stays], source[stays]
        source = source + 1 + jump[stays].astype(np.int64)
        if counting:
            starts[rows + 1] += 1
        else:
            pre[starts[rows] + number] = _past_self(source, first + rows, skip_self)
        number += 1


def draw_targets(
    pre: np.ndarray,
    starts: np.ndarray,
    counting: bool,
    first: int,
    sources: int,
    targets: int,
    degree: int,
    multapses: bool,
    skip_self: bool,
    *words: np.uint64,
) -> None:
    """Do what `loops.draw_targets` does."""
    rows = len(starts) - 1
    cursor = starts[:-1].copy()
    if counting:
        starts[:] = 0
    for begin, end in _equal(sources, degree if multapses else max(degree, targets)):
        own = np.arange(begin, end)
        if multapses:
            drawn = _draws(own[:, None], np.arange(degree)[None, :], 0, _three(words))
            chosen = formulas.below(drawn, U(targets - skip_self)).astype(np.int64)
        else:
            chosen = _sample(own, targets - skip_self, degree, _three(words))
        row = (_past_self(chosen, own[:, None], skip_self) - first).ravel()
        source = np.repeat(own, degree)
        is_kept = (row >= 0) & (row < rows)
        row, source = row[is_kept], source[is_kept]
        if counting:
            starts[1:] += np.bincount(row, minlength=rows)
        else:
            places = np.empty(len(row), np.int64)
            place(places, cursor, row)
            pre[places] = source


def draw_by_distance(
    pre: np.ndarray,
    starts: np.ndarray,
    counting: bool,
    first: int,
    here: np.ndarray,
    there: np.ndarray,
    lengths: np.ndarray,
    kernel: int,
    chance: float,
    factor: float,
    skip_self: bool,
    *words: np.uint64,
) -> None:
    """Do what `loops.draw_by_distance` does."""
    axes, sources = here.shape
    for begin, end in _equal(len(starts) - 1, sources):
        own = np.arange(first + begin, first + end)
        u = unit(_draws(own[:, None], np.arange(sources)[None, :], 0, _three(words)))
        square = np.zeros(u.shape)
        for axis in range(axes):
            apart = np.abs(here[axis, None, :] - there[axis, own, None])
            if len(lengths):
                around = lengths[axis] - apart
                apart = np.where(around < apart, around, apart)
            square += apart * apart
        if kernel == loops.BOX:
            joined = (u < chance) & (square <= factor)
        else:
            joined = u < chance * exponential(factor * (square if kernel == loops.GAUSSIAN else np.sqrt(square)))
        if skip_self:
            joined[np.arange(len(own)), own] = False
        if counting:
            starts[begin + 1 : end + 1] = joined.sum(axis=1)
        else:
            pre[starts[begin] : starts[end]] = np.nonzero(joined)[1]


# ------------------------------------------------------------------------------------ values


def draw_values(
    out: np.ndarray,
    starts: np.ndarray,
    first: int,
    kind: int,
    base: float,
    spread: float,
    low: float,
    high: float,
    *words: np.uint64,
) -> None:
    """Do what `loops.draw_values` does."""
    for begin, end in _groups(starts):
        rows, numbers = _ragged(starts, begin, end)
        u = unit(_draws(first + rows, numbers, 0, _three(words)))
        found = base + spread * (u if kind == loops.UNIFORM else normal_quantile(u))
        if kind == loops.CLIPPED:
            found = np.where(found < low, low, np.where(found > high, high, found))
        attempt = 0
        while kind == loops.REDRAWN and len(outside := np.flatnonzero((found < low) | (found > high))):
            attempt += 1
            u = unit(_draws(first + rows[outside], numbers[outside], attempt, _three(words)))
            found[outside] = base + spread * normal_quantile(u)
        out[starts[begin] - starts[0] : starts[end] - starts[0]] = found


# ----------------------------------------------------------------------------------- sorting


def count(counts: np.ndarray, keys: np.ndarray) -> None:
    """Do what `loops.count` does."""
    counts += np.bincount(keys, minlength=len(counts))


def place(places: np.ndarray, cursor: np.ndarray, keys: np.ndarray) -> None:
    """Do what `loops.place` does."""
    if not len(keys):
        return
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.concatenate([begins, [len(keys)]]))
    places[order] = cursor[ordered] + np.arange(len(keys)) - np.repeat(begins, lengths)
    cursor[ordered[begins]] += lengths


def put(out: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
    """Do what `loops.put` does."""
    out[places] = values


def _three(words: tuple[np.uint64, ...]) -> Words:
    tag, key0, key1 = words
    return tag, key0, key1
