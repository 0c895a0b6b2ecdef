"""The small language in which models and plasticity rules are written, and its translation.

A text is a list of assignments, one a line: `v = where(active, rest + (v - rest) * decay_v, v)`. It knows
`+ - * /`, comparisons, `& | ~` of conditions, `where(condition, then, otherwise)`, numbers, and the functions of
`functions`. Every operation is one IEEE operation in the precision of the network, in the order written; so every
backend that computes the same text computes the same bits. A division by zero gives what IEEE says, and no error.
What does not change from step to step is better a constant, made once on the host.

The same text becomes Python for one neuron (`scalar`, `compiled`) or for arrays of neurons (`array`), or C (`c`).
"""

from __future__ import annotations

import ast
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final, Literal, final

from msgspec import Struct

from neuraxis.errors import suggestion
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.functions import ARGUMENTS
from neuraxis_snn.numbers import DIGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Form = Literal["scalar", "array", "compiled", "c"]

CALLS: Final = {"where": 3, **ARGUMENTS}
"""What may be called, with how many arguments. Nothing else may have these names."""

RESERVED: Final = (*CALLS, "F", "bool")
"""Names that mean something in the code that is made of a text."""

_ARITHMETIC: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_CONDITIONS: Final = {ast.BitAnd: "&", ast.BitOr: "|"}
_SHIFTS: Final = {ast.LShift: "<<", ast.RShift: ">>"}  # in the text of functions, not in equations
_COMPARISONS: Final = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}


_NOT: Final = {"array": "~", "c": "!"}


@final
class Statement(Struct, frozen=True):
    """One assignment: `target = value`."""

    target: str
    value: ast.expr


def statements(text: str, *, subject: str, known: Collection[str], writable: Collection[str]) -> tuple[Statement, ...]:
    """Parse assignments and check every name.

    Args:
        text: One assignment a line; empty lines are fine.
        subject: What the text belongs to, for errors.
        known: Names that may be read.
        writable: Names that may be written; names that are neither known nor writable become local ones.

    Raises:
        NetworkInvalid: It is no such text, or a name is unknown.
    """
    found = []
    names = set(known) | set(writable)
    for node in _parsed(text, subject).body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            raise _refusal(subject, ast.unparse(node), "is no assignment", "Write NAME = EXPRESSION.")
        target = node.targets[0].id
        if target in known and target not in writable:
            raise _refusal(subject, ast.unparse(node), f"assigns to {target!r}, which is given", "Use another name.")
        if target in RESERVED:
            raise _refusal(subject, ast.unparse(node), f"assigns to {target!r}, which is taken", "Use another name.")
        _check(node.value, subject, names)
        names.add(target)
        found.append(Statement(target, node.value))
    return tuple(found)


def condition(text: str, *, subject: str, known: Collection[str]) -> ast.expr:
    """Parse one expression and check every name. Raises `NetworkInvalid` like `statements`."""
    body = _parsed(text, subject).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise _refusal(subject, text, "is no single expression", "Write a condition such as v > threshold.")
    _check(body[0].value, subject, set(known))
    return body[0].value


def code(node: ast.expr, form: Form, rename: Callable[[str], str] = str) -> str:
    """Return an expression as code, fully bracketed.

    Args:
        node: The expression.
        form: Python for one neuron, for arrays, or for one neuron in compiled code, which must not branch; or C for
            one neuron.
        rename: What each name is called in the code; in C, functions too.
    """
    if isinstance(node, ast.Name):
        return rename(node.id)
    if isinstance(node, ast.Constant):
        return f"F({node.value!r})"
    if isinstance(node, ast.BinOp):
        operator = {**_ARITHMETIC, **_CONDITIONS, **_SHIFTS}[type(node.op)]
        return f"({code(node.left, form, rename)} {operator} {code(node.right, form, rename)})"
    if isinstance(node, ast.Compare):
        operator = _COMPARISONS[type(node.ops[0])]
        return f"({code(node.left, form, rename)} {operator} {code(node.comparators[0], form, rename)})"
    if isinstance(node, ast.UnaryOp):
        inner = code(node.operand, form, rename)
        if isinstance(node.op, ast.USub):
            return f"(-{inner})"
        return f"({_NOT.get(form, 'not ')}{inner})"
    assert isinstance(node, ast.Call), "the check let only these through"
    assert isinstance(node.func, ast.Name), "the check let only these through"
    arguments = [code(each, form, rename) for each in node.args]
    if node.func.id != "where":
        return f"{rename(node.func.id) if form == 'c' else node.func.id}({', '.join(arguments)})"
    test, then, otherwise = arguments
    if form == "c":
        return f"({test} ? {then} : {otherwise})"
    if form == "scalar":
        return f"({then} if {test} else {otherwise})"
    return f"{'where' if form == 'array' else 'select'}({test}, {then}, {otherwise})"


