"""The four shapes on asyncio: a queue for each mailbox, a task for each actor, running freely."""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np

from bench import work
from bench.work import FACTOR, MASK


async def ring() -> tuple[float, int, list[int]]:
    count = work.RING_ACTORS
    boxes, seen, done = [asyncio.Queue() for _ in range(count)], [0] * count, asyncio.Event()

    async def relay(i: int) -> None:
        onward = boxes[(i + 1) % count]
        while True:
            value = await boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ value) & MASK
            if value >= work.RING_HOPS:
                done.set()
                return
            await onward.put(value + 1)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(relay(i)) for i in range(count)]
        began = time.perf_counter()
        boxes[0].put_nowait(1)
        await done.wait()
        wall = time.perf_counter() - began
        for task in tasks:
            task.cancel()
    return wall, work.RING_HOPS, seen


async def fan_out() -> tuple[float, int, list[int]]:
    boxes, seen = [asyncio.Queue() for _ in range(work.FAN_SINKS)], [0] * work.FAN_SINKS

    async def sink(i: int) -> None:
        for _ in range(work.FAN_ROUNDS):
            value = await boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ value) & MASK

    async def source() -> None:
        for number in range(work.FAN_ROUNDS):
            for box in boxes:
                await box.put(number)
            await asyncio.sleep(0)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for i in range(work.FAN_SINKS):
            group.create_task(sink(i))
        group.create_task(source())
    return time.perf_counter() - began, work.FAN_SINKS * work.FAN_ROUNDS, seen


async def exchange() -> tuple[float, int, list[int]]:
    count, ticks = work.EXCHANGE_ACTORS, work.EXCHANGE_TICKS
    boxes, seen = [asyncio.Queue() for _ in range(count)], [0] * count

    async def relay(i: int) -> None:
        onward = boxes[work.partner(i, count)]
        for _ in range(ticks):
            value = await boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ value) & MASK
            await onward.put(value + 1)

    for i in range(count):
        boxes[i].put_nowait(i)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for i in range(count):
            group.create_task(relay(i))
    return time.perf_counter() - began, count * ticks, seen


async def arrays() -> tuple[float, int, list[int]]:
    count, ticks = work.BULK_ACTORS, work.BULK_TICKS
    boxes, seen = [asyncio.Queue() for _ in range(count)], [0] * count

    async def carrier(i: int) -> None:
        for tick in range(ticks):
            block = await boxes[i].get()
            seen[i] = (seen[i] * FACTOR ^ int(block[tick % 64])) & MASK
            await boxes[(i + 1) % count].put(block)

    for i in range(count):
        boxes[i].put_nowait(np.full(work.BULK_BYTES, i, np.uint8))
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for i in range(count):
            group.create_task(carrier(i))
    return time.perf_counter() - began, count * ticks, seen


def main(shape: str) -> None:
    run = {"ring": ring, "fan-out": fan_out, "exchange": exchange, "arrays": arrays}[shape]
    wall, messages, seen = asyncio.run(run())
    work.report(messages, wall, seen)


if __name__ == "__main__":
    main(sys.argv[1])
