"""The text of a function that is being written: lines, blocks, and the order of its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from neuraxis_snn import expressions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuraxis_snn.expressions import Statement


class Writer:
    """Collects the lines of one function.

    Attributes:
        arguments: Names of the function's arguments, in order.
    """

    def __init__(self, arguments: Iterable[str]) -> None:
        self.arguments = list(arguments)
        self._lines: list[str] = []
        self._depth = 1

    def line(self, text: str) -> None:
        """Write a line."""
        self._lines.append("    " * self._depth + text)

    def block(self, text: str) -> Indent:
        """Write the head of a block; what is written inside `with` belongs to it."""
        self.line(text)
        return Indent(self)

    def deeper(self, by: int) -> None:
        """Indent what follows."""
        self._depth += by

    def take(self, *names: str) -> None:
        """Add arguments."""
        self.arguments += names

    def assign(self, statements: Iterable[Statement], names: dict[str, str]) -> None:
        """Write statements of a model or rule; `names` are those of its constants."""
        for each in statements:
            self.line(f"u_{each.target} = {self.code(each.value, names)}")

    def code(self, node: Any, names: dict[str, str]) -> str:
        """Return code in which constants have their own names, and all other names begin with `u_`."""
        return expressions.code(node, "compiled", lambda name: names.get(name, f"u_{name}"))

    def body(self) -> str:
        """Return what was written."""
        return "\n".join(self._lines)


@final
class Indent:
    """Indents what is written inside a `with`."""

    def __init__(self, writer: Writer, by: int = 1) -> None:
        self._writer, self._by = writer, by

    def __enter__(self) -> None:
        self._writer.deeper(self._by)

    def __exit__(self, *_: object) -> None:
        self._writer.deeper(-self._by)
