"""Every key of a scenario file, with its kind, its default and a sentence of help.

One table serves the reader, the JSON Schema and the reference page; a test keeps the page in step.
"""

from __future__ import annotations

from typing import Final

from neuraxis.graph import LANES, OVERFLOWS, POLICIES, TOLERANCES
from neuraxis.parameter import TICKS, Parameter, parameter

FORMAT_VERSION: Final = 1

Keys = dict[str, Parameter]

ROOT: Final[Keys] = {
    "neuraxis": parameter(int, help="version of the file format", at_least=1),
    "include": parameter(tuple[str, ...], (), help="files to merge first, relative to this one"),
}

SCENARIO: Final[Keys] = {
    "name": parameter(str, "", help="name in reports and run folders; default: the name of the file"),
    "summary": parameter(str, "", help="what the scenario is about, a sentence"),
    "tick": parameter(float, "1 ms", unit="ms", help="length of a tick"),
    "until": parameter(int, unit=TICKS, at_least=0, help="where a run ends, unless --until says otherwise"),
    "seed": parameter(int, 0, help="root of all random streams"),
    "plugins": parameter(tuple[str, ...], (), help="installed plugins by name, or Python files relative to this one"),
    "faults": parameter(tuple[str, ...], (), help='faults to happen in every run, such as "crash relay/03 at 17"'),
}

RUN: Final[Keys] = {
    "backend": parameter(str, "", help="what computes networks; results do not depend on it"),
    "clock": parameter(str, "virtual", choices=("virtual", "live"), help="live lets effects miss wall-clock deadlines"),
    "trace": parameter(str, "digest", choices=("digest", "full"), help="full writes every delivery to trace.jsonl"),
    "snapshot_every": parameter(
        int, unit=TICKS, at_least=1, help="time between snapshots; default: by the wall clock, at most 5 % of it"
    ),
    "durable": parameter(bool, False, help="wait for the disk, so that power loss loses nothing either"),
}

RESOURCE: Final[Keys] = {
    "path": parameter(str, help="the data file, relative to the file that names it"),
    "sha256": parameter(str, help="SHA-256 of its content; leave it out once, and the error prints it"),
}

ACTOR: Final[Keys] = {
    "kind": parameter(str, help="kind of actor, as a plugin offers it"),
    "count": parameter(int, 1, at_least=1, help="how many: NAME/00, NAME/01, …"),
    "on_failure": parameter(str, "stop", choices=POLICIES, help="what happens when the actor raises"),
    "checkpoint_every": parameter(int, unit=TICKS, at_least=1, help="time between the actor's own checkpoints"),
    "failures_max": parameter(int, 1_000, at_least=1, help="failures after which restart and isolate turn into stop"),
    "pause": parameter(int, 100, unit=TICKS, at_least=1, help="how long isolate keeps the actor apart"),
    "messages_per_tick": parameter(int, at_least=1, help="messages it takes in one tick; the rest waits"),
    "shard": parameter(
        int,
        at_least=0,
        at_most=63,
        help="virtual shard, instead of one by the path; a group takes those that follow too",
    ),
}
"""Keys of an actor beside the parameters of its kind."""

CHANNEL: Final[Keys] = {
    "from": parameter(str, help="NAME.OUTPUT of an actor or group"),
    "to": parameter(str, help='NAME.INPUT of an actor or group, or "@output.NAME" for the outside world'),
    "pattern": parameter(str, "", choices=("", "each", "all", "ring"), help="how groups are joined, member by member"),
    "delay": parameter(int, 1, unit=TICKS, help="from sending to delivery, at least one tick"),
    "lane": parameter(str, "normal", choices=LANES, help="emergency is delivered first and is exempt from limits"),
    "capacity": parameter(int, at_least=0, help="messages that may wait beyond messages_per_tick"),
    "overflow": parameter(str, "error", choices=OVERFLOWS, help="what happens to messages beyond the capacity"),
    "tolerates": parameter(tuple[str, ...], (), choices=TOLERANCES, help="faults that explore may inject here"),
}

INPUT: Final[Keys] = {
    "at": parameter(int, 0, unit=TICKS, at_least=0, help="injected at the end of this tick, delivered in the next"),
    "to": parameter(str, help="NAME.INPUT of one actor"),
    "value": parameter(str, help="what to send: a value, a table of a message's fields, or lists for an array"),
}

EXPECTATION: Final[Keys] = {
    "equals": parameter(str, help="the figure is this"),
    "at_least": parameter(float, help="the figure is this or more"),
    "at_most": parameter(float, help="the figure is this or less"),
}

SECTIONS: Final[dict[str, Keys]] = {
    "": ROOT,
    "scenario": SCENARIO,
    "run": RUN,
    "resources.NAME": RESOURCE,
    "actors.NAME": ACTOR,
    "channels[]": CHANNEL,
    "inputs[]": INPUT,
    "expect.FIGURE": EXPECTATION,
    "always.FIGURE": EXPECTATION,
}
"""Every table of the file by its place."""

TABLES: Final = ("scenario", "run", "resources", "actors", "channels", "inputs", "expect", "always")
