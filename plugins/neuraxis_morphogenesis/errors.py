"""Errors of morphogenesis: typed, with facts, ending with the remedy."""

from __future__ import annotations

from typing import ClassVar

from neuraxis.errors import ContractError, InputError


class KeyUnusable(InputError):
    """A file holds no key for signatures."""

    code: ClassVar[str] = "MOR120"
    path: str
    reason: str

    def message(self) -> str:
        return f"{self.path}: {self.reason}. Name a file of at least 32 random bytes."


class WireInvalid(ContractError):
    """Bytes are no message of the contracts, or a message has no wire form."""

    code: ClassVar[str] = "MOR201"
    subject: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.subject}: {self.reason}. {self.remedy}"


class IllegalTransition(ContractError):
    """A seed was to go where its stage does not lead."""

    code: ClassVar[str] = "MOR202"
    seed_id: str
    stage: str
    target: str
    legal: tuple[str, ...]

    def message(self) -> str:
        ways = ", ".join(self.legal) or "nowhere"
        return f"seed {self.seed_id!r} cannot go from {self.stage} to {self.target}. {self.stage} leads to: {ways}."
