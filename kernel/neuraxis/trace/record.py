"""Deliveries as people read them: one line each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, final

import numpy as np
from msgspec import Struct
from msgspec.structs import asdict

from neuraxis.codec import ArrayHasher, canonical_array
from neuraxis.files import unusable
from neuraxis.message import field_names, message_type
from neuraxis.scheduler.envelope import activation_of, causes_of, sequence_of, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from neuraxis.errors import FileUnusable
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.envelope import Envelope
    from neuraxis.wiring import Wiring


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

    def __init__(self, path: Path, wiring: Wiring) -> None:
        """Open a file for writing; what it held is replaced.

        Raises:
            FileUnusable: It cannot be written.
        """
        self._path = path
        self._wiring = wiring
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1 << 20)
        except OSError as error:
            raise unusable(path, error, "Choose a folder that you can write to.") from error

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
