"""`neuraxis explore SCENARIO --workers N`: a campaign over real processes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct

from neuraxis.cli.progress import progress
from neuraxis.cli.terminal import say, table
from neuraxis.cluster.epoch import transport_of
from neuraxis.errors import UsageInvalid, counted
from neuraxis.explore.campaign import Campaign, kinds_for, wage
from neuraxis.explore.round import BrokerDeeds
from neuraxis.explore.strikes import parse_strikes, text_of

if TYPE_CHECKING:
    from neuraxis.cluster.epoch import Wish

COMMAND_S: Final = 60.0
"""Seconds that a command may take that does something to the broker."""


@final
class Asked(Struct, frozen=True):
    """What the command line asked for."""

    scenario: Path
    wish: Wish
    seed: int
    faults: int
    until: int | None
    plan: str | None
    changes: tuple[str, ...]
    backend: str | None
    restart: str | None
    fill: str | None
    free: str | None


def explore_workers(asked: Asked, *, as_json: bool) -> int:
    """Wage a campaign, tell what it came to, and return the exit code."""
    deeds = _deeds(asked)
    kinds = kinds_for(asked.wish.transport, deeds)
    strikes = None
    if asked.plan is not None:
        strikes = parse_strikes(asked.plan, workers=asked.wish.workers, kinds=kinds)
    changes = list(asked.changes)
    if asked.until is not None:
        changes.append(f"scenario.until={asked.until}")
    folder = Path(tempfile.mkdtemp(prefix="neuraxis-explore-"))
    failed = False
    try:
        with progress(f"explore {asked.scenario.stem}", asked.faults, hidden=as_json) as show:
            found = wage(
                asked.scenario,
                folder,
                asked.wish,
                seed=asked.seed,
                faults=asked.faults,
                strikes=strikes,
                overrides=changes,
                backend=asked.backend,
                deeds=deeds,
                show=show,
            )
        failed = found.failure is not None
    finally:
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)
    return _tell(found, asked, as_json=as_json)


def _deeds(asked: Asked) -> BrokerDeeds:
    """Make deeds of the commands that were given.

    Raises:
        UsageInvalid: The disk would be filled and never freed, or freed and never filled.
    """
    if (asked.fill is None) != (asked.free is None):
        raise UsageInvalid(
            what="--fill and --free go together",
            remedy="Give both: the command that fills the broker's disk, and the one that makes room again.",
        )
    return BrokerDeeds(
        **{
            name: partial(_do, name, command)
            for name, command in (("restart", asked.restart), ("fill", asked.fill), ("free", asked.free))
            if command is not None
        }
    )


def _do(name: str, command: str) -> None:
    """Run a command that does something to the broker.

    Raises:
        UsageInvalid: It cannot be run, fails, or takes too long.
    """
    try:
        subprocess.run(shlex.split(command), check=True, timeout=COMMAND_S, stdout=subprocess.DEVNULL)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UsageInvalid(
            what=f"the command of --{name} failed: {error}", remedy=f"Give a command that works with --{name}."
        ) from error


def _command(asked: Asked, found: Campaign) -> str | None:
    """Return the command that repeats the round that failed."""
    if found.failure is None:
        return None
    words = ["neuraxis", "explore", str(asked.scenario), "--workers", str(asked.wish.workers)]
    words += ["--transport", transport_of(asked.wish.transport).url, "--seed", str(asked.seed)]
    words += ["--patience", f"{asked.wish.patience:g}"]
    words += ["--until", str(asked.until)] if asked.until is not None else []
    words += [word for each in asked.changes for word in ("--set", each)]
    words += ["--backend", asked.backend] if asked.backend is not None else []
    for name, command in (("--restart", asked.restart), ("--fill", asked.fill), ("--free", asked.free)):
        words += [name, command] if command is not None else []
    return shlex.join([*words, "--plan", text_of(found.failure.strikes)])


def _tell(found: Campaign, asked: Asked, *, as_json: bool) -> int:
    failure, command = found.failure, _command(asked, found)
    silent = {kind: count - found.fired.get(kind, 0) for kind, count in found.planned.items()}
    if as_json:
        facts: dict[str, Any] = {
            "scenario": str(asked.scenario),
            "workers": asked.wish.workers,
            "rounds": found.rounds,
            "planned": found.planned,
            "fired": found.fired,
            "silent": {kind: count for kind, count in silent.items() if count},
            "replaced": found.replaced,
            "passed": failure is None,
            "finding": failure.finding if failure is not None else None,
            "plan": text_of(failure.strikes) if failure is not None else None,
            "folder": failure.folder if failure is not None else None,
            "command": command,
        }
        say(facts)
    else:
        rows = [
            [kind, str(count), str(found.fired.get(kind, 0)), str(silent[kind])]
            for kind, count in sorted(found.planned.items())
        ]
        table(f"{counted(found.rounds, 'round')} on {counted(asked.wish.workers, 'worker')}", rows, head=HEAD)
        print(f"  processes replaced: {found.replaced}")
        if failure is None:
            print("every round came to the result of one process")
        else:
            print(f"\nround {found.rounds} failed: {failure.finding}\nits records are in {failure.folder}")
            print(f"repeat it, as far as processes allow, with:\n  {command}")
    if failure is None:
        return 0
    return 3 if failure.differs else 1


HEAD: Final = ("fault", "planned", "fired", "silent")
