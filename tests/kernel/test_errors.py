"""Errors: each has its code, names its facts, ends with what to do, and survives the trip between processes."""

from __future__ import annotations

import inspect
import pickle
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import neuraxis
from neuraxis import errors
from neuraxis.errors import (
    ContractError,
    DamagedData,
    Divergence,
    FileUnusable,
    GoldenMismatch,
    InputError,
    JournalDamaged,
    NeuraxisError,
    NoReply,
    Problem,
    RunError,
    ScenarioInvalid,
    UsageInvalid,
    nearest,
    suggestion,
)

PROBLEM = Problem(where="ring.toml:7", key="actors.relay.hops", got="-1", expected="Write a whole number, at least 0.")

EXAMPLES: dict[str, Any] = {
    "int": 4711,
    "tuple[str, ...]": ("alpha", "beta"),
    "tuple[Problem, ...]": (PROBLEM, PROBLEM),
}

CLASSES = sorted(
    (cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, NeuraxisError)),
    key=lambda cls: (cls.code, cls.__name__),
)
RAISED = [cls for cls in CLASSES if "code" in cls.__dict__ and cls is not NeuraxisError]
GROUPS = {InputError: 2, ContractError: 1, RunError: 1, DamagedData: 4, Divergence: 3}


def example(cls: type[NeuraxisError]) -> NeuraxisError:
    """Make an error in which every text says the name of its fact."""
    hints = {name: hint for base in cls.__mro__ for name, hint in inspect.get_annotations(base).items()}
    return cls(**{name: EXAMPLES.get(hints[name], f"the fact {name}") for name in cls._facts})


# ---------------------------------------------------------------------------- every error


def test_every_error_that_is_raised_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in RAISED]
    assert len(RAISED) >= 23
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"NX[1-5]\d\d", code) for code in codes)


def test_errors_without_a_code_are_only_groups() -> None:
    assert set(CLASSES) - set(RAISED) == {NeuraxisError, *GROUPS} - {Divergence}


def test_tree_in_the_documentation_names_every_error() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted(cls.__name__ for cls in CLASSES if cls is not NeuraxisError)


@pytest.mark.parametrize("cls", RAISED)
def test_exit_code_and_first_digit_follow_the_kind_of_error(cls: type[NeuraxisError]) -> None:
    (group,) = [each for each in GROUPS if issubclass(cls, each)]
    assert cls.exit_code == GROUPS[group]
    assert cls.code[2] == str([*GROUPS].index(group) + 1)


@pytest.mark.parametrize("cls", RAISED)
def test_message_names_every_fact(cls: type[NeuraxisError]) -> None:
    error = example(cls)
    said = str(error)
    assert said.startswith(f"[{cls.code}] ")
    for name in error._facts:
        value = getattr(error, name)
        for part in value if isinstance(value, tuple) else (value,):
            assert str(part) in said


@pytest.mark.parametrize("cls", [cls for cls in RAISED if cls is not ScenarioInvalid])
def test_message_ends_with_what_to_do(cls: type[NeuraxisError]) -> None:
    error = example(cls)
    *_, last = re.split(r"(?<=[.:?!])\s+", error.message())
    if "remedy" in error._facts:
        assert last == "the fact remedy"
    else:
        told = r"(Name|Install|Restore|Pass|Send|Correct|Raise|Known|pip install|use |raise |sha256|An answer|Use )"
        assert re.search(told, error.message().split(". ", 1)[-1])


@pytest.mark.parametrize("cls", RAISED)
def test_error_survives_pickling_with_its_facts_and_notes(cls: type[NeuraxisError]) -> None:
    error = example(cls)
    error.add_note("seen by worker 3")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is cls
    assert str(back) == str(error)
    assert {name: getattr(back, name) for name in cls._facts} == {name: getattr(error, name) for name in cls._facts}
    assert back.__notes__ == ["seen by worker 3"]


@pytest.mark.parametrize("cls", RAISED)
def test_error_takes_its_facts_by_name_and_no_others(cls: type[NeuraxisError]) -> None:
    facts = {name: getattr(example(cls), name) for name in cls._facts}
    with pytest.raises(TypeError, match="takes the facts"):
        cls(**facts, more=1)
    facts.popitem()
    with pytest.raises(TypeError, match=f"{cls.__name__} takes the facts"):
        cls(**facts)
    with pytest.raises(TypeError):
        cls("a text")  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", RAISED)
def test_every_error_says_in_a_sentence_when_it_is_raised(cls: type[NeuraxisError]) -> None:
    assert cls.__doc__
    assert cls.__doc__.split("\n")[0].endswith((".", ";"))


def test_error_from_a_traceback_names_its_class() -> None:
    error = NoReply(target="ear", within=5, tick=9)
    assert repr(error) == "NoReply()"
    assert isinstance(error, RunError)
    assert str(NeuraxisError()) == "[NX000] "


