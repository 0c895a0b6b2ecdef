"""Scenario files: every mistake at once, with file, line, key and the nearest valid name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis import Simulation
from neuraxis.errors import FileUnusable, ScenarioInvalid
from neuraxis.launch import open_scenario
from neuraxis.plugins.discover import installed
from neuraxis.plugins.manager import Plugins
from neuraxis.scenario.model import Scenario
from neuraxis.scenario.read import read_scenario
from neuraxis.scenario.schema import schema

ROOT = Path(__file__).parents[2]
HEAD = 'neuraxis = 1\n[scenario]\ntick = "1 ms"\nuntil = 20\nplugins = ["kinds.py"]\n'
KINDS = """
from neuraxis import Actor, Input, Manifest, Output, array, hookimpl, message, on, parameter, state, Resource
from msgspec import Struct

MANIFEST = Manifest(name="kinds", version="1")

@message("kinds.note")
class Note(Struct, frozen=True):
    text: str
    number: int = 0

class Echo(Actor):
    limit: int = parameter(int, 10, at_least=1)
    wait: int = parameter(int, "2 ms", unit="ticks")
    threshold: float = parameter(float, "-50 mV", unit="mV")
    mode: str = parameter(str, "plain", choices=("plain", "fancy"))
    heard: int = state(0)
    say = Input(int)
    note = Input(Note)
    values = Input(array("float32", 3))
    said = Output(int)
    wrote = Output(Note)

    @on(say)
    def hear(self, context, value):
        self.heard += value
        if value < self.limit:
            context.send("said", value + 1)

    @on(note)
    def read(self, context, value):
        self.heard += value.number

    @on(values)
    def add(self, context, value):
        self.heard += int(value.sum())

    def figures(self):
        return {"heard": self.heard}

class Reader(Actor):
    data: Resource = parameter(Resource)

