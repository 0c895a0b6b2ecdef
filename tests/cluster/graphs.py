"""Scenarios for tests of distributed runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
WEB = Path(__file__).parent / "web.py"


def web_text(nodes: int, *, seed: int = 0, until: int = 60, least: int = 1, heavy: int = 0, breaks: str = "") -> str:
    """Return a scenario of nodes that are joined at random, with inputs, limits, an emergency lane and an output."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    digits = max(2, len(str(nodes - 1)))
    channels = set()
    while len(channels) < 2 * nodes:
        a, b = (int(each) for each in draw.integers(0, nodes, 2))
        channels.add((a, b, int(least + draw.integers(0, 6))))
    name = "node/{:0" + str(digits) + "d}"
    lines = [
        "neuraxis = 1",
        f'[scenario]\nname = "web"\ntick = "1 ms"\nuntil = {until}\nseed = 5\nplugins = ["{WEB}"]',
        f'[actors.node]\nkind = "web.node"\ncount = {nodes}\nheavy = {heavy}\nmessages_per_tick = 2',
        *([f'[actors.odd]\nkind = "web.node"\n{breaks}'] if breaks else []),
        f'[[channels]]\nfrom = "node.told"\nto = "@output.told"\ndelay = {least}',
    ]
    for number, (a, b, delay) in enumerate(sorted(channels)):
        lane = 'lane = "emergency"' if number % 7 == 3 else 'capacity = 4\noverflow = "drop_oldest"'
        lines.append(
            f'[[channels]]\nfrom = "{name.format(a)}.out"\nto = "{name.format(b)}.parcel"\ndelay = {delay}\n{lane}'
        )
    if breaks:
        lines.append(f'[[channels]]\nfrom = "{name.format(0)}.out"\nto = "odd.parcel"\ndelay = {least}')
        lines.append(f'[[channels]]\nfrom = "odd.out"\nto = "{name.format(1)}.parcel"\ndelay = {least + 1}')
    for at in (0, 3, 17, 40):
        target = name.format(int(draw.integers(0, nodes)))
        lines.append(f'[[inputs]]\nat = {at}\nto = "{target}.number"\nvalue = {at + 1}')
    return "\n".join(lines) + "\n"


def write_web(folder: Path, **facts: object) -> Path:
    """Write such a scenario into a folder."""
    path = folder / "web.toml"
    path.write_text(web_text(**facts))  # type: ignore[arg-type]
    return path