def test_a_subclass_adds_its_facts_to_those_of_its_parent() -> None:
    class Unheard(FileUnusable):
        code = "NX999"
        ear: str

    error = Unheard(path="a", reason="b", remedy="c", ear="d")
    assert Unheard._facts == ("path", "reason", "remedy", "ear")
    assert (error.ear, error.exit_code) == ("d", 2)


def test_mismatch_of_a_golden_is_a_divergence() -> None:
    error = GoldenMismatch(subject="ring", finding="tick 3", remedy="Look.")
    assert isinstance(error, Divergence)
    assert str(error) == "[NX502] ring: tick 3. Look."


# ---------------------------------------------------------------------------- some of them


def test_all_mistakes_of_a_scenario_are_listed_with_their_lines() -> None:
    alone = Problem(where="", key="graph", got="", expected="Add an actor.")
    error = ScenarioInvalid(name="ring.toml", problems=(PROBLEM, alone))
    assert str(error).splitlines() == [
        "[NX101] ring.toml has 2 mistakes:",
        "  ring.toml:7: actors.relay.hops is -1. Write a whole number, at least 0.",
        "  graph. Add an actor.",
    ]
    assert "has 1 mistake:" in str(ScenarioInvalid(name="x", problems=(alone,)))


def test_damage_is_named_by_file_part_byte_and_what_is_sound() -> None:
    error = JournalDamaged(path="run/journal.nxj", part="frame 7", offset=1234, sound_frames=7, remedy="Resume.")
    assert str(error) == (
        "[NX401] run/journal.nxj: frame 7 at byte 1234 is damaged; 7 frames before it are sound. Resume."
    )


# ---------------------------------------------------------------------------- suggestions


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("realy", ["relay", "delay"], "relay"),
        ("out", ["output", "x"], "output"),
        ("relay/07", ["relay/7"], "relay/7"),
        ("qqq", ["relay"], None),
        ("", ["relay"], None),
        ("x", [], None),
    ],
)
def test_nearest_name_is_the_one_that_was_probably_meant(name: str, known: list[str], expected: str | None) -> None:
    assert nearest(name, known) == expected


def test_suggestion_leads_from_an_unknown_name_to_the_known_ones() -> None:
    assert suggestion("realy", ["relay"]) == "Did you mean 'relay'?"
    assert suggestion("qqq", ["b", "a"]) == "Known: a, b."
    assert suggestion("qqq", []) == "None is known here."
    many = [f"name{number:02d}" for number in range(20)]
    assert suggestion("qqq", many) == "Known: " + ", ".join(many[:12]) + ", …."


@given(st.text(max_size=5), st.sets(st.text(min_size=1, max_size=5)))
def test_suggestion_does_not_depend_on_the_order_of_names(name: str, known: set[str]) -> None:
    assert suggestion(name, sorted(known)) == suggestion(name, sorted(known, reverse=True))
    found = nearest(name, known)
    assert found is None or found in known


# ------------------------------------------------------------------------------ front door


def test_front_door_has_at_most_thirty_names_and_every_one_can_be_imported() -> None:
    assert len(neuraxis.__all__) <= 30
    assert sorted(neuraxis.__all__) == dir(neuraxis)
    for name in neuraxis.__all__:
        assert getattr(neuraxis, name) is not None
    with pytest.raises(AttributeError, match="module 'neuraxis' has no attribute 'Neuron'"):
        _ = neuraxis.Neuron  # type: ignore[attr-defined]


def fresh(program: str) -> list[str]:
    """Return what a program prints in a process of its own, word by word."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


HEAVY = "sorted({'asyncio', 'anyio', 'torch', 'numba', 'matplotlib', 'typer', 'rich', 'zstandard'} & set(sys.modules))"


def test_importing_neuraxis_loads_nothing_heavy() -> None:
    assert fresh(f"import sys, neuraxis; print(*{HEAVY})") == []


def test_running_a_simulation_loads_no_event_loop_and_no_heavy_library() -> None:
    program = (
        f"import sys, neuraxis as nx; sim = nx.Simulation(nx.Graph('g')); sim.advance(5); sim.close(); print(*{HEAVY})"
    )
    assert fresh(program) == []


@pytest.mark.parametrize("name", sorted(neuraxis.__all__))
def test_every_name_of_the_front_door_is_documented(name: str) -> None:
    value = getattr(neuraxis, name)
    assert not callable(value) or value.__doc__


def test_usage_error_reads_as_a_sentence_and_a_remedy() -> None:
    assert str(UsageInvalid(what="there is no actor 'eat'", remedy="Did you mean 'ear'?")) == (
        "[NX109] there is no actor 'eat'. Did you mean 'ear'?"
    )