@hookimpl
def neuraxis_register_actors():
    return {"kinds.echo": Echo, "kinds.reader": Reader}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "kinds.py").write_text(KINDS)

    def writer(text: str, name: str = "s.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return writer


def complaints(path: Path, **options: object) -> str:
    with pytest.raises(ScenarioInvalid) as caught:
        open_scenario(path, **options)  # type: ignore[arg-type]
    return caught.value.message()


# ----------------------------------------------------------------------------- one mistake each

ECHO = '[actors.a]\nkind = "kinds.echo"\n'
LOOP = '[[channels]]\nfrom = "a.said"\nto = "a.say"\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (HEAD + '[actors.a]\nkind = "kinds.ecko"\n', 7, "actors.a.kind", "Did you mean 'kinds.echo'"),
        (HEAD + "[actors.a]\nlimit = 3\n", 6, "actors.a.kind", "missing"),
        (HEAD + ECHO + "limmit = 3\n", 8, "actors.a.limmit", "Did you mean 'limit'"),
        (HEAD + ECHO + 'limit = "three"\n', 8, "actors.a.limit", "whole number, at least 1"),
        (HEAD + ECHO + "limit = 0\n", 8, "actors.a.limit", "at least 1"),
        (HEAD + ECHO + 'wait = "3 mV"\n', 8, "actors.a.wait", "It is a voltage, not a time"),
        (HEAD + ECHO + 'wait = "1.5 ms"\n', 8, "actors.a.wait", "not a whole number"),
        (HEAD + ECHO + "threshold = -50\n", 8, "actors.a.threshold", "A bare number has no unit"),
        (HEAD + ECHO + 'threshold = "-50 mX"\n', 8, "actors.a.threshold", "unknown unit 'mX'"),
        (HEAD + ECHO + 'mode = "fancier"\n', 8, "actors.a.mode", "'plain', 'fancy'"),
        (HEAD + ECHO + 'on_failure = "explode"\n', 8, "actors.a.on_failure", "stop"),
        (HEAD + ECHO + "shard = 64\n", 8, "actors.a.shard", "at most 63"),
        (HEAD + ECHO + "count = 0\n", 8, "actors.a.count", "at least 1"),
        (HEAD + ECHO + '[[channels]]\nfrom = "a.said"\nto = "b.say"\n', 10, "channels[0].to", "unknown actor 'b'"),
        (HEAD + ECHO + '[[channels]]\nfrom = "a.siad"\nto = "a.say"\n', 9, "channels[0].from", "Did you mean 'said'"),
        (HEAD + ECHO + '[[channels]]\nfrom = "a.said"\nto = "a.sy"\n', 10, "channels[0].to", "Did you mean 'say'"),
        (HEAD + ECHO + '[[channels]]\nfrom = "said"\nto = "a.say"\n', 9, "channels[0].from", "NAME.OUTPUT"),
        (HEAD + ECHO + LOOP + "delay = 0\n", 11, "channels[0].delay", "at least 1 tick"),
        (HEAD + ECHO + LOOP + 'delay = "0.5 ms"\n', 11, "channels[0].delay", "not a whole number"),
        (HEAD + ECHO + LOOP + 'lane = "fast"\n', 11, "channels[0].lane", "emergency"),
        (HEAD + ECHO + LOOP + "capacity = -1\n", 11, "channels[0].capacity", "at least 0"),
        (HEAD + ECHO + LOOP + 'pattern = "ring"\n', 11, "channels[0].pattern", "same group"),
        (HEAD + ECHO + LOOP + LOOP, 11, "channels[1]", "duplicate"),
        (HEAD + ECHO + '[[channels]]\nfrom = "a.wrote"\nto = "a.say"\n', 10, "channels[0].to", "kinds.note"),
        (HEAD + ECHO + '["actors"."a/b c"]\nkind = "kinds.echo"\n', 8, "actors.a/b c", "no valid path"),
        (HEAD + ECHO + '[[inputs]]\nto = "a.say"\nvalue = "x"\n', 10, "inputs[0].value", "int"),
        (HEAD + ECHO + '[[inputs]]\nto = "a.sey"\nvalue = 1\n', 9, "inputs[0].to", "Did you mean 'say'"),
        (HEAD + ECHO + '[[inputs]]\nto = "b.say"\nvalue = 1\n', 9, "inputs[0].to", "unknown actor"),
        (HEAD + ECHO + '[[inputs]]\nto = "a.note"\nvalue = { txt = "" }\n', 10, "inputs[0].value", "kinds.note"),
        (HEAD + ECHO + '[[inputs]]\nto = "a.note"\nvalue = 3\n', 10, "inputs[0].value", "table"),
        (HEAD + ECHO + '[[inputs]]\nto = "a.values"\nvalue = [1, 2]\n', 10, "inputs[0].value", "float32"),
        (HEAD + ECHO + '[[inputs]]\nto = "a.values"\nvalue = ["x"]\n', 10, "inputs[0].value", "float32"),
        (HEAD + ECHO + "[[inputs]]\nvalue = 1\n", 8, "inputs[0].to", "missing"),
        (HEAD + ECHO + '[expect]\n"a.herd" = 3\n', 9, "expect.a.herd", "Did you mean 'a.heard'"),
        (HEAD + ECHO + "[always]\nmessages = { at_moast = 3 }\n", 9, "always.messages.at_moast", "unknown"),
        (HEAD + ECHO + "[expect]\nmessages = [3]\n", 9, "expect.messages", "at_least"),
        (HEAD + '[actors.a]\nkind = "kinds.reader"\n', 6, "actors.a.data", "missing"),
        (HEAD + '[actors.a]\nkind = "kinds.reader"\ndata = "x"\n', 8, "actors.a.data", "unknown resource"),
        (HEAD.replace('"1 ms"', '"1 mV"'), 3, "scenario.tick", "voltage"),
        (HEAD.replace('"1 ms"', '"0 ms"'), 3, "scenario.tick", "above 0"),
        (HEAD.replace("20", '"20 parsecs"'), 4, "scenario.until", "parsecs"),
        (HEAD.replace("until = 20\n", ""), 2, "scenario.until", "missing"),
        (HEAD.replace("kinds.py", "kind.py"), 5, "scenario.plugins[0]", "Did you mean 'kinds.py'"),
        (HEAD.replace("kinds.py", "nobody"), 5, "scenario.plugins[0]", "no installed package"),
        (HEAD + 'faults = ["crush a at 3"]\n', 6, "scenario.faults[0]", "crash PATH at TICK"),
        (HEAD + 'faults = ["crash b at 3"]\n' + ECHO, 6, "scenario.faults[0]", "no actor 'b'"),
        (HEAD + 'faults = ["restart at 3"]\n', 6, "scenario.faults[0]", "neuraxis resume"),
        (HEAD + "[rum]\n", 6, "rum", "Did you mean 'run'"),
        (HEAD + '[run]\nbackend = "abacus"\n' + ECHO, None, "", ""),
        (HEAD + '[run]\nclock = "sundial"\n', 7, "run.clock", "virtual"),
        (HEAD + '[run]\nsnapshot_every = "0.3 ms"\n', 7, "run.snapshot_every", "whole number"),
        (HEAD + "actors = 3\n", 6, "scenario.actors", "unknown key"),
        (HEAD + "[channels]\n", 6, "channels", "two brackets"),
        (HEAD + '[resources]\nx = "y"\n', 7, "resources.x", "table"),
        ('[scenario]\ntick = "1 ms"\nuntil = 1\n', None, "neuraxis", "neuraxis = 1"),
        (HEAD + 'include = "x.toml"\n', 6, "scenario.include", "unknown key"),
    ],
)
def test_a_mistake_is_named_with_file_line_key_and_remedy(
    write: Callable[..., Path], text: str, line: int | None, key: str, words: str
) -> None:
    if not key:  # a backend that nothing uses is no mistake
        assert open_scenario(write(text)).resolved.backend == ""
        return
    told = complaints(write(text))
    where = f"s.toml:{line}: {key}" if line is not None else key
    assert where in told, told
    assert words in told, told


