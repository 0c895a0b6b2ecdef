"""The runs of a study: a process of its own for each seed, by way of the command `neuraxis`.

A seed whose result is there is not run again; a run that was stopped goes on to the same bits. The arm `random` is
held to as many grafts as the arm `plateau` made with the same seed: where it made another number, it runs once more
with that number, while all others end after their first epoch. Arms do not hear of each other, so nothing else changes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, final

import msgspec
from msgspec import Struct

from neuraxis.errors import UsageInvalid
from neuraxis_morphogenesis.errors import RunOfStudyFailed
from neuraxis_morphogenesis.study.outcomes import SUFFIX, Outcome, outcomes

HELD, EXAMPLE = "random", "plateau"
"""The arm that is held to as many grafts as another made, and that other one."""

EXPECTATIONS_FAILED: Final = 1


@final
class Result(Struct, frozen=True):
    """What one seed came to.

    Attributes:
        seed: The seed.
        arms: What each arm came to.
        wall_s: Wall time of the run with all arms, s; of its last part if it was stopped.
        passed: Whether all expectations of the scenario hold.
        rerun: Whether the arm that is held to a number of grafts ran once more.
    """

    seed: int
    arms: dict[str, Outcome]
    wall_s: float
    passed: bool
    rerun: bool


@final
class Study(Struct, frozen=True):
    """What is run.

    Attributes:
        scenario: The scenario file.
        folder: Where runs and results lie.
        changes: Overrides of the scenario, as `--set` takes them.
    """

    scenario: Path
    folder: Path
    changes: tuple[str, ...] = ()

    def begin(self) -> None:
        """Make the folder, or see that it belongs to this study.

        Raises:
            UsageInvalid: It holds results of another scenario, or of other changes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        mark = self.folder / "study.json"
        told = json.dumps({"scenario": fingerprint(self.scenario), "set": list(self.changes)}) + "\n"
        if not mark.exists():
            mark.write_text(told)
        elif mark.read_text() != told:
            what = f"{self.folder} holds a study of another scenario, or with other changes"
            raise UsageInvalid(what=what, remedy="Choose another folder, or delete that one.")

    def result(self, seed: int) -> Result | None:
        """Return the result of a seed if it is there."""
        path = self._place(seed) / "result.json"
        return msgspec.json.decode(path.read_bytes(), type=Result) if path.exists() else None

    def run(self, seed: int) -> Result:
        """Run a seed to its end, or go on with it, and keep its result.

        Raises:
            RunOfStudyFailed: A run did not come to its end.
        """
        told, arms = self._run(seed, "all", ())
        rerun = {HELD, EXAMPLE} <= set(arms) and arms[HELD].tried != arms[EXAMPLE].tried
        if rerun:
            trainers = [name.removesuffix(".multiply_adds") for name in told["figures"] if name.endswith("_adds")]
            others = [each for each in trainers if each.removesuffix(SUFFIX) != HELD]
            short = tuple(f"actors.{each}.epochs=1" for each in others)
            grafts = f"actors.{HELD}_policy.grafts_max={arms[EXAMPLE].tried}"
            again, found = self._run(seed, "again", (*short, grafts))
            arms = {**arms, HELD: found[HELD]}
            told["wall_s"] += again["wall_s"]
        result = Result(seed, arms, told["wall_s"], told["passed"], rerun)
        path = self._place(seed) / "result.json"
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(result))
        draft.replace(path)
        return result

    def _place(self, seed: int) -> Path:
        return self.folder / str(seed)

    def _run(self, seed: int, name: str, changes: Sequence[str]) -> tuple[dict[str, Any], dict[str, Outcome]]:
        folder = self._place(seed) / name
        sets = [f"--set={each}" for each in (*self.changes, *changes)]
        words = ["run", str(self.scenario), f"--seed={seed}", f"--folder={folder}", "--resume", *sets]
        told = self._told(seed, words)
        return told, outcomes(self._told(seed, ["inspect", "growth", str(folder)])["actors"])

    def _told(self, seed: int, words: Sequence[str]) -> dict[str, Any]:
        log = ["--log=ERROR"] if words[0] == "run" else []
        asked = [sys.executable, "-m", "neuraxis", *words, *log, "--json"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        told: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
        if done.returncode not in (0, EXPECTATIONS_FAILED) or "error" in told or not told:
            reason = (
                told.get("error", {}).get("message") or done.stderr.strip()[-500:] or f"exit code {done.returncode}"
            )
            raise RunOfStudyFailed(seed=seed, reason=reason)
        return told


def fingerprint(scenario: Path) -> str:
    """Return a SHA-256 over a scenario file and all that it includes.

    Raises:
        UsageInvalid: A file cannot be read.
    """
    digest = hashlib.sha256()
    for content in _contents(scenario, ()):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _contents(path: Path, above: tuple[Path, ...]) -> Iterator[bytes]:
    try:
        content = path.read_bytes()
        included = tomllib.loads(content.decode()).get("include", [])
    except (OSError, ValueError) as error:
        raise UsageInvalid(what=f"{path} cannot be read ({error})", remedy="Name a scenario file.") from error
    yield content
    for each in included:
        target = (path.parent / str(each)).resolve()
        if target not in above:  # a circle is refused by the run itself
            yield from _contents(target, (*above, target))
