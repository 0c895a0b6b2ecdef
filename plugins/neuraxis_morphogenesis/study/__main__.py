"""`python -m neuraxis_morphogenesis.study SCENARIO --seeds 100-129 --folder DIR`

Runs a growth scenario with several seeds, each in a process of its own, and compares its arms. Seeds whose results lie
in the folder are not run again, and a run that was stopped goes on. Writes results.json and report.html.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from neuraxis.errors import NeuraxisError, UsageInvalid
from neuraxis_morphogenesis.study.analysis import differences
from neuraxis_morphogenesis.study.page import arms_table, differences_table, each_arms, page, summary
from neuraxis_morphogenesis.study.runs import Result, Study


def seeds_of(text: str) -> list[int]:
    """Return seeds from a text such as `0-9` or `1,4,100-129`, each once, in order.

    Raises:
        UsageInvalid: The text does not name seeds.
    """
    try:
        parts = [[int(end) for end in part.split("-")] for part in text.split(",")]
        found = [seed for part in parts for seed in range(part[0], part[-1] + 1)]
    except ValueError:
        found = []
    if not found or any(len(part) > 2 for part in parts):
        raise UsageInvalid(what=f"{text!r} names no seeds", remedy="Write them as 0-9 or 1,4,100-129.")
    return sorted(set(found))


def main(words: Sequence[str]) -> int:
    """Run what is missing, print tables, write results and report. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m neuraxis_morphogenesis.study", description=__doc__)
    parser.add_argument("scenario", type=Path, help="the scenario file (TOML)")
    parser.add_argument("--seeds", default="0-9", help="seeds: 0-9, or 1,4,100-129")
    parser.add_argument("--folder", type=Path, required=True, help="where runs and results lie; the same goes on")
    parser.add_argument("--set", action="append", default=[], help="change a value of the scenario, as neuraxis run")
    parser.add_argument("--json", action="store_true", help="print results as one JSON object")
    asked = parser.parse_args(words)
    try:
        results = _results(Study(asked.scenario, asked.folder, tuple(asked.set)), seeds_of(asked.seeds))
    except NeuraxisError as error:
        sys.stderr.write(f"study: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the same command goes on\n")
        return 130
    told = json.dumps(summary(results), indent=1) + "\n"
    (asked.folder / "results.json").write_text(told)
    (asked.folder / "report.html").write_text(page(asked.scenario.stem, results))
    sys.stdout.write(told if asked.json else _tables(results, asked.folder))
    return 0


def _results(study: Study, seeds: Sequence[int]) -> list[Result]:
    study.begin()
    results = []
    for number, seed in enumerate(seeds, 1):
        found, how = study.result(seed), "was there"
        if found is None:
            found, how = study.run(seed), "ran"
        results.append(found)
        # no accuracies: who sees them early is tempted to stop early
        sys.stderr.write(f"{number}/{len(seeds)}  seed {seed} {how}, {found.wall_s:.0f} s\n")
    return results


def _tables(results: Sequence[Result], folder: Path) -> str:
    lines = []
    for rows in (arms_table(results), differences_table(differences(each_arms(results)))):
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines.append("")
    return "\n".join([*(each.rstrip() for each in lines), f"report: {folder / 'report.html'}\n"])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
