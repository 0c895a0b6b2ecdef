"""A run that compiles, for tests; as a program, to be killed: `python -m tests.morphogenesis.compiling FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from neuraxis import Graph, Simulation
from neuraxis.plugins.manager import Plugins
from neuraxis_morphogenesis.blueprints.compiler import Compiler
from neuraxis_morphogenesis.blueprints.librarian import Librarian

TICKS = 40


def graph(library: Path, **parameters: Any) -> Graph:
    """Return a compiler and a librarian who hears of what was made."""
    built = Graph("compiling")
    built.add("compiler", Compiler, library=str(library), **{"sites": ("features 8",), **parameters})
    built.add("librarian", Librarian, library=str(library))
    built.connect("compiler.ready", "librarian.update")
    built.connect("compiler.ready", "@output.ready")
    built.connect("compiler.failed", "@output.failed")
    for name in ("ready", "kernel", "failed"):
        built.connect(f"librarian.{name}", f"@output.librarian_{name}")
    return built


BLUEPRINTS = ("BP002", "BP005")


def main() -> None:
    folder = Path(sys.argv[1])
    compiling = graph(folder / "library.sqlite", blueprints=BLUEPRINTS)
    with Simulation(compiling, folder=folder / "run", plugins=Plugins()) as sim:
        sim.advance(until=TICKS)


if __name__ == "__main__":
    main()
