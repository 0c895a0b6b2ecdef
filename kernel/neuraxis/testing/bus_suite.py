"""The suite for buses: what every bus must keep, whatever broker carries it."""

from __future__ import annotations

import itertools
import os
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

from neuraxis.errors import UsageInvalid
from neuraxis.seams.bus import Priority
from neuraxis.testing.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.seams.bus import Bus, Delivery, Subscription

PATIENCE_S: Final = 20.0
_names = itertools.count()


class BusSuite(Suite):
    """Derive from it and say how to connect to a bus, and how time passes there.

    The bus must hold 20 messages in a lane (with the usual shares: low 50 %, normal 75 %, high 85 %, critical 95 %),
    hand a message over 3 times, pause `pause_s` after the first failure and twice that after the second, take over what
    a dead consumer left after `claim_s`, allow 4 emergencies at once, and be conservative from 80 % to 20 % of a lane,
    for `conservative_s` at least.
    """

    pause_s: ClassVar[float] = 0.1
    claim_s: ClassVar[float] = 1.0
    conservative_s: ClassVar[float] = 0.5

    def connect(self, name: str) -> Bus:
        """Return one more connection to the bus of that name."""
        raise UsageInvalid(what=f"{type(self).__name__} makes no bus", remedy="Define connect(self, name).")

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the bus."""
        raise UsageInvalid(what=f"{type(self).__name__} has no time", remedy="Define pass_time(self, seconds).")

    # ------------------------------------------------------------------------------ clauses

    def test_what_is_published_is_delivered_once_with_all_its_facts(self) -> None:
        with _Buses(self) as (bus, other):
            reader = bus.subscribe("reports", group="g", consumer="a")
            facts = {"run": "r-1", "ä": "ö"}
            assert other.publish("reports", b"\0\xff", id="1", priority=Priority.HIGH, attributes=facts) == "accepted"
            (delivery,) = _taken(reader, 1)
            message = delivery.message
            assert (message.id, message.topic, message.payload) == ("1", "reports", b"\0\xff")
            assert (message.priority, message.attributes, delivery.attempts) == (Priority.HIGH, facts, 1)
            delivery.done()
            self.pass_time(2 * self.claim_s)
            assert not reader.take(limit=5)

    def test_a_group_that_comes_late_gets_what_was_published_before(self) -> None:
        with _Buses(self) as (bus, _):
            _publish(bus, 3)
            assert _ids(_taken(bus.subscribe("reports", group="late", consumer="a"), 3)) == ["0", "1", "2"]

    def test_messages_come_in_the_order_in_which_they_were_published(self) -> None:
        with _Buses(self) as (bus, _):
            _publish(bus, 12)
            reader = bus.subscribe("reports", group="g", consumer="a")
            ids = []
            for _ in range(12):
                (delivery,) = _taken(reader, 1)
                ids += _ids([delivery])
                delivery.done()
            assert ids == [str(number) for number in range(12)]

    def test_an_emergency_overtakes_everything(self) -> None:
        with _Buses(self) as (bus, _):
            _publish(bus, 5)
            bus.publish("reports", b"", id="fire", priority=Priority.EMERGENCY)
            reader = bus.subscribe("reports", group="g", consumer="a")
            assert _ids(_taken(reader, 3))[0] == "fire"

    def test_an_emergency_changes_nothing_for_the_messages_after_it(self) -> None:
        with _Buses(self) as (bus, _):
            bus.publish("reports", b"", id="fire", priority=Priority.EMERGENCY)
            _publish(bus, 2)
            bus.publish("reports", b"", id="smoke", priority=Priority.EMERGENCY)
            reader = bus.subscribe("reports", group="g", consumer="a")
            assert _ids(_taken(reader, 4)) == ["fire", "smoke", "0", "1"]

    def test_a_topic_that_fills_refuses_the_lower_priorities_first(self) -> None:
        with _Buses(self) as (bus, _):
            filled: dict[Priority, int] = {}
            number = itertools.count()
            for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.CRITICAL):
                while bus.publish("reports", b"", id=str(next(number)), priority=priority) == "accepted":
                    filled[priority] = filled.get(priority, 0) + 1
            assert list(itertools.accumulate(filled.values())) == [10, 15, 17, 19]
            assert bus.publish("reports", b"", id="fire", priority=Priority.EMERGENCY) == "accepted"
            assert bus.publish("others", b"", id="1", priority=Priority.LOW) == "accepted"

    def test_a_topic_takes_messages_again_when_every_group_has_done_some(self) -> None:
        with _Buses(self) as (bus, _):
            readers = [bus.subscribe("reports", group=group, consumer="a") for group in ("g", "h")]
            _publish(bus, 15)
            assert bus.publish("reports", b"", id="x") == "shed"
            for delivery in _taken(readers[0], 15):
                delivery.done()
            assert bus.publish("reports", b"", id="x") == "shed", "the other group has not read it"
            for delivery in _taken(readers[1], 6):
                delivery.done()
            outcomes = [bus.publish("reports", b"", id=f"y{number}") for number in range(7)]
            assert outcomes == ["accepted"] * 6 + ["shed"]

    def test_a_topic_that_was_nearly_full_takes_low_priorities_again_only_when_it_has_drained(self) -> None:
        with _Buses(self) as (bus, _):
            reader = bus.subscribe("reports", group="g", consumer="a")
            for number in range(16):
                assert bus.publish("reports", b"", id=str(number), priority=Priority.HIGH) == "accepted"
            assert bus.publish("reports", b"", id="x") == "shed"
            for delivery in _taken(reader, 11):
                delivery.done()
            self.pass_time(1.5 * self.conservative_s)
            assert bus.publish("reports", b"", id="x") == "shed", "5 of 20 are left"
            assert bus.publish("reports", b"", id="y", priority=Priority.HIGH) == "accepted"
            for delivery in _taken(reader, 6):
                delivery.done()
            assert bus.publish("reports", b"", id="x") == "accepted"

    def test_emergencies_have_a_rate(self) -> None:
        with _Buses(self) as (bus, _):
            outcomes = [bus.publish("r", b"", id=str(each), priority=Priority.EMERGENCY) for each in range(6)]
            assert outcomes == ["accepted"] * 4 + ["limited"] * 2

    def test_an_id_is_accepted_once(self) -> None:
        with _Buses(self) as (bus, other):
            assert bus.publish("reports", b"a", id="1") == "accepted"
            assert bus.publish("reports", b"a", id="1") == "duplicate"
            assert other.publish("reports", b"a", id="1") == "duplicate"
            assert bus.publish("others", b"a", id="1") == "accepted"
            reader = bus.subscribe("reports", group="g", consumer="a")
            _taken(reader, 1)[0].done()
            assert not reader.take(limit=5)

    def test_each_group_gets_everything_and_within_a_group_each_message_goes_to_one_consumer(self) -> None:
        with _Buses(self) as (bus, other):
            one = bus.subscribe("reports", group="g", consumer="a")
            two = other.subscribe("reports", group="g", consumer="b")
            third = other.subscribe("reports", group="h", consumer="a")
            _publish(bus, 6)
            ids = _ids(_taken(one, 3)) + _ids(_taken(two, 3))
            assert sorted(ids) == [str(number) for number in range(6)]
            assert len(_taken(third, 6)) == 6

    def test_what_a_dead_consumer_left_is_handed_to_another_and_can_be_done(self) -> None:
        with _Buses(self) as (bus, other):
            dead = bus.subscribe("reports", group="g", consumer="dead")
            _publish(bus, 2)
            assert len(_taken(dead, 2)) == 2
            heir = other.subscribe("reports", group="g", consumer="heir")
            assert not heir.take(limit=5), "it was taken over too early"
            self.pass_time(1.5 * self.claim_s)
            deliveries = _taken(heir, 2)
            assert _ids(deliveries) == ["0", "1"]
            assert [delivery.attempts for delivery in deliveries] == [2, 2]
            for delivery in deliveries:
                delivery.done()
            self.pass_time(1.5 * self.claim_s)
            assert not heir.take(limit=5)

    def test_a_failed_message_comes_again_after_a_pause_before_what_is_behind_it(self) -> None:
        with _Buses(self) as (bus, _):
            reader = bus.subscribe("reports", group="g", consumer="a")
            _publish(bus, 2)
            _taken(reader, 1)[0].failed("no disk")
            assert not reader.take(limit=2), "it came again at once, or was overtaken"
            self.pass_time(2 * self.pause_s)
            (delivery,) = _taken(reader, 1)
            assert (delivery.message.id, delivery.attempts) == ("0", 2)
            delivery.done()
            assert _ids(_taken(reader, 1)) == ["1"]

    def test_an_emergency_does_not_wait_for_a_failed_message(self) -> None:
        with _Buses(self) as (bus, _):
            reader = bus.subscribe("reports", group="g", consumer="a")
            _publish(bus, 1)
            _taken(reader, 1)[0].failed("no disk")
            bus.publish("reports", b"", id="fire", priority=Priority.EMERGENCY)
            assert _ids(_taken(reader, 1)) == ["fire"]

    def test_what_fails_too_often_lies_with_its_reason_in_the_dead_letters(self) -> None:
        with _Buses(self) as (bus, _):
            reader = bus.subscribe("reports", group="g", consumer="a")
            _publish(bus, 2)
            for attempt in (1, 2, 3):
                (delivery,) = _taken(reader, 1)
                assert (delivery.message.id, delivery.attempts) == ("0", attempt)
                delivery.failed(f"no disk, {attempt}")
                self.pass_time(6 * self.pause_s)
            assert _ids(_taken(reader, 1)) == ["1"]
            (dead,) = _taken(bus.subscribe("reports.dead", group="g", consumer="a"), 1)
            assert dead.message.attributes == {"reason": "no disk, 3", "attempts": "3"}
            dead.done()

    def test_what_nobody_finishes_lies_in_the_dead_letters_at_last(self) -> None:
        with _Buses(self) as (bus, _):
            _publish(bus, 1)
            for number in range(3):
                assert len(_taken(bus.subscribe("reports", group="g", consumer=f"dead-{number}"), 1)) == 1
                self.pass_time(1.5 * self.claim_s)
            assert not bus.subscribe("reports", group="g", consumer="last").take(timeout_s=0.2)
            (dead,) = _taken(bus.subscribe("reports.dead", group="g", consumer="a"), 1)
            assert dead.message.attributes["attempts"] == "4"

    def test_closing_gives_back_what_was_not_done(self) -> None:
        with _Buses(self) as (bus, other):
            _publish(bus, 1)
            assert len(_taken(bus.subscribe("reports", group="g", consumer="a"), 1)) == 1
            bus.close()
            reader = other.subscribe("reports", group="g", consumer="b")
            self.pass_time(1.5 * self.claim_s)
            assert _ids(_taken(reader, 1)) == ["0"]

    def test_what_is_too_long_or_has_no_proper_name_is_refused(self) -> None:
        with _Buses(self) as (bus, _):
            for use in (
                lambda: bus.publish("reports", bytes(1 << 20), id="1"),
                lambda: bus.publish("a b", b"", id="1"),
                lambda: bus.publish("", b"", id="1"),
                lambda: bus.subscribe("reports", group="g*", consumer="a"),
                lambda: bus.subscribe("reports", group="g", consumer="a\n"),
            ):
                try:
                    use()
                except UsageInvalid:
                    continue
                raise AssertionError("it raises no UsageInvalid")


class _Buses:
    """Two connections to a bus of its own name, closed at the end."""

    def __init__(self, suite: BusSuite) -> None:
        name = f"bus-{os.getpid()}-{next(_names)}"
        self._buses = (suite.connect(name), suite.connect(name))

    def __enter__(self) -> tuple[Bus, Bus]:
        return self._buses

    def __exit__(self, *exception: object) -> None:
        for bus in self._buses:
            bus.close()


def _publish(bus: Bus, count: int) -> None:
    for number in range(count):
        assert bus.publish("reports", b"payload", id=str(number)) == "accepted"


def _taken(reader: Subscription, count: int) -> Sequence[Delivery]:
    taken: list[Delivery] = []
    until = monotonic() + PATIENCE_S
    while len(taken) < count and monotonic() < until:
        taken += reader.take(limit=count - len(taken))
    assert len(taken) == count, f"{len(taken)} of {count} messages came"
    return taken


def _ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries]
