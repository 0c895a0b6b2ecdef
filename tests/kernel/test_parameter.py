"""Parameters: what a scenario writes becomes what an actor sees, or a sentence that says what to write."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis import Backend, Resource, parameter
from neuraxis.errors import UnitInvalid
from neuraxis.parameter import TICKS, Unfit, duration, whole_ticks

if TYPE_CHECKING:
    from neuraxis.parameter import Parameter

MS = Fraction(1, 1000)


def unfit(declared: Parameter, value: Any, tick: Fraction | None = MS) -> Unfit:
    """Return the refusal of a value."""
    with pytest.raises(Unfit) as refused:
        declared.accept(value, tick)
    assert refused.value.args == (refused.value.got, refused.value.expected)
    return refused.value


# --------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("kind", "value"),
    [(bool, True), (int, -3), (float, 2.5), (str, "x"), (str, ""), (Resource, Resource("/data", "ab"))],
)
def test_value_of_its_kind_is_what_the_actor_sees(kind: Any, value: Any) -> None:
    found = parameter(kind).accept(value)
    assert type(found) is type(value)
    assert found == value


def test_whole_number_is_taken_for_a_float() -> None:
    found = parameter(float).accept(3)
    assert (type(found), found) == (float, 3.0)


@pytest.mark.parametrize(
    ("kind", "value", "noun"),
    [
        (int, True, "a whole number"),
        (int, 3.0, "a whole number"),
        (int, "3", "a whole number"),
        (int, None, "a whole number"),
        (int, np.int64(3), "a whole number"),
        (float, "3.0", "a number"),
        (float, True, "a number"),
        (bool, 1, "true or false"),
        (bool, "true", "true or false"),
        (str, 3, "a text"),
        (str, b"x", "a text"),
        (Resource, "digits", "the name of a resource"),
        (Backend, "numpy", "the name of a backend"),
    ],
)
def test_value_of_another_kind_is_refused_with_what_to_write(kind: Any, value: Any, noun: str) -> None:
    refused = unfit(parameter(kind), value)
    assert (refused.got, refused.expected) == (repr(value), f"Write {noun}.")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    assert unfit(parameter(float), value).expected == "Write a number."


def test_object_of_a_seam_is_taken_as_it_is() -> None:
    class Numpy:
        name = "numpy"

        def build(self, network: Any) -> Any:
            """Only that it is there counts."""

    backend = Numpy()
    declared = parameter(Backend)
    assert declared.is_seam
    assert declared.accept(backend) is backend
    assert not parameter(int).is_seam


def test_parameter_without_default_is_required() -> None:
    assert parameter(int).is_required
    assert not parameter(int, 0).is_required
    assert not parameter(int, None).is_required


# ---------------------------------------------------------------------- bounds and choices


@given(st.integers(), st.integers(-9, 9), st.integers(-9, 9))
def test_bounds_are_inclusive(value: int, low: int, high: int) -> None:
    declared = parameter(int, at_least=low, at_most=high)
    if low <= value <= high:
        assert declared.accept(value) == value
    else:
        assert unfit(declared, value).expected == f"Write a whole number, at least {low}, at most {high}."


def test_bounds_of_a_quantity_are_in_its_unit() -> None:
    declared = parameter(float, unit="mV", at_least=-80, at_most=0)
    assert declared.accept("-0.08 V") == -80.0
    assert unfit(declared, "-80.1 mV").expected == 'Write a voltage such as "1 mV", at least -80, at most 0.'


@pytest.mark.parametrize(
    ("kind", "choices", "good", "bad", "expected"),
    [
        (str, ("min", "max"), "max", "mix", "Write one of 'min', 'max'. Did you mean 'min'?"),
        (str, ("min", "max"), "min", "qqq", "Write one of 'min', 'max'. Known: max, min."),
        (int, (1, 2), 2, 3, "Write one of 1, 2."),
        (int, (1, 2), 1, 0, "Write one of 1, 2."),
    ],
)
def test_only_the_choices_are_taken(kind: Any, choices: Any, good: Any, bad: Any, expected: str) -> None:
    declared = parameter(kind, choices=iter(choices))
    assert declared.accept(good) == good
    assert unfit(declared, bad).expected == expected


def test_true_is_no_choice_among_numbers() -> None:
    unfit(parameter(int, choices=(1, 2)), True)


# --------------------------------------------------------------------------------- units


@pytest.mark.parametrize(("text", "number"), [("20 ms", 20.0), ("0.02 s", 20.0), ("20000 us", 20.0), ("-1 ms", -1.0)])
def test_quantity_becomes_a_number_in_the_declared_unit(text: str, number: float) -> None:
    assert parameter(float, unit="ms").accept(text) == number


@pytest.mark.parametrize("value", [20, 20.5, 0])
def test_bare_number_has_no_unit(value: float) -> None:
    refused = unfit(parameter(float, unit="ms"), value)
    assert refused.got == repr(value)
    assert refused.expected == f'A bare number has no unit. Write a time such as "1 ms": "{value} ms"?'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("20 mV", 'It is a voltage, not a time. Write a time, such as "1 ms".'),
        ("20", 'It has no unit. Write the unit, such as "20 ms".'),
        ("soon", 'It is not a quantity. Write a number and a unit, such as "1 ms".'),
        ("1e999 s", "It is too large for a number. Write less than 1e308 ms."),
        (True, 'Write a time such as "1 ms".'),
        (None, 'Write a time such as "1 ms".'),
        (["1 ms"], 'Write a time such as "1 ms".'),
    ],
)
def test_what_is_no_such_quantity_is_refused_with_the_reason(value: Any, said: str) -> None:
    assert unfit(parameter(float, unit="ms"), value).expected == said


# --------------------------------------------------------------------------------- ticks


@pytest.mark.parametrize(("value", "ticks"), [(7, 7), (0, 0), ("10 ms", 10), ("1 s", 1000), ("0 s", 0)])
def test_time_becomes_a_whole_number_of_ticks(value: Any, ticks: int) -> None:
    found = parameter(int, unit=TICKS).accept(value, MS)
    assert (type(found), found) == (int, ticks)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1.5 ms", "It is 1.5 ticks, not a whole number. One tick is 1 ms; use a multiple of it."),
        ("1 mV", 'It is a voltage, not a time. Write a time, such as "1 s".'),
        (1.0, 'Write a time such as "10 ms", or a whole number of ticks.'),
        (True, 'Write a time such as "10 ms", or a whole number of ticks.'),
    ],
)
def test_what_is_no_whole_number_of_ticks_is_refused(value: Any, said: str) -> None:
    assert unfit(parameter(int, unit=TICKS), value).expected == said


def test_time_cannot_be_ticks_where_the_tick_is_not_known() -> None:
    declared = parameter(int, unit=TICKS, at_least=1)
    assert unfit(declared, "1 ms", None).expected == (
        'Write a time such as "10 ms", or a whole number of ticks, at least 1.'
    )
    assert declared.accept(5) == 5
    assert unfit(declared, "0 ms").got == "'0 ms'"


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_whole_ticks_of_a_multiple_of_the_tick_are_exact(count: int, nanoseconds: int) -> None:
    tick = Fraction(nanoseconds, 10**9)
    assert whole_ticks(f"{count * nanoseconds} ns", tick) == count
    assert whole_ticks(count, tick) == count


def test_part_of_a_tick_is_refused() -> None:
    with pytest.raises(UnitInvalid, match=r"is 0.333333 ticks, not a whole number. One tick is 3 ms"):
        whole_ticks("1 ms", Fraction(3, 1000))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (Fraction(7200), "2 h"),
        (Fraction(90), "1.5 min"),
        (Fraction(1), "1 s"),
        (MS, "1 ms"),
        (MS / 10, "100 us"),
        (MS / 10**6, "1 ns"),
        (MS / 10**7, "0.1 ns"),
    ],
)
def test_duration_is_told_in_the_largest_unit_that_fits(seconds: Fraction, text: str) -> None:
    assert duration(seconds) == text


# --------------------------------------------------------------------------------- lists


def test_list_becomes_a_tuple_of_its_items() -> None:
    assert parameter(tuple[int, ...]).accept([1, 2]) == (1, 2)
    assert parameter(tuple[int, ...]).accept(()) == ()
    assert parameter(tuple[float, ...], unit="ms").accept(["1 s", "2 ms"]) == (1000.0, 2.0)
    assert parameter(tuple[str, ...], choices="ab").accept(["b", "b"]) == ("b", "b")
    assert not parameter(int).is_list


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [
        (parameter(tuple[int, ...]), 3, "Write a list, each a whole number."),
        (parameter(tuple[int, ...]), "12", "Write a list, each a whole number."),
        (parameter(tuple[int, ...], at_least=1), [1, 0], "Write a list, each a whole number, at least 1."),
        (parameter(tuple[int, ...]), [1, 2.5], "Write a list, each a whole number."),
        (
            parameter(tuple[float, ...], unit="ms"),
            [3],
            'A bare number has no unit. Write a list, each a time such as "1 ms": "3 ms"?',
        ),
        (parameter(tuple[str, ...], choices=("a", "b")), ["c"], "Write a list, each one of 'a', 'b'. Known: a, b."),
    ],
)
def test_list_with_an_unfit_item_is_refused(declared: Parameter, value: Any, said: str) -> None:
    assert unfit(declared, value).expected == said
