"""Errors of the spiking engine: typed, with facts, ending with the remedy."""

from __future__ import annotations

from typing import ClassVar

from neuraxis.errors import ContractError, InputError


class NetworkInvalid(InputError):
    """A model, rule, population or projection is described in a way that cannot work."""

    code: ClassVar[str] = "SNN101"
    subject: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.subject}: {self.reason}. {self.remedy}"


class EngineMisuse(ContractError):
    """A call to an engine names something that its network does not have, or hands in what does not fit."""

    code: ClassVar[str] = "SNN201"
    subject: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.subject}: {self.reason}. {self.remedy}"


class StateNotFinite(ContractError):
    """A state became infinite or no number at all."""

    code: ClassVar[str] = "SNN202"
    subject: str
    where: int
    step: int

    def message(self) -> str:
        remedy = "Use a shorter step, smaller weights or gains, or cap the state (neuraxis_snn.upkeep.capped)."
        return f"{self.subject}: entry {self.where} is not finite after {self.step:,} steps. {remedy}"


class MemoryShort(InputError):
    """Something needs more memory than there is. Nothing was allocated."""

    code: ClassVar[str] = "SNN110"
    subject: str
    needed: int
    available: int

    def message(self) -> str:
        need, have = self.needed / 2**20, self.available / 2**20
        remedy = "Make the network smaller, build it in parts (part=…) on several machines, or free memory."
        return f"{self.subject}: it needs {need:,.0f} MiB, and {have:,.0f} MiB are available. {remedy}"


class DeviceMissing(InputError):
    """There is no such device to compute on."""

    code: ClassVar[str] = "SNN112"
    device: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"device {self.device!r}: {self.reason}. {self.remedy}"
