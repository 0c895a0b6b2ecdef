"""Numbers that every draw is made of: logarithm, exponential, normal quantile, and words from the generator.

This text is run in two ways. Imported, it takes single numbers, and most of it arrays too. Compiled by Numba
(`with_numba`) it is fast; then only what stands between the marks differs. Floats change by single IEEE operations in
the order written, and integers are words of 64 bits, so the bits are the same everywhere.

Determinism: exact.
Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011); Wichura, Algorithm AS 241: the percentage
points of the normal distribution (Appl. Stat. 37, 1988).
"""

import math
from typing import Any

import numpy as np

# plain: the compiled text has Numba's marks instead
from neuraxis_snn.connect.plain import formula, philox

# end of plain

U = np.uint64
LOW_32 = U(0xFFFFFFFF)
BITS_32 = U(32)
BITS_12 = U(12)
UNIT_STEP = 2.0**-52

LOG2_E = float.fromhex("0x1.71547652b82fep+0")
LN2_HIGH = float.fromhex("0x1.62e42feep-1")
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
"""Two parts of ln 2: the first has 32 bits, so a whole number below 2**20 times it is exact."""
SQRT_TWO = float.fromhex("0x1.6a09e667f3bcdp+0")
BITS_52 = U(52)
MANTISSA = U(2**52 - 1)
ONE = U(1023 << 52)
EXP_LEAST = -44.0
"""Below it `exponential` is 0: less than 2**-63, a chance that no draw of 52 bits can tell from none."""
POWERS = np.array([math.ldexp(1.0, -power) for power in range(66)])


@formula
def logarithm_of_parts(mantissa: Any, exponent: Any) -> Any:
    """Return ln(mantissa * 2**exponent), mantissa within sqrt(1/2) … sqrt(2): twice the area tangent's series."""
    s = (mantissa - 1.0) / (mantissa + 1.0)
    q = s * s
    p = q * (1.0 / 23.0) + 1.0 / 21.0
    p = q * p + 1.0 / 19.0
    p = q * p + 1.0 / 17.0
    p = q * p + 1.0 / 15.0
    p = q * p + 1.0 / 13.0
    p = q * p + 1.0 / 11.0
    p = q * p + 1.0 / 9.0
    p = q * p + 1.0 / 7.0
    p = q * p + 1.0 / 5.0
    p = q * p + 1.0 / 3.0
    tail = (s + s) * (q * p)
    return exponent * LN2_HIGH + ((s + s) + (tail + exponent * LN2_LOW))


@formula
def exponential_of_parts(x: Any, whole: Any) -> Any:
    """Return exp(x) / 2**whole, whole being the whole number next to x / ln 2: Taylor's series."""
    r = (x - whole * LN2_HIGH) - whole * LN2_LOW
    p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0
    p = r * p + 1.0 / 39916800.0
    p = r * p + 1.0 / 3628800.0
    p = r * p + 1.0 / 362880.0
    p = r * p + 1.0 / 40320.0
    p = r * p + 1.0 / 5040.0
    p = r * p + 1.0 / 720.0
    p = r * p + 1.0 / 120.0
    p = r * p + 1.0 / 24.0
    p = r * p + 1.0 / 6.0
    p = r * p + 0.5
    p = r * p + 1.0
    return r * p + 1.0


@formula
def normal_centre(q: Any) -> Any:
    """Return the normal quantile of 0.5 + q, |q| <= 0.425."""
    r = 0.180625 - q * q
    a = r * 2509.0809287301226727 + 33430.575583588128105
    a = a * r + 67265.770927008700853
    a = a * r + 45921.953931549871457
    a = a * r + 13731.693765509461125
    a = a * r + 1971.5909503065514427
    a = a * r + 133.14166789178437745
    a = a * r + 3.387132872796366608
    b = r * 5226.495278852854561 + 28729.085735721942674
    b = b * r + 39307.89580009271061
    b = b * r + 21213.794301586595867
    b = b * r + 5394.1960214247511077
    b = b * r + 687.1870074920579083
    b = b * r + 42.313330701600911252
    b = b * r + 1.0
    return q * a / b


@formula
def normal_tail(root: Any) -> Any:
    """Return the normal quantile of 1 - exp(-root**2), root <= 5."""
    r = root - 1.6
    a = r * 7.7454501427834140764e-4 + 2.27238449892691845833e-2
    a = a * r + 2.4178072517745061177e-1
    a = a * r + 1.27045825245236838258
    a = a * r + 3.64784832476320460504
    a = a * r + 5.7694972214606914055
    a = a * r + 4.6303378461565452959
    a = a * r + 1.42343711074968357734
    b = r * 1.05075007164441684324e-9 + 5.475938084995344946e-4
    b = b * r + 1.51986665636164571966e-2
    b = b * r + 1.4810397642748007459e-1
    b = b * r + 6.8976733498510000455e-1
    b = b * r + 1.6763848301838038494
    b = b * r + 2.05319162663775882187
    b = b * r + 1.0
    return a / b


