"""Errors of the policy: typed, with facts, ending with the remedy."""

from __future__ import annotations

from typing import ClassVar

from neuraxis.errors import InputError


class PolicyUnusable(InputError):
    """Weights cannot be used as a policy."""

    code: ClassVar[str] = "POL101"
    policy: str
    reason: str

    def message(self) -> str:
        return f"policy {self.policy}: {self.reason}. Use weights that were stored by this version of the network."
