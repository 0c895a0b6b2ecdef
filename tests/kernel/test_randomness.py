"""Random streams: opened by name, without state, the same everywhere, and random."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis import (
    Actor,
    Graph,
    Input,
    Output,
    Population,
    Simulation,
    array,
    on,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis.blueprint import Blueprint
from neuraxis.errors import ActorFailed, UsageInvalid
from neuraxis.graph import ActorSpec
from neuraxis.rng import Stream, member_rows, philox4x64, stream_key
from tests.kernel.actors import Listener, noisy

if TYPE_CHECKING:
    from neuraxis import Context

words = st.integers(0, 2**64 - 1)
keys = st.tuples(words, words)


# ------------------------------------------------------------------------ the generator


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
        ),
        (
            (2**64 - 1,) * 4,
            (2**64 - 1,) * 2,
            (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
        ),
        (
            (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
            (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
        ),
    ],
)
def test_generator_gives_the_known_answers_of_its_authors(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    """The vectors are those of the Random123 distribution, `kat_vectors`, philox4x64 with 10 rounds."""
    c0, c1, c2, c3 = (np.array([word], np.uint64) for word in counter)
    assert tuple(int(each[0]) for each in philox4x64(c0, c1, c2, c3, key)) == expected


@given(st.tuples(words, words, words, words), keys)
@settings(max_examples=60, deadline=None)
def test_generator_agrees_with_the_one_of_numpy(counter: tuple[int, ...], key: tuple[int, int]) -> None:
    whole = sum(word << 64 * place for place, word in enumerate(counter))
    before = (whole - 1) % 2**256  # numpy counts on before it makes a block
    oracle = np.random.Philox(counter=before, key=key[0] | key[1] << 64).random_raw(4)
    c0, c1, c2, c3 = (np.array([word], np.uint64) for word in counter)
    assert [int(each[0]) for each in philox4x64(c0, c1, c2, c3, key)] == oracle.tolist()


@given(keys, st.integers(0, 2**40), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_counter_of_a_stream_is_draw_tick_and_row(key: tuple[int, int], tick: int, row: int) -> None:
    oracle = np.random.Philox(counter=tick << 64 | row << 128, key=key[0] | key[1] << 64).random_raw(9)
    assert Stream(key, row=row).at(tick).raw(9).tolist() == oracle.tolist()


def test_first_numbers_of_a_stream_never_change() -> None:
    """A change of these vectors breaks every golden: derivation of keys and counters is a promise."""
    stream = Stream(stream_key(7, "cortex/layer-4", "noise")).at(3)
    assert stream_key(7, "cortex/layer-4", "noise") == (11604318607585172016, 8118531662362305260)
    assert stream.raw(3).tolist() == [1416818092955540285, 11315353248908526083, 7921698842455241365]
    assert stream.integers(0, 1000) == 627


# ------------------------------------------------------------------------ names, no state


@given(st.integers(-(2**70), 2**70), st.text(max_size=8), st.text(max_size=8))
def test_key_depends_on_seed_path_and_name_alone_and_on_all_of_them(seed: int, path: str, name: str) -> None:
    key = stream_key(seed, path, name)
    assert key == stream_key(seed, path, name)
    others = {stream_key(seed + 1, path, name), stream_key(seed, path + "a", name), stream_key(seed, path, name + "a")}
    assert key not in others
    assert len(others) == 3


def test_numbers_of_a_tick_do_not_depend_on_what_was_drawn_before() -> None:
    fresh, used = Stream((1, 2)), Stream((1, 2))
    for tick in range(10):
        used.at(tick).raw(tick)
    assert fresh.at(10).raw(50).tolist() == used.at(10).raw(50).tolist()
    assert used.at(4).raw(5).tolist() == Stream((1, 2)).at(4).raw(5).tolist()


def test_draws_go_on_within_a_tick_and_begin_anew_in_the_next() -> None:
    stream = Stream((1, 2))
    first = stream.at(5).raw(3).tolist() + stream.at(5).raw(4).tolist()
    assert first == Stream((1, 2)).at(5).raw(7).tolist()
    assert stream.at(6).raw(7).tolist() != first


def test_rows_of_different_members_differ() -> None:
    assert len({Stream((1, 2), row=row).at(0).raw(1).tobytes() for row in range(200)}) == 200


class Gambler(Actor):
    """Draws from two streams every tick, and as often as it is told from a third."""

    extra: int = parameter(int, 0)
    heard = Input(int)
    out = Output(int)
    drawn: list[Any] = state(factory=list)

    @on_start
    def begin(self, context: Context) -> None:
        self.draw(context)

    @on_timer("again")
    def draw(self, context: Context) -> None:
        context.wake(1, "again")
        for _ in range(self.extra):
            context.stream("extra").raw(3)
        self.drawn.append([context.stream("a").integers(0, 10**9), context.stream("b").random()])
        context.send("out", self.drawn[-1][0])

    @on(heard)
    def hear(self, context: Context, value: int) -> None: ...


def drawn(graph: Graph, *, seed: int = 0, path: str = "g", arm: Any = None) -> list[Any]:
    """Return what a gambler drew in ten ticks."""
    with Simulation(Blueprint(graph, seed, arm=arm)) as sim:
        return sim.advance(10).actor(path).drawn  # type: ignore[attr-defined,no-any-return]


def gamblers(*paths: str, **parameters: Any) -> Graph:
    """Return a graph of gamblers who do not hear each other."""
    graph = Graph("gamblers")
    for path in paths:
        graph.add(path, Gambler, **parameters)
    return graph


def test_adding_an_actor_changes_nobody() -> None:
    alone = drawn(gamblers("g"))
    assert drawn(gamblers("a", "f", "g", "z")) == alone
    crowd = noisy()
    crowd.add("g", Gambler)
    assert drawn(crowd) == alone


def test_one_stream_does_not_change_another() -> None:
    assert drawn(gamblers("g", extra=5)) == drawn(gamblers("g"))


def test_actors_draw_different_numbers_and_so_do_seeds() -> None:
    graph = gamblers("g", "h")
    draws = [
        drawn(graph),
        drawn(graph, path="h"),
        drawn(graph, seed=1),
        drawn(graph, seed=-1),
        drawn(graph, seed=2**64),
    ]
    assert len({str(each) for each in draws}) == 5
    assert len({str(each) for each in drawn(graph)}) == 11


def test_actors_draw_the_same_where_they_ask_for_common_numbers() -> None:
    class Compared(Gambler):
        @on_timer("again")
        def draw(self, context: Context) -> None:
            common = context.stream("luck", common=True).raw(3).tolist()
            assert context.stream("luck").raw(3).tolist() != common  # its own stream of that name is another
            self.drawn.append(common)
            context.wake(1, "again")

    graph = Graph("compared")
    for path in ("g", "h"):
        graph.add(path, Compared)
    assert drawn(graph) == drawn(graph, path="h") != drawn(graph, seed=1)


def test_order_of_actors_in_a_tick_changes_no_draw() -> None:
    def reverse(scheduler: Any) -> None:
        scheduler.shuffle = lambda _tick, order: list(reversed(order))

    assert drawn(gamblers("a", "g", "z"), arm=reverse) == drawn(gamblers("a", "g", "z"))


def test_skipped_ticks_change_no_draw() -> None:
    class Lazy(Gambler):
        @on_timer("again")
        def draw(self, context: Context) -> None:
            context.wake(5, "again")
            self.drawn.append([context.stream("a").integers(0, 10**9), context.stream("b").random()])

    graph = Graph("lazy")
    graph.add("g", Lazy)
    assert drawn(graph) == drawn(gamblers("g"))[::5]


# -------------------------------------------------------------------------- distributions

N = 40_000


def chi_square(counts: np.ndarray) -> float:
    """Return the statistic for equal frequencies."""
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2).sum() / expected)


def test_floats_are_uniform_on_the_unit_interval() -> None:
    values = Stream((3, 4)).at(0).random(N)
    assert values.dtype == np.float64
    assert 0.0 <= values.min() < 0.001
    assert 0.999 < values.max() < 1.0
    assert abs(values.mean() - 0.5) < 4 / math.sqrt(12 * N)
    assert chi_square(np.bincount((values * 100).astype(int), minlength=100)) < 99 + 4 * math.sqrt(2 * 99)
    assert np.all(values * 2.0**53 == np.floor(values * 2.0**53))


def test_consecutive_floats_are_not_correlated() -> None:
    values = Stream((3, 4)).at(0).random(N)
    for lag in (1, 2, 3, 4):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4 / math.sqrt(N)


def test_streams_of_neighbouring_ticks_and_rows_are_not_correlated() -> None:
    values = member_rows((5, 6), tick=0, size=N // 8, draws=8)
    following = member_rows((5, 6), tick=1, size=N // 8, draws=8)
    assert abs(np.corrcoef(values.ravel(), following.ravel())[0, 1]) < 4 / math.sqrt(N)
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 4 / math.sqrt(N)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-7, 6), (0, 1), (5, 6), (-(2**63), 0), (0, 2**63)])
def test_integers_are_uniform_on_their_range(low: int, high: int) -> None:
    values = Stream((low % 2**64, 9)).at(1).integers(low, high, N)
    assert values.dtype == np.int64
    assert low <= values.min() <= values.max() < high
    cells = min(high - low, 13)
    counts = np.bincount([(int(value) - low) * cells // (high - low) for value in values], minlength=cells)
    assert chi_square(counts) <= (cells - 1) + 5 * math.sqrt(2 * max(cells - 1, 1))


@pytest.mark.parametrize("span", [1, 3, 1000, 2**62 + 1, 2**63])
def test_integers_drawn_one_by_one_are_those_drawn_at_once(span: int) -> None:
    """About a quarter of all words is skipped for a range of 2**62 + 1, in both ways of drawing."""
    together, single = Stream((8, 8)).at(2), Stream((8, 8)).at(2)
    assert together.integers(-5, span - 5, 200).tolist() == [single.integers(-5, span - 5) for _ in range(200)]


@pytest.mark.parametrize(("low", "high"), [(0, 0), (3, 2), (0, 2**63 + 1)])
def test_empty_or_too_wide_range_is_refused(low: int, high: int) -> None:
    with pytest.raises(UsageInvalid, match="empty or too wide"):
        Stream((1, 1)).at(0).integers(low, high)


def test_no_draws_give_no_numbers() -> None:
    stream = Stream((1, 1)).at(0)
    assert [
        len(each) for each in (stream.raw(0), stream.random(0), stream.integers(0, 5, 0), stream.permutation(0))
    ] == [0] * 4


def test_single_numbers_are_plain_python_values() -> None:
    stream = Stream((1, 1)).at(0)
    assert [type(each) for each in (stream.random(), stream.integers(0, 5), stream.bernoulli(0.5))] == [
        float,
        int,
        bool,
    ]


def test_floats_drawn_one_by_one_are_those_drawn_at_once() -> None:
    together, single = Stream((2, 2)).at(0), Stream((2, 2)).at(0)
    assert together.random(50).tolist() == [single.random() for _ in range(50)]


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_bernoulli_is_true_with_its_probability(p: float) -> None:
    stream = Stream((4, 4)).at(0)
    hits = sum(stream.bernoulli(p) for _ in range(5_000))
    assert abs(hits / 5_000 - p) <= 4 * math.sqrt(p * (1 - p) / 5_000)


def test_shuffled_order_is_a_permutation_and_every_one_is_as_likely() -> None:
    stream = Stream((6, 6)).at(0)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(6_000):
        order = tuple(stream.permutation(3).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert sorted(counts) == [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    assert chi_square(np.array(list(counts.values()))) < 5 + 4 * math.sqrt(10)


def test_generator_of_numpy_draws_from_the_stream_in_its_tick() -> None:
    stream = Stream((7, 7))
    first = stream.at(3).generator().normal(size=5).tolist()
    stream.at(4).raw(9)
    assert stream.at(3).generator().normal(size=5).tolist() == first


# ---------------------------------------------------------------------------- populations


@given(keys, st.integers(0, 2**50), st.integers(1, 9), st.integers(0, 11))
@settings(max_examples=50, deadline=None)
def test_row_of_a_population_is_what_its_member_draws(key: tuple[int, int], tick: int, size: int, draws: int) -> None:
    rows = member_rows(key, tick=tick, size=size, draws=draws)
    assert rows.shape == (size, draws)
    assert rows.dtype == np.uint64
    for row in range(size):
        assert rows[row].tolist() == Stream(key, row=row + 1).at(tick).raw(draws).tolist()


@given(st.integers(1, 20), st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_members_draw_the_same_in_a_larger_population_and_with_more_draws(size: int, draws: int) -> None:
    large = member_rows((1, 2), tick=9, size=size + 5, draws=draws + 3)
    assert member_rows((1, 2), tick=9, size=size, draws=draws).tolist() == large[:size, :draws].tolist()


class Chorus(Population):
    """Sends a random number a member every tick; twice, to show that rows do not run on."""

    out = Output(array("uint64", "size"))

    @on_start
    def begin(self, context: Context) -> None:
        self.sing(context)

    @on_timer("again")
    def sing(self, context: Context) -> None:
        context.wake(1, "again")
        assert (context.rows("voice") == context.rows("voice", 3)[:, :1]).all()
        context.send("out", context.rows("voice")[:, 0].copy())


class Singer(Actor):
    """A member of the chorus."""

    drawn: list[int] = state(factory=list)

    @on_start
    def begin(self, context: Context) -> None:
        self.sing(context)

    @on_timer("again")
    def sing(self, context: Context) -> None:
        context.wake(1, "again")
        self.drawn.append(int(context.stream("voice").raw(1)[0]))


def test_member_in_the_place_of_a_row_draws_what_the_row_draws() -> None:
    together, apart = Graph("chorus"), Graph("singers")
    together.add("c", Chorus, size=4)
    together.connect("c.out", "@output.voices")
    apart.actors = [ActorSpec(f"x{row}", "Singer", Singer, {}, row_of=("c", row)) for row in range(4)]
    chorus, singers = Simulation(together, seed=5).advance(6), Simulation(apart, seed=5).advance(6)
    voices = np.array([each.value for each in chorus.outputs])
    for row in range(4):
        assert singers.actor(f"x{row}").drawn[:-1] == voices[:, row].tolist()  # type: ignore[attr-defined]


def test_actor_without_members_has_no_rows() -> None:
    class Lonely(Listener):
        @on_start
        def begin(self, context: Context) -> None:
            context.rows("voice")

    graph = Graph("lonely")
    graph.add("x", Lonely)
    with pytest.raises(ActorFailed, match="x has no members"):
        Simulation(graph)
