"""The embedding API for programs that run an event loop, such as services."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, final

from anyio import Lock, to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis.scheduler.envelope import MessageId
    from neuraxis.simulation import Output, Simulation


@final
class AsyncSimulation:
    """A simulation whose ticks run on a worker thread, so that the event loop stays free.

    Calls are carried out one after the other, in the order in which they were made.

    Example:
        >>> async with AsyncSimulation(Simulation.from_scenario("scenarios/digits.toml")) as sim:
        ...     await sim.advance(ticks=1_000)
        ...     answer = await sim.ask("executive", Question("seven"))
    """

    def __init__(self, simulation: Simulation) -> None:
        """Take over a simulation; drive it through this object only."""
        self.simulation = simulation
        self._lock = Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def advance(self, ticks: int | str | None = None, *, until: int | str | None = None) -> None:
        """Run on; see `Simulation.advance`."""
        await self._run(partial(self.simulation.advance, ticks, until=until))

    async def inject(self, target: str, payload: Any) -> MessageId:
        """Send an input; see `Simulation.inject`."""
        return await self._run(partial(self.simulation.inject, target, payload))  # type: ignore[no-any-return]

    async def ask(self, target: str, payload: Any, *, within: int = 1_000) -> Output:
        """Send an input and run until it is answered; see `Simulation.ask`."""
        return await self._run(partial(self.simulation.ask, target, payload, within=within))  # type: ignore[no-any-return]

    async def snapshot(self) -> None:
        """Take a snapshot; see `Simulation.snapshot`."""
        await self._run(self.simulation.snapshot)

    async def close(self) -> None:
        """Release everything."""
        await self._run(self.simulation.close)

    async def _run(self, call: Callable[[], Any]) -> Any:
        async with self._lock:
            # a tick is never torn: cancelling the caller does not cancel the thread
            return await to_thread.run_sync(call)
