"""Who may command: signatures over canonical bytes, each command once, and only while it is fresh.

Determinism: exact. A key is a resource of the scenario: its checksum is pinned there, and its bytes are nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, final

from msgspec import Struct
from msgspec.structs import replace

from neuraxis.codec import encode
from neuraxis_morphogenesis.contracts import SIGNATURE, AdaptationCommand, pairs
from neuraxis_morphogenesis.errors import KeyUnusable

if TYPE_CHECKING:
    from neuraxis import Resource

Rejection = Literal[
    "verifier_unavailable",
    "missing_signature",
    "invalid_signature",
    "missing_command_id",
    "nonce_replayed",
    "issued_in_future",
    "stale_command",
    "missing_timestamp",
]
"""Why a command is refused."""

KEY_BYTES_MIN: Final = 32
DOMAIN: Final = b"neuraxis.morphogenesis.AdaptationCommand/1\0"
"""What is signed begins with it, so that no signature over something else is one over a command."""

SECOND_NS: Final = 10**9
FUTURE_NS_MAX: Final = 5 * SECOND_NS
AGE_NS_MAX: Final = 60 * SECOND_NS
NONCE_NS: Final = 300 * SECOND_NS
"""How long command ids are remembered. It exceeds `AGE_NS_MAX`: what was forgotten is stale."""


def key_of(resource: Resource) -> bytes:
    """Return the key that a file holds.

    Raises:
        KeyUnusable: It cannot be read, or is shorter than 32 bytes.
    """
    try:
        key = Path(resource.path).read_bytes()
    except OSError as error:
        raise KeyUnusable(path=resource.path, reason=f"it cannot be read ({error.strerror})") from error
    if len(key) < KEY_BYTES_MIN:
        raise KeyUnusable(path=resource.path, reason=f"it holds {len(key)} bytes")
    return key


def signed(command: AdaptationCommand, key: bytes) -> AdaptationCommand:
    """Return the command with its signature among the annotations."""
    annotations = {**dict(command.annotations), SIGNATURE: _signature(command, key)}
    return replace(command, annotations=pairs(annotations))


def _signature(command: AdaptationCommand, key: bytes) -> str:
    """Return HMAC-SHA256 over the canonical bytes of a command without its signature, hexadecimal."""
    rest = {name: text for name, text in command.annotations if name != SIGNATURE}
    content = encode(replace(command, annotations=pairs(rest)))
    return hmac.new(key, DOMAIN + content, hashlib.sha256).hexdigest()


@final
class Verdict(Struct, frozen=True):
    """Whether a command is accepted.

    Attributes:
        rejection: Why not; None if it is.
        nonces: Ids that are remembered from now on, with the time at which each was accepted.
    """

    rejection: Rejection | None
    nonces: dict[str, int]


def verify(command: AdaptationCommand, *, key: bytes | None, nonces: Mapping[str, int], now_ns: int) -> Verdict:
    """Judge a command.

    Args:
        command: The command.
        key: What it must be signed with; None refuses every command.
        nonces: Ids accepted before, with times; what is older than 300 s is forgotten.
        now_ns: Model time, nanosecond; wall time under the live clock.
    """
    kept = {name: at for name, at in nonces.items() if now_ns - at < NONCE_NS}
    rejection = _rejection(command, key, kept, now_ns)
    if rejection is None:
        kept[command.command_id] = now_ns
    return Verdict(rejection, kept)


def _rejection(
    command: AdaptationCommand, key: bytes | None, nonces: Mapping[str, int], now_ns: int
) -> Rejection | None:
    signature = dict(command.annotations).get(SIGNATURE)
    if key is None:
        return "verifier_unavailable"
    if signature is None:
        return "missing_signature"
    if not hmac.compare_digest(signature.encode(), _signature(command, key).encode()):
        return "invalid_signature"
    if not command.command_id:
        return "missing_command_id"
    if command.issued_at_ns == 0:
        return "missing_timestamp"
    if command.issued_at_ns - now_ns > FUTURE_NS_MAX:
        return "issued_in_future"
    limit = min(AGE_NS_MAX, command.execution_deadline_ms * 1_000_000 or AGE_NS_MAX)
    if now_ns - command.issued_at_ns > limit:
        return "stale_command"
    return "nonce_replayed" if command.command_id in nonces else None
