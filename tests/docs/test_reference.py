"""The reference pages are complete: every key, verb, option, hook and error of the code stands in them."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import logging
import re
import runpy
import sys
import tomllib
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
import pytest

import neuraxis
import neuraxis_cognition
import neuraxis_morphogenesis
import neuraxis_snn
from neuraxis import wiring
from neuraxis.cli import main
from neuraxis.cluster.folder import STATUS_NAME, WORKERS
from neuraxis.cluster.status import Status
from neuraxis.errors import NeuraxisError, ScenarioInvalid
from neuraxis.faults import KINDS, parse_fault
from neuraxis.hooks import Manifest, Specification
from neuraxis.journal.record import KIND_OF
from neuraxis.launch import open_scenario
from neuraxis.scenario import format as form
from neuraxis.scenario import read
from neuraxis.scenario.resolve import BACKEND_VARIABLE
from neuraxis.scheduler import effects, envelope, limits, loop
from neuraxis.simulation import Simulation
from neuraxis.snapshot.sign import KEY_VARIABLE
from neuraxis.trace import why
from neuraxis.units import UNITS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
MAKER = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))


def page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """Return the cells of all lines of tables."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]


def section(text: str, title: str) -> str:
    """Return what stands below a heading, up to the next one of its rank."""
    rank = "#" * (len(title) - len(title.lstrip("#")))
    _, found, rest = text.partition(f"\n{title}\n")
    assert found, f"there is no heading {title!r}"
    return rest.partition(f"\n{rank} ")[0]


@pytest.mark.parametrize("name", MAKER["MADE"])
def test_the_tables_that_are_made_are_up_to_date(name: str) -> None:
    assert page(name) == MAKER["filled"](page(name), MAKER["MADE"][name]), "run: python docs/make_reference.py"


# ---------------------------------------------------------------------------------- scenario


@pytest.mark.parametrize("place", form.SECTIONS)
def test_every_key_of_a_scenario_is_listed_with_its_help(place: str) -> None:
    title = MAKER["TITLES"]["expect.FIGURE" if place == "always.FIGURE" else place]
    listed = {
        cells[0].strip("| `"): cells[-1].strip("| ") for cells in rows(section(page("scenario.md"), f"### {title}"))
    }
    for key, declared in form.SECTIONS[place].items():
        assert listed.get(key) == declared.help


def test_every_unit_and_every_fault_is_listed() -> None:
    text = page("scenario.md")
    assert all(f"`{symbol}`" in section(text, "## Quantities") for symbol in UNITS)
    assert all(f"| `{kind} " in section(text, "## Faults") for kind in KINDS)


WHOLE: dict[str, Any] = {
    "neuraxis": "neuraxis = 1",
    "scenario.until": '[scenario]\nplugins = ["ring.py"]\nuntil = 5',
    "actors.relay.kind": '[actors.relay]\nkind = "ring.relay"',
    "channels[0].from": '[[channels]]\nto = "relay.token"\nfrom = "relay.onward"',
    "channels[0].to": "",
    "inputs[0].to": '[[inputs]]\nvalue = 1\nto = "relay.token"',
    "inputs[0].value": "",
    "resources.data.path": '[resources.data]\nsha256 = "{sha256}"\npath = "ring.py"',
}


@pytest.mark.parametrize("key", WHOLE)
def test_a_required_key_that_is_missing_is_a_mistake_of_that_name(key: str, tmp_path: Path) -> None:
    (tmp_path / "ring.py").write_text((ROOT / "scenarios" / "ring.py").read_text())
    file = tmp_path / "s.toml"
    whole = "\n".join(text for text in WHOLE.values() if text)
    file.write_text(whole)
    open_scenario(file)
    last = key.rpartition(".")[2]
    lines = whole.splitlines()
    file.write_text("\n".join(line for line in lines if not line.startswith(f"{last} =")))
    with pytest.raises(ScenarioInvalid) as refused:
        open_scenario(file)
    assert key in [problem.key for problem in refused.value.problems]


def test_the_scenarios_on_the_page_are_toml_and_the_whole_ones_hold(tmp_path: Path) -> None:
    for name in ("ring.toml", "ring.py"):
        (tmp_path / name).write_text((ROOT / "scenarios" / name).read_text())
    file = tmp_path / "page.toml"
    whole = 0
    for part in page("scenario.md").split("```toml\n")[1:]:
        file.write_text(part.partition("```")[0])
        if "neuraxis" in tomllib.loads(file.read_text()):
            opened = open_scenario(file)
            with Simulation(opened.blueprint) as sim:
                sim.advance(until=2_000 if opened.scenario.name == "small-ring" else opened.resolved.until)
                for each in opened.resolved.expect if opened.scenario.name == "ring" else ():
                    assert each.judge(sim.figures()[each.figure]) is None
            whole += 1
    assert whole == 2


