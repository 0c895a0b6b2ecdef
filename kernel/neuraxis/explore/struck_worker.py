"""The process of a worker whose link has bursts of faults, when a campaign orders them.

A campaign writes an order into a file; the link looks for it while it sends and receives, and says in another file when
the first frame was struck. `neuraxis worker` itself knows nothing of this.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final, final

import msgspec
from msgspec import Struct

from neuraxis.cluster.epoch import transport_of
from neuraxis.cluster.worker import leashed, serve
from neuraxis.explore.strikes import BURSTS
from neuraxis.files import write_atomically
from neuraxis.logs import set_up
from neuraxis.rng import Stream, stream_key
from neuraxis.testing.faulty_transport import FaultyLink, FrameFaults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.seams.transport import Buffer, Transport

LOOK_S: Final = 0.02


@final
class Order(Struct, frozen=True):
    """A burst of faults.

    Attributes:
        number: Grows with every order to one worker.
        kind: One of `BURSTS`.
    """

    number: int
    kind: str


def order_path(folder: Path, worker: int) -> Path:
    """Return where the newest order to a worker lies."""
    return folder / f"{worker}.order"


def told(folder: Path, worker: int) -> int:
    """Return the number of the newest order that struck a frame; 0 if none did."""
    try:
        return int((folder / f"{worker}.told").read_text())
    except FileNotFoundError:
        return 0


@final
class StruckTransport:
    """Wraps a transport for one worker. Only `join` differs."""

    def __init__(self, transport: Transport, orders: Path, seed: int) -> None:
        self._transport = transport
        self._orders = orders
        self._seed = seed
        self.name = transport.name
        self.url = transport.url
        self.check = transport.check
        self.create = transport.create
        self.remove = transport.remove

    def join(self, run: str, member: int) -> StruckLink:
        """Return a link that has faults when it is ordered."""
        stream = Stream(stream_key(self._seed, f"worker {member}", "frames"))
        link = FaultyLink(self._transport.join(run, member), FrameFaults(), stream)
        return StruckLink(link, self._orders, member)


@final
class StruckLink:
    """A link that has faults when it is ordered."""

    def __init__(self, link: FaultyLink, orders: Path, member: int) -> None:
        self._link = link
        self._orders = orders
        self._member = member
        self._done = told(orders, member)
        self._left = 0
        self._looked = 0.0
        self.receive = link.receive
        self.close = link.close

    def send(self, member: int, parts: Sequence[Buffer]) -> None:
        """Send one frame, with the faults of the burst that lasts."""
        if self._left == 0:
            self._look()
        if self._left == 0:
            self._link.send(member, parts)
            return
        before = sum(self._link.fired.values())
        self._link.send(member, parts)
        if sum(self._link.fired.values()) > before:
            write_atomically(self._orders / f"{self._member}.told", [str(self._done).encode()])
        self._left -= 1
        if self._left == 0:
            self._link.faults = FrameFaults()

    def _look(self) -> None:
        now = monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        try:
            order = msgspec.json.decode(order_path(self._orders, self._member).read_bytes(), type=Order)
        except FileNotFoundError:
            return
        if order.number > self._done:
            self._done = order.number
            self._left, self._link.faults = BURSTS[order.kind]


def main() -> None:
    """Work as `neuraxis worker` does, with a link that has faults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=Path, required=True)
    parser.add_argument("--frame-seed", type=int, required=True)
    parser.add_argument("verb", choices=["worker"])
    parser.add_argument("run", type=Path)
    for name in ("--index", "--incarnation", "--from-tick"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--transport", required=True)
    given = parser.parse_args()
    leashed()
    set_up("INFO")
    transport = StruckTransport(transport_of(given.transport), given.orders, given.frame_seed)
    serve(given.run, given.index, given.incarnation, given.from_tick, transport)


if __name__ == "__main__":
    main()
