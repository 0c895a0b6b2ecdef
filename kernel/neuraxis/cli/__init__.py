"""The command line: one verb a file, loaded when it is typed."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

VERBS: Final = {
    "run": "Run a scenario.",
    "resume": "Go on with a run that was stopped or killed.",
    "replay": "Execute a recorded run again and compare every digest.",
    "verify": "Check every byte of a run folder, or of one snapshot.",
    "diff": "Find the first difference between two runs.",
    "why": "Walk from a message back to what caused it.",
    "graph": "Show a scenario's actors and channels.",
    "worker": "Work for a run on several workers.",
    "deploy": "Write what runs a scenario on Kubernetes.",
    "partition": "Measure a scenario, and cut it for several workers.",
    "top": "Watch a run on several workers.",
    "explore": "Search for failures with seeded faults.",
    "golden": "Check or update goldens.",
    "inspect": "Look at what a run recorded: spikes.",
    "snapshot": "List, inspect, verify or migrate snapshots.",
    "plugins": "List or check installed plugins.",
    "conform": "Run the conformance suites of a plugin package.",
    "new": "Write a new plugin package or scenario.",
    "schema": "Print the JSON Schema of scenario files.",
}
"""Every verb with its one-line help."""


def main() -> None:
    """Entry point of the `neuraxis` command."""
    from neuraxis.cli.terminal import end_with, run_verb

    arguments = sys.argv[1:]
    verb = arguments[0] if arguments else ""
    if verb in VERBS:
        module = import_module(f"neuraxis.cli.{verb}_verb")
        run_verb(module.app, verb, arguments[1:])
        return
    from neuraxis.cli.front import front

    end_with(lambda: front(arguments))