@formula
def normal_end(root: Any) -> Any:
    """Return the normal quantile of 1 - exp(-root**2), root > 5."""
    r = root - 5.0
    a = r * 2.01033439929228813265e-7 + 2.71155556874348757815e-5
    a = a * r + 1.2426609473880784386e-3
    a = a * r + 2.6532189526576123093e-2
    a = a * r + 2.9656057182850489123e-1
    a = a * r + 1.7848265399172913358
    a = a * r + 5.4637849111641143699
    a = a * r + 6.6579046435011037772
    b = r * 2.04426310338993978564e-15 + 1.4215117583164458887e-7
    b = b * r + 1.8463183175100546818e-5
    b = b * r + 7.868691311456132591e-4
    b = b * r + 1.48753612908506148525e-2
    b = b * r + 1.3692988092273580531e-1
    b = b * r + 5.9983220655588793769e-1
    b = b * r + 1.0
    return a / b


@formula
def exponential(x: Any) -> Any:
    """Return exp(x) of x <= 0, within 1.5 units in the last place; 0 below `EXP_LEAST`."""
    if x < EXP_LEAST:
        return 0.0
    whole = float(math.floor(x * LOG2_E + 0.5))
    return exponential_of_parts(x, whole) * POWERS[int(-whole)]


@formula
def unit(word: Any) -> Any:
    """Return a draw as one of the 2**52 middles of equal parts of 0 … 1."""
    return (float(word >> BITS_12) + 0.5) * UNIT_STEP


@formula
def below(word: Any, limit: Any) -> Any:
    """Return a draw as a whole number below `limit` < 2**31: floor(word * limit / 2**64)."""
    return ((word >> BITS_32) * limit + (((word & LOW_32) * limit) >> BITS_32)) >> BITS_32


@formula
def fill(words: Any, begin: Any, count: Any, row: Any, attempt: Any, tag: Any, key0: Any, key1: Any) -> None:
    """Write the draws begin … begin + count - 1 of a row; begin is even, and there is room for one more."""
    first = begin // 2
    for block in range((count + 1) // 2):
        a, b, c, d = philox(U(row), U(first + block), U(attempt), tag, key0, key1)
        words[2 * block] = (a << BITS_32) | b
        words[2 * block + 1] = (c << BITS_32) | d


# The next functions work on many numbers at a time, in loops without branches: so the compiler uses vectors.


@formula
def scratch_for(count: Any) -> Any:
    """Return room that `logarithms` and `normal_quantiles` need for so many numbers."""
    ends, ones = np.empty(count, np.uint64), np.empty(count, np.uint64)
    return ends.view(np.float64), ends, ones.view(np.float64), ones, np.empty(count), np.empty(count, np.int64)


@formula
def logarithms(count: Any, scratch: Any) -> None:
    """Replace the first normal floats above 0 of `scratch` by their logarithms, within 1.5 units in the last place."""
    values, parts, mantissas, ones, exponents, _ = scratch
    for i in range(count):  # no memory that is read here is written, else the compiler would fear to reorder
        exponents[i] = float(parts[i] >> BITS_52) - 1023.0
        ones[i] = (parts[i] & MANTISSA) | ONE
    for i in range(count):
        mantissa, exponent = mantissas[i], exponents[i]
        is_high = mantissa > SQRT_TWO
        mantissa = mantissa * 0.5 if is_high else mantissa
        exponent = exponent + 1.0 if is_high else exponent
        values[i] = logarithm_of_parts(mantissa, exponent)


@formula
def normal_quantiles(values: Any, words: Any, count: Any, scratch: Any) -> None:
    """Write the z below which a standard normal lies with the chance that each draw says."""
    ends, outside = scratch[0], scratch[5]
    found = np.int64(0)
    for i in range(count):
        values[i] = normal_centre(unit(words[i]) - 0.5)
    for i in range(count):
        outside[found] = i
        found += np.int64(abs(unit(words[i]) - 0.5) > 0.425)
    for j in range(found):
        u = unit(words[outside[j]])
        ends[j] = u if u < 0.5 else 1.0 - u
    logarithms(found, scratch)
    for j in range(found):
        ends[j] = math.sqrt(-ends[j])
    for j in range(found):
        i = outside[j]
        z = normal_tail(ends[j]) if ends[j] <= 5.0 else normal_end(ends[j])
        values[i] = -z if unit(words[i]) < 0.5 else z
