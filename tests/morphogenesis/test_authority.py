"""Who may command: signatures, each command once, and only while it is fresh."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from neuraxis import Resource
from neuraxis_morphogenesis.authority import NONCE_NS, SECOND_NS, key_of, signed, verify
from neuraxis_morphogenesis.contracts import SIGNATURE, AdaptationCommand, numbers, pairs
from neuraxis_morphogenesis.errors import KeyUnusable
from tests.morphogenesis.packets import COMMAND

KEY = bytes(range(32))
NOW = COMMAND.issued_at_ns
BARE = replace(COMMAND, annotations=pairs({"risk_reason": "policy"}), execution_deadline_ms=0)


def rejection(command: AdaptationCommand, *, now: int = NOW, key: bytes | None = KEY, known: int | None = None) -> str:
    nonces = {} if known is None else {command.command_id: known}
    return verify(command, key=key, nonces=nonces, now_ns=now).rejection or "accepted"


def test_a_signed_fresh_command_is_accepted_once() -> None:
    command = signed(BARE, KEY)
    first = verify(command, key=KEY, nonces={}, now_ns=NOW)
    assert first.rejection is None
    assert verify(command, key=KEY, nonces=first.nonces, now_ns=NOW + 1).rejection == "nonce_replayed"


def test_every_reason_to_reject() -> None:
    good = signed(BARE, KEY)
    assert rejection(good, key=None) == "verifier_unavailable"
    assert rejection(BARE) == "missing_signature"
    assert rejection(signed(BARE, KEY[::-1])) == "invalid_signature"
    assert rejection(signed(replace(BARE, command_id=""), KEY)) == "missing_command_id"
    assert rejection(good, known=NOW - 1) == "nonce_replayed"
    assert rejection(good, now=NOW - 5 * SECOND_NS - 1) == "issued_in_future"
    assert rejection(good, now=NOW + 60 * SECOND_NS + 1) == "stale_command"
    assert rejection(signed(replace(BARE, issued_at_ns=0), KEY)) == "missing_timestamp"


def test_the_limits_of_freshness_are_still_fresh() -> None:
    good = signed(BARE, KEY)
    assert rejection(good, now=NOW - 5 * SECOND_NS) == "accepted"
    assert rejection(good, now=NOW + 60 * SECOND_NS) == "accepted"
    hasty = signed(replace(BARE, execution_deadline_ms=1000), KEY)
    assert rejection(hasty, now=NOW + SECOND_NS) == "accepted"
    assert rejection(hasty, now=NOW + SECOND_NS + 1) == "stale_command"


def test_an_id_is_forgotten_only_when_its_command_is_stale() -> None:
    verdict = verify(
        signed(BARE, KEY), key=KEY, nonces={"old": NOW - NONCE_NS, "young": NOW - NONCE_NS + 1}, now_ns=NOW
    )
    assert verdict.nonces == {"young": NOW - NONCE_NS + 1, BARE.command_id: NOW}


CHANGES = (
    {"target_seed_id": "other"},
    {"command_id": "other"},
    {"issued_by": "other"},
    {"issued_at_ns": NOW + 1},
    {"execution_deadline_ms": 7},
    {"annotations": pairs({SIGNATURE: dict(signed(BARE, KEY).annotations)[SIGNATURE], "risk_reason": "mine"})},
    {"seed_operation": replace(BARE.seed_operation, parameters=numbers({"depth": 3}))},
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_command_changed_after_signing_is_rejected(change: dict[str, object]) -> None:
    assert rejection(replace(signed(BARE, KEY), **change)) == "invalid_signature"


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4)))
def test_a_signature_holds_in_whatever_order_annotations_were_written(annotations: dict[str, str]) -> None:
    annotations.pop(SIGNATURE, None)
    one = signed(replace(BARE, annotations=tuple(annotations.items())), KEY)
    other = signed(replace(BARE, annotations=tuple(reversed(annotations.items()))), KEY)
    assert one == other
    assert rejection(one) == "accepted"


def test_a_signature_of_any_text_is_refused_and_not_an_error() -> None:
    assert rejection(replace(BARE, annotations=pairs({SIGNATURE: "∞"}))) == "invalid_signature"


def test_a_key_is_a_file_of_at_least_32_bytes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    resource = Resource(str(path), hashlib.sha256(KEY).hexdigest())
    assert key_of(resource) == KEY
    path.write_bytes(KEY[:31])
    with pytest.raises(KeyUnusable, match="it holds 31 bytes"):
        key_of(resource)
    path.unlink()
    with pytest.raises(KeyUnusable, match="cannot be read"):
        key_of(resource)
