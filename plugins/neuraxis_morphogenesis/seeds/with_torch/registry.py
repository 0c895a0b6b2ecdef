"""Which parameters belong to whom, asked before every step of an optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, final

from torch import nn

Breach = Literal["unregistered_parameter", "cross_seed_update", "teacher_update", "host_update"]

HOST: Final = "host"
TEACHER: Final = "teacher"


@final
class Registry:
    """Owners of parameters: the host, each slot, the teacher.

    It is keyed by the identity of tensors, which decides nothing but equality.
    """

    def __init__(self) -> None:
        """Begin with no owner."""
        self._owners: dict[int, str] = {}
        self._kept: dict[str, tuple[nn.Parameter, ...]] = {}

    def register(self, owner: str, parameters: Iterable[nn.Parameter]) -> Breach | None:
        """Take note of an owner's parameters. Registering them again changes nothing.

        Returns:
            What is wrong, if another owner has one of them; then nothing was registered.
        """
        found = tuple(parameters)
        for each in found:
            breach = self._breach(owner, self._owners.get(id(each), owner))
            if breach is not None:
                return breach
        self.forget(owner)
        self._kept[owner] = found  # keeps them alive, so that no identity is used again
        self._owners.update(dict.fromkeys(map(id, found), owner))
        return None

    def forget(self, owner: str) -> None:
        """Take an owner's parameters off the list."""
        for each in self._kept.pop(owner, ()):
            del self._owners[id(each)]

    def count(self, owner: str) -> int:
        """Return how many tensors an owner has registered."""
        return len(self._kept.get(owner, ()))

    def breach(self, owner: str, parameters: Iterable[nn.Parameter]) -> Breach | None:
        """Return what is wrong with an update of these parameters on behalf of an owner, or None."""
        for each in parameters:
            found = self._owners.get(id(each))
            breach = "unregistered_parameter" if found is None else self._breach(owner, found)
            if breach is not None:
                return breach
        return None

    def _breach(self, owner: str, found: str) -> Breach | None:
        if found == owner:
            return None
        if TEACHER in (owner, found):
            return "teacher_update"
        return "host_update" if found == HOST else "cross_seed_update"
