"""`neuraxis top RUN`"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuraxis.cli.terminal import JsonOption, LogOption

if TYPE_CHECKING:
    from neuraxis.cluster.status import Status

LOOK_S = 0.5

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def top(
    run: Annotated[Path, typer.Argument(help="The folder of a run on workers.")],
    once: Annotated[bool, typer.Option("--once", help="Print how it stands now, and end.")] = False,
    json: JsonOption = False,
    log: LogOption = "INFO",
) -> None:
    """Watch a run on several workers: window, lag, messages and bytes a second, the busiest actors.

    Shows what the conductor writes twice a second, until the run is over. `--json` prints it once.
    """
    from neuraxis.cli.terminal import say
    from neuraxis.cluster.status import read_status
    from neuraxis.logs import set_up

    set_up(log)
    status = read_status(run)
    if json:
        say(_plain(status))
        return
    if once or not sys.stdout.isatty():
        for line in _lines(status):
            print(line)
        return
    _live(run, status)


def _plain(status: Status) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(status)
    return found


def _summary(status: Status) -> str:
    share = 100 * status.tick / status.until if status.until else 100.0
    kept = (
        f"all have a snapshot of tick {status.stable_tick:,}" if status.stable_tick >= 0 else "no common snapshot yet"
    )
    return (
        f"{status.run}: tick {status.tick:,} of {status.until:,} ({share:.0f} %), window {status.window:,} of "
        f"{status.window_ticks:,} ticks, {status.wall_s:.0f} s, {kept}, {status.replaced} replaced, {status.transport}"
    )


HEAD = (
    "worker",
    "process",
    "state",
    "window",
    "lag",
    "windows/s",
    "messages/s",
    "bytes/s",
    "memory",
    "silent",
    "busiest",
)


def _rows(status: Status) -> list[tuple[str, ...]]:
    return [
        (
            str(each.worker),
            str(each.incarnation),
            each.doing if each.state == "running" else each.state,
            f"{each.window:,}",
            str(each.lag),
            f"{each.windows_s:,.0f}",
            f"{each.messages_s:,.0f}",
            _bytes(each.bytes_s),
            _bytes(each.memory),
            f"{each.silent_s:.0f} s",
            ", ".join(f"{path} {100 * share:.0f} %" for path, share in each.busiest[:2]),
        )
        for each in status.workers
    ]


def _bytes(amount: float) -> str:
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def _lines(status: Status) -> list[str]:
    rows = [HEAD, *_rows(status)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    table = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [_summary(status), *(line.rstrip() for line in table)]


def _live(run: Path, status: Status) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from neuraxis.cluster.status import read_status
    from neuraxis.errors import UsageInvalid

    def drawn(of: Status) -> Group:
        table = Table(*HEAD, box=None)
        for row in _rows(of):
            table.add_row(*row)
        return Group(Text(_summary(of)), table)

    with Live(drawn(status), refresh_per_second=4) as live:
        while True:
            time.sleep(LOOK_S)
            try:
                live.update(drawn(read_status(run)))
            except UsageInvalid:  # merged, and its workers gone
                return
