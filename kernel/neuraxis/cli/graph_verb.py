"""`neuraxis graph SCENARIO`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuraxis.cli.terminal import JsonOption

if TYPE_CHECKING:
    from neuraxis.wiring import Wiring

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Form(StrEnum):
    """How to show a graph."""

    text = "text"
    mermaid = "mermaid"
    dot = "dot"


@app.command()
def graph(
    scenario: Annotated[Path, typer.Argument(help="The scenario file (TOML).")],
    form: Annotated[Form, typer.Option(help="text, mermaid (for Markdown), or dot (for Graphviz).")] = Form.text,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a value, as for run.")] = None,
    json: JsonOption = False,
) -> None:
    """Show a scenario's actors and channels. Groups of alike actors are shown as one."""
    from neuraxis.cli.terminal import say, table
    from neuraxis.errors import counted
    from neuraxis.launch import open_scenario

    wiring = open_scenario(scenario, overrides=set_ or []).resolved.wiring
    nodes, edges = _grouped(wiring)
    if json:
        actors = [
            {"path": wiring.paths[p], "kind": spec.kind, "determinism": wiring.determinism[p]}
            for p in wiring.real()
            if (spec := wiring.specs[p]) is not None
        ]
        channels = [{"channel": each.name, "delay": each.delay, "lane": each.lane} for each in wiring.channels]
        say({"scenario": wiring.name, "actors": actors, "channels": channels})
    elif form is Form.mermaid:
        names = {group: f"n{number}" for number, group in enumerate([*nodes, "@output"])}
        print("flowchart LR")
        for group, (kind, count) in nodes.items():
            print(f'  {names[group]}["{group}{f" x {count}" if count > 1 else ""}<br><small>{kind}</small>"]')
        for (source, target, ports), count in edges.items():
            print(f'  {names[source]} -->|"{ports}{f" x {count}" if count > 1 else ""}"| {names[target]}')
    elif form is Form.dot:
        print("digraph {\n  rankdir=LR; node [shape=box, fontname=sans-serif]")
        for group, (kind, count) in nodes.items():
            print(f'  "{group}" [label="{group}{f" x {count}" if count > 1 else ""}\\n{kind}"]')
        for (source, target, ports), count in edges.items():
            print(f'  "{source}" -> "{target}" [label="{ports}{f" x {count}" if count > 1 else ""}"]')
        print("}")
    else:
        rows = [[group, kind, str(count)] for group, (kind, count) in nodes.items()]
        table(
            f"{wiring.name}: {counted(len(wiring.real()), 'actor')}, {counted(len(wiring.channels), 'channel')}",
            rows,
            head=["actor", "kind", "count"],
        )
        print()
        table(
            "",
            [[s, t, ports, str(n)] for (s, t, ports), n in edges.items()],
            head=["from", "to", "port and delay", "channels"],
        )


def _grouped(wiring: Wiring) -> tuple[dict[str, tuple[str, int]], dict[tuple[str, str, str], int]]:
    """Return groups of actors with kind and size, and bundles of channels between groups with their number."""
    group_of = {"@output": "@output"}
    nodes: dict[str, tuple[str, int]] = {}
    for position in wiring.real():
        spec = wiring.specs[position]
        assert spec is not None, "real positions have specifications"
        stem, _, last = spec.path.rpartition("/")
        group = stem if stem and last.isdecimal() else spec.path
        group_of[spec.path] = group
        nodes[group] = (spec.kind, nodes.get(group, ("", 0))[1] + 1)
    edges: dict[tuple[str, str, str], int] = {}
    for each in wiring.channels:
        key = (group_of[each.source], group_of[each.target], f"{each.output} to {each.input}, {each.delay}")
        edges[key] = edges.get(key, 0) + 1
    return nodes, edges
