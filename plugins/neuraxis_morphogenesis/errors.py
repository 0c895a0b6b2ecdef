"""Errors of morphogenesis: typed, with facts, ending with the remedy."""

from __future__ import annotations

from typing import ClassVar

from neuraxis.errors import ContractError


class WireInvalid(ContractError):
    """Bytes are no message of the contracts, or a message has no wire form."""

    code: ClassVar[str] = "MOR201"
    subject: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.subject}: {self.reason}. {self.remedy}"
