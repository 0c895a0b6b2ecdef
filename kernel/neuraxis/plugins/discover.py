"""Finding plugins: entry points of installed distributions, and Python files beside a scenario."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from msgspec import Struct

from neuraxis.errors import PluginUnusable, suggestion, told
from neuraxis.files import is_file
from neuraxis.hooks import API_VERSION, Manifest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from types import CodeType, ModuleType

GROUP: Final = "neuraxis.plugins"


@final
class Source(Struct, frozen=True):
    """Where a plugin comes from.

    Attributes:
        name: Name by which a scenario asks for it: an entry point, or a path ending in `.py`.
        distribution: Name of the distribution, or the path of the file.
        version: Version of the distribution, or of the manifest.
        module: Name of its module.
        root: Folder of its package, or the file.
    """

    name: str
    distribution: str
    version: str
    module: str
    root: Path


@final
class Loaded(Struct, frozen=True):
    """A plugin's module, imported and checked."""

    source: Source
    manifest: Manifest
    module: ModuleType


def installed() -> dict[str, EntryPoint]:
    """Return the entry points of all installed plugins by name, sorted by distribution and name.

    Raises:
        PluginUnusable: Two distributions offer one name.
    """
    from importlib.metadata import entry_points  # walks over every distribution: only who asks pays

    found: dict[str, EntryPoint] = {}
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.dist.name if point.dist else ""))
    for point in points:
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise PluginUnusable(
                plugin=point.name,
                reason=f"it is offered by {_distribution(other)} and by {_distribution(point)}",
                remedy="Uninstall one of them.",
            )
        found[point.name] = point
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def load(name: str, beside: Path | None) -> Loaded:
    """Import a plugin and check its manifest.

    Args:
        name: Name of an installed plugin, or the path of a Python file, relative to the scenario.
        beside: Folder of the scenario.

    Raises:
        PluginUnusable: It is absent, fails to import, or does not fit this version.
    """
    return load_file(name, beside or Path()) if name.endswith(".py") else load_installed(name)


def load_installed(name: str) -> Loaded:
    """Import an installed plugin. Raises `PluginUnusable` like `load`."""
    points = installed()
    point = points.get(name)
    if point is None:
        remedy = suggestion(name, points) + " Install the package that offers it, or name a .py file."
        raise PluginUnusable(plugin=name, reason="no installed package offers it", remedy=remedy)
    try:
        module = importlib.import_module(point.module)
    except (Exception, SystemExit) as error:
        raise PluginUnusable(
            plugin=name,
            reason=f"{_distribution(point)} fails to import: {told(error)}",
            remedy="Repair or reinstall it; `neuraxis plugins check` shows the traceback.",
        ) from error
    manifest = _manifest(name, module)
    if manifest.name != name:
        raise PluginUnusable(
            plugin=name,
            reason=f"{_distribution(point)} offers it, but its manifest names it {manifest.name!r}",
            remedy="Give entry point and manifest the same name.",
        )
    version = point.dist.version if point.dist is not None else "unknown"
    return Loaded(Source(name, _distribution(point), version, point.module, _root_of(module)), manifest, module)


def _root_of(module: ModuleType) -> Path:
    """Return the folder of a module's package, or the file of a module that is in none."""
    file = Path(module.__file__ or "").resolve()
    return file.parent if module.__spec__ is not None and module.__spec__.parent else file


def load_file(name: str, folder: Path) -> Loaded:
    """Import a Python file beside a scenario. Raises `PluginUnusable` like `load`."""
    path = (folder / name).resolve()
    if not is_file(path):
        near = sorted(each.name for each in path.parent.glob("*.py"))
        remedy = suggestion(path.name, near) if near else "Restore it, or correct its name."
        raise PluginUnusable(plugin=name, reason=f"there is no file {path}", remedy=remedy)
    module_name = f"neuraxis_scenario_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_FromSource(module_name, str(path)))
    assert spec is not None, "a path ending in .py has a loader"
    assert spec.loader is not None, "a path ending in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # annotations of classes are looked up here
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(module_name, None)
        line = _line_in(error, path)
        raise PluginUnusable(
            plugin=name,
            reason=f"{path}{line} fails to import: {told(error)}",
            remedy="Correct the file.",
        ) from error
    manifest = _manifest(name, module)
    return Loaded(Source(name, name, manifest.version, module_name, path), manifest, module)


class _FromSource(SourceFileLoader):
    """Compiles a file whenever it is loaded, and keeps nothing of it.

    Python would put bytecode beside the file: into run folders; and what a full disk tore there, it would trip over.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _line_in(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f":{error.lineno}"
    line = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _manifest(name: str, module: ModuleType) -> Manifest:
    manifest = getattr(module, "MANIFEST", None)
    if not isinstance(manifest, Manifest):
        raise PluginUnusable(
            plugin=name,
            reason=f"module {module.__name__} has no MANIFEST",
            remedy='Add MANIFEST = neuraxis.Manifest(name="…", version="…").',
        )
    for clause in manifest.api.split(","):
        if not _allows(clause.strip()):
            raise PluginUnusable(
                plugin=name,
                reason=f"it is made for API {manifest.api}, this is {API_VERSION}",
                remedy="Install a version of the plugin that fits, or another version of neuraxis.",
            )
    return manifest


def _allows(clause: str) -> bool:
    operator = clause.rstrip("0123456789. ")
    wanted = _numbers(clause[len(operator) :])
    have = _numbers(API_VERSION)
    answers = {">=": have >= wanted, ">": have > wanted, "<": have < wanted, "<=": have <= wanted, "==": have == wanted}
    return answers.get(operator.strip(), False)


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in version.strip().split(".") if part]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