def test_all_mistakes_of_a_file_are_told_at_once_in_the_order_of_lines(write: Callable[..., Path]) -> None:
    text = HEAD + ECHO + 'limit = "x"\nmode = "y"\n' + LOOP + "delay = 0\n" + '[expect]\n"a.herd" = 3\n'
    lines = complaints(write(text)).splitlines()
    numbers = [int(line.split(":")[1]) for line in lines[1:] if line.split(":")[1].isdecimal()]
    assert numbers == sorted(numbers)
    for key in ("actors.a.limit", "actors.a.mode", "channels[0].delay"):
        assert any(key in line for line in lines), lines


def test_a_mistake_shared_by_a_group_is_told_once(write: Callable[..., Path]) -> None:
    text = HEAD + '[actors.a]\nkind = "kinds.echo"\ncount = 50\nlimit = 0\n'
    assert complaints(write(text)).count("actors.a.limit") == 1


# -------------------------------------------------------------------------------- no TOML at all


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"neuraxis = 1\n[scenario\nname = 3\n", "s.toml:2"),
        (b'neuraxis = 1\nname = "open\n', "s.toml:2"),
        (b"neuraxis = 1\nneuraxis = 2\n", "refused"),
        (b"\xff\xfe\x00", "no UTF-8"),
        (b"neuraxis = 99\n", "Install a newer neuraxis"),
        (b"a = " + b"[" * 5_000, "s.toml"),
        (b"x = 1\n" * 2_000_000, "Put large data into a resource"),
    ],
)
def test_what_is_no_scenario_is_refused_with_the_place(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(data)
    assert words in complaints(path)


def test_a_missing_file_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="Name a scenario file"):
        open_scenario(tmp_path / "nothing.toml")


