"""How fast two processes exchange frames over each transport, beside the bare client library in the same run.

    python -m bench.transports [--count N] [--bytes N] [--repeats N] [--only local,redis,nats]

Both processes send one frame and wait for one, as the barrier of a distributed run does: an exchange. The bare
clients do what one would write first: `multiprocessing.Pipe`, XADD and XREAD, publish_async and an ordered consumer.
The bare client of NATS sends no frame longer than the server's `max_payload`, about one megabyte.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuraxis.cluster.local import Local

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis.seams.transport import Transport

RUN = "bench"

PIPE_BYTES = 16_384
"""What fits into a pipe that nobody reads."""


def _transport(url: str) -> Transport:
    if url.startswith("local:"):
        return Local(url)
    if url.startswith("redis"):
        from neuraxis_transports.redis import Redis

        return Redis(url)
    from neuraxis_transports.nats import Nats

    return Nats(url)


def _ours(url: str, member: int, count: int, size: int, meet: Callable[[], None]) -> float:
    link = _transport(url).join(RUN, member)
    frame = bytes(size)
    meet()
    time.sleep(0.1)
    began = 0.0
    for number in range(count + 1):
        if number == 1:
            began = time.perf_counter()
        link.send(3 - member, [frame])
        while link.receive(5.0) is None:
            pass
    took = time.perf_counter() - began
    meet()
    link.close()
    return took


def bare_pipe(ends: Any, member: int, count: int, size: int, meet: Callable[[], None]) -> float:
    end = ends[member - 1]
    frame = bytes(size)
    meet()
    began = time.perf_counter()
    for _ in range(count):
        if size <= PIPE_BYTES or member == 1:
            end.send_bytes(frame)
            end.recv_bytes()
        else:  # two that send before they read would wait for each other for ever
            end.recv_bytes()
            end.send_bytes(frame)
    return time.perf_counter() - began


def bare_redis(url: str, member: int, count: int, size: int, meet: Callable[[], None]) -> float:
    import redis

    writer, reader = redis.Redis.from_url(url), redis.Redis.from_url(url)
    frame, last = bytes(size), b"0"
    writer.delete(f"bare:{member}")
    meet()
    began = 0.0
    for number in range(count + 1):
        if number == 1:
            began = time.perf_counter()
        writer.xadd(f"bare:{3 - member}", {"d": frame}, maxlen=64, approximate=True)
        reply = reader.xread({f"bare:{member}": last}, block=5_000, count=1)
        entries = reply[0][1] if isinstance(reply, list) else next(iter(reply.values()))
        while isinstance(entries[0], list) and isinstance(entries[0][0], list | tuple):
            entries = entries[0]
        last = entries[-1][0]
    took = time.perf_counter() - began
    meet()
    writer.delete(f"bare:{member}")
    writer.close()
    reader.close()
    return took


def bare_nats(url: str, member: int, count: int, size: int, meet: Callable[[], None]) -> float:
    import nats
    from nats.js.api import StreamConfig

    async def main() -> float:
        client = await nats.connect(url, pending_size=64 << 20)
        jetstream = client.jetstream(timeout=30)
        if member == 1:
            await jetstream.add_stream(StreamConfig(name="bare", subjects=["bare.>"], max_bytes=1 << 30))
        await asyncio.to_thread(meet)
        queue: asyncio.Queue[bytes] = asyncio.Queue()

        async def arrived(message: Any) -> None:
            queue.put_nowait(message.data)

        await jetstream.subscribe(f"bare.{member}.*", cb=arrived, ordered_consumer=True)
        await asyncio.to_thread(meet)
        frame = bytes(size)
        began = 0.0
        for number in range(count + 1):
            if number == 1:
                began = time.perf_counter()
            head = {"Nats-Msg-Id": f"{member}.{number}"}
            await jetstream.publish_async(f"bare.{3 - member}.{member}", frame, headers=head)
            await queue.get()
        took = time.perf_counter() - began
        await asyncio.to_thread(meet)
        if member == 1:
            await jetstream.delete_stream("bare")
        await client.close()
        return took

    return asyncio.run(main())


def _process(work: Any, what: Any, member: int, count: int, size: int, barrier: Any, answers: Any) -> None:
    took = work(what, member, count, size, barrier.wait)
    if member == 1:
        answers.put(count / took)


def rate(work: Any, what: Any, count: int, size: int) -> float:
    """Exchanges per second."""
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(2), context.SimpleQueue()
    processes = [
        context.Process(target=_process, args=(work, what, member, count, size, barrier, answers)) for member in (1, 2)
    ]
    for process in processes:
        process.start()
    while any(process.exitcode is None for process in processes):
        for process in processes:
            process.join(0.1)
            if process.exitcode:
                for other in processes:
                    other.kill()
                raise SystemExit(f"a process of the measurement of {work.__name__} ended with {process.exitcode}")
    return float(answers.get())


def _our_rate(url: str, count: int, size: int) -> float:
    transport = _transport(url)
    transport.create(RUN)
    try:
        return rate(_ours, transport.url, count, size)
    finally:
        transport.remove(RUN)


def _compare(name: str, url: str, bare: Any, what: Any, count: int, size: int, repeats: int) -> None:
    pairs = [(_our_rate(url, count, size), rate(bare, what(), count, size)) for _ in range(repeats)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        json.dumps(
            {
                "transport": name,
                "bytes": size,
                "exchanges_per_s": round(ours),
                "bare_per_s": round(theirs),
                "ratio": round(statistics.median(one / other for one, other in pairs), 2),
                "megabytes_per_s": round(2 * ours * size / 1e6, 1),
            }
        ),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3_000)
    parser.add_argument("--bytes", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="local,redis,nats")
    options = parser.parse_args()
    facts = (options.count, options.bytes, options.repeats)
    only = options.only.split(",")
    from tests.transports.brokers import NatsServer, RedisServer

    if "local" in only:
        context = multiprocessing.get_context("fork")
        _compare("local", "local:", bare_pipe, context.Pipe, *facts)
    for name, kind, bare in (("redis", RedisServer, bare_redis), ("nats", NatsServer, bare_nats)):
        if name in only:
            with tempfile.TemporaryDirectory() as folder, kind(Path(folder)) as server:
                _compare(name, server.url, bare, lambda server=server: server.url, *facts)


if __name__ == "__main__":
    main()
