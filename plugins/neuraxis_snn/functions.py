"""The engine's own functions: one text for all backends, so all of them give the same bits.

`exp` of a mathematical library differs from one to the next in the last bit. These functions are written with
nothing but

    F(value)            a value in the precision of the network
    + - * /             one IEEE operation each, in the order written
    where(c, a, b)      a choice, by a comparison
    whole(x)            the nearest whole number: 1.5 * 2**(bits of the mantissa) is added and subtracted
    power_of_two(k)     2**k for whole k of normal range, put together from its bits
    exponent(x)         the whole k for which a normal x > 0 is m * 2**k with 1 <= m < 2, taken from its bits
    significand(x)      that m
    bits(x), number(b)  the bits of a number as an integer U, and the number that has these bits

and run alike on single values, on arrays and in compiled code. The numbers in them are made in decimal arithmetic.

    exp(x)      e**x. Below `LIMITS` it is 0, above `LIMITS` it is what it is there: no infinity and no subnormal
                number ever comes out. Error < 1 ulp.
    exprel(x)   (e**x - 1) / x, and 1 at 0: the smooth form of rates such as x / (1 - exp(-x)). Below `LIMITS` it
                is -1/x, above them e**x stands still as above. Error < 2 ulp.
    log(x)      the natural logarithm. Below the smallest normal number, and so for 0 and negative x, it is what it is
                there; above the largest number likewise. Error < 2 ulp.

NaN stays NaN. Errors are measured in `tests/snn/test_functions.py`.

Determinism: exact.
Source of the method: range reduction with a logarithm of 2 in two parts, as in Cody & Waite, Software Manual for the
Elementary Functions (1980); the polynomials meet the function at Chebyshev nodes.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from neuraxis_snn.numbers import DIGITS, Precision, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ARGUMENTS: Final = {"exp": 1, "exprel": 1, "log": 1}
"""The functions that equations may call, and how many arguments each takes."""

LIMITS: Final = {"float32": (-87, 88), "float64": (-708, 709)}
"""Arguments between which exp follows e**x: there the result and 2**k are normal numbers."""

_DEGREE: Final = {"float32": 4, "float64": 10}
_LOG_DEGREE: Final = {"float32": 3, "float64": 8}
_MANTISSA: Final = {"float32": 23, "float64": 52}
_BIAS: Final = {"float32": 127, "float64": 1023}
_HIGH_BITS: Final = {"float32": 15, "float64": 40}
"""Bits of the first part of ln 2: times a whole number up to 2**7 or 2**10 it stays exact."""

_PI: Final = Decimal("3.14159265358979323846264338327950288419716939937510")

_SUPPORT: Final = """
def where(condition, then, otherwise):
    return then if condition else otherwise

def bits(x):
    return F(x).view(U)

def number(x):
    return U(x).view(F)
"""

_ROUNDING: Final = """
def whole(x):
    return (x + F({magic})) - F({magic})

def power_of_two(k):
    return number(bits(k + F({offset})) << U({mantissa}))

def exponent(x):
    return F(bits(x) >> U({mantissa})) - F({bias})

def significand(x):
    return number(bits(x) & U({fraction}) | U({one}))
"""
# The lowest bits of k + magic + bias are those of k + bias: shifted left, they are the exponent.

_REDUCED: Final = """\
    given = F(x)
    near = where(given > F({low}), given, F({low}))
    near = where(near < F({high}), near, F({high}))
    k = whole(near * F({inverse}))
    r = (near - k * F({ln2_high})) - k * F({ln2_low})
    above = r + (r * r) * ({polynomial})
"""
# near = k ln 2 + r, and above = e**r - 1.

_FUNCTIONS: Final = f"""
def exp(x):
{_REDUCED}\
    y = (F(1.0) + above) * power_of_two(k)
    y = where(given < F({{low}}), F(0.0), y)
    return where(given == given, y, given)

def exprel(x):
{_REDUCED}\
    power = power_of_two(k)
    y = power * above + (power - F(1.0))
    return where(given == F(0.0), F(1.0), y / where(given == F(0.0), F(1.0), given))

def log(x):
    given = F(x)
    near = where(given > F({{tiny}}), given, F({{tiny}}))
    near = where(near < F({{largest}}), near, F({{largest}}))
    k = exponent(near)
    m = significand(near)
    upper = m > F({{root}})
    m = where(upper, m * F(0.5), m)
    k = where(upper, k + F(1.0), k)
    s = (m - F(1.0)) / (m + F(1.0))
    z = s * s
    y = k * F({{ln2_high}}) + ((s + s) + (s * (z * ({{log_polynomial}})) + k * F({{ln2_low}})))
    return where(given == given, y, given)
