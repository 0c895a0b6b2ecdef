"""Quantities: read exactly, converted exactly, refused with a remedy."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis.errors import UnitInvalid
from neuraxis.units import UNITS, dimension_of, parse

symbols = st.sampled_from(sorted(UNITS))
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)

IN_SI = {
    "s": "1", "ms": "1e-3", "us": "1e-6", "µs": "1e-6", "ns": "1e-9", "min": "60", "h": "3600", "d": "86400",
    "V": "1", "mV": "1e-3", "uV": "1e-6", "µV": "1e-6",
    "A": "1", "mA": "1e-3", "uA": "1e-6", "µA": "1e-6", "nA": "1e-9", "pA": "1e-12",
    "S": "1", "mS": "1e-3", "uS": "1e-6", "µS": "1e-6", "nS": "1e-9", "pS": "1e-12",
    "ohm": "1", "kohm": "1e3", "Mohm": "1e6", "Gohm": "1e9",
    "F": "1", "uF": "1e-6", "µF": "1e-6", "nF": "1e-9", "pF": "1e-12",
    "Hz": "1", "kHz": "1e3", "MHz": "1e6",
    "m": "1", "mm": "1e-3", "um": "1e-6", "µm": "1e-6",
    "B": "1", "KiB": "1024", "MiB": "1048576", "GiB": "1073741824",
    "%": "1e-2",
}  # fmt: skip


def test_every_unit_is_what_the_standard_says() -> None:
    assert {symbol: factor for symbol, (_, factor) in UNITS.items()} == {
        symbol: Fraction(Decimal(text)) for symbol, text in IN_SI.items()
    }


@pytest.mark.parametrize("symbol", sorted(UNITS))
def test_one_of_every_unit_is_read_and_converted_back(symbol: str) -> None:
    dimension, factor = UNITS[symbol]
    quantity = parse(f"1 {symbol}")
    assert (quantity.si, quantity.dimension, quantity.text) == (factor, dimension, f"1 {symbol}")
    assert quantity.to(symbol) == 1.0
    assert dimension_of(symbol) == dimension


@given(decimals, symbols, st.sampled_from(["", " ", "  "]))
def test_amount_is_kept_as_an_exact_fraction(number: Decimal, symbol: str, space: str) -> None:
    quantity = parse(f" {number:f}{space}{symbol} ")
    assert quantity.exactly(symbol) == Fraction(number)
    assert quantity.si == Fraction(number) * UNITS[symbol][1]


@given(decimals, symbols, symbols)
def test_conversion_is_rounded_once_to_the_nearest_float(number: Decimal, symbol: str, other: str) -> None:
    quantity = parse(f"{number:f} {symbol}")
    if UNITS[symbol][0] == UNITS[other][0]:
        exact = Fraction(number) * UNITS[symbol][1] / UNITS[other][1]
        assert quantity.exactly(other) == exact
        assert quantity.to(other) == float(exact)
    else:
        with pytest.raises(UnitInvalid, match="is a "):
            quantity.to(other)


@pytest.mark.parametrize(
    ("text", "si"),
    [
        ("-60 mV", Fraction(-60, 1000)),
        ("+1.5ms", Fraction(3, 2000)),
        (".5 s", Fraction(1, 2)),
        ("5. s", Fraction(5)),
        ("1e-3 s", Fraction(1, 1000)),
        ("2.5E+2 pA", Fraction(1, 4 * 10**9)),
        ("0.1 ms", Fraction(1, 10_000)),
        ("5 %", Fraction(1, 20)),
        ("\t3 KiB\n", Fraction(3072)),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, si: Fraction) -> None:
    assert parse(text).si == si


@pytest.mark.parametrize(
    "text",
    ["", " ", "ms", "one ms", "1 ms s", "1,5 ms", "1e ms", "1e1000 s", "--1 s", "1/2 s", "0x1 s", "nan s", ". s"],
)
def test_text_that_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UnitInvalid, match=r'is not a quantity. Write a number and a unit, such as "1 ms".') as refused:
        parse(text)
    assert refused.value.text == text


def test_number_without_unit_is_refused() -> None:
    with pytest.raises(UnitInvalid, match=r"""'20' has no unit. Write the unit, such as "20 ms"."""):
        parse("20")


@pytest.mark.parametrize(("text", "near"), [("1 msec", "ms"), ("1 Ohm", "ohm"), ("1 kHZ", "kHz"), ("3 mins", "min")])
def test_unknown_unit_is_refused_with_the_nearest(text: str, near: str) -> None:
    symbol = text.split()[1]
    with pytest.raises(UnitInvalid, match=f"has the unknown unit {symbol!r}. Did you mean {near!r}?"):
        parse(text)


def test_unit_that_resembles_none_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnitInvalid, match=r"'parsec' has the unknown unit 'parsec'\. (Did you mean|Known: )"):
        dimension_of("parsec")
    with pytest.raises(UnitInvalid, match="unknown unit"):
        parse("1 ms").to("parsec")


def test_quantity_of_another_dimension_is_refused_with_both_named() -> None:
    with pytest.raises(UnitInvalid, match=r"""'5 mV' is a voltage, not a time. Write a time, such as "1 ms"."""):
        parse("5 mV").to("ms")


@pytest.mark.parametrize("text", ["1e999 s", "-1e400 s", "9" * 400 + " s"])
def test_amount_beyond_every_float_is_refused_when_it_is_rounded(text: str) -> None:
    quantity = parse(text)
    assert abs(quantity.exactly("s")) > 10**399 - 1
    with pytest.raises(UnitInvalid, match=r"is too large for a number\. Write less than 1e308 s\."):
        quantity.to("s")


def test_amount_below_every_float_is_rounded_to_zero() -> None:
    assert parse("1e-999 s").to("s") == 0.0
