"""The hooks through which plugins, built-in or not, enter a simulation.

Hooks register, seams work: a hook is called once, when a simulation opens, and returns what the plugin
offers by name. Nothing on the tick path goes through a hook. Every hook has the prefix `neuraxis_`; an
implementation may take fewer arguments than its specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final

import pluggy
from msgspec import Struct, field

from neuraxis.snapshot.migrate import Migration

__all__ = [
    "API_VERSION",
    "Found",
    "Inspection",
    "Manifest",
    "Migration",
    "Restored",
    "Specification",
    "hookimpl",
    "hookspec",
]

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from neuraxis.actor import Actor
    from neuraxis.errors import Problem
    from neuraxis.graph import Graph
    from neuraxis.seams.backend import Backend
    from neuraxis.seams.launcher import Launcher
    from neuraxis.seams.transport import Transport

F = TypeVar("F", bound=Callable[..., Any])

API_VERSION: Final = "1.0"
"""Version of hooks and seams. The minor number counts additions, the major number what was removed."""

hookspec = cast("Callable[[F], F]", pluggy.HookspecMarker("neuraxis"))
hookimpl = cast("Callable[[F], F]", pluggy.HookimplMarker("neuraxis"))
"""Marks a function in a plugin's module as the implementation of a hook."""


@final
class Manifest(Struct, frozen=True):
    """What a plugin says about itself, as `MANIFEST` in its module.

    Attributes:
        name: Name of the plugin; the same as its entry point's.
        version: Version of the plugin.
        api: Versions of the interface that it works with: `">=1.0,<2"`.
        uses: Plugins that must be loaded with it, by name.
    """

    name: str
    version: str
    api: str = ">=1.0,<2"
    uses: tuple[str, ...] = field(default=())


@final
class Restored(Struct, frozen=True):
    """Actors of a recorded run as they stood at its newest snapshot, to look at.

    Attributes:
        scenario: Name of the scenario.
        tick: The tick at whose end they stand.
        tick_length: Length of a tick, second.
        actors: By path, in the order of paths.
    """

    scenario: str
    tick: int
    tick_length: Fraction
    actors: Mapping[str, Actor]


@final
class Found(Struct, frozen=True):
    """What an inspection found.

    Attributes:
        values: What `--json` prints, by path of the actor: numbers, texts, None, lists and dicts of them.
        rows: A table for people; the first row is its head.
        files: What can be written, by the name of the option (`"png"`): a function that writes one file.
    """

    values: Mapping[str, Any]
    rows: tuple[tuple[str, ...], ...]
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


@final
class Inspection(Struct, frozen=True):
    """A way to look at a recorded run: `neuraxis inspect NAME RUN`.

    Attributes:
        help: What it shows, a sentence.
        kinds: Classes of the actors that it looks at; only these are restored.
        needs: What to do where a run has no such actor, a sentence.
        look: Looks at them; must not change them.
    """

    help: str
    kinds: tuple[type[Actor], ...]
    needs: str
    look: Callable[[Restored], Found]


class Specification:
    """All hooks. `docs/reference/hooks.md` lists them; a test keeps both in step."""

    @hookspec
    def neuraxis_register_actors(self) -> Mapping[str, type[Actor]]:  # type: ignore[empty-body]
        """Offer kinds of actors.

        Returns:
            Kind, as scenarios name it (`"ring.relay"`), to class. By custom it begins with the
            plugin's name. A kind offered twice is `DuplicateName`.

        Since: API 1.0. Suite: `neuraxis.testing.ActorSuite`.
        """

    @hookspec
    def neuraxis_register_messages(self) -> Iterable[type[Any]]:  # type: ignore[empty-body]
        """Offer message types that no port of the plugin's actors declares, but its states or effects hold.

        Returns:
            Classes registered with `@message`. Two classes with one name and version are `DuplicateName`.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_register_backends(self) -> Mapping[str, Callable[[], Backend]]:  # type: ignore[empty-body]
        """Offer backends that compute networks.

        Called before it is known which backend is wanted: heavy libraries are imported by the factory.

        Returns:
            Name, as `--backend` takes it, to factory. A name offered twice is `DuplicateName`.

        Since: API 1.0. Suite: `neuraxis_snn.testing.BackendSuite`.
        """

    @hookspec
    def neuraxis_register_transports(self) -> Mapping[str, Callable[[str], Transport]]:  # type: ignore[empty-body]
        """Offer ways between the workers of a run.

        Returns:
            Scheme of a URL, as `--transport scheme://…` takes it, to a function that makes a transport from the
            URL; it connects nowhere yet. A scheme offered twice is `DuplicateName`.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_register_launchers(self) -> Mapping[str, Callable[[], Launcher]]:  # type: ignore[empty-body]
        """Offer ways to start the workers of a run.

        Returns:
            Name, as `--launcher` takes it, to factory. A name offered twice is `DuplicateName`.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_register_migrations(self) -> Iterable[Migration]:  # type: ignore[empty-body]
        """Offer steps that bring captured states of older actors up to date.

        Returns:
            Migrations. Two steps from one version of one kind are `DuplicateName`.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_register_inspections(self) -> Mapping[str, Inspection]:  # type: ignore[empty-body]
        """Offer ways to look at a recorded run.

        Returns:
            Name, as `neuraxis inspect NAME RUN` takes it, to inspection. A name offered twice is `DuplicateName`.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_review_graph(self, graph: Graph) -> Iterable[Problem]:  # type: ignore[empty-body]
        """Look over a graph before it is wired, and object to what cannot work. Must not change it.

        Args:
            graph: All actors and channels of the scenario.

        Returns:
            Problems; any one refuses the graph before tick 0.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_simulation_opened(self, name: str, folder: Path | None, tick: int) -> None:
        """Take note that a simulation is open and stands at the end of `tick`.

        Args:
            name: Name of the scenario.
            folder: Folder of the run, or None.
            tick: 0 for a new run, later for a resumed one.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_snapshot_taken(self, tick: int, file: Path) -> None:
        """Take note that a snapshot of the end of `tick` is complete in `file`.

        Since: API 1.0.
        """

    @hookspec
    def neuraxis_simulation_closed(self, tick: int, digests: Mapping[str, str]) -> None:
        """Take note that a simulation closed at the end of `tick`, with these digests by determinism class.

        Since: API 1.0.
        """
