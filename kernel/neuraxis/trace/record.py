"""Deliveries as people read them: one line each."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct
from msgspec.structs import asdict

from neuraxis.codec import ArrayHasher, canonical_array
from neuraxis.files import unusable
from neuraxis.message import field_names, message_type
from neuraxis.scheduler.envelope import activation_of, causes_of, sequence_of, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from neuraxis.errors import FileUnusable
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.envelope import Envelope
    from neuraxis.wiring import Wiring

_TICK: Final = re.compile(rb'\{"tick": (\d+)')


@final
class Delivery(Struct, frozen=True):
    """One delivered message.

    Attributes:
        tick: When it was delivered.
        target: Path of the receiver.
        port: Entry of the receiver.
        message: Its id as people write it, `path#sequence`.
        sent: When it was sent.
        payload: Its content as a short text.
        causes: Ids of the messages, or names of the activations, that it rests on.
    """

    tick: int
    target: str
    port: str
    message: str
    sent: int
    payload: str
    causes: tuple[str, ...]

    def __str__(self) -> str:
        because = f"  because {', '.join(self.causes)}" if self.causes else ""
        return (
            f"{self.tick:>8}  {self.target}.{self.port}  <-  {self.message} (sent {self.sent}): {self.payload}{because}"
        )


def delivery(wiring: Wiring, tick: int, receiver: int, envelope: Envelope) -> Delivery:
    """Return an envelope as people read it."""
    sent, message, port, payload, cause = envelope
    paths = wiring.paths
    causes = tuple(message_name(paths, each) for each in causes_of(cause))
    return Delivery(tick, paths[receiver], port, message_name(paths, message), sent, short(payload), causes)


def message_name(paths: tuple[str, ...], message: int) -> str:
    """Return a message id as `path#sequence`, and the id of an activation as `path@tick`."""
    if message < 0:
        position, tick = activation_of(message)
        return f"{paths[position]}@{tick}"
    return f"{paths[source_of(message)]}#{sequence_of(message)}"


def short(value: Any, *, width: int = 100) -> str:
    """Return a payload as a short text; arrays by type, shape and hash."""
    return cut(_text(value), width=width)


def cut(text: str, *, width: int = 100) -> str:
    """Return a text of at most `width` characters, with dots if something was left out."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if value.size <= 8:
            return f"{value.dtype.name}{value.tolist()}"
        return f"{value.dtype.name}{list(value.shape)} {ArrayHasher().digest(canonical_array(value))[-16:].hex()[:12]}"
    declared = message_type(type(value))
    if declared is not None:
        return f"{declared}({', '.join(f'{name}={_text(each)}' for name, each in fields_of(value))})"
    if isinstance(value, tuple):
        return f"({', '.join(_text(each) for each in value)})"
    return repr(value)


def fields_of(value: Any) -> list[tuple[str, Any]]:
    """Return the fields of a message with their names."""
    return [(name, getattr(value, name)) for name in field_names(type(value))]


@final
class TraceFile:
    """Writes every delivery as a line of JSON: for people, `jq` and data frames."""

    def __init__(self, path: Path, wiring: Wiring, *, after: int = -1) -> None:
        """Open a file for writing.

        Args:
            path: The file.
            wiring: The graph, for names.
            after: What it holds up to the end of this tick stays; -1 begins it anew.

        Raises:
            FileUnusable: It cannot be written.
        """
        self._path = path
        self._wiring = wiring
        try:
            self._file = path.open("a", encoding="utf-8", buffering=1 << 20)
        except OSError as error:
            raise unusable(path, error, "Choose a folder that you can write to.") from error
        self.cut_back(after)

    def cut_back(self, tick: int) -> None:
        """Take back every line behind the end of a tick, and one that a crash tore.

        Raises:
            FileUnusable: The disk is full.
        """
        try:
            self._file.flush()
            with self._path.open("rb") as file:
                os.truncate(self._path, _end_of(file, tick))
        except OSError as error:
            raise self._unusable(error) from error

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        """Write the deliveries of a tick.

        Raises:
            FileUnusable: The disk is full.
        """
        try:
            for receiver in order:
                for envelope in mail[receiver]:
                    line = asdict(delivery(self._wiring, tick, receiver, envelope))
                    self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._unusable(error) from error

    def flush(self) -> None:
        """Write what is buffered, so that a killed process does not lose it.

        Raises:
            FileUnusable: The disk is full.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Write what is buffered and close the file.

        Raises:
            FileUnusable: The disk is full.
        """
        try:
            self._file.close()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> FileUnusable:
        return unusable(self._path, error, 'Free space, or run with --trace "digest".')


def _end_of(lines: Iterable[bytes], tick: int) -> int:
    """Return how many bytes of a trace belong to ticks up to this one; the first key of every line is its tick."""
    end = 0
    for line in lines:
        match = _TICK.match(line)
        if match is None or not line.endswith(b"\n") or int(match[1]) > tick:
            break
        end += len(line)
    return end
