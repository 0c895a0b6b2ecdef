"""One plugin manager a simulation: what the scenario names is loaded, and nothing else."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, final

import pluggy

from neuraxis.actor import Actor
from neuraxis.errors import DuplicateName, PluginUnusable, Problem, suggestion, told
from neuraxis.hooks import Inspection, Migration, Specification
from neuraxis.message import message_type
from neuraxis.plugins import discover
from neuraxis.plugins.lock import Entry, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from neuraxis.graph import Graph
    from neuraxis.plugins.discover import Loaded
    from neuraxis.seams.backend import Backend
    from neuraxis.seams.launcher import Launcher
    from neuraxis.seams.transport import Transport


@final
class Plugins:
    """The plugins of one simulation.

    Attributes:
        loaded: Them, sorted by name.
        actors: Class by kind.
        backends: Factory by name.
        transports: Factory by scheme.
        launchers: Factory by name.
        inspections: Ways to look at a recorded run, by name.
        messages: Class by (name, version), for message types that no port declares.
        migrations: Step by (kind, from_version).
    """

    def __init__(self, names: Iterable[str] = (), *, beside: Path | None = None) -> None:
        """Load plugins and those that they use.

        Args:
            names: Names of installed plugins, or paths of Python files.
            beside: Folder that paths start from.

        Raises:
            PluginUnusable: One is absent, broken, or does not fit.
            DuplicateName: Two offer one name.
        """
        self.loaded = _load_all(names, beside)
        self._pluggy = pluggy.PluginManager("neuraxis")
        self._pluggy.add_hookspecs(Specification)
        # pluggy calls the plugin that was registered last first; so results come back sorted by name
        for each in reversed(self.loaded):
            self._register(each)
        self.actors: dict[str, type[Actor]] = self._by_name("register_actors", "kind of actor", _is_kind_of(Actor))
        self.backends: dict[str, Callable[[], Backend]] = self._by_name("register_backends", "backend", callable)
        self.transports: dict[str, Callable[[str], Transport]] = self._by_name(
            "register_transports", "transport", callable
        )
        self.launchers: dict[str, Callable[[], Launcher]] = self._by_name("register_launchers", "launcher", callable)
        self.inspections: dict[str, Inspection] = self._by_name(
            "register_inspections", "inspection", lambda value: isinstance(value, Inspection)
        )
        self.messages = self._messages()
        self.migrations = self._migrations()

    # ------------------------------------------------------------------------------- use

    def lock(self) -> list[Entry]:
        """Return version and content hash of the kernel and of every loaded plugin."""
        return lock(each.source for each in self.loaded)

    def backend(self, name: str) -> Backend:
        """Make the backend of that name.

        Raises:
            PluginUnusable: No loaded plugin offers it.
        """
        factory = self.backends.get(name)
        if factory is None:
            raise PluginUnusable(
                plugin=name,
                reason="no loaded plugin offers a backend of that name",
                remedy=suggestion(name, self.backends),
            )
        return factory()

    def review(self, graph: Graph) -> list[Problem]:
        """Return what plugins object to in a graph.

        Raises:
            PluginUnusable: The hook of one raises, or returns something else.
        """
        found: list[Problem] = []
        for name, answer in self._called("review_graph", graph=graph):
            if answer is None:
                continue
            if not isinstance(answer, list | tuple) or not all(isinstance(each, Problem) for each in answer):
                raise _misfit(name, "problems of a graph", answer)
            found += answer
        return found

    def notify(self, hook: str, **facts: Any) -> None:
        """Call an observer hook: `simulation_opened`, `snapshot_taken` or `simulation_closed`.

        Raises:
            PluginUnusable: The hook of a plugin raises.
        """
        for _ in self._called(hook, **facts):
            pass

    def _called(self, hook: str, **facts: Any) -> Iterator[tuple[str, Any]]:
        """Call a hook of each plugin on its own, in the order of names, so that errors can name it."""
        for implementation in reversed(getattr(self._pluggy.hook, f"neuraxis_{hook}").get_hookimpls()):
            taken = {name: facts[name] for name in implementation.argnames}
            try:
                answer = implementation.function(**taken)
                answer = list(answer) if inspect.isgenerator(answer) else answer
            except (Exception, SystemExit) as error:
                raise _failed(implementation.plugin_name, hook, error) from error
            yield implementation.plugin_name, answer

    # ----------------------------------------------------------------------------- parts

    def _register(self, loaded: Loaded) -> None:
        name = loaded.source.name
        for attribute, value in vars(loaded.module).items():
            if inspect.iscoroutinefunction(value) and hasattr(value, "neuraxis_impl"):
                raise PluginUnusable(
                    plugin=name,
                    reason=f"hook {attribute} is async",
                    remedy="Hooks are plain functions; remove `async`.",
                )
        try:
            self._pluggy.register(loaded.module, name=name)
            self._pluggy.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginUnusable(
                plugin=name, reason=str(error), remedy="docs/reference/hooks.md lists the hooks and their arguments."
            ) from error

    def _offers(self, hook: str, form: Callable[[Any], Any]) -> list[tuple[str, Any]]:
        """Call a registering hook of each plugin on its own, so that errors and duplicates can name it.

        Args:
            hook: The hook, without prefix.
            form: `dict` or `tuple`: what the hook offers is brought into it.
        """
        offers = []
        for implementation in reversed(getattr(self._pluggy.hook, f"neuraxis_{hook}").get_hookimpls()):
            try:
                offers.append((implementation.plugin_name, form(implementation.function())))
            except (Exception, SystemExit) as error:
                raise _failed(implementation.plugin_name, hook, error) from error
        return offers

    def _by_name(self, hook: str, what: str, fits: Callable[[Any], bool]) -> dict[str, Any]:
        found: dict[str, tuple[str, Any]] = {}
        for plugin, offered in self._offers(hook, dict):
            for name, value in offered.items():
                if not fits(value):
                    raise _misfit(plugin, f"{what} {name!r}", value)
                if name in found and found[name][1] is not value:
                    raise DuplicateName(what=what, name=name, first=found[name][0], second=plugin)
                found[name] = (plugin, value)
        return {name: value for name, (_, value) in sorted(found.items())}

    def _messages(self) -> dict[tuple[str, int], type[Any]]:
        found: dict[tuple[str, int], tuple[str, type[Any]]] = {}
        for plugin, classes in self._offers("register_messages", tuple):
            for cls in classes:
                declared = message_type(cls) if isinstance(cls, type) else None
                if declared is None:
                    raise _misfit(plugin, "message type", cls)
                other = found.setdefault((declared.name, declared.version), (plugin, cls))
                if other[1] is not cls:
                    raise DuplicateName(what="message type", name=str(declared), first=other[0], second=plugin)
        return {key: cls for key, (_, cls) in found.items()}

    def _migrations(self) -> Mapping[tuple[str, int], Migration]:
        found: dict[tuple[str, int], tuple[str, Migration]] = {}
        for plugin, steps in self._offers("register_migrations", tuple):
            for step in steps:
                if not isinstance(step, Migration):
                    raise _misfit(plugin, "migration", step)
                key = (step.kind, step.from_version)
                other = found.setdefault(key, (plugin, step))
                if other[1] is not step:
                    name = f"{step.kind} from version {step.from_version}"
                    raise DuplicateName(what="migration", name=name, first=other[0], second=plugin)
        return {key: step for key, (_, step) in found.items()}


def _is_kind_of(base: type[Any]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, type) and issubclass(value, base)


def _failed(plugin: str, hook: str, error: BaseException) -> PluginUnusable:
    reason = f"its hook neuraxis_{hook} raised {told(error)}"
    return PluginUnusable(plugin=plugin, reason=reason, remedy="Repair the plugin.")


def _misfit(plugin: str, what: str, value: object) -> PluginUnusable:
    return PluginUnusable(
        plugin=plugin,
        reason=f"as {what} it offers {value!r}, which is none",
        remedy="docs/reference/hooks.md tells what each hook returns.",
    )


def _load_all(names: Iterable[str], beside: Path | None) -> list[Loaded]:
    found: dict[str, Loaded] = {}
    wanted = sorted(set(names))
    while wanted:
        name = wanted.pop(0)
        if name not in found:
            found[name] = discover.load(name, beside)
            wanted += found[name].manifest.uses
    return [found[name] for name in sorted(found)]
