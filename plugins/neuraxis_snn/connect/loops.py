"""Drawing and sorting of synapses, one at a time: the oracle as plain Python, the fast path when compiled.

This text is run in two ways, like `formulas`. Both give the same bits, and so does `with_numpy`.

A *row* is all that is drawn for one neuron: mostly the synapses onto one target. `starts` (rows + 1,) says where each
row begins in arrays over synapses. Draw number i of a row is half a block of Philox with the counter
(row, i // 2, attempt, tag): 64 bits. `tag` holds the number of the projection and what is drawn.

Determinism: exact.
Source: Bentley & Floyd, Programming pearls: a sample of brilliance (CACM 30, 1987), for draws without replacement.
"""

import math
from typing import Any

import numpy as np

# plain: the compiled text has `formulas` itself before it
from neuraxis_snn.connect.formulas import (
    below,
    exponential,
    fill,
    logarithms,
    normal_quantiles,
    scratch_for,
    unit,
)
from neuraxis_snn.connect.plain import loop

# end of plain

U = np.uint64
WORDS_AT_ONCE = 1024
SLIGHTLY_MORE = 1.000001
"""Far more than rounding can do to a bound."""

UNIFORM, NORMAL, CLIPPED, REDRAWN = 0, 1, 2, 3
GAUSSIAN, EXPONENTIAL, BOX = 0, 1, 2

# ------------------------------------------------------------------------------------- rules


@loop
def draw_with(pre: Any, starts: Any, first: Any, sources: Any, skip_self: Any, tag: Any, key0: Any, key1: Any) -> None:
    """Write the sources of each row, drawn with replacement."""
    limit = U(sources - 1) if skip_self else U(sources)
    words = np.empty(WORDS_AT_ONCE + 1, np.uint64)
    for row in range(starts.shape[0] - 1):
        target = first + row
        begin = starts[row]
        length = starts[row + 1] - begin
        for piece in range(0, length, WORDS_AT_ONCE):
            count = min(WORDS_AT_ONCE, length - piece)
            fill(words, piece, count, target, 0, tag, key0, key1)
            for i in range(count):
                source = np.int64(below(words[i], limit))
                if skip_self and source >= target:
                    source += 1
                pre[begin + piece + i] = source


@loop
def draw_without(
    pre: Any, starts: Any, first: Any, sources: Any, skip_self: Any, tag: Any, key0: Any, key1: Any
) -> None:
    """Write the sources of each row, drawn without replacement by Floyd's algorithm."""
    choices = sources - 1 if skip_self else sources
    taken = np.full(choices, -1, np.int64)
    words = np.empty(WORDS_AT_ONCE + 1, np.uint64)
    for row in range(starts.shape[0] - 1):
        target = first + row
        begin = starts[row]
        length = starts[row + 1] - begin
        for piece in range(0, length, WORDS_AT_ONCE):
            count = min(WORDS_AT_ONCE, length - piece)
            fill(words, piece, count, target, 0, tag, key0, key1)
            for i in range(count):
                last = choices - length + piece + i
                source = np.int64(below(words[i], U(last + 1)))
                if taken[source] == row:
                    source = last
                taken[source] = row
                if skip_self and source >= target:
                    source += 1
                pre[begin + piece + i] = source


