"""Where a key stands. Loaded only when there is a mistake to show: parsing for positions takes a library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

import tree_sitter_toml
from msgspec import Struct
from tree_sitter import Language, Node, Parser

from neuraxis.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAGMENT_CHARACTERS = 60


@final
class Sources(Struct, frozen=True):
    """The files and overrides that a scenario was read from.

    Attributes:
        files: Paths, in the order in which they were merged; the scenario file is last.
        offsets: For each file, how many elements of each array of tables earlier files brought.
        overrides: Keys that were set on the command line.
    """

    files: tuple[Path, ...]
    offsets: tuple[dict[str, int], ...]
    overrides: tuple[str, ...] = ()

    def locate(self, key: str) -> str:
        """Return the file and line of a key, or of the nearest table around it; empty if it stands nowhere."""
        for override in self.overrides:
            if key == override or key.startswith((f"{override}.", f"{override}[")):
                return f"--set {override}"
        wanted = key
        tables = [_positions(path, offset) for path, offset in zip(self.files, self.offsets, strict=True)]
        while wanted:
            for path, lines in reversed(list(zip(self.files, tables, strict=True))):
                if wanted in lines:
                    return f"{path.name}:{lines[wanted]}"
            wanted = _parent(wanted)
        return self.files[-1].name


def located(problem: Problem, sources: Sources) -> Problem:
    """Return a problem with its file and line filled in."""
    if problem.where:
        return problem
    where = sources.locate(problem.key)
    return Problem(where=where, key=problem.key, got=problem.got, expected=problem.expected)


def syntax_problems(path: Path, data: bytes) -> list[Problem]:
    """Return every place where a file is no TOML."""
    problems = []
    for node in _errors(_parse(data)):
        fragment = (node.text or b"").decode(errors="replace").strip().partition("\n")[0][:FRAGMENT_CHARACTERS]
        got = f"no TOML near {fragment!r}" if fragment else "no TOML"
        where = f"{path.name}:{node.start_point.row + 1}"
        expected = 'Write KEY = VALUE, [TABLE] or [[TABLE]]; texts in quotes: "1 ms".'
        problems.append(Problem(where=where, key="syntax", got=got, expected=expected))
    return problems


def _parse(data: bytes) -> Node:
    return Parser(Language(tree_sitter_toml.language())).parse(data).root_node


def _errors(node: Node) -> Iterator[Node]:
    if node.is_error or node.is_missing:
        yield node
    elif node.has_error:
        for child in node.children:
            yield from _errors(child)


def _positions(path: Path, offsets: dict[str, int]) -> dict[str, int]:
    """Return the line of every key of a file: `actors.relay.limit`, `channels[3].delay`."""
    lines: dict[str, int] = {}
    counts = dict(offsets)
    for node in _parse(path.read_bytes()).children:
        if node.type == "pair":
            _pair(node, "", lines)
        elif node.type in ("table", "table_array_element"):
            name = next((_key(child) for child in node.children if child.type.endswith("key")), "")
            if node.type == "table_array_element":
                number = counts.get(name, 0)
                counts[name] = number + 1
                name = f"{name}[{number}]"
            lines.setdefault(name, node.start_point.row + 1)
            for child in node.children:
                if child.type == "pair":
                    _pair(child, name, lines)
    return lines


def _pair(node: Node, prefix: str, lines: dict[str, int]) -> None:
    key_node, value = node.children[0], node.children[-1]
    key = f"{prefix}.{_key(key_node)}" if prefix else _key(key_node)
    lines[key] = node.start_point.row + 1
    _value(value, key, lines)


def _value(node: Node, key: str, lines: dict[str, int]) -> None:
    if node.type == "inline_table":
        for child in node.children:
            if child.type == "pair":
                _pair(child, key, lines)
    elif node.type == "array":
        items = [child for child in node.children if child.type not in ("[", "]", ",", "comment")]
        for number, item in enumerate(items):
            lines[f"{key}[{number}]"] = item.start_point.row + 1
            _value(item, f"{key}[{number}]", lines)


def _key(node: Node) -> str:
    if node.type == "dotted_key":
        return ".".join(_key(child) for child in node.children if child.type.endswith("key"))
    return (node.text or b"").decode(errors="replace").strip("\"'")


def _parent(key: str) -> str:
    cut = max(key.rfind("."), key.rfind("["))
    return key[:cut] if cut > 0 else ""
