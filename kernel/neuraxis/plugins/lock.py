"""The lock: which code computes a run, by version and content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import neuraxis
from neuraxis.errors import PluginUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuraxis.plugins.discover import Source

Entry = dict[str, str]


def content_hash(root: Path) -> str:
    """Return the SHA-256 over the names and contents of all Python files of a package, or of one file."""
    digest = hashlib.sha256()
    files = [root] if root.is_file() else sorted(root.rglob("*.py"))
    for file in files:
        name = file.name if root.is_file() else file.relative_to(root).as_posix()
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def kernel_entry() -> Entry:
    """Return the lock entry of the kernel itself."""
    root = Path(neuraxis.__file__).parent
    return {"name": "neuraxis", "version": neuraxis.__version__, "sha256": content_hash(root)}


def lock(sources: Iterable[Source]) -> list[Entry]:
    """Return the lock of a simulation: the kernel, then its plugins by name."""
    plugins = sorted(sources, key=lambda source: source.name)
    return [
        kernel_entry(),
        *({"name": each.name, "version": each.version, "sha256": content_hash(each.root)} for each in plugins),
    ]


def require_same(locked: list[Entry], present: list[Entry]) -> None:
    """Compare a recorded lock with the code that is here.

    Raises:
        PluginUnusable: A plugin is missing, or differs in version or content.
    """
    here = {entry["name"]: entry for entry in present}
    for entry in locked:
        name = entry["name"]
        other = here.get(name)
        if other == entry:
            continue
        if other is None:
            reason = "the run was made with it, but it is not loaded now"
        elif other["version"] != entry["version"]:
            reason = f"the run was made with version {entry['version']}, here is {other['version']}"
        else:
            reason = f"its code differs from the one that made the run (version {entry['version']})"
        raise PluginUnusable(
            plugin=name,
            reason=reason,
            remedy="Install the code that made the run; or go on with the code that is here, from its newest snapshot: "
            "neuraxis resume RUN --accept-changes",
        )
