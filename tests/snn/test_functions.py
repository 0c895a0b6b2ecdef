"""The engine's own functions: how exact they are, what they do at the edges, the same bits on all backends."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis_snn import Model, Network
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.backends.with_torch import TorchBackend
from neuraxis_snn.functions import ARGUMENTS, LIMITS, decorated, functions, text
from tests.snn.devices import HAS_TORCH

DIGITS = Context(prec=60)
PRECISIONS = ("float32", "float64")


def _exact(name: str, x: float) -> Decimal:
    given = Decimal(x)
    if name == "log":
        return DIGITS.ln(given)
    power = DIGITS.exp(given)
    if name == "exp":
        return power
    return DIGITS.divide(power - 1, given) if x else Decimal(1)


def _error(name: str, precision: Any, x: np.ndarray) -> float:
    """Return the largest error in units of the last place."""
    found, worst = functions(precision, "array")[name](x), Decimal(0)
    for argument, value in zip(x.tolist(), found, strict=True):
        exact = _exact(name, argument)
        unit = Decimal(float(np.spacing(x.dtype.type(float(exact)))))
        worst = max(worst, abs(Decimal(float(value)) - exact) / unit)
    return float(worst)


def _arguments(precision: Any, count: int) -> np.ndarray:
    """Return arguments of all sizes, and those near the seams between two powers of two."""
    rng, (low, high) = np.random.default_rng(1), LIMITS[precision]
    seams = (np.arange(int(low / 0.7), int(high / 0.7)) + 0.5) * np.log(2)
    parts = (
        rng.uniform(low, high, count),
        rng.uniform(-2, 2, count),
        rng.normal(0, 1e-3, count // 4),
        10.0 ** rng.uniform(-30, 0, count // 8),
        np.clip(np.concatenate([seams, np.nextafter(seams, 0)]), low, high),
        np.array([low, high, 0.0, -0.0]),
    )
    return np.concatenate(parts).astype(precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("name", "limit"), [("exp", 1.0), ("exprel", 2.0)])
def test_functions_err_by_less_than_they_say(name: str, limit: float, precision: Any) -> None:
    assert _error(name, precision, _arguments(precision, 2_000)) < limit


@pytest.mark.parametrize("precision", PRECISIONS)
def test_log_errs_by_less_than_it_says(precision: Any) -> None:
    rng, info = np.random.default_rng(2), np.finfo(precision)
    parts = (
        2.0 ** rng.uniform(info.minexp, info.maxexp - 1, 2_000),
        rng.uniform(0.5, 2, 2_000),
        1 + rng.normal(0, 1e-4, 500),
        np.sqrt(2) * (1 + rng.normal(0, 1e-6, 200)),
        np.array([info.tiny, info.max, 2.0, 0.5]),
    )
    x = np.concatenate([part.astype(precision) for part in parts])
    assert _error("log", precision, x[x != 1]) < 2.0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_log_ends_at_its_limits_and_is_zero_at_one(precision: Any) -> None:
    info, log = np.finfo(precision), functions(precision, "array")["log"]
    found = log(np.array([1.0, 0.0, -0.0, -5.0, -np.inf, info.tiny, info.tiny / 2, np.inf, info.max], precision))
    assert found[0] == 0
    assert np.isfinite(found).all()
    assert len(set(found[1:7].tolist())) == 1
    assert found[7] == found[8]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_exp_ends_at_its_limits_without_infinities_and_subnormal_numbers(precision: Any) -> None:
    low, high = LIMITS[precision]
    kind = np.dtype(precision).type
    ends = np.array([-np.inf, -1e30, np.nextafter(kind(low), kind(-np.inf)), low, high, high + 1, 1e30, np.inf], kind)
    found = functions(precision, "array")["exp"](ends)
    assert found[:3].tolist() == [0, 0, 0]
    assert found[3] >= np.finfo(kind).tiny
    assert np.isfinite(found).all()
    assert set(found[4:].tolist()) == {float(found[4])}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_exprel_is_one_at_zero_and_falls_like_one_over_x(precision: Any) -> None:
    kind = np.dtype(precision).type
    found = functions(precision, "array")["exprel"](np.array([0, -0.0, 1e-30, -1e30, -np.inf], kind))
    assert found[:3].tolist() == [1, 1, 1]
    assert found[3] == kind(1) / kind(1e30)
    assert found[4] == 0


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", list(ARGUMENTS))
def test_what_is_no_number_stays_none(name: str, precision: Any) -> None:
    assert np.isnan(functions(precision, "array")[name](np.array([np.nan], precision))).all()
    assert np.isnan(functions(precision, "scalar")[name](np.dtype(precision).type(np.nan)))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", list(ARGUMENTS))
@given(x=st.floats(width=32))
def test_one_value_and_an_array_have_the_same_bits(name: str, precision: Any, x: float) -> None:
    with np.errstate(all="ignore"):
        alone = functions(precision, "scalar")[name](np.dtype(precision).type(x))
        among = functions(precision, "array")[name](np.array([0.5, x, 1.5], precision))
    assert alone.tobytes() == among[1].tobytes()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_exp_never_falls_as_its_argument_grows(precision: Any) -> None:
    x = np.sort(_arguments(precision, 20_000))
    assert (np.diff(functions(precision, "array")["exp"](x)) >= 0).all()


BOTH = Model(
    name="both",
    parameters={},
    states={"x": 0.0, "power": 0.0, "mean": 0.0, "quotient": 0.0, "logarithm": 0.0},
    inputs=(),
    update="""
        power = exp(x)
        mean = exprel(x)
        quotient = mean / x
        logarithm = log(x)
    """,
    threshold="power > 1",
)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_functions_and_quotients_have_the_same_bits_on_every_backend(precision: Any) -> None:
    edges = [0.0, -0.0, np.finfo(precision).max, -np.finfo(precision).max, np.finfo(precision).tiny, *LIMITS[precision]]
    x = np.concatenate([_arguments(precision, 300), np.array(edges, precision)])
    network = Network(dt="1 ms", precision=precision)
    network.population("both", len(x), BOTH)
    found = []
    for backend in (ReferenceBackend(), NumpyBackend(), NumbaBackend(), *([TorchBackend()] if HAS_TORCH else [])):
        engine = backend.build(network)
        engine.write("both", "x", x)
        spikes = engine.advance(1)["both"].pairs()
        found.append((spikes, *(engine.read("both", state).tobytes() for state in BOTH.states)))
    assert all(each == found[0] for each in found)
    assert np.isinf(np.frombuffer(found[0][4], precision)).any(), "a division by zero is no error"


def test_compilers_get_the_same_text_with_their_own_choice() -> None:
    mine = decorated("float32", "@fast", choice="select")
    assert "where" not in mine
    assert mine.count("@fast\ndef ") == len(ARGUMENTS) + 6
    assert text("float32").replace("where(", "select(").splitlines()[1] in mine
