"""Occasions for snapshots of a run on workers: often enough to lose little, seldom enough to cost little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from neuraxis.cluster.conduct import Conduct
    from neuraxis.cluster.plan import Plan

SNAPSHOT_S: Final = 2.0
"""Least seconds between two snapshots, where the scenario does not say when to take them."""

SNAPSHOT_SHARE: Final = 0.05
"""Largest share of the time that such snapshots may take."""


@final
class Occasions:
    """When snapshots are taken, if the scenario does not say.

    Args:
        now: Seconds of a clock that does not jump.
    """

    def __init__(self, now: float) -> None:
        self._last = self._began = now

    def are_due(self, conduct: Conduct, plan: Plan, now: float) -> bool:
        """Tell whether it is time to ask for a snapshot."""
        if not conduct.wants_snapshot():
            return False
        cost = max(report.figures.get("snapshot_s", 0.0) for report in conduct.reports.values())
        by_clock = plan.snapshot_every is None and now - self._last > SNAPSHOT_S
        if conduct.is_crowded() or (by_clock and cost <= SNAPSHOT_SHARE * (now - self._began)):
            self._last = now
            return True
        return False
