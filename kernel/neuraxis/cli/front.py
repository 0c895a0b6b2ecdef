"""What the command says before a verb is known: help, version, and what an unknown verb was probably meant to be."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from neuraxis import __version__
from neuraxis.cli import VERBS
from neuraxis.errors import suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """\
neuraxis {version} — a deterministic simulation kernel for brains that learn and grow

Usage: neuraxis VERB [OPTIONS]          neuraxis VERB --help explains one verb

{verbs}

Begin with:   neuraxis run scenarios/ring.toml
Exit codes:   0 good · 1 expectations failed · 2 bad input · 3 diverged · 4 damaged data · 130 stopped
"""


def front(arguments: Sequence[str]) -> int:
    """Answer a command line without a known verb. Returns the exit code."""
    if arguments and arguments[0] in ("--version", "-V"):
        print(f"neuraxis {__version__}")
        return 0
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        width = max(map(len, VERBS))
        verbs = "\n".join(f"  {verb:<{width}}   {text}" for verb, text in VERBS.items())
        print(USAGE.format(version=__version__, verbs=verbs))
        return 0 if arguments else 2
    print(
        f"neuraxis: there is no verb {arguments[0]!r}. {suggestion(arguments[0], VERBS)} `neuraxis --help` lists all.",
        file=sys.stderr,
    )
    return 2