@loop
def count_targets(starts: Any, first: Any, total: Any, targets: Any, tag: Any, key0: Any, key1: Any) -> None:
    """Draw the target of every synapse of a projection; write how many each row gets to starts[row + 1].

    The row of the counter is the synapse's number divided by `WORDS_AT_ONCE`.
    """
    rows = starts.shape[0] - 1
    starts[:] = 0
    words = np.empty(WORDS_AT_ONCE + 1, np.uint64)
    for piece in range((total + WORDS_AT_ONCE - 1) // WORDS_AT_ONCE):
        count = min(WORDS_AT_ONCE, total - piece * WORDS_AT_ONCE)
        fill(words, 0, count, piece, 0, tag, key0, key1)
        for i in range(count):
            row = np.int64(below(words[i], U(targets))) - first
            if 0 <= row < rows:
                starts[row + 1] += 1


@loop
def draw_by_chance(
    pre: Any,
    starts: Any,
    counting: Any,
    first: Any,
    sources: Any,
    skip_self: Any,
    per_log: Any,
    at_once: Any,
    tag: Any,
    key0: Any,
    key1: Any,
) -> None:
    """Join each pair with the same chance: jump from one source to the next that is joined.

    A jump passes over floor(ln(u) * per_log) sources, per_log = 1 / ln(1 - chance). Counting writes how many each row
    gets to starts[row + 1], and nothing to `pre`.
    """
    choices = sources - 1 if skip_self else sources
    words = np.empty(at_once + 1, np.uint64)
    scratch = scratch_for(at_once)
    logs = scratch[0]
    for row in range(starts.shape[0] - 1):
        target = first + row
        found = 0
        source = np.int64(-1)
        piece = 0
        begin = starts[row]
        while source < choices:
            fill(words, piece, at_once, target, 0, tag, key0, key1)
            piece += at_once
            for i in range(at_once):
                logs[i] = unit(words[i])
            logarithms(at_once, scratch)
            for i in range(at_once):
                jump = logs[i] * per_log
                if jump >= choices - 1 - source:
                    source = choices
                    break
                source += 1 + int(jump)
                if not counting:
                    pre[begin + found] = source + 1 if skip_self and source >= target else source
                found += 1
        if counting:
            starts[row + 1] = found


@loop
def draw_targets(
    pre: Any,
    starts: Any,
    counting: Any,
    first: Any,
    sources: Any,
    targets: Any,
    degree: Any,
    multapses: Any,
    skip_self: Any,
    tag: Any,
    key0: Any,
    key1: Any,
) -> None:
    """Draw for every source its targets, with or without replacement, and keep those that are rows.

    The row of the counter is the source. Counting writes how many each row gets to starts[row + 1].
    """
    rows = starts.shape[0] - 1
    choices = targets - 1 if skip_self else targets
    taken = np.full(1 if multapses else choices, -1, np.int64)
    words = np.empty(WORDS_AT_ONCE + 1, np.uint64)
    cursor = starts.copy()
    if counting:
        starts[:] = 0
    for source in range(sources):
        for piece in range(0, degree, WORDS_AT_ONCE):
            count = min(WORDS_AT_ONCE, degree - piece)
            fill(words, piece, count, source, 0, tag, key0, key1)
            for i in range(count):
                if multapses:
                    target = np.int64(below(words[i], U(choices)))
                else:
                    last = choices - degree + piece + i
                    target = np.int64(below(words[i], U(last + 1)))
                    if taken[target] == source:
                        target = last
                    taken[target] = source
                if skip_self and target >= source:
                    target += 1
                row = target - first
                if 0 <= row < rows:
                    if counting:
                        starts[row + 1] += 1
                    else:
                        pre[cursor[row]] = source
                        cursor[row] += 1


@loop
def draw_by_distance(
    pre: Any,
    starts: Any,
    counting: Any,
    first: Any,
    here: Any,
    there: Any,
    lengths: Any,
    kernel: Any,
    chance: Any,
    factor: Any,
    skip_self: Any,
    tag: Any,
    key0: Any,
    key1: Any,
) -> None:
    """Join each pair with a chance that depends on its distance.

    `here` (axes, sources) and `there` (axes, targets) are positions, `lengths` (axes,) of a periodic box or empty. The
    chance is chance * exp(factor * distance**2), chance * exp(factor * distance), or, within distance**2 <= factor,
    chance. Draw number s of a row decides on source s. Counting writes how many each row gets to starts[row + 1].
    """
    axes, sources = here.shape
    words = np.empty(WORDS_AT_ONCE + 1, np.uint64)
    apart = np.empty(WORDS_AT_ONCE)
    squares = np.empty(WORDS_AT_ONCE)
    for row in range(starts.shape[0] - 1):
        target = first + row
        found = 0
        begin = starts[row]
        for piece in range(0, sources, WORDS_AT_ONCE):
            count = min(WORDS_AT_ONCE, sources - piece)
            fill(words, piece, count, target, 0, tag, key0, key1)
            squares[:] = 0.0
            for axis in range(axes):
                own = there[axis, target]
                places = here[axis, piece : piece + count]
                for i in range(count):
                    apart[i] = abs(places[i] - own)
                if lengths.shape[0]:
                    length = lengths[axis]
                    for i in range(count):
                        around = length - apart[i]
                        apart[i] = around if around < apart[i] else apart[i]
                for i in range(count):
                    squares[i] += apart[i] * apart[i]
            if kernel == EXPONENTIAL:
                for i in range(count):
                    squares[i] = math.sqrt(squares[i])
            for i in range(count):
                u = unit(words[i])
                if kernel == BOX:
                    is_joined = u < chance and squares[i] <= factor
                else:
                    x = factor * squares[i]
                    # exp(x) <= 1 / (1 - x + x**2 / 2): most pairs are refused without its exact value
                    is_joined = u * (1.0 + x * (x * 0.5 - 1.0)) < chance * SLIGHTLY_MORE
                    if is_joined:
                        is_joined = u < chance * exponential(x)
                if is_joined and not (skip_self and piece + i == target):
                    if not counting:
                        pre[begin + found] = piece + i
                    found += 1
        if counting:
            starts[row + 1] = found


# ------------------------------------------------------------------------------------ values


@loop
def draw_values(
    out: Any,
    starts: Any,
    first: Any,
    kind: Any,
    base: Any,
    spread: Any,
    low: Any,
    high: Any,
    tag: Any,
    key0: Any,
    key1: Any,
) -> None:
    """Write a value for each synapse: base + spread * u, or base + spread * z brought into low … high.

    Draw number i of a row belongs to its synapse number i; what lies outside is redrawn as the next attempt.
    """
    words = np.empty(WORDS_AT_ONCE + 1, np.uint64)
    again = np.empty(2, np.uint64)
    values = np.empty(WORDS_AT_ONCE + 1)
    scratch = scratch_for(WORDS_AT_ONCE)
    origin = starts[0]
    for row in range(starts.shape[0] - 1):
        target = first + row
        begin = starts[row] - origin
        length = starts[row + 1] - starts[row]
        for piece in range(0, length, WORDS_AT_ONCE):
            count = min(WORDS_AT_ONCE, length - piece)
            there = out[begin + piece : begin + piece + count]
            fill(words, piece, count, target, 0, tag, key0, key1)
            if kind == UNIFORM:
                for i in range(count):
                    there[i] = base + spread * unit(words[i])
                continue
            normal_quantiles(values, words, count, scratch)
            for i in range(count):
                there[i] = base + spread * values[i]
            if kind == CLIPPED:
                for i in range(count):
                    value = there[i]
                    there[i] = low if value < low else (high if value > high else value)
            elif kind == REDRAWN:
                for i in range(count):
                    number = piece + i
                    attempt = 0
                    while there[i] < low or there[i] > high:
                        attempt += 1
                        fill(again, number - number % 2, 1, target, attempt, tag, key0, key1)
                        again[0] = again[number % 2]
                        normal_quantiles(values, again, 1, scratch)
                        there[i] = base + spread * values[0]


# ----------------------------------------------------------------------------------- sorting


@loop
def count(counts: Any, keys: Any) -> None:
    """Add to counts[key] how often each key occurs."""
    for key in keys:
        counts[key] += 1


@loop
def place(places: Any, cursor: Any, keys: Any) -> None:
    """Write where each key goes in a stable counting sort, and move the cursor of each key on."""
    for i in range(keys.shape[0]):
        key = keys[i]
        places[i] = cursor[key]
        cursor[key] += 1


@loop
def put(out: Any, places: Any, values: Any) -> None:
    """Write each value to its place."""
    for i in range(places.shape[0]):
        out[places[i]] = values[i]


run: dict[str, Any] = {
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
"""All loops by name."""