@given(st.binary(max_size=300))
def test_no_bytes_bring_the_reader_down(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "s.toml"
    path.write_bytes(data)
    with pytest.raises(ScenarioInvalid):
        open_scenario(path)


# ------------------------------------------------------------------------- includes, overrides


def test_an_including_file_changes_what_it_includes(write: Callable[..., Path]) -> None:
    write(HEAD + ECHO + "limit = 3\n" + LOOP, "base.toml")
    path = write('neuraxis = 1\ninclude = ["base.toml"]\n[actors.a]\nlimit = 5\n' + LOOP + "delay = 4\n")
    scenario = read_scenario(path)
    assert scenario.actors["a"] == {"kind": "kinds.echo", "limit": 5}
    assert [each.get("delay") for each in scenario.channels] == [None, 4]
    assert scenario.name == "s"


def test_mistakes_in_included_files_are_told_with_their_own_name_and_line(write: Callable[..., Path]) -> None:
    write(HEAD + ECHO + LOOP + "delay = 0\n", "base.toml")
    told = complaints(write('neuraxis = 1\ninclude = ["base.toml"]\n' + LOOP + 'delay = 3\nlane = "x"\n'))
    assert "base.toml:11: channels[0].delay" in told
    assert "s.toml:7: channels[1].lane" in told


def test_paths_in_an_included_file_start_from_that_file(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(HEAD.replace("kinds.py", "../kinds.py") + ECHO, "sub/base.toml")
    opened = open_scenario(write('neuraxis = 1\ninclude = ["sub/base.toml"]\n'))
    assert opened.scenario.plugins == ("kinds.py",)


def test_circles_and_gaps_in_includes_are_mistakes(write: Callable[..., Path]) -> None:
    write('neuraxis = 1\ninclude = ["s.toml"]\n', "other.toml")
    told = complaints(write(HEAD.replace("1\n[", '1\ninclude = ["other.toml", "othr.toml"]\n[') + ECHO))
    assert "a circle: s.toml" in told
    assert "Did you mean 'other.toml'" in told


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("actors.a.limit", "Write --set KEY=VALUE"),
        ("=3", "Write --set KEY=VALUE"),
        ("channels[7].delay=3", "Count from 0"),
        ("scenario.name.x=3", "no table"),
        ("actors.a.limmit=3", "--set actors.a.limmit"),
        ("actors.a.limit=many", "--set actors.a.limit"),
    ],
)
def test_a_wrong_override_is_told_like_a_mistake_in_the_file(
    write: Callable[..., Path], override: str, words: str
) -> None:
    path = write(HEAD.replace("[scenario]\n", '[scenario]\nname = "x"\n') + ECHO + LOOP)
    assert words in complaints(path, overrides=[override])


def test_overrides_set_values_tables_and_places_in_lists(write: Callable[..., Path]) -> None:
    path = write(HEAD + ECHO + LOOP + '["actors"."b/c"]\nkind = "kinds.echo"\n')
    overrides = ["actors.a.limit=7", "channels[0].delay=3", 'actors."b/c".mode=fancy', "run.trace=full"]
    opened = open_scenario(path, overrides=overrides, seed=5)
    by_path = {spec.path: spec for spec in opened.resolved.graph.actors}
    assert by_path["a"].parameters["limit"] == 7
    assert by_path["b/c"].parameters["mode"] == "fancy"
    assert opened.resolved.graph.channels[0].delay == 3
    assert opened.resolved.trace == "full"
    assert opened.blueprint.seed == 5


# ------------------------------------------------------------------------------------ meaning


def test_groups_have_members_and_patterns_join_them(write: Callable[..., Path]) -> None:
    group = '[actors.{}]\nkind = "kinds.echo"\ncount = {}\n'
    channel = '[[channels]]\nfrom = "{}.said"\nto = "{}.say"\n{}'
    text = HEAD + group.format("g", 3) + group.format("h", 3) + ECHO
    text += channel.format("g", "g", 'pattern = "ring"\n') + channel.format("g", "h", 'pattern = "each"\n')
    text += (
        channel.format("h", "h", 'pattern = "all"\n') + channel.format("a", "g", "") + channel.format("g/01", "a", "")
    )
    joined = {(c.source, c.target) for c in open_scenario(write(text)).resolved.graph.channels}
    assert ("g/02", "g/00") in joined
    assert ("g/01", "h/01") in joined
    assert ("h/00", "h/02") in joined
    assert ("h/01", "h/01") not in joined
    assert {("a", "g/00"), ("a", "g/01"), ("a", "g/02"), ("g/01", "a")} <= joined
    assert len(joined) == 3 + 3 + 6 + 3 + 1


def test_two_groups_without_a_pattern_or_of_other_sizes_are_mistakes(write: Callable[..., Path]) -> None:
    group = '[actors.{}]\nkind = "kinds.echo"\ncount = {}\n'
    text = HEAD + group.format("g", 3) + group.format("h", 2)
    text += '[[channels]]\nfrom = "g.said"\nto = "h.say"\n'
    assert "both ends are groups" in complaints(write(text))
    assert "3 senders and 2 receivers" in complaints(write(text + 'pattern = "each"\n'))