def test_the_overrides_on_the_page_change_the_scenario() -> None:
    listed = [cells[0].strip("| `") for cells in rows(section(page("scenario.md"), "## Overrides"))[2:]]
    assert len(listed) == 5
    plain = open_scenario(Path(RING)).scenario.canonical()
    for override in listed:
        assert open_scenario(Path(RING), overrides=[override]).scenario.canonical() != plain, override


def test_the_faults_on_the_page_are_faults() -> None:
    words = {"PATH": "a", "SOURCE": "b", "INPUT": "in", "TICK": "3", "SEQUENCE": "0"}
    forms = [cells[0].strip("| `") for cells in rows(section(page("scenario.md"), "## Faults"))[2:]]
    found = [parse_fault(re.sub(r"[A-Z]+", lambda word: words[word[0]], form)) for form in forms]
    assert {fault.kind for fault in found} == set(KINDS)


# ------------------------------------------------------------------------------ command line


VERBS: dict[str, Any] = dict(MAKER["commands"]())


@pytest.mark.parametrize(("verb", "command"), VERBS.items(), ids=VERBS)
def test_every_verb_is_listed_with_every_argument_and_its_help(verb: str, command: Any) -> None:
    listed = {
        cells[0].strip("| `"): cells[-1].strip("| ")
        for cells in rows(section(page("cli.md"), f"### `neuraxis {verb}`"))
    }
    for each in command.params:
        shown = each.opts[0] if each.opts[0].startswith("--") else each.name.upper()
        assert listed.get(shown, listed.get(f"{shown}…")) == each.help


def json_keys() -> dict[str, set[str]]:
    """Return the keys that the page gives for each verb."""
    found: dict[str, set[str]] = {}
    for cells in rows(section(page("cli.md"), "## `--json`")):
        for verb in cells[0].strip("| `").split("`, `"):
            if verb in VERBS:
                found.setdefault(verb, set(cells[-1].strip("| ").replace("`", "").split()))
    return found


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json") / "run"
    done = told("run", RING, "--until", "200", "--set", "expect={}", "--folder", str(folder), "--json")
    assert set(done) == json_keys()["run"]
    return folder


RING = str(ROOT / "scenarios" / "ring.toml")


@pytest.fixture(scope="module")
def spikes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json") / "spikes"
    told("run", str(ROOT / "scenarios" / "raster.toml"), "--backend", "numpy", "--folder", str(folder), "--json")
    return folder


def told(*arguments: str) -> dict[str, Any]:
    """Run the command line in this process and return the one object that it prints."""
    out = io.StringIO()
    root = logging.getLogger("neuraxis")
    before = list(root.handlers), root.propagate
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(sys, "argv", ["neuraxis", *arguments])
        with pytest.raises(SystemExit):
            main()
    root.handlers, root.propagate = before
    answer = json.loads(out.getvalue())
    assert isinstance(answer, dict)
    return answer


def watched(folder: Path) -> Path:
    """Write what a conductor writes while workers run."""
    status = Status("run", 1, 10, 20, 9, 5, "local:", 1, 1.5, 0)
    path = folder / "run" / WORKERS / STATUS_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(msgspec.json.encode(status))
    return folder / "run"


SAYS = {
    "resume": ["RUN"],
    "replay": ["RUN"],
    "verify": ["RUN"],
    "diff": ["RUN", "RUN"],
    "why": ["RUN", "relay/01#0"],
    "graph": [RING],
    "explore": [RING, "--cases", "2", "--until", "9"],
    "partition": [RING, "--ticks", "200"],
    "deploy kubernetes": [RING, "--workers", "2", "--image", "i:1", "--transport", "nats://broker", "--claim", "c"],
    "top": ["WATCHED"],
    "golden check": [str(ROOT / "golden" / "raster.json")],
    "inspect": ["spikes", "SPIKES", "--backend", "numpy"],
    "snapshot list": ["RUN"],
    "snapshot inspect": ["SNAPSHOT"],
    "snapshot verify": ["SNAPSHOT"],
    "snapshot migrate": ["SNAPSHOT", "--scenario", RING, "--dry-run"],
    "plugins list": [],
    "plugins check": [],
}


@pytest.mark.parametrize("verb", SAYS)
def test_the_json_of_a_verb_has_the_keys_on_the_page(
    verb: str, run_folder: Path, spikes_folder: Path, tmp_path: Path
) -> None:
    (snapshot,) = (run_folder / "snapshots").iterdir()
    places = {
        "RUN": str(run_folder),
        "SNAPSHOT": str(snapshot),
        "SPIKES": str(spikes_folder),
        "WATCHED": str(watched(tmp_path)),
    }
    answer = told(*verb.split(), *(places.get(each, each) for each in SAYS[verb]), "--json")
    assert set(answer) == json_keys()[verb]


