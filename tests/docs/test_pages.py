"""Every page: its links lead somewhere, its Python runs, and the commands of the tour do what the tour shows."""

from __future__ import annotations

import json
import logging
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from msgspec import Struct

from neuraxis.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("reference/*.md")])
TOUR = DOCS / "tour.md"

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
EXIT_CODE = re.compile(r"exit code (\d+)")
VARIES = re.compile(r"speed |stopped at tick |crash |restart |…")
"""Lines of output that differ from machine to machine, or are shortened."""

INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from neuraxis.cli import main; main()"
)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def anchors(page: Path) -> set[str]:
    """Return the places in a page that a link can lead to."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# ------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, place = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        assert not place or place in anchors(target), f"{name(page)} links to {link}, which has no such heading"


def test_the_map_names_every_page() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall((DOCS / "README.md").read_text())}
    assert {page.resolve() for page in PAGES} - linked == {DOCS / "README.md"}


def test_the_map_of_the_code_names_every_room() -> None:
    (rooms,) = (code for code in blocks(DOCS / "architecture.md", "") if code.startswith("kernel/neuraxis/"))
    named = set(re.findall(r"\w+", rooms))
    kernel = ROOT / "kernel" / "neuraxis"
    found = {each.stem for folder in (kernel, kernel / "scheduler") for each in folder.iterdir()}
    assert {name for name in found if not name.startswith((".", "__")) and name != "py"} <= named


def test_the_glossary_is_sorted_and_has_every_word_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\*", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert words == sorted(set(words))


# ------------------------------------------------------------------------------------ Python


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the scenarios of the repository, which is the working directory meanwhile."""
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios", ignore=shutil.ignore_patterns("mnist.npz", "__py*"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_the_python_of_a_page_runs(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(f"page_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where types look up the names in annotations
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found[1] == "python":
            lines = "\n" * (text.count("\n", 0, found.start()) + 1)  # so that a failure names the line of the page
            exec(compile(lines + found[2], str(page), "exec"), module.__dict__)


# ---------------------------------------------------------------------------------- commands


class Command(Struct, frozen=True):
    """A command of a page: what to type, what the line before says, and the lines that are shown below."""

    words: tuple[str, ...]
    note: str
    shown: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code that the page tells."""
        told = EXIT_CODE.search(self.note)
        return int(told[1]) if told else 0


def commands(page: Path) -> Iterator[Command]:
    for block in blocks(page, "console"):
        parts = re.split(r"^(?:# (.*)\n)?\$ (.*)\n", block, flags=re.MULTILINE)
        for note, line, shown in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            yield Command(tuple(shlex.split(line)), note or "", tuple(shown.splitlines()))


def flat(text: str) -> str:
    return " ".join(text.split())


def stopped(command: Command, *, by: signal.Signals) -> tuple[int, str]:
    """Start a command in a process of its own, stop it while it works, and return exit code and output."""
    start = [sys.executable, "-c", INTERRUPTIBLE, *command.words[1:]]
    process = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until = time.monotonic() + 60
    while not Path("runs/long/journal.nxj").exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(by)
    told, _ = process.communicate(timeout=60)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode, told


def typed(command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command in this process, and return exit code and output."""
    root = logging.getLogger("neuraxis")
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "propagate", root.propagate)
    monkeypatch.setattr(sys, "argv", list(command.words))
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), "".join(capsys.readouterr())


def require_shown(command: Command, told: str, *, varies: re.Pattern[str] = VARIES) -> None:
    """Check that every line that a page shows below a command is in its output."""
    lines = {flat(each) for each in told.splitlines()}
    for shown in command.shown:
        assert varies.search(shown) or flat(shown) in lines, f"{shlex.join(command.words)} does not print: {shown}"


@pytest.mark.slow
def test_the_commands_of_the_tour_do_what_it_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [command for command in commands(TOUR) if command.words[0] == "neuraxis"]
    assert len(found) > 10
    for command in found:
        if "Ctrl-C" in command.note or "kill" in command.note:
            code, told = stopped(command, by=signal.SIGINT if "Ctrl-C" in command.note else signal.SIGKILL)
        else:
            code, told = typed(command, monkeypatch, capsys)
        assert code == command.code, f"{shlex.join(command.words)}\n{told}"
        require_shown(command, told)


def test_explore_finds_the_mistake_that_the_page_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = DOCS / "writing-a-plugin.md"
    (plugin,) = (code for code in blocks(page, "python") if "MANIFEST" in code)
    (scenario,) = blocks(page, "toml")
    (command,) = (each for each in commands(page) if "--plan" in each.words)
    (tmp_path / "forgetful.py").write_text(plugin)
    (tmp_path / "forgetful.toml").write_text(scenario)
    monkeypatch.chdir(tmp_path)
    code, told = typed(command, monkeypatch, capsys)
    assert code == command.code == 3
    require_shown(command, told, varies=re.compile("$^"))


@pytest.mark.slow
def test_the_package_of_the_page_is_written_and_conforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = DOCS / "writing-a-plugin.md"
    found = {command.words[1]: command for command in commands(page)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "neuraxis-low-pass" / "src"))
    for verb in ("new", "conform"):
        code, told = typed(found[verb], monkeypatch, capsys)
        assert code == 0, told
        require_shown(found[verb], told)
    answer = found["conform"]
    code, told = typed(Command((*answer.words, "--json"), "", ()), monkeypatch, capsys)
    assert all(f"`{key}`" in (DOCS / "reference" / "cli.md").read_text() for key in json.loads(told))
    text = page.read_text(encoding="utf-8")
    for name in ("pyproject.toml", "actors.py", "plugin.py", "conformance.py", "low-pass.toml"):
        assert f"{name}` |" in text
        assert list(tmp_path.rglob(name))


def test_every_line_in_a_console_is_a_command_or_its_output() -> None:
    for page in PAGES:
        for block in blocks(page, "console"):
            assert block.startswith(("$ ", "# ")), f"{name(page)}: {block[:60]}"
