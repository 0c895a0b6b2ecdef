"""Equations as kernels in CUDA's C++.

Every entry is computed on its own. Operations stand as they are written, one IEEE operation each; whoever compiles
them must forbid contraction. To a compiler for processors the same source is C++, with one block of one thread: so it
is tested.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final, final

from neuraxis_snn import functions
from neuraxis_snn.expressions import Statement, code, is_condition, names_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from neuraxis_snn.numbers import Precision

TYPES: Final = {"bool": "bool", "float32": "float", "float64": "double", "int64": "long long"}
"""Types in C by their names in numpy."""

HEAD: Final = """\
#define EACH(i, n) \\
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)

typedef {real} real;
typedef {word} word;
typedef {whole} whole;
#define F(x) ((real)(x))
#define U(x) ((word)(x))

union both {{ real number; word bits; }};
__device__ inline word f_bits(real x) {{ union both of; of.number = x; return of.bits; }}
__device__ inline real f_number(word x) {{ union both of; of.bits = x; return of.number; }}
"""

ADD_AT: Final = """
extern "C" __global__ void add_at(
    long long n, whole *sums, const long long *places, const whole *values, long long stride)
{
    EACH(i, n) { atomicAdd((word *)(sums + places[i]), (word)values[i * stride]); }
}
"""
"""Adds values to sums at places which may come again: integers, so in any order."""


def head(precision: Precision) -> str:
    """Return what every program begins with: types, and the functions that equations may call."""
    single = precision == "float32"
    types = ("float", "unsigned int", "int") if single else ("double", "unsigned long long", "long long")
    parts = [HEAD.format(**dict(zip(("real", "word", "whole"), types, strict=True)))]
    for each in ast.parse(functions.text(precision)).body:
        assert isinstance(each, ast.FunctionDef), "the text is one of functions"
        *assignments, last = each.body
        names = _Names()
        arguments = ", ".join(f"real {names.new(argument.arg)}" for argument in each.args.args)
        lines = [f"    {line}" for line in _assigned(_statements(assignments), names)]
        assert isinstance(last, ast.Return), "a function ends with its value"
        assert last.value is not None, "a function ends with its value"
        lines.append(f"    return {names.code(last.value)};")
        parts.append(f"__device__ inline real f_{each.name}({arguments})\n{{\n" + "\n".join(lines) + "\n}\n")
    return "\n".join(parts)


@final
class Kernel:
    """The source of a kernel named `equations`, which executes statements.

    Its arguments are the number of entries, the number of columns, then for each name that it reads an array and by
    how much its rows and its columns lie apart (0 where a value serves all), then an array for each result.

    Attributes:
        text: A whole program.
        results: Name of each result to whether it is a condition.
    """

    def __init__(
        self, statements: Sequence[Statement], keep: Collection[str], precision: Precision, reads: Mapping[str, str]
    ) -> None:
        """Write it.

        Args:
            statements: They.
            keep: Names that are looked at afterwards.
            precision: Of the network.
            reads: What is read, in the order of the arguments: name to type, as numpy names it.
        """
        conditions = {name for name, kind in reads.items() if kind == "bool"}
        for each in statements:
            (conditions.add if is_condition(each.value, conditions) else conditions.discard)(each.target)
        self.results = {name: name in conditions for name in sorted({each.target for each in statements} & set(keep))}
        names, load, store = _Names(), [], []
        arguments = ["long long n", "long long columns"]
        for number, (name, kind) in enumerate(reads.items()):
            arguments += [f"const {TYPES[kind]} *in{number}", f"long long row{number}", f"long long column{number}"]
            load.append(f"const auto {names.new(name)} = in{number}[r * row{number} + c * column{number}];")
        compute = _assigned(statements, names)
        for number, (name, holds) in enumerate(self.results.items()):
            arguments.append(f"{'bool' if holds else 'real'} *out{number}")
            store.append(f"out{number}[i] = ({'bool' if holds else 'real'}){names.of(name)};")
        body = "\n        ".join(["const long long r = i / columns, c = i % columns;", *load, *compute, *store])
        entry = f'extern "C" __global__ void equations({", ".join(arguments)})'
        self.text = f"{head(precision)}\n{entry}\n{{\n    EACH(i, n) {{\n        {body}\n    }}\n}}\n"


def reads(statements: Sequence[Statement]) -> tuple[str, ...]:
    """Return the names that are read before they are written, in a stated order."""
    written: set[str] = set()
    found: set[str] = set()
    for each in statements:
        found |= names_in([each.value]) - written
        written.add(each.target)
    return tuple(sorted(found))


def _statements(nodes: Sequence[ast.stmt]) -> list[Statement]:
    found = []
    for each in nodes:
        assert isinstance(each, ast.Assign), "functions assign"
        assert isinstance(each.targets[0], ast.Name), "functions assign to names"
        found.append(Statement(each.targets[0].id, each.value))
    return found


def _assigned(statements: Sequence[Statement], names: _Names) -> list[str]:
    """Return a constant for each statement: a name that is assigned again is another one, and may have another type."""
    lines = []
    for each in statements:
        value = names.code(each.value)
        lines.append(f"const auto {names.new(each.target)} = {value};")
    return lines


@final
class _Names:
    """What names of a text are called in C."""

    def __init__(self) -> None:
        self._count = 0
        self._now: dict[str, str] = {}

    def new(self, name: str) -> str:
        """Return a name of its own for what `name` is from now on."""
        self._now[name] = f"v{self._count}_{name if name.isascii() else ''}"
        self._count += 1
        return self._now[name]

    def of(self, name: str) -> str:
        """Return what a value or a function is called."""
        return name if name in ("F", "U") else self._now.get(name, f"f_{name}")

    def code(self, node: ast.expr) -> str:
        """Return an expression as C."""
        return code(node, "c", self.of)