def evaluated(text: str, *, subject: str, given: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Compute a text once, in decimal arithmetic: for constants that follow from equations, such as steady states.

    Args:
        text: One assignment a line, without `where`.
        subject: What the text belongs to, for errors.
        given: Names that may be read.

    Returns:
        What was assigned, by name.

    Raises:
        NetworkInvalid: It is no such text, or a name is unknown.
        ArithmeticError: A step cannot be computed, such as a division by 0.
    """
    found: dict[str, Decimal] = {}
    space = {
        "F": lambda number: Decimal(repr(number)),
        "exp": DIGITS.exp,
        "exprel": _exprel,
        "log": DIGITS.ln,
        "__builtins__": {},
    }
    with localcontext(DIGITS):
        for each in statements(text, subject=subject, known=given, writable=()):
            found[each.target] = eval(code(each.value, "scalar"), space, {**given, **found})  # noqa: S307 - only what `_check` let through
    return found


def _exprel(x: Decimal) -> Decimal:
    return (x.exp() - 1) / x if x else Decimal(1)


def is_condition(node: ast.expr, conditions: Collection[str]) -> bool:
    """Return whether an expression holds or not, and is no number.

    Args:
        node: The expression.
        conditions: Names of conditions that it may read.
    """
    if isinstance(node, ast.Name):
        return node.id in conditions
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "where":
        return all(is_condition(each, conditions) for each in node.args[1:])
    if isinstance(node, ast.BinOp):
        return type(node.op) in _CONDITIONS
    return isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert))


def names_in(nodes: Collection[ast.expr]) -> set[str]:
    """Return all names of numbers and conditions that expressions read."""
    return {each.id for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name)} - set(CALLS)


def _parsed(text: str, subject: str) -> ast.Module:
    try:
        return ast.parse("\n".join(line.strip() for line in text.splitlines()))
    except SyntaxError as error:
        line = (error.text or text).strip()
        raise _refusal(subject, line, f"cannot be read: {error.msg}", "Write NAME = EXPRESSION, one a line.") from error


def _check(node: ast.expr, subject: str, names: set[str]) -> None:
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise _refusal(subject, node.id, "is unknown here", suggestion(node.id, sorted(names)))
        return
    if not _is_allowed(node):
        calls = ", ".join(f"{name}(…)" for name in ARGUMENTS)
        remedy = f"Use + - * /, comparisons, & | ~, where(condition, then, otherwise), {calls} and numbers."
        raise _refusal(subject, ast.unparse(node), "is more than the language knows", remedy)
    for part in _parts(node):
        _check(part, subject, names)


def _is_allowed(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if isinstance(node, ast.BinOp):
        return type(node.op) in _ARITHMETIC or type(node.op) in _CONDITIONS
    if isinstance(node, ast.Compare):
        return len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub | ast.Invert)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        return False
    return CALLS.get(node.func.id) == len(node.args)


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from node.args
    else:
        yield from (each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr))


def _refusal(subject: str, text: str, reason: str, remedy: str) -> NetworkInvalid:
    return NetworkInvalid(subject=subject, reason=f"{text!r} {reason}", remedy=remedy)
