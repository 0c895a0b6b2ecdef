"""The suite for transports: what every way between the members of a distributed run must keep."""

from __future__ import annotations

import itertools
import os
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from neuraxis.errors import TransportFailed, TransportUnusable, UsageInvalid
from neuraxis.testing.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuraxis.seams.transport import Buffer, Link, Transport

PATIENCE_S: Final = 30.0
"""How long a clause waits for what must come before it fails."""

SIZES: Final = (0, 1, 7, 8, 9, 100, 4_095, 65_535, 65_536, 65_537, 1_000_000, 1_048_576, 5_000_000, 20_000_000)
"""Lengths of frames that are tried, bytes: around the sizes at which transports change their ways."""

_names = itertools.count()


class TransportSuite(Suite):
    """Derive from it and say how to make your transport.

    Example:
        >>> class TestPigeons(TransportSuite):
        ...     secrets = ("s3cret",)
        ...
        ...     def transport(self):
        ...         return Pigeons("pigeon://:s3cret@localhost")

    Attributes:
        secrets: What stands in the URL or the environment and must never be printed.
        largest: Length of the longest frame that is tried, bytes.
    """

    secrets: ClassVar[Sequence[str]] = ()
    largest: ClassVar[int] = SIZES[-1]

    def transport(self) -> Transport:
        """Return a transport, made anew; all that it returns reach each other."""
        raise UsageInvalid(what=f"{type(self).__name__} makes no transport", remedy="Define transport(self).")

    # ------------------------------------------------------------------------------ clauses

    def test_a_frame_arrives_as_it_was_sent_whatever_its_length(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            for size in (size for size in SIZES if size <= self.largest):
                frame = _pattern(size)
                one.send(2, [frame])
                got = _next(two, one)
                assert len(got) == size, f"of {size} bytes, {len(got)} arrived"
                assert got == frame, f"a frame of {size} bytes arrived changed"

    def test_the_parts_of_a_frame_arrive_joined(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            many = [bytes([each % 256]) * (each % 5) for each in range(3_000)]
            mixed: list[Buffer] = [b"ab", bytearray(b"cd"), memoryview(b"ef")]
            trials: tuple[Sequence[Buffer], ...] = ([], [b""], mixed, [b"h", _pattern(200_000)], many)
            for parts in trials:
                one.send(2, parts)
                assert _next(two, one) == b"".join(parts)

    def test_what_the_sender_does_to_its_buffer_afterwards_changes_no_frame(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            for size in (10, 100_000, min(8_000_000, self.largest)):
                buffer = bytearray(_pattern(size))
                one.send(2, [memoryview(buffer)])
                buffer[:] = bytes(size)
                assert _next(two, one) == _pattern(size)

    def test_what_a_member_received_stays_as_it_is(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            for number in range(50):
                one.send(2, [bytes([number]) * (number * number)])
            got = [_next(two, one) for _ in range(50)]
            assert got == [bytes([number]) * (number * number) for number in range(50)]

    def test_frames_of_one_sender_arrive_in_order(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            for number in range(500):
                one.send(2, [number.to_bytes(4, "little"), bytes(number * 37 % 3_000)])
            one.send(2, [(500).to_bytes(4, "little"), bytes(300_000)])
            one.send(2, [(501).to_bytes(4, "little")])
            assert [int.from_bytes(_next(two, one)[:4], "little") for _ in range(502)] == list(range(502))

    def test_frames_of_several_senders_all_arrive_each_sender_in_order(self) -> None:
        with _Run(self) as run:
            receiver = run.join(0)
            links = {member: run.join(member) for member in (1, 2, 3)}

            def send(member: int) -> None:
                for number in range(150):
                    head = member.to_bytes(4, "little") + number.to_bytes(4, "little")
                    links[member].send(0, [head, bytes(number * 7919 % 70_000)])

            with _Threads([lambda member=member: send(member) for member in links]):  # type: ignore[misc]
                heads = [bytes(_next(receiver)[:8]) for _ in range(450)]
            for member in links:
                numbers = [int.from_bytes(head[4:], "little") for head in heads if head[0] == member]
                assert numbers == list(range(150)), f"frames of member {member} arrived in another order"

    def test_two_members_that_send_each_other_big_frames_at_once_both_get_them(self) -> None:
        size = min(6_000_000, self.largest)
        with _Run(self) as run:
            links = {1: run.join(1), 2: run.join(2)}
            got: dict[int, list[int]] = {1: [], 2: []}

            def exchange(member: int) -> None:
                link = links[member]
                for _ in range(5):
                    link.send(3 - member, [b"head", bytes([member]) * size])
                for _ in range(5):
                    frame = _next(link)
                    assert len(frame) == size + 4
                    got[member].append(frame[-1])

            with _Threads([lambda: exchange(1), lambda: exchange(2)]):
                pass
            assert got == {1: [2] * 5, 2: [1] * 5}

    def test_one_thread_may_hold_both_ends_and_send_big_frames_both_ways(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            size = min(6_000_000, self.largest)
            for _ in range(2):
                one.send(2, [bytes(size)])
                two.send(1, [bytes(size)])
            got: list[Buffer] = []
            until = monotonic() + PATIENCE_S
            while len(got) < 4 and monotonic() < until:
                got += [frame for link in (two, one) if (frame := link.receive(0.01)) is not None]
            assert [len(frame) for frame in got] == [size] * 4

    def test_nothing_comes_when_nothing_was_sent(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            for timeout in (0, 0.01, 0.05, 0):
                assert two.receive(timeout) is None
            one.send(2, [b"x"])
            assert _next(two) == b"x"
            assert two.receive(0) is None
            assert one.receive(0.01) is None

    def test_with_timeout_zero_a_frame_that_came_is_returned_at_last(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            one.send(2, [b"x"])
            assert _until(lambda: two.receive(0)) == b"x"

    def test_a_waiting_member_is_woken_by_a_frame(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            got: list[Buffer | None] = []
            with _Threads([lambda: got.append(two.receive(PATIENCE_S))]):
                one.send(2, [b"now"])
            assert got == [b"now"]

    def test_members_are_told_apart(self) -> None:
        with _Run(self) as run:
            links = {member: run.join(member) for member in (0, 1, 2, 10, 12)}
            for sender, link in links.items():
                for receiver in links:
                    if receiver != sender:
                        link.send(receiver, [bytes([sender, receiver])])
            for receiver, link in links.items():
                got = sorted(bytes(_next(link)) for _ in range(len(links) - 1))
                assert got == sorted(bytes([sender, receiver]) for sender in links if sender != receiver)
                assert link.receive(0) is None

    def test_runs_are_told_apart(self) -> None:
        with _Run(self) as run, _Run(self) as other:
            one, two, stranger = run.join(1), run.join(2), other.join(2)
            one.send(2, [b"x"])
            assert _next(two) == b"x"
            assert stranger.receive(0.05) is None

    def test_sending_to_a_member_that_is_not_there_is_harmless(self) -> None:
        with _Run(self) as run:
            one = run.join(1)
            for _ in range(3):
                one.send(7, [b"x"])
                one.send(7, [bytes(300_000)])
            two = run.join(2)
            one.send(2, [b"y"])
            assert _next(two, one) == b"y"

    def test_a_member_that_comes_late_gets_what_is_sent_from_then_on(self) -> None:
        with _Run(self) as run:
            one = run.join(1)
            one.send(2, [b"early"])
            two = run.join(2)
            assert _exchanged(one, two, 2)

    def test_a_replaced_member_gets_what_is_sent_from_then_on(self) -> None:
        with _Run(self) as run:
            one, old = run.join(1), run.join(2)
            one.send(2, [b"first"])
            assert _next(old) == b"first"
            new = run.join(2)  # the old one was stopped, and still stands
            assert _exchanged(one, new, 2)
            old.close()
            assert _exchanged(one, new, 2)
            new.close()
            assert _exchanged(one, run.join(2), 2)

    def test_a_replaced_member_can_send(self) -> None:
        with _Run(self) as run:
            one, old = run.join(1), run.join(2)
            old.send(1, [b"old"])
            assert _next(one) == b"old"
            new = run.join(2)
            new.send(1, [b"new"])
            assert _next(one, new) == b"new"

    def test_what_was_sent_before_closing_arrives(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            one.send(2, [b"a"])
            one.send(2, [bytes(200_000)])
            with _Threads([one.close]):
                assert _next(two) == b"a"
                assert len(_next(two)) == 200_000

    def test_closing_twice_is_harmless_and_a_closed_link_says_so(self) -> None:
        with _Run(self) as run:
            one = run.join(1)
            one.close()
            one.close()
            for use in (lambda: one.send(2, [b"x"]), lambda: one.receive(0)):
                _refused(use, TransportFailed)

    def test_a_transport_can_be_checked_at_any_time(self) -> None:
        transport = self.transport()
        transport.check()
        with _Run(self):
            transport.check()

    def test_a_run_in_use_is_refused_and_goes_on(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            _refused(lambda: run.transport.create(run.name), TransportUnusable, naming=run.name)
            one.send(2, [b"x"])
            assert _next(two) == b"x"

    def test_a_run_that_was_not_created_cannot_be_joined(self) -> None:
        with _Run(self) as run:
            _refused(lambda: run.transport.join(run.name + "x", 1), TransportUnusable, naming=run.name + "x")

    def test_the_name_of_a_removed_run_is_free_again(self) -> None:
        with _Run(self) as run:
            run.join(1).send(2, [b"x"])
            run.transport.remove(run.name)
            run.transport.remove(run.name)
            _refused(lambda: run.transport.join(run.name, 1), TransportUnusable)
            run.transport.create(run.name)
            assert run.join(2).receive(0.05) is None

    def test_the_links_of_a_removed_run_fail_and_never_hang(self) -> None:
        with _Run(self) as run:
            one, two = run.join(1), run.join(2)
            one.send(2, [b"x"])
            assert _next(two) == b"x"
            run.transport.remove(run.name)

            def use(link: Link) -> None:
                until = monotonic() + PATIENCE_S
                while monotonic() < until:
                    link.send(3, [b"x"])
                    link.receive(0.1)

            for link in (one, two):
                _refused(lambda link=link: use(link), TransportFailed)  # type: ignore[misc]

    def test_what_cannot_be_the_name_of_a_run_is_refused(self) -> None:
        transport = self.transport()
        for name in ("", "a b", "a/b", "../up", "a\nb", "a*", "x" * 101, ".", "-x", "ä"):
            _refused(lambda name=name: transport.create(name), TransportUnusable)  # type: ignore[misc]
            _refused(lambda name=name: transport.join(name, 1), TransportUnusable)  # type: ignore[misc]

    def test_every_character_of_a_name_counts(self) -> None:
        with _Run(self, "a.b-c_D") as run, _Run(self, "a-b-c_D") as other:
            one, two, stranger = run.join(1), run.join(2), other.join(2)
            one.send(2, [b"x"])
            assert _next(two) == b"x"
            assert stranger.receive(0.05) is None

    def test_no_secret_is_printed(self) -> None:
        with _Run(self) as run:
            printed = [run.transport.url, repr(run.transport), str(run.transport), repr(run.join(1))]
            printed.append(_refused(lambda: run.transport.create(run.name), TransportUnusable))
            printed.append(_refused(lambda: run.transport.join(run.name + "x", 1), TransportUnusable))
            for text, secret in itertools.product(printed, self.secrets):
                assert secret not in text, "a secret is printed"


class _Run:
    """One run of its own, with links that are closed at the end."""

    def __init__(self, suite: TransportSuite, stem: str = "suite") -> None:
        self.transport = suite.transport()
        self.name = f"{stem}-{os.getpid()}-{next(_names)}"
        self._links: list[Link] = []

    def __enter__(self) -> _Run:
        self.transport.create(self.name)
        return self

    def join(self, member: int) -> Link:
        link = self.transport.join(self.name, member)
        self._links.append(link)
        return link

    def __exit__(self, *exception: object) -> None:
        for link in self._links:
            link.close()
        self.transport.remove(self.name)


class _Threads:
    """Runs functions in threads; waits for them at the end, and raises what the first raised."""

    def __init__(self, functions: Sequence[Callable[[], None]]) -> None:
        self._errors: list[BaseException] = []
        self._threads = [Thread(target=self._run, args=(function,), daemon=True) for function in functions]

    def _run(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the test
            self._errors.append(error)

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *exception: object) -> None:
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)
        if self._errors:
            raise self._errors[0]
        assert not any(thread.is_alive() for thread in self._threads), "a thread hangs"


def _pattern(size: int) -> bytes:
    """Return bytes in which a shifted or exchanged piece shows."""
    return np.arange(size // 4 + 1, dtype="<u4").tobytes()[:size]


def _until(poll: Callable[[], Buffer | None]) -> Buffer:
    until = monotonic() + PATIENCE_S
    while monotonic() < until:
        got = poll()
        if got is not None:
            return got
    raise AssertionError("a frame did not arrive")


def _next(link: Link, other: Link | None = None) -> Buffer:
    """Return the next frame; give `other`, in the same thread, the chance to send on what it holds."""

    def poll() -> Buffer | None:
        if other is None:
            return link.receive(PATIENCE_S)
        got = link.receive(0.01)
        if got is None:
            assert other.receive(0) is None
        return got

    return _until(poll)


def _exchanged(sender: Link, receiver: Link, member: int) -> bool:
    """Send numbered frames until one arrives: some may be missing, and none may be of before."""
    until = monotonic() + PATIENCE_S
    for number in itertools.count():
        sender.send(member, [b"now", number.to_bytes(4, "little")])
        sender.receive(0)
        got = receiver.receive(0.05)
        if got is not None:
            assert got[:3] == b"now", f"{bytes(got[:20])!r} was sent before the member joined"
            while got is not None:  # what was sent meanwhile is not left to the next clause
                got = receiver.receive(0.05)
            return True
        assert monotonic() < until, "a member that joined gets nothing"
    return False


def _refused(use: Callable[[], object], kind: type[Exception], naming: str = "") -> str:
    """Return the text of the error that a call raises."""
    try:
        use()
    except kind as error:
        text = str(error)
        assert naming in text, f"{text!r} does not name {naming!r}"
        return text
    raise AssertionError(f"it raises no {kind.__name__}")
