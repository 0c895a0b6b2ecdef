"""The four shapes on SimPy: a store for each mailbox, a process for each actor."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from bench import work
from bench.work import FACTOR, MASK

if TYPE_CHECKING:
    from collections.abc import Generator

Process = "Generator[simpy.Event, Any, None]"


def main(shape: str) -> None:
    env = simpy.Environment()
    seen, messages, until = {"ring": ring, "fan-out": fan_out, "exchange": exchange, "arrays": arrays}[shape](env)
    began = time.perf_counter()
    env.run(until=until)
    work.report(messages, time.perf_counter() - began, seen)


def ring(env: simpy.Environment) -> tuple[list[int], int, Any]:
    count = work.RING_ACTORS
    boxes, seen, done = [simpy.Store(env) for _ in range(count)], [0] * count, env.event()

    def relay(i: int) -> Generator[simpy.Event, Any, None]:
        onward = boxes[(i + 1) % count]
        while True:
            value = yield boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ value) & MASK
            if value >= work.RING_HOPS:
                done.succeed()
                return
            yield env.timeout(1)
            onward.put(value + 1)

    for i in range(count):
        env.process(relay(i))
    boxes[0].put(1)
    return seen, work.RING_HOPS, done


def fan_out(env: simpy.Environment) -> tuple[list[int], int, Any]:
    boxes, seen = [simpy.Store(env) for _ in range(work.FAN_SINKS)], [0] * work.FAN_SINKS

    def sink(i: int) -> Generator[simpy.Event, Any, None]:
        while True:
            value = yield boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ value) & MASK

    def source() -> Generator[simpy.Event, Any, None]:
        for number in range(work.FAN_ROUNDS):
            for box in boxes:
                box.put(number)
            yield env.timeout(1)

    for i in range(work.FAN_SINKS):
        env.process(sink(i))
    env.process(source())
    return seen, work.FAN_SINKS * work.FAN_ROUNDS, None


def exchange(env: simpy.Environment) -> tuple[list[int], int, Any]:
    count, ticks = work.EXCHANGE_ACTORS, work.EXCHANGE_TICKS
    boxes, seen = [simpy.Store(env) for _ in range(count)], [0] * count

    def relay(i: int) -> Generator[simpy.Event, Any, None]:
        onward = boxes[work.partner(i, count)]
        for _ in range(ticks):
            value = yield boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ value) & MASK
            yield env.timeout(1)
            onward.put(value + 1)

    for i in range(count):
        env.process(relay(i))
        boxes[i].put(i)
    return seen, count * ticks, None


def arrays(env: simpy.Environment) -> tuple[list[int], int, Any]:
    count, ticks = work.BULK_ACTORS, work.BULK_TICKS
    boxes, seen = [simpy.Store(env) for _ in range(count)], [0] * count

    def carrier(i: int) -> Generator[simpy.Event, Any, None]:
        for tick in range(ticks):
            block = yield boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ int(block[tick % 64])) & MASK
            yield env.timeout(1)
            boxes[(i + 1) % count].put(block)

    for i in range(count):
        env.process(carrier(i))
        boxes[i].put(np.full(work.BULK_BYTES, i, np.uint8))
    return seen, count * ticks, None


if __name__ == "__main__":
    main(sys.argv[1])
