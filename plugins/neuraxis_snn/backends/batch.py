"""Many copies of one network that are computed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final, overload

from neuraxis_snn.backends.flat import Flat
from neuraxis_snn.engine import Engine, advance_together
from neuraxis_snn.errors import EngineMisuse, NetworkInvalid, StateNotFinite
from neuraxis_snn.network import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuraxis_snn.backends.arrays import Arrays
    from neuraxis_snn.network import Network
    from neuraxis_snn.numbers import Precision
    from neuraxis_snn.spikes import Spikes


@final
class Batch(Sequence[Engine]):
    """Engines of copies of one network, which only advance together.

    Every copy has bits of its own: those of the same network alone, on any backend. `batch[2]` is an engine like every
    other, with a key, states, weights, rewards and counters of its own; what it captures goes on in any other engine.
    Only `advance` is the batch's.

    Determinism: exact.

    Example:
        >>> batch = TorchBackend().build_batch([network] * 5)
        >>> for number, engine in enumerate(batch):
        ...     engine.key = (number, 0)
        >>> spikes = batch.advance(100, [{"pixels": volley}] * 5)
        >>> spikes[3]["layer"], batch[3].weights("pixels->layer")
    """

    def __init__(self, networks: Sequence[Network], backend: str, arrays: Callable[[Precision], Arrays]) -> None:
        """Lay out the copies; see `TorchBackend.build_batch`.

        Args:
            networks: One for each copy.
            backend: Name of the backend, for errors.
            arrays: Makes the operations on arrays for a precision.

        Raises:
            NetworkInvalid: They differ in more than parameters, rates and weights, or there is none.
        """
        given = [network_of(each, backend) for each in networks]
        if not given:
            raise NetworkInvalid(subject="batch", reason="it has no network", remedy="Give it at least one.")
        for number, each in enumerate(given):
            _require_alike(given[0], each, number)
        self._engines = tuple(_Copy(each) for each in given)
        self._flat = Flat(self._engines, arrays(given[0].precision))
        for number, engine in enumerate(self._engines):
            engine.flat, engine.number = self._flat, number

    def __len__(self) -> int:
        return len(self._engines)

    @overload
    def __getitem__(self, number: int) -> Engine: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Engine]: ...
    def __getitem__(self, number: int | slice) -> Engine | Sequence[Engine]:
        return self._engines[number]

    def advance(
        self, steps: int, inputs: Sequence[Mapping[str, Spikes]] | None = None, *, learning: bool = True
    ) -> list[dict[str, Spikes]]:
        """Compute steps of all copies.

        Args:
            steps: How many.
            inputs: For each copy what `Engine.advance` takes; None if nothing comes in.
            learning: Whether they learn.

        Returns:
            For each copy what `Engine.advance` returns.

        Raises:
            EngineMisuse: Spikes do not fit, there are not as many inputs as copies, or the copies do not stand at
                the same step, as one was restored.
            StateNotFinite: Like `Engine.advance`; a note says in which copy.
        """
        first = self._engines[0]
        if inputs is not None and len(inputs) != len(self):
            reason = f"there are {len(self)} copies and inputs for {len(inputs)}"
            raise EngineMisuse(subject="batch", reason=reason, remedy="Give one mapping for each copy.")
        if any((each.step, each.steps_to_upkeep()) != (first.step, first.steps_to_upkeep()) for each in self._engines):
            remedy = "Restore every copy to the same step."
            raise EngineMisuse(subject="batch", reason="its copies stand at different steps", remedy=remedy)
        given = [{}] * len(self) if inputs is None else inputs
        checked = [engine.checked(steps, each) for engine, each in zip(self._engines, given, strict=True)]
        return advance_together(self._engines, steps, checked, self._flat.run, learning=learning)


@final
class _Copy(Engine):
    """One copy; a network alone is a batch of one."""

    flat: Flat
    number: int

    def _run(self, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        if self.flat.copies > 1:
            self._misuse("engine", "it is one copy of a batch", "Advance the batch.")
        return self.flat.run(steps, [inputs], learning=learning)[0]

    def look_after(self, steps: int, *, learning: bool) -> None:
        """After these steps, look whether states are finite, and do the upkeep that is due."""
        try:
            super().look_after(steps, learning=learning)
        except StateNotFinite as error:
            if self.flat.copies > 1:
                error.add_note(f"This is copy {self.number} of a batch.")
            raise

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state; what is due in the near future is made anew from the spikes of the last steps."""
        super().restore(captured)
        self.flat.forget()


def _require_alike(first: Network, other: Network, number: int) -> None:
    if first is other:
        return
    mine, theirs = _structure(first), _structure(other)
    for name in {**mine, **theirs}:
        if mine.get(name) != theirs.get(name):
            reason = f"{name} is not alike in copy 0 and copy {number}"
            remedy = "Copies may differ in parameters, rates and weights only."
            raise NetworkInvalid(subject="batch", reason=reason, remedy=remedy)


def _structure(network: Network) -> dict[str, Any]:
    """Return what copies must have in common, by what it belongs to."""
    found: dict[str, Any] = {"the precision": network.precision, "the order": tuple(network.populations)}
    for name, each in network.populations.items():
        found[f"population {name}"] = (each.size, each.model, each.record, bool(each.refractory), each.period)
    for name, one in network.projections.items():
        ends = [None if array is None else array.tobytes() for array in (one.indptr, one.indices)]
        upkeep = None if one.upkeep is None or one.program is None else (one.upkeep.steps, one.program.counted)
        rules = one.rule, one.short_term, upkeep
        found[f"projection {name}"] = (one.source, one.target, one.input, one.delays, rules, ends)
    for name, drive in network.drives.items():
        found[f"drive {name}"] = (drive.target, drive.input, drive.word)
    return found