def test_inputs_of_every_kind_arrive(write: Callable[..., Path]) -> None:
    text = HEAD + ECHO + "limit = 1\n"
    text += '[[inputs]]\nto = "a.say"\nvalue = 5\n[[inputs]]\nat = "3 ms"\nto = "a.values"\nvalue = [1, 2, 3]\n'
    text += '[[inputs]]\nat = 4\nto = "a.note"\nvalue = { text = "x", number = 100 }\n[expect]\n"a.heard" = 111\n'
    with Simulation.from_scenario(write(text)) as sim:
        assert sim.advance(ticks=10).figures() == {"a.heard": 111}


def test_a_resource_is_pinned_by_its_checksum(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"content")
    base = HEAD + '[actors.a]\nkind = "kinds.reader"\ndata = "d"\n[resources.d]\npath = "data.bin"\n'
    told = complaints(write(base))
    digest = told.rpartition('sha256 = "')[2].partition('"')[0]
    opened = open_scenario(write(base + f'sha256 = "{digest}"\n'))
    assert opened.resolved.graph.actors[0].parameters["data"].sha256 == digest
    (tmp_path / "data.bin").write_bytes(b"other content")
    assert "another content" in complaints(write(base + f'sha256 = "{digest}"\n'))
    assert "missing file" in complaints(write(base.replace("data.bin", "dada.bin")))


def test_faults_of_a_scenario_happen_in_every_run(write: Callable[..., Path]) -> None:
    text = HEAD + 'faults = ["crash a at 1"]\n' + ECHO + 'on_failure = "restart"\n'
    with Simulation.from_scenario(write(text + '[[inputs]]\nto = "a.say"\nvalue = 5\n')) as sim:
        sim.advance(ticks=5)
        assert sim.statistics.failures == {"a": 1}
        assert sim.figures() == {"a.heard": 0}


def test_only_what_may_decide_results_enters_the_digest(write: Callable[..., Path]) -> None:
    base = HEAD + ECHO + LOOP + '[[inputs]]\nto = "a.say"\nvalue = 1\n'
    other = base.replace("[scenario]", '[scenario]\nsummary = "x"\nname = "another"') + '[run]\ntrace = "full"\n'
    changed = base.replace('"1 ms"', '"2 ms"')

    def digest(text: str) -> str:
        with Simulation.from_scenario(write(text)) as sim:
            return sim.advance(ticks=15).digest

    assert digest(base) == digest(other)
    assert digest(base) != digest(changed)


# ------------------------------------------------------------------------ round trip and schema

_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=8)
_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {
            "name": _TEXTS,
            "summary": _TEXTS,
            "until": st.integers(0, 10**9) | _TEXTS,
            "seed": st.integers(-(2**70), 2**70),
            "plugins": st.lists(_TEXTS, max_size=2).map(tuple),
            "actors": st.dictionaries(_TEXTS, st.dictionaries(_TEXTS, _VALUES, max_size=3), max_size=2),
            "channels": st.lists(st.dictionaries(_TEXTS, _VALUES, max_size=3), max_size=2).map(tuple),
            "expect": st.dictionaries(_TEXTS, _VALUES, max_size=2),
        }
    )
)
def test_a_scenario_survives_its_canonical_form(content: dict[str, Any]) -> None:
    scenario = Scenario(**content)
    text = json.dumps(scenario.canonical())
    assert Scenario.from_canonical(json.loads(text), Path()) == scenario


def _all_kinds() -> dict[str, object]:
    return schema(Plugins([*installed(), str(ROOT / "scenarios" / "ring.py")]).actors)


def test_the_published_schema_is_valid_and_up_to_date() -> None:
    published = json.loads((ROOT / "docs" / "scenario.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == json.loads(json.dumps(schema(Plugins(list(installed())).actors))), "run `make schema`"


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.toml")), ids=lambda path: path.name)
def test_the_schema_accepts_every_scenario_of_the_project(path: Path) -> None:
    import tomllib

    data = tomllib.loads(path.read_text())
    jsonschema.validate(data, _all_kinds())


@pytest.mark.parametrize(
    "change",
    [
        {"rum": {}},
        {"neuraxis": 2},
        {"scenario": {"until": "20 parsecs"}},
        {"scenario": {"tick": 1}},
        {"actors": {"a": {"kind": "ring.relay", "limmit": 3}}},
        {"actors": {"a": {"kind": "ring.relay", "limit": 0}}},
        {"channels": [{"from": "a.b"}]},
        {"channels": [{"from": "a.b", "to": "c.d", "lane": "fast"}]},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"neuraxis": 1, **change}, _all_kinds())