def test_the_json_of_every_verb_is_on_the_page() -> None:
    speak = {verb for verb, command in VERBS.items() if any(each.opts[0] == "--json" for each in command.params)}
    assert set(json_keys()) == speak == {"run", "conform", *SAYS}


def test_the_json_of_an_error_is_on_the_page() -> None:
    answer = told("run", "nothing.toml", "--json")
    assert {*answer, *answer["error"]} == {"error", "exit_code", "code", "message"}
    assert all(f"`{key}`" in section(page("cli.md"), "## `--json`") for key in (*answer, *answer["error"]))


def test_the_environment_variables_are_on_the_page() -> None:
    assert all(f"`{name}`" in page("cli.md") for name in (BACKEND_VARIABLE, KEY_VARIABLE))


# ------------------------------------------------------------------------------------- hooks


HOOKS = sorted(name for name in vars(Specification) if name.startswith("neuraxis_"))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading_with_its_exact_arguments(hook: str) -> None:
    arguments = list(inspect.signature(getattr(Specification, hook)).parameters)[1:]
    told = section(page("hooks.md"), f"### `{hook}({', '.join(arguments)})`")
    assert len(told.split()) > 5
    assert all(f"`{each}`" in told or each == "digests" for each in arguments)


def test_no_hook_is_listed_that_does_not_exist() -> None:
    assert sorted(re.findall(r"^### `(\w+)\(", page("hooks.md"), re.MULTILINE)) == HOOKS


def test_every_field_of_the_manifest_is_listed() -> None:
    listed = [cells[0].strip("| `") for cells in rows(section(page("hooks.md"), "## Where plugins come from"))]
    assert set(Manifest.__struct_fields__) <= set(listed)


# ------------------------------------------------------------------------------------ errors


PACKAGES = (neuraxis, neuraxis_snn, neuraxis_cognition, neuraxis_morphogenesis)


def errors(root: type[NeuraxisError] = NeuraxisError) -> list[type[NeuraxisError]]:
    """Return every class of the tree that has a code of its own, in the kernel and in the plugins that come with it."""
    own = [root] if "code" in vars(root) and root is not NeuraxisError else []
    ours = root.__module__.partition(".")[0] in (
        "neuraxis",
        "neuraxis_snn",
        "neuraxis_cognition",
        "neuraxis_morphogenesis",
    )
    return [*(own if ours else []), *(each for below in root.__subclasses__() for each in errors(below))]


def test_every_error_is_listed_with_its_code_and_exit_code() -> None:
    for package in PACKAGES:
        root = Path(package.__path__[0])
        for found in sorted([*root.rglob("errors.py"), *root.glob("data.py")]):
            importlib.import_module(".".join((package.__name__, *found.relative_to(root).with_suffix("").parts)))
    listed = {
        (cells[0].strip("| `"), cells[1], int(cells[2]))
        for cells in rows(page("errors.md"))
        if len(cells) == 5 and cells[2].isdecimal() and all(cell.strip("| ") for cell in cells)
    }
    assert listed == {(each.__name__, each.code, each.exit_code) for each in errors()}


# ------------------------------------------------------------------------------------ records


def test_every_kind_of_record_and_every_file_of_a_run_is_on_the_page(run_folder: Path) -> None:
    text = page("records.md")
    assert all(f"| `{kind.__name__}` |" in text for kind in KIND_OF)
    listed = text.partition("| `journal.nxj` |")[2].partition("## Journal")[0]
    assert all(f"`{each.name}" in listed for each in run_folder.iterdir() if each.name != "journal.nxj")


def test_the_trace_on_the_page_is_what_a_run_writes(tmp_path: Path) -> None:
    told("run", RING, "--until", "3", "--trace", "full", "--folder", str(tmp_path / "run"), "--json")
    assert (tmp_path / "run" / "trace.jsonl").read_text().splitlines()[1] in page("records.md")


def test_the_head_of_a_golden_on_the_page_is_that_of_ring() -> None:
    head = json.loads((ROOT / "golden" / "ring.json").read_text())["head"]
    assert all(line in page("records.md") for line in head[:2])


# ------------------------------------------------------------------------------------ limits


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    listed = [cells[1].strip("| ") for cells in rows(section(text, "## Limits"))[2:]]
    assert listed == [
        f"{wiring.ACTORS_MAX:,}",
        f"2{str(envelope.SEQUENCE_BITS).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}",
        f"the newest {loop.OUTPUTS_KEPT:,}",
        f"the newest {limits.DEAD_LETTERS_KEPT:,}",
        f"{why.MESSAGES_MAX:,}",
        f"{read.FILE_BYTES_MAX >> 20} MiB",
        f"{read.INCLUDES_MAX}",
        f"{effects.OFFLOAD_THREADS}",
    ]
