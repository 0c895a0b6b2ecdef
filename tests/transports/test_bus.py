"""Buses in memory, over Redis and over NATS keep one suite; and what belongs to the rules alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from neuraxis.errors import TransportFailed, TransportUnusable, UsageInvalid
from neuraxis.seams.bus import Bus, Priority
from neuraxis.testing.bus_suite import BusSuite
from neuraxis_transports.bus import BusRules, BusState, RuledBus, dead_letter, open_bus
from neuraxis_transports.bus_memory import MemoryShelf

if TYPE_CHECKING:
    from tests.transports.brokers import Server

RULES = BusRules(
    messages_max=20,
    attempts_max=3,
    pause_s=0.1,
    pause_s_max=0.4,
    claim_s=1.0,
    conservative_s=0.5,
    emergencies_per_minute=4,
    ttl_s=500.0,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TestMemory(BusSuite):
    def setup_method(self) -> None:
        self.clock = Clock()
        self.shelves: dict[str, MemoryShelf] = {}

    def connect(self, name: str) -> RuledBus:
        shelf = self.shelves.setdefault(name, MemoryShelf(RULES, self.clock))
        return RuledBus(shelf, RULES, clock=self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


class OverBroker(BusSuite):
    url: str

    def connect(self, name: str) -> Bus:
        return open_bus(self.url, name, RULES)

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.mark.slow
class TestRedis(OverBroker):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url


@pytest.mark.slow
class TestNats(OverBroker):
    @pytest.fixture(autouse=True)
    def _server(self, nats_url: str) -> None:
        self.url = nats_url + "?megabytes=16"


def bus_in_memory() -> tuple[RuledBus, Clock]:
    clock = Clock()
    return RuledBus(MemoryShelf(RULES, clock), RULES, clock=clock), clock


def test_a_message_that_is_too_old_is_a_dead_letter() -> None:
    bus, clock = bus_in_memory()
    bus.publish("reports", b"x", id="1")
    clock.now = 501.0
    assert not bus.subscribe("reports", group="g", consumer="a").take()
    (dead,) = bus.subscribe("reports.dead", group="g", consumer="a").take()
    assert dead.message.attributes["reason"] == "it is too old"
    assert dead_letter(dead.message).payload == b"x"


def test_what_is_no_message_is_a_dead_letter_and_not_swallowed() -> None:
    bus, _ = bus_in_memory()
    bus.shelf.append("reports", b"\xc1 what?", "1", below=20)
    assert not bus.subscribe("reports", group="g", consumer="a").take()
    (dead,) = bus.subscribe("reports.dead", group="g", consumer="a").take()
    assert dead.message.attributes["reason"].startswith("it is no message")
    assert dead.message.payload == b"\xc1 what?"


def test_a_message_that_was_done_is_not_handled_again_when_its_end_was_lost() -> None:
    bus, clock = bus_in_memory()
    reader = bus.subscribe("reports", group="g", consumer="a")
    bus.publish("reports", b"x", id="1")
    (delivery,) = reader.take()
    shelf_done, bus.shelf.done = bus.shelf.done, lambda *_: None  # type: ignore[method-assign]
    delivery.done()
    bus.shelf.done = shelf_done  # type: ignore[method-assign]
    clock.now = 2.0
    assert not reader.take()
    clock.now = 4.0
    assert not bus.subscribe("reports", group="g", consumer="b").take()


def test_emergencies_are_allowed_again_as_time_passes() -> None:
    bus, clock = bus_in_memory()
    for number in range(4):
        assert bus.publish("r", b"", id=str(number), priority=Priority.EMERGENCY) == "accepted"
    assert bus.publish("r", b"", id="4", priority=Priority.EMERGENCY) == "limited"
    clock.now = 15.0
    assert bus.publish("r", b"", id="4", priority=Priority.EMERGENCY) == "accepted"
    assert bus.publish("r", b"", id="5", priority=Priority.EMERGENCY) == "limited"


def test_an_id_is_forgotten_after_its_time() -> None:
    bus, clock = bus_in_memory()
    assert bus.publish("r", b"", id="1") == "accepted"
    clock.now = 121.0
    assert bus.publish("r", b"", id="1") == "accepted"


def filled(bus: RuledBus, count: int, priority: Priority) -> list[str]:
    return [bus.publish("r", b"", id=f"{priority.name}{number}", priority=priority) for number in range(count)]


def test_a_topic_that_is_nearly_full_is_conservative_until_it_has_drained() -> None:
    bus, clock = bus_in_memory()
    reader = bus.subscribe("r", group="g", consumer="a")
    assert filled(bus, 16, Priority.HIGH) == ["accepted"] * 16
    assert filled(bus, 1, Priority.NORMAL) == ["shed"]
    assert bus.state.conservative == ("r",)
    for delivery in reader.take(limit=11):
        delivery.done()
    clock.now = 0.4
    assert filled(bus, 1, Priority.NORMAL) == ["shed"], "it did not last long enough"
    clock.now = 0.6
    assert filled(bus, 1, Priority.NORMAL) == ["shed"], "five are more than a fifth"
    assert bus.publish("r", b"", id="high", priority=Priority.HIGH) == "accepted"
    assert bus.publish("r", b"", id="fire", priority=Priority.EMERGENCY) == "accepted"
    assert bus.publish("others", b"", id="1", priority=Priority.LOW) == "accepted"
    while taken := reader.take():
        taken[0].done()
    assert filled(bus, 1, Priority.NORMAL) == ["accepted"]
    assert bus.state.conservative == ()


def test_an_emergency_or_a_topic_that_is_half_full_makes_nothing_conservative() -> None:
    bus, _ = bus_in_memory()
    assert bus.publish("r", b"", id="fire", priority=Priority.EMERGENCY) == "accepted"
    assert filled(bus, 15, Priority.NORMAL) == ["accepted"] * 15
    assert filled(bus, 1, Priority.LOW) == ["shed"]
    assert bus.publish("r", b"", id="16th") == "shed"
    assert bus.state == BusState((), "closed", "closed")


class Away:
    """A shelf whose broker is away, until it is said otherwise, and that counts how often it was asked."""

    def __init__(self, clock: Clock) -> None:
        self.shelf = MemoryShelf(RULES, clock)
        self.is_away = True
        self.asked = 0

    def bus(self) -> RuledBus:
        return RuledBus(self, RULES, clock=self.shelf._clock)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        if name in ("append", "take"):
            self.asked += 1
            if self.is_away:
                raise TransportFailed(transport="bus", reason="nobody answers", remedy="Wait.")
        return getattr(self.shelf, name)


def test_a_broker_that_failed_three_times_is_left_alone_until_one_call_tries_it_again() -> None:
    clock = Clock()
    shelf = Away(clock)
    bus = shelf.bus()
    reader = bus.subscribe("r", group="g", consumer="a")
    for _ in range(5):
        with pytest.raises(TransportFailed):
            bus.publish("r", b"", id="1")
    assert (shelf.asked, bus.state.publishing, bus.state.consuming) == (3, "open", "closed")
    with pytest.raises(TransportFailed, match=r"3 times in a row.*nobody answers.*again in 30\.0 s"):
        bus.publish("r", b"", id="1")
    with pytest.raises(TransportFailed, match=r"nobody answers\. Wait"):
        reader.take()  # readers have a breaker of their own
    clock.now = 31.0
    assert bus.state.publishing == "trying"
    for _ in range(2):
        with pytest.raises(TransportFailed):
            bus.publish("r", b"", id="1")
    assert (shelf.asked, bus.state.publishing) == (5, "open"), "it was tried once"
    clock.now = 62.0
    shelf.is_away = False
    assert bus.publish("r", b"", id="1") == "accepted"
    assert bus.state.publishing == "closed"
    assert len(reader.take()) == 1


def test_refusals_and_failing_consumers_open_no_breaker() -> None:
    bus, clock = bus_in_memory()
    filled(bus, 15, Priority.NORMAL)
    assert [bus.publish("r", b"", id=f"x{number}") for number in range(9)] == ["shed"] * 9
    reader = bus.subscribe("r", group="g", consumer="a")
    for _ in range(9):
        clock.now += 10.0
        reader.take()[0].failed("no disk")
    assert bus.state == BusState((), "closed", "closed")


def test_a_clock_that_is_set_back_holds_no_breaker_open() -> None:
    clock = Clock()
    clock.now = 1_000.0
    bus = Away(clock).bus()
    for _ in range(3):
        with pytest.raises(TransportFailed):
            bus.publish("r", b"", id="1")
    clock.now = 10.0
    assert bus.state.publishing == "trying"


@pytest.mark.parametrize(
    "facts",
    [
        {"pause_s": 0.0},
        {"pause_s_max": 60.0},
        {"attempts_max": 0},
        {"shed": {Priority.LOW: 0.5}},
        {"messages_max": 0},
        {"conservative_to": 0.8},
        {"breaker_failures": 0},
    ],
)
def test_rules_that_cannot_hold_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(UsageInvalid):
        BusRules(**facts)  # type: ignore[arg-type]


def test_a_url_of_no_bus_is_refused() -> None:
    with pytest.raises(TransportUnusable, match="memory:"):
        open_bus("kafka://host", "esper")
    assert isinstance(open_bus("memory:", "esper"), Bus)


def published_at_last(bus: Bus, until: float) -> str:
    """A server that has just started may still be reading its disk."""
    while True:
        try:
            return bus.publish("reports", b"again", id="2")
        except TransportFailed:
            if time.monotonic() > until:
                raise


@pytest.mark.parametrize("kind", ["redis_server", pytest.param("nats_server", marks=pytest.mark.slow)])
def test_a_bus_is_there_again_after_its_server_was_killed(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)
    bus = open_bus(server.url, "esper", BusRules(breaker_s=0.2))
    reader = bus.subscribe("reports", group="g", consumer="a")
    assert bus.publish("reports", b"kept", id="1") == "accepted"
    server.kill()
    with pytest.raises(TransportFailed, match="Try again"):
        bus.publish("reports", b"lost", id="2")
    server.start()
    until = time.monotonic() + 30
    assert published_at_last(bus, until) == "accepted"
    got = []
    while len(got) < 2 and time.monotonic() < until:
        for delivery in reader.take(limit=2):
            got.append(delivery.message.payload)
            delivery.done()
    assert got == [b"kept", b"again"]
    bus.close()


def test_a_group_that_the_server_forgot_is_made_again(redis_server: Server) -> None:
    import redis

    bus = open_bus(redis_server.url, "esper", BusRules(breaker_s=0.2))
    reader = bus.subscribe("reports", group="g", consumer="a")
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()  # as a server that was killed before it wrote
    assert bus.publish("reports", b"new", id="1") == "accepted"
    got = []
    until = time.monotonic() + 30
    while not got and time.monotonic() < until:
        for delivery in reader.take(limit=2):
            got.append(delivery.message.payload)
            delivery.done()
    assert got == [b"new"]
    bus.close()
