"""The transport with faults: each strikes, and a seed tells which frames."""

from __future__ import annotations

from neuraxis.cluster.in_process import InProcess
from neuraxis.testing import TransportSuite
from neuraxis.testing.faulty_transport import FaultyTransport, FrameFaults

ALL = FrameFaults(lose=0.1, repeat=0.1, delay=0.1, cut=0.01, cut_frames=5)


class TestWithoutFaults(TransportSuite):
    def setup_method(self) -> None:
        self.made = InProcess()

    def transport(self) -> FaultyTransport:
        return FaultyTransport(self.made, FrameFaults(), seed=1)


def _arrived(faults: FrameFaults, *, seed: int) -> tuple[list[int], dict[str, int]]:
    transport = FaultyTransport(InProcess(), faults, seed=seed)
    transport.create("run")
    one, two = transport.join("run", 1), transport.join("run", 2)
    for number in range(1_000):
        one.send(2, [number.to_bytes(4, "little")])
    for _ in range(10):
        one.receive(0)
    got = []
    while (frame := two.receive(0)) is not None:
        got.append(int.from_bytes(frame, "little"))
    return got, one.fired


def test_the_same_seed_strikes_the_same_frames_and_another_seed_others() -> None:
    assert _arrived(ALL, seed=1) == _arrived(ALL, seed=1)
    assert _arrived(ALL, seed=1) != _arrived(ALL, seed=2)


def test_every_fault_strikes() -> None:
    got, fired = _arrived(ALL, seed=1)
    assert all(fired.values())
    assert set(got) < set(range(1_000))
    assert len(got) > len(set(got))
    assert got != sorted(got)


def test_a_delayed_frame_arrives_once_and_later() -> None:
    got, fired = _arrived(FrameFaults(delay=0.2), seed=3)
    assert fired["delay"] > 100
    assert sorted(got) == list(range(1_000))
    assert got != sorted(got)


def test_a_cut_loses_frames_in_a_row() -> None:
    got, fired = _arrived(FrameFaults(cut=0.01, cut_frames=10), seed=3)
    assert fired["cut"] > 0
    assert len(got) == 1_000 - 10 * fired["cut"]
