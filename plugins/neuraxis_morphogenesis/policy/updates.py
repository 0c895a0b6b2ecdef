"""Updates of a policy: who may send them, and which are too old.

A payload is 32 bytes of HMAC-SHA256, then safetensors. What is signed is the whole message.

Determinism: exact.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Literal

from msgspec.structs import replace

from neuraxis.codec import encode
from neuraxis_morphogenesis.authority import AGE_NS_MAX, FUTURE_NS_MAX
from neuraxis_morphogenesis.contracts import SCHEMA_VERSION, PolicyUpdate

DOMAIN: Final = b"neuraxis.morphogenesis.PolicyUpdate/1\0"
TAG_BYTES: Final = 32

Refusal = Literal[
    "invalid_signature", "unknown_version", "missing_version", "issued_in_future", "stale_update", "not_newer"
]
"""Why an update is refused."""


def signed_update(update: PolicyUpdate, key: bytes) -> PolicyUpdate:
    """Return an update, whose payload is bare safetensors, with its signature before them."""
    return replace(update, payload=_tag(update, key) + update.payload)


def tensors_of(update: PolicyUpdate) -> bytes:
    """Return the safetensors of a signed update."""
    return update.payload[TAG_BYTES:]


def refusal(update: PolicyUpdate, *, key: bytes, now_ns: int, newest_ns: int) -> Refusal | None:
    """Return why an update is refused, or None.

    Args:
        update: The update.
        key: What it must be signed with.
        now_ns: Model time, nanosecond.
        newest_ns: When the newest update that was accepted was issued; a replay is not newer.
    """
    bare = replace(update, payload=tensors_of(update))
    if not hmac.compare_digest(update.payload[:TAG_BYTES], _tag(bare, key)):
        return "invalid_signature"
    if update.version != SCHEMA_VERSION:
        return "unknown_version"
    if not update.policy_version:
        return "missing_version"
    if update.issued_at_ns - now_ns > FUTURE_NS_MAX:
        return "issued_in_future"
    if now_ns - update.issued_at_ns > AGE_NS_MAX:
        return "stale_update"
    return "not_newer" if update.issued_at_ns <= newest_ns else None


def _tag(update: PolicyUpdate, key: bytes) -> bytes:
    return hmac.new(key, DOMAIN + encode(update), hashlib.sha256).digest()
