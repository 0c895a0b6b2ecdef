"""Errors of morphogenesis: typed, with facts, ending with the remedy."""

from __future__ import annotations

from typing import ClassVar

from neuraxis.errors import ContractError, InputError, RunError


class DataUnusable(InputError):
    """A file holds no data to learn from."""

    code: ClassVar[str] = "MOR121"
    path: str
    reason: str

    def message(self) -> str:
        arrays = "train_inputs, train_labels, test_inputs and test_labels"
        return f"{self.path}: {self.reason}. Name an .npz file with {arrays}, or a text for a transformer."


class HostInvalid(InputError):
    """A host is described in a way that cannot work."""

    code: ClassVar[str] = "MOR122"
    kind: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"host {self.kind!r}: {self.reason}. {self.remedy}"


class NumericsTooLate(InputError):
    """The numerics profile `portable` was asked for after PyTorch had been loaded without it."""

    code: ClassVar[str] = "MOR123"
    missing: tuple[str, ...]

    def message(self) -> str:
        remedy = f'Start Python with {" ".join(self.missing)}, or use numerics = "native".'
        return f"PyTorch is loaded, and its numerics are not portable. {remedy}"


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


class SlotMisused(ContractError):
    """A slot was asked for what it cannot do, or its module broke the shape contract."""

    code: ClassVar[str] = "MOR203"
    slot: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"slot {self.slot!r}: {self.reason}. {self.remedy}"


class RateTampered(ContractError):
    """Somebody other than the owner of learning rates wrote one."""

    code: ClassVar[str] = "MOR204"
    owner: str
    expected: float
    got: float

    def message(self) -> str:
        return (
            f"the learning rate of {self.owner!r} is {self.got!r}, and {self.expected!r} was set. "
            "Change rates with a command, and nowhere else."
        )


class PhaseSkipped(ContractError):
    """The trainer was to do something that does not follow from what it is doing."""

    code: ClassVar[str] = "MOR205"
    phase: str
    target: str
    legal: tuple[str, ...]

    def message(self) -> str:
        ways = ", ".join(self.legal) or "nowhere"
        return f"the trainer cannot go from {self.phase!r} to {self.target!r}. It can go to: {ways}."


class RunOfStudyFailed(RunError):
    """A run of a study did not come to its end."""

    code: ClassVar[str] = "MOR301"
    seed: int
    reason: str

    def message(self) -> str:
        return f"seed {self.seed}: {self.reason}. Repair it and call the same command; what is finished stays."