"""
# log m = 2 artanh(s) = 2 s + s z P(z), with m between 1 / sqrt 2 and sqrt 2.


@lru_cache(maxsize=2)
def text(precision: Precision) -> str:
    """Return the definitions of the functions, as Python that reads F, U, where, bits and number."""
    return (_ROUNDING + _FUNCTIONS).format(**_numbers(precision))


@lru_cache(maxsize=2)
def support(precision: Precision) -> str:
    """Return definitions of where, bits and number for one value, as Python that reads F and U.

    F and U are numpy's float and unsigned integer of that many bits.
    """
    return _SUPPORT.format(**_numbers(precision))


def decorated(precision: Precision, decorator: str, *, choice: str) -> str:
    """Return `support` and `text` for a compiler that has a `where` of its own.

    Args:
        precision: Of arguments and results.
        decorator: Stands before every function.
        choice: The name of that `where`.
    """
    bits, mine = support(precision).index("def bits"), text(precision).replace("where(", f"{choice}(")
    lines = (support(precision)[bits:] + mine).splitlines()
    return "\n".join(f"{decorator}\n{line}" if line.startswith("def ") else line for line in lines)


@lru_cache(maxsize=4)
def functions(precision: Precision, form: Literal["scalar", "array"]) -> Mapping[str, Callable[..., Any]]:
    """Return the functions by name, for single numpy floats or for arrays of any shape.

    Args:
        precision: Of arguments and results.
        form: For one value, or for arrays.
    """
    unsigned = np.uint32 if precision == "float32" else np.uint64
    space: dict[str, Any] = {"F": np.dtype(precision).type, "U": unsigned, "__builtins__": {}}
    exec(compile(support(precision), "<functions>", "exec"), space)
    if form == "array":
        space["where"] = np.where
    return functions_with(precision, **space)


def functions_with(precision: Precision, **given: Any) -> Mapping[str, Callable[..., Any]]:
    """Return the functions by name, for values of any library.

    Args:
        precision: Of arguments and results.
        given: `F`, `U`, `where`, `bits` and `number` for these values.
    """
    space: dict[str, Any] = {**given, "__builtins__": {}}
    exec(compile(text(precision), "<functions>", "exec"), space)
    return {name: space[name] for name in ARGUMENTS}


def _numbers(precision: Precision) -> dict[str, str]:
    with localcontext(DIGITS):
        ln2 = Decimal(2).ln()
        unit = Decimal(2) ** _HIGH_BITS[precision]
        high = (ln2 * unit).to_integral_value() / unit
        root = Decimal(2).sqrt()
        half, widest = ln2 / 2, ((root - 1) / (root + 1)) ** 2
        log_nodes = [(widest + node) / 2 for node in _nodes(_LOG_DEGREE[precision], widest)]
        magic = 1.5 * 2.0 ** _MANTISSA[precision]
        return {
            "magic": repr(magic),
            "offset": repr(magic + _BIAS[precision]),
            "mantissa": str(_MANTISSA[precision]),
            "low": repr(float(LIMITS[precision][0])),
            "high": repr(float(LIMITS[precision][1])),
            "inverse": _text(1 / ln2, precision),
            "ln2_high": _text(high, precision),
            "ln2_low": _text(ln2 - high, precision),
            "polynomial": _polynomial("r", _meeting(_rest, _nodes(_DEGREE[precision], half)), precision),
            "log_polynomial": _polynomial("z", _meeting(_artanh_rest, log_nodes), precision),
            "root": _text(root, precision),
            "bias": repr(float(_BIAS[precision])),
            "fraction": str(2 ** _MANTISSA[precision] - 1),
            "one": str(_BIAS[precision] << _MANTISSA[precision]),
            "tiny": repr(float(np.finfo(precision).tiny)),
            "largest": repr(float(np.finfo(precision).max)),
        }


def _polynomial(x: str, coefficients: list[Decimal], precision: Precision) -> str:
    """Return a polynomial as text, by Horner's rule; coefficients come lowest first."""
    found = ""
    for each in reversed(coefficients):
        number = f"F({_text(each, precision)})"
        found = f"({found}) * {x} + {number}" if found else number
    return found


def _text(value: Decimal, precision: Precision) -> str:
    return repr(float(rounded(value, precision)))


def _nodes(degree: int, half: Decimal) -> list[Decimal]:
    """Return the Chebyshev nodes of |x| <= half for a polynomial of that degree."""
    count = degree + 1
    return [half * _cosine((2 * i + 1) * _PI / (2 * count)) for i in range(count)]


def _meeting(function: Callable[[Decimal], Decimal], nodes: list[Decimal]) -> list[Decimal]:
    """Return the polynomial that meets a function at the nodes, lowest coefficient first."""
    count = len(nodes)
    slopes = [function(node) for node in nodes]  # Newton's divided differences
    for order in range(1, count):
        for i in range(count - 1, order - 1, -1):
            slopes[i] = (slopes[i] - slopes[i - 1]) / (nodes[i] - nodes[i - order])
    found = [slopes[-1]]
    for i in range(count - 2, -1, -1):
        found = [
            above - nodes[i] * below for above, below in zip([Decimal(0), *found], [*found, Decimal(0)], strict=True)
        ]
        found[0] += slopes[i]
    return found


def _rest(r: Decimal) -> Decimal:
    """Return (e**r - 1 - r) / r**2 by its series, which has no 0/0."""
    total, term = Decimal(0), Decimal("0.5")
    for n in range(3, 40):
        total += term
        term *= r / n
    return total


def _artanh_rest(z: Decimal) -> Decimal:
    """Return (2 artanh(s) - 2 s) / s**3 with z = s**2, by its series."""
    total, power = Decimal(0), Decimal(1)
    for n in range(3, 80, 2):
        total += 2 * power / n
        power *= z
    return total


def _cosine(angle: Decimal) -> Decimal:
    total, term = Decimal(0), Decimal(1)
    for n in range(1, 80, 2):
        total += term
        term *= -angle * angle / (n * (n + 1))
    return total
