"""What seeds report: queues of events that cannot grow without bound.

Determinism: exact.
"""

from __future__ import annotations

from typing import Final

from neuraxis_morphogenesis.contracts import TelemetryEvent, TelemetryLevel, pairs

EVENTS_MAX: Final = 64
"""Events of one seed that wait for the next packet."""

DROPPED: Final = "seed_queue_dropped"
"""The one event that stands for all that were dropped."""


def event(kind: str, description: str, level: TelemetryLevel, **facts: object) -> TelemetryEvent:
    """Return an event with its facts as texts."""
    attributes = pairs({name: str(value) for name, value in facts.items()})
    return TelemetryEvent(event_id=kind, description=description, level=level, attributes=attributes)


def queued(events: tuple[TelemetryEvent, ...], new: TelemetryEvent) -> tuple[TelemetryEvent, ...]:
    """Return a queue with one more event; a full one ends with the count of those that were dropped."""
    if len(events) < EVENTS_MAX:
        return (*events, new)
    kept, last = events[:-1], events[-1]
    count = int(dict(last.attributes)["dropped"]) + 1 if last.event_id == DROPPED else 2
    return (*kept, event(DROPPED, f"{count} events were dropped", TelemetryLevel.WARNING, dropped=count))


def worst(events: tuple[TelemetryEvent, ...]) -> TelemetryLevel:
    """Return the most serious level among events; INFO of none."""
    return max((each.level for each in events), default=TelemetryLevel.INFO)
