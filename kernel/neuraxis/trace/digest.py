"""The run digest: what was delivered, hashed shard by shard.

A shard's record of a tick is the canonical encoding of `[tick, position, inbox, position, inbox, …]` over
those of its actors that had mail. Records are appended to the shard's buffer; a buffer that has
reached 64 KiB is folded into the shard's chain when the tick closes. The run digest is the
hash over all chains, in order, under the hash of seed and semantic scenario. A worker owns whole
shards, so neither the number of workers nor the order of running actors can enter it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct

from neuraxis.actor import DETERMINISM_CLASSES
from neuraxis.codec import NOT_CANONICAL, ArrayHasher
from neuraxis.wiring import SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuraxis.scheduler.calendar import Mail
    from neuraxis.wiring import Wiring

FOLD_BYTES: Final = 65_536
"""Buffered bytes at which a shard is folded. Part of the digest: never to be changed."""

_NOTHING: Final = bytes(32)


def _start(chain: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(chain, digest_size=32, person=b"neuraxis shard")


def _fold(chain: bytes, tail: bytes) -> bytes:
    return hashlib.blake2b(chain + tail, digest_size=32, person=b"neuraxis shard").digest()


@final
class ChainState(Struct, frozen=True):
    """One shard between two ticks: its chain, and the records not yet folded into it."""

    chain: bytes
    tail: bytes


@final
class DigestRecorder:
    """Records the mail of every tick, and tells the digest at any tick boundary.

    Attributes:
        hasher: Encodes values with arrays by their hash; shared so that an array is hashed once.
        encode: Its encoder.
        buffer_of: By position, the buffer of the actor's shard. The scheduler appends to it directly in
            ticks in which one actor has mail: `encode((tick, position, inbox))`, as `record` would.
    """

    def __init__(self, wiring: Wiring, seed: int, when_closed: list[Callable[[], None]]) -> None:
        """Start with nothing recorded.

        Args:
            wiring: The graph.
            seed: The run's seed.
            when_closed: What the scheduler does when it closes the tick; the recorder adds to it.
        """
        self.hasher = ArrayHasher()
        shards = len(DETERMINISM_CLASSES) * SHARDS
        self._head = _fold(wiring.semantic, str(seed).encode())
        self._shard_of = wiring.shards
        self._classes = {name for position, name in enumerate(wiring.determinism) if wiring.specs[position] is not None}
        self._buffers = [bytearray() for _ in range(shards)]
        self._chains = [_NOTHING] * shards
        self._tails = [_start(_NOTHING) for _ in range(shards)]
        self._hashed = [0] * shards
        self.buffer_of = [self._buffers[shard] for shard in wiring.shards]
        self._when_closed = when_closed
        self.encode = self.hasher.encoder.encode

    def record(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        """Record what is delivered in a tick.

        Args:
            tick: The tick.
            order: Receivers with mail, ascending.
            mail: Their inboxes.

        Raises:
            TypeError, OverflowError, UnicodeEncodeError: A payload has no canonical form; nothing was recorded.
                `find_unencodable` tells whose it is.
        """
        encode, shard_of = self.encode, self._shard_of
        groups: dict[int, list[Any]] = {}
        for position in order:
            shard = shard_of[position]
            group = groups.get(shard)
            if group is None:
                groups[shard] = [tick, position, mail[position]]
            else:
                group.append(position)
                group.append(mail[position])
        done = 0
        try:
            for shard, group in groups.items():
                buffer = self._buffers[shard]
                buffer += encode(group)
                done += 1
                if len(buffer) >= FOLD_BYTES:
                    self._when_closed.append(self.settle)
        except NOT_CANONICAL:
            self._take_back(dict(list(groups.items())[:done]))
            raise

    def settle(self) -> None:
        """Fold the buffers that are full. Called when a tick is closed: until then it may be discarded."""
        for shard, buffer in enumerate(self._buffers):
            if len(buffer) >= FOLD_BYTES:
                self._chains[shard] = self._tail_digest(shard)
                self._tails[shard] = _start(self._chains[shard])
                self._hashed[shard] = 0
                buffer.clear()

    def _tail_digest(self, shard: int) -> bytes:
        """Return the hash of chain and tail of a shard. Bytes hashed before are not hashed again."""
        buffer, tail = self._buffers[shard], self._tails[shard]
        if self._hashed[shard] < len(buffer):
            tail.update(memoryview(buffer)[self._hashed[shard] :])
            self._hashed[shard] = len(buffer)
        return tail.digest()

    def discard(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        """Take back the records of the tick that was recorded last and is not closed."""
        groups: dict[int, list[Any]] = {}
        for position in order:
            groups.setdefault(self._shard_of[position], [tick]).extend((position, mail[position]))
        self._take_back(groups)

    def _take_back(self, groups: Mapping[int, list[Any]]) -> None:
        for shard, group in groups.items():
            del self._buffers[shard][-len(self.encode(group)) :]
            assert self._hashed[shard] <= len(self._buffers[shard]), "only closed ticks are hashed"

    def find_unencodable(self, order: Sequence[int], mail: Mail) -> tuple[int, Any, Exception] | None:
        """Return receiver, envelope and error of the first message without a canonical form, or None."""
        for position in order:
            for envelope in mail[position]:
                try:
                    self.encode(envelope)
                except NOT_CANONICAL as error:
                    return position, envelope, error
        return None

    def shard_digests(self) -> tuple[bytes, ...]:
        """Return the digest of every shard up to here; 32 zero bytes for one that never had mail."""
        return tuple(
            self._tail_digest(shard) if self._buffers[shard] or chain != _NOTHING else _NOTHING
            for shard, chain in enumerate(self._chains)
        )

    def digests(self) -> dict[str, str]:
        """Return the digest of each determinism class that has actors, as hexadecimal text."""
        return self.digests_of(dict(enumerate(self.shard_digests())))

    def digests_of(self, shards: Mapping[int, bytes]) -> dict[str, str]:
        """Return the digest of each determinism class that has actors, where shards have these digests."""
        whole = [shards.get(shard, _NOTHING) for shard in range(len(DETERMINISM_CLASSES) * SHARDS)]
        return {
            name: _fold(self._head, b"".join((name.encode(), *whole[index * SHARDS : (index + 1) * SHARDS]))).hex()
            for index, name in enumerate(DETERMINISM_CLASSES)
            if name in self._classes
        }

    def digest(self) -> str:
        """Return the digest of the whole run up to here, as hexadecimal text."""
        return _fold(self._head, b"".join(self.shard_digests())).hex()

    def capture(self) -> dict[int, ChainState]:
        """Return the state of every shard that had mail."""
        return {
            shard: ChainState(chain, bytes(self._buffers[shard]))
            for shard, chain in enumerate(self._chains)
            if chain != _NOTHING or self._buffers[shard]
        }

    def restore(self, captured: dict[int, ChainState]) -> None:
        """Take over what `capture` returned."""
        for shard in range(len(self._chains)):
            state = captured.get(shard, ChainState(_NOTHING, b""))
            self._chains[shard] = state.chain
            self._buffers[shard][:] = state.tail
            self._tails[shard] = _start(state.chain)
            self._hashed[shard] = 0
