"""Suites of clauses, with waivers, and a runner that needs no pytest."""

from __future__ import annotations

import ast
import importlib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal, final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PUBLIC_ROOMS: Final = frozenset(
    {
        "actor",
        "codec",
        "errors",
        "graph",
        "hooks",
        "message",
        "parameter",
        "report",
        "rng",
        "seams",
        "simulation",
        "simulation_async",
        "testing",
        "units",
    }
)
"""Rooms of the kernel that plugins may import beside the front door."""


class Suite:
    """Base of all suites.

    Attributes:
        waivers: Clause to reason, for clauses that the thing under test cannot keep. A waived clause
            that holds after all is a failure, so that waivers do not outlive their reason.
    """

    waivers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, reason in cls.waivers.items():
            clause = getattr(cls, name, None)
            assert clause is not None, f"{cls.__name__} waives {name!r}, which is no clause"
            assert reason.strip(), f"{cls.__name__} waives {name!r} without a reason"
            setattr(cls, name, _waived(clause, reason))


def _waived(clause: Callable[[Suite], None], reason: str) -> Callable[[Suite], None]:
    def waived(self: Suite) -> None:
        try:
            clause(self)
        except Exception:  # noqa: BLE001 - the clause may fail in any way: that is what a waiver says
            return
        raise AssertionError(f"the clause holds, so its waiver can go: {reason}")

    waived.__doc__ = f"Waived: {reason}"
    waived.__neuraxis_waiver__ = reason  # type: ignore[attr-defined]
    return waived


@final
class Clause(Struct, frozen=True):
    """What became of one clause.

    Attributes:
        suite: Name of the suite.
        sentence: The clause, in words.
        state: `holds`, `waived` or `fails`.
        note: The waiver's reason, or what failed.
    """

    suite: str
    sentence: str
    state: Literal["holds", "waived", "fails"]
    note: str = ""


def run_suite(suite: type[Suite]) -> Iterator[Clause]:
    """Run every clause of a suite and report it."""
    for name in sorted(name for name in dir(suite) if name.startswith("test_")):
        sentence = name.removeprefix("test_").replace("_", " ")
        waiver = getattr(getattr(suite, name), "__neuraxis_waiver__", "")
        try:
            getattr(suite(), name)()
        except Exception as error:  # noqa: BLE001 - a clause fails by raising anything
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error) or type(error).__name__
            yield Clause(suite.__name__, sentence, "fails", f"{text} ({Path(where.filename).name}:{where.lineno})")
        else:
            yield Clause(suite.__name__, sentence, "waived" if waiver else "holds", waiver)


def suites_of(package: str) -> list[type[Suite]]:
    """Return the suites in a package's module `conformance`.

    Raises:
        ImportError: The package, or that module, is absent or fails to import.
    """
    module = importlib.import_module(f"{package}.conformance")
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Suite)]
    return [suite for suite in found if suite.__module__ == module.__name__]


def assert_uses_public_doors(package: str) -> None:
    """Assert that a package imports only public rooms of the kernel.

    Args:
        package: Name of the importable package.
    """
    root = Path(importlib.import_module(package).__file__ or "").parent
    for file in sorted(root.rglob("*.py")):
        for line, module in _imports(file):
            if module != "neuraxis" and module.startswith("neuraxis."):
                room = module.split(".")[1]
                assert room in PUBLIC_ROOMS, f"{file.name}:{line} imports {module}, which is no public room"


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.lineno, node.module
