"""What generated code is made of: unchecked access to flat arrays, selection without branches, delivery of spikes.

The text of this module is written into every generated module, so that a change here is a change of its name.
Numba checks signed indices for being negative, which keeps loops from being vectorised; `get` and `put` do not.
Whoever calls them computes indices that lie inside. Nothing here contracts or reorders floating-point operations.
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 256
"""Neurons of a block."""

PART = 32
"""Neurons of the pieces of a block."""

ROUNDS = 10
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
HALF, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
"""Constants of Philox4x32-10; see `neuraxis_snn.noise`."""

LOOKS = 1 << 14
"""How often a thread looks whether the others have come, before it gives way to other programs."""

ROW_AHEAD = 32
"""Synapses whose place in memory is fetched at once: a line of 64 bytes holds so many indices of 16 bits."""


@intrinsic
def select(typing, condition, then, otherwise):
    """Return `then` where the condition holds, else `otherwise`; both are computed."""

    def write(context, builder, signature, arguments):
        bit = context.cast(builder, arguments[0], signature.args[0], types.boolean)
        return builder.select(builder.trunc(bit, ir.IntType(1)) if bit.type.width > 1 else bit, *arguments[1:])

    return then(types.boolean, then, then), write


@intrinsic
def get(typing, array, index):
    """Return `array[index]`."""

    def write(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.gep(data, [arguments[1]], inbounds=True)
        return context.unpack_value(builder, signature.args[0].dtype, place)

    return array.dtype(array, types.intp), write


@intrinsic
def put(typing, array, index, value):
    """Set `array[index]`."""

    def write(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.gep(data, [arguments[1]], inbounds=True)
        context.pack_value(builder, signature.args[0].dtype, arguments[2], place)
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), write


@intrinsic
def fetch(typing, array, index):
    """Ask for the line of memory that holds `array[index]`: a hint without effect on any result."""

    def write(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [byte, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), write


@intrinsic
def add_at_once(typing, array, index, value):
    """Add to `array[index]`, which other threads see at once, and return what was there before."""

    def write(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [arguments[1]]), arguments[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), write


@intrinsic
def look(typing, array, index):
    """Return `array[index]` as other threads left it."""

    def write(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "seq_cst", 8)

    return types.int64(array, types.intp), write


give_way = types.ExternalFunction("sched_yield", types.int32())


@numba.njit(nogil=True, error_model="numpy")
def meet(meeting, parts):
    """Wait until all threads are here: the first number counts those who came, the ninth how often all did."""
    before = look(meeting, 8)
    if add_at_once(meeting, 0, 1) == parts - 1:
        add_at_once(meeting, 0, -parts)
        add_at_once(meeting, 8, 1)
        return
    looks = 0
    while look(meeting, 8) == before:
        looks += 1
        if looks > LOOKS:
            give_way()


@numba.njit(nogil=True, error_model="numpy")
def philox(out, room, first, pieces, group, word, key0, key1, dropped):
    """Write the noise of some pieces of a block for four steps, one row of `out` after the other from `room` on."""
    low, high = np.uint32(np.uint64(group) & LOW), np.uint32(np.uint64(group) >> HALF)
    for i in range(pieces * PART):
        x0, x1, x2, x3 = np.uint32(first + i), low, high, np.uint32(word)
        k0, k1 = np.uint32(key0), np.uint32(key1)
        for _ in range(ROUNDS):
            m0 = np.uint64(x0) * M0
            m1 = np.uint64(x2) * M1
            x0 = np.uint32(m1 >> HALF) ^ x1 ^ k0
            x1 = np.uint32(m1)
            x2 = np.uint32(m0 >> HALF) ^ x3 ^ k1
            x3 = np.uint32(m0)
            k0 = np.uint32(k0 + W0)
            k1 = np.uint32(k1 + W1)
        put(out, room + i, np.uint32(x0 >> np.uint32(dropped)))
        put(out, room + LANES + i, np.uint32(x1 >> np.uint32(dropped)))
        put(out, room + 2 * LANES + i, np.uint32(x2 >> np.uint32(dropped)))
        put(out, room + 3 * LANES + i, np.uint32(x3 >> np.uint32(dropped)))


@numba.njit(nogil=True, error_model="numpy")
def taken_until(step, steps, begin):
    """Return where the spikes of a step end that begin there; `steps` ascend."""
    while begin < steps.shape[0] and steps[begin] <= step:
        begin += 1
    return begin


@numba.njit(nogil=True, error_model="numpy")
def push_same(begins, row, places, weight, spikes, first, last, until, sums, base):
    """Add one weight to the sums of all targets of spikes `first … last - 1`.

    `row` is where the rows of the job begin, `base` where places are counted from in the step of arrival. Spikes up to
    `until` come next: the first of their rows is fetched ahead.
    """
    for number in range(first, last):
        source = row + get(spikes, number)
        begin, end = get(begins, source), get(begins, source + 1)
        ahead = get(begins, row + get(spikes, number + 1)) if number + 1 < until else begin
        whole = begin + (end - begin) // ROW_AHEAD * ROW_AHEAD
        for at in range(begin, whole, ROW_AHEAD):
            fetch(places, ahead + at - begin)
            for each in range(at, at + ROW_AHEAD):
                place = base + np.int64(get(places, each))
                put(sums, place, sums.dtype.type(get(sums, place) + weight))
        for each in range(whole, end):
            place = base + np.int64(get(places, each))
            put(sums, place, sums.dtype.type(get(sums, place) + weight))


@numba.njit(nogil=True, error_model="numpy")
def push_each(begins, row, places, weights, spikes, first, last, until, sums, base):
    """Add the weight of each synapse to the sum of its target."""
    for number in range(first, last):
        source = row + get(spikes, number)
        begin, end = get(begins, source), get(begins, source + 1)
        ahead = get(begins, row + get(spikes, number + 1)) if number + 1 < until else begin
        whole = begin + (end - begin) // ROW_AHEAD * ROW_AHEAD
        for at in range(begin, whole, ROW_AHEAD):
            fetch(places, ahead + at - begin)
            fetch(weights, ahead + at - begin)
            for each in range(at, at + ROW_AHEAD):
                place = base + np.int64(get(places, each))
                put(sums, place, sums.dtype.type(get(sums, place) + get(weights, each)))
        for each in range(whole, end):
            place = base + np.int64(get(places, each))
            put(sums, place, sums.dtype.type(get(sums, place) + get(weights, each)))


@numba.njit(nogil=True, error_model="numpy")
def count_events(begins, row, spikes, first, last):
    """Return how many synapses spikes `first … last - 1` go through."""
    found = 0
    for number in range(first, last):
        source = row + get(spikes, number)
        found += get(begins, source + 1) - get(begins, source)
    return found


@numba.njit(nogil=True, error_model="numpy")
def most(counts):
    """Return the largest of some counts."""
    found = 0
    for count in counts:
        found = max(found, count)
    return found


@numba.njit(nogil=True, error_model="numpy")
def grown(events, room):
    """Return a copy of a calendar of events with room for more in each step."""
    larger = np.empty((events.shape[0], room), events.dtype)
    for step in range(events.shape[0]):
        for each in range(events.shape[1]):
            larger[step, each] = events[step, each]
    return larger


@numba.njit(nogil=True, error_model="numpy")
def push_same_later(
    begins, row, places, delays, weight, spikes, first, last, until, step, filled, due_places, due_weights, base
):
    """Note one event in the calendar for each synapse: where it will arrive, in the step in which it will."""
    ahead, room = due_places.shape
    flat_places, flat_weights = due_places.ravel(), due_weights.ravel()
    now = step % ahead
    for number in range(first, last):
        source = row + get(spikes, number)
        begin, end = get(begins, source), get(begins, source + 1)
        next_row = get(begins, row + get(spikes, number + 1)) if number + 1 < until else begin
        for each in range(begin, end):
            if each & 15 == 0:
                fetch(places, next_row + each - begin)
                fetch(delays, next_row + each - begin)
            slot = now + np.int64(get(delays, each))
            slot = slot - ahead if slot >= ahead else slot
            at = get(filled, slot)
            put(filled, slot, at + 1)
            put(flat_places, slot * room + at, np.int32(base + get(places, each)))
            put(flat_weights, slot * room + at, weight)


@numba.njit(nogil=True, error_model="numpy")
def push_each_later(
    begins, row, places, delays, weights, spikes, first, last, until, step, filled, due_places, due_weights, base
):
    """Like `push_same_later`, each synapse with its own weight."""
    ahead, room = due_places.shape
    flat_places, flat_weights = due_places.ravel(), due_weights.ravel()
    now = step % ahead
    for number in range(first, last):
        source = row + get(spikes, number)
        begin, end = get(begins, source), get(begins, source + 1)
        next_row = get(begins, row + get(spikes, number + 1)) if number + 1 < until else begin
        for each in range(begin, end):
            if each & 15 == 0:
                fetch(places, next_row + each - begin)
                fetch(weights, next_row + each - begin)
                fetch(delays, next_row + each - begin)
            slot = now + np.int64(get(delays, each))
            slot = slot - ahead if slot >= ahead else slot
            at = get(filled, slot)
            put(filled, slot, at + 1)
            put(flat_places, slot * room + at, np.int32(base + get(places, each)))
            put(flat_weights, slot * room + at, due_weights.dtype.type(get(weights, each)))


@numba.njit(nogil=True, error_model="numpy")
def arrive(step, filled, due_places, due_weights, sums, base):
    """Add the events of a step to the sums, and strike them from the calendar."""
    slot = step % filled.shape[0]
    places, weights = due_places[slot], due_weights[slot]
    for each in range(filled[slot]):
        place = base + np.int64(get(places, each))
        put(sums, place, sums.dtype.type(get(sums, place) + get(weights, each)))
    filled[slot] = 0


if numba.config.DISABLE_JIT:  # generated modules take what is above from this file, where debuggers and coverage see it
    from neuraxis_snn.backends.primitives import *  # noqa: F403
    from neuraxis_snn.backends.uncompiled import add_at_once, fetch, get, give_way, look, put, select  # noqa: F401
