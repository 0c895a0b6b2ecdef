"""A distributed run in one thread, with a network that does everything that networks do, from a seed.

Members and conduct are the ones of real runs; frames go through lists, time is a count of turns, and a worker that is
killed loses all but what it wrote. Two rehearsals with one seed do the same in the same order, so what goes wrong can
be looked at again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis.cluster.batch import FrameDamaged, Report, decode, encode
from neuraxis.cluster.conduct import Conduct
from neuraxis.cluster.member import Member
from neuraxis.errors import WorkerLost
from neuraxis.seams.transport import CONDUCTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuraxis.cluster.part import Part
    from neuraxis.cluster.plan import Plan
    from neuraxis.seams.transport import Buffer

    Open = Callable[[int, int, int], Part]

TURN_S: Final = 0.05
TURNS_MAX: Final = 2_000_000


@final
class Weather(Struct, frozen=True):
    """How often what goes wrong, from 0 to 1.

    Attributes:
        lose, repeat, delay: Share of frames.
        kill: Chance that in a turn some worker is killed, while any kills are left.
        kills: How often at most.
        ask: Chance that in a turn a snapshot is asked for.
    """

    lose: float = 0.0
    repeat: float = 0.0
    delay: float = 0.0
    kill: float = 0.0
    kills: int = 0
    ask: float = 0.0


@final
class Rehearsal:
    """One distributed run without processes.

    Attributes:
        conduct: What the conductor knows.
        counts: What went wrong, by name.
        parts: The parts, by worker.
    """

    def __init__(self, plan: Plan, open_part: Open, messages: Any, *, seed: int = 0, weather: Weather | None = None):
        """Open all parts.

        Args:
            plan: Who owns what.
            open_part: Makes the part of a worker: (worker, incarnation, tick of the snapshot to begin from or -1).
            messages: Registered message classes by (name, version).
            seed: Decides the weather.
            weather: How often what goes wrong.
        """
        self.conduct = Conduct(plan)
        self.counts: dict[str, int] = {}
        self._plan = plan
        self._open = open_part
        self._messages = messages
        self._weather = weather or Weather()
        self._draw = np.random.Generator(np.random.Philox(key=seed))
        self._now = 0.0
        self._mail: dict[int, list[tuple[float, bytes]]] = {member: [] for member in (CONDUCTOR, *plan.workers)}
        self.parts: dict[int, Part] = {}
        self._members: dict[int, Member] = {}
        for worker in plan.workers:
            self._begin(worker, -1)

    def _begin(self, worker: int, tick: int) -> None:
        incarnation = self.conduct.incarnations[worker]
        part = self.parts[worker] = self._open(worker, incarnation, tick)
        self._members[worker] = Member(
            self._plan, worker, incarnation, part, partial(self._post), self._messages, squeeze=worker % 2 == 0
        )

    def _post(self, member: int, parts: Sequence[Buffer]) -> None:
        frame = b"".join(parts)
        weather = self._weather
        if self._happens("lost", weather.lose):
            return
        late = 2.0 * float(self._draw.random()) if self._happens("late", weather.delay) else 0.0
        self._mail[member].append((self._now + late, frame))
        if self._happens("repeated", weather.repeat):
            self._mail[member].append((self._now + float(self._draw.random()), frame))

    def _happens(self, what: str, chance: float) -> bool:
        if chance <= 0.0 or float(self._draw.random()) >= chance:
            return False
        self.counts[what] = self.counts.get(what, 0) + 1
        return True

    def _due(self, member: int) -> list[bytes]:
        box = self._mail[member]
        due = [frame for at, frame in box if at <= self._now]
        if due:
            box[:] = [each for each in box if each[0] > self._now]
        return due

    def run(self, turns: int = TURNS_MAX) -> None:
        """Run to the end.

        Args:
            turns: After as many, all that computes is gone, the conductor, too; what was written stays.

        Raises:
            NeuraxisError: A member cannot go on; or nothing comes to an end.
        """
        for _ in range(turns):
            self._now += TURN_S
            for worker, member in self._members.items():
                for frame in self._due(worker):
                    member.take(frame)
                while member.work():
                    pass
                member.look(self._now)
            if all(member.state == "leaving" for member in self._members.values()):
                return
            self._conduct()
        if turns < TURNS_MAX:
            return
        raise WorkerLost(
            worker=0, reason=f"the rehearsal came to no end in {TURNS_MAX} turns", remedy="Run it again with its seed."
        )

    def _conduct(self) -> None:
        conduct, weather = self.conduct, self._weather
        for frame in self._due(CONDUCTOR):
            try:
                head, _ = decode(frame)
            except FrameDamaged:
                continue
            if isinstance(head, Report):
                conduct.take(head)
        if conduct.wants_snapshot() and self._happens("snapshots", weather.ask):
            conduct.ask_snapshot()
        killed = self.counts.get("killed", 0)
        if killed < weather.kills and conduct.is_running and self._happens("killed", weather.kill):
            self._kill(1 + int(self._draw.integers(len(self._plan.workers))))
        order = encode(conduct.order())
        for worker in self._plan.workers:
            self._post(worker, order)

    def _kill(self, worker: int) -> None:
        self.parts[worker].close()  # what it wrote stays; what it had in memory is gone
        self._mail[worker].clear()
        self.conduct.replaced(worker)
        self._begin(worker, self.conduct.stable[1])

    def close(self) -> None:
        """Release everything."""
        for part in self.parts.values():
            part.close()
