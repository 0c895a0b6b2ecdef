"""Signatures of snapshots: Ed25519 over the SHA-256 of the manifest, which covers every part."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, final

from neuraxis.errors import ExtraMissing, SignatureInvalid, UsageInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from neuraxis.snapshot.container import Manifest

KEY_VARIABLE: Final = "NEURAXIS_SIGNING_KEY"
"""Environment variable with a private key: 64 hexadecimal digits, or `@FILE` with them in a file."""


@final
class Signer:
    """Signs snapshots with one private key. The key appears in no log, journal or report."""

    def __init__(self, key: bytes) -> None:
        """Take a private key of 32 bytes.

        Raises:
            ExtraMissing: The `cryptography` library is not installed.
        """
        self._key = _private_key(key)

    @classmethod
    def from_environment(cls) -> Signer | None:
        """Return a signer if the environment holds a key.

        Raises:
            UsageInvalid: The variable is set, but holds no key.
        """
        text = os.environ.get(KEY_VARIABLE, "")
        if not text:
            return None
        if text.startswith("@"):
            try:
                with open(text[1:], encoding="ascii", errors="replace") as file:
                    text = file.read().strip()
            except OSError as error:
                raise UsageInvalid(
                    what=f"{KEY_VARIABLE} names a file that cannot be read ({error.strerror})",
                    remedy="Name a file that holds 64 hexadecimal digits.",
                ) from error
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise UsageInvalid(
                what=f"{KEY_VARIABLE} holds no Ed25519 key", remedy="Set it to 64 hexadecimal digits, or to @FILE."
            )
        return cls(key)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, digest: bytes) -> bytes:
        """Return public key and signature, 96 bytes."""
        return self.public + self._key.sign(digest)


def verify_signature(path: Path, manifest: Manifest, *, expected: bytes | None) -> bytes | None:
    """Check a snapshot's signature and return the public key that made it; None if it is unsigned.

    Args:
        path: The file, for messages.
        manifest: Its manifest.
        expected: The public key that must have signed it; None accepts any valid signature, or none.

    Raises:
        SignatureInvalid: The signature does not fit, is by another key, or is missing though expected.
        ExtraMissing: The `cryptography` library is not installed.
    """
    public, signature = manifest.signature[:32], manifest.signature[32:]
    if not any(manifest.signature):
        if expected is None:
            return None
        raise SignatureInvalid(path=str(path), reason="the snapshot is not signed", remedy="Use one that is.")
    if expected is not None and public != expected:
        raise SignatureInvalid(
            path=str(path), reason=f"the snapshot is signed by {public.hex()}", remedy=f"Expected {expected.hex()}."
        )
    if not _is_valid(public, signature, manifest.digest):
        raise SignatureInvalid(
            path=str(path), reason="the signature does not fit the content", remedy="Do not use this snapshot."
        )
    return public


def _private_key(key: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise ExtraMissing(library="cryptography", extra="sign", purpose="signing snapshots") from error
    return Ed25519PrivateKey.from_private_bytes(key)


def _is_valid(public: bytes, signature: bytes, digest: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise ExtraMissing(library="cryptography", extra="sign", purpose="verifying a signed snapshot") from error
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, digest)
    except InvalidSignature:
        return False
    return True
