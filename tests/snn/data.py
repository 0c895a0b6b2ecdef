"""Reference data of other simulators, and texts; they lie beside the project, not in it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

_HOME = Path(os.environ.get("NEURAXIS_DATA") or Path(__file__).parents[3] / "shared" / "data" / "dev")

ALICE = "licensed_books/GITenberg_Alice-s-Adventures-in-Wonderland_11/11-0.txt"
"""A book, for `sentences`."""


def reference(name: str) -> Path:
    """Return a reference file, or skip the test where it is absent."""
    return _existing(f"spiking/{name}")


def sentences(name: str, *, shortest: int = 40, longest: int = 120) -> list[str]:
    """Return the sentences of a text between two lengths, none twice, or skip the test where it is absent."""
    text = " ".join(_existing(f"text/{name}").read_text(encoding="utf-8").split())
    found = (each for each in re.split(r"(?<=[.!?;])\s", text) if shortest <= len(each) <= longest)
    return list(dict.fromkeys(found))


def _existing(name: str) -> Path:
    path = _HOME / name
    if not path.exists():
        pytest.skip(f"needs the reference data {name}; set NEURAXIS_DATA to the folder that holds it")
    return path
