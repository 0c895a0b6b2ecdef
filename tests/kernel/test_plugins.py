"""Plugins: found by name or file, checked before they are used, and each simulation has its own."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

import neuraxis
from neuraxis import Graph, Simulation
from neuraxis.errors import DuplicateName, PluginUnusable
from neuraxis.hooks import Migration
from neuraxis.plugins import discover
from neuraxis.plugins.discover import Source, installed, load
from neuraxis.plugins.lock import content_hash, kernel_entry, lock, require_same
from neuraxis.plugins.manager import Plugins
from tests.kernel.actors import Listener, ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEAD = """\
from neuraxis import Actor, Graph, Manifest, hookimpl, message
from neuraxis.errors import Problem
from neuraxis.hooks import Migration
import attrs

MANIFEST = Manifest(name="{name}", version="1.2", uses={uses!r}, api="{api}")
"""


def source(body: str = "", *, name: str = "p", api: str = ">=1.0,<2", uses: tuple[str, ...] = ()) -> str:
    """Return the code of a plugin."""
    return HEAD.format(name=name, api=api, uses=uses) + dedent(body)


def written(folder: Path, body: str = "", *, file: str = "p.py", **facts: Any) -> str:
    """Write a plugin's file and return its name."""
    (folder / file).write_text(source(body, **facts))
    return file


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs distributions that offer plugins, into a folder of their own each."""
    before = set(sys.modules)

    def install_one(dist: str, module: str, code: str | None, *, offers: str = "", version: str = "3.1") -> Path:
        site = tmp_path / f"site-{dist}"
        info = site / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        name = offers or dist.removeprefix("neuraxis-")
        (info / "entry_points.txt").write_text(f"[neuraxis.plugins]\n{name} = {module}\n")
        file = site.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.parent != site:
            (file.parent / "__init__.py").touch()
        if code is not None:
            file.write_text(code)
        monkeypatch.syspath_prepend(str(site))
        return site

    yield install_one
    for name in set(sys.modules) - before:
        if name.startswith("nxtest"):
            del sys.modules[name]


def refused(name: str, folder: Path | None = None) -> str:
    """Return what is said when a plugin cannot be used."""
    with pytest.raises(PluginUnusable) as found:
        Plugins([name], beside=folder)
    assert found.value.plugin == name
    return found.value.message()


OFFERS_EAR = """
class Ear(Actor):
    pass

@hookimpl
def neuraxis_register_actors():
    return {"p.ear": Ear}
"""


# ----------------------------------------------------------------------------- discovery


def test_file_beside_a_scenario_is_a_plugin(tmp_path: Path) -> None:
    name = written(tmp_path, OFFERS_EAR)
    plugins = Plugins([name], beside=tmp_path)
    (loaded,) = plugins.loaded
    assert loaded.source == Source("p.py", "p.py", "1.2", "neuraxis_scenario_p", tmp_path / "p.py")
    assert loaded.manifest.name == "p"
    assert plugins.actors == {"p.ear": loaded.module.Ear}


def test_file_may_lie_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    written(tmp_path / "deep", OFFERS_EAR)
    (tmp_path / "scenario").mkdir()
    assert Plugins(["../deep/p.py"], beside=tmp_path / "scenario").actors.keys() == {"p.ear"}


def test_installed_distribution_is_found_by_its_entry_point(install: Callable[..., Path]) -> None:
    site = install("neuraxis-one", "nxtest_one.plugin", source(OFFERS_EAR, name="one"))
    plugins = Plugins(["one"])
    assert plugins.actors.keys() == {"p.ear"}
    assert plugins.loaded[0].source == Source("one", "neuraxis-one", "3.1", "nxtest_one.plugin", site / "nxtest_one")
    assert "one" in installed()


def test_plugin_that_is_one_module_has_that_file_as_its_content(install: Callable[..., Path]) -> None:
    site = install("neuraxis-flat", "nxtest_flat", source(name="flat"))
    (site / "unrelated.py").write_text("x = 1\n")
    assert Plugins(["flat"]).loaded[0].source.root == site / "nxtest_flat.py"


def test_plugin_that_is_a_whole_package_has_its_folder_as_its_content(install: Callable[..., Path]) -> None:
    site = install("neuraxis-whole", "nxtest_whole.__init__", source(name="whole"), offers="unused")
    info = next(site.glob("*.dist-info"))
    (info / "entry_points.txt").write_text("[neuraxis.plugins]\nwhole = nxtest_whole\n")
    (site / "nxtest_whole" / "__init__.py").write_text(source(name="whole"))
    assert Plugins(["whole"]).loaded[0].source.root == site / "nxtest_whole"


def test_installed_plugin_that_is_not_named_is_not_loaded(install: Callable[..., Path]) -> None:
    install("neuraxis-bomb", "nxtest_bomb.plugin", "raise SystemExit('must not be imported')")
    assert Plugins().loaded == []
    assert Plugins().actors == {}


def test_plugin_that_nobody_offers_is_refused_with_the_nearest(install: Callable[..., Path]) -> None:
    install("neuraxis-nearby", "nxtest_nearby.plugin", source(name="nearby"))
    said = refused("nearbi")
    assert "no installed package offers it. Did you mean 'nearby'? Install the package" in said


def test_file_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, file="relays.py")
    assert f"there is no file {tmp_path / 'relay.py'}. Did you mean 'relays.py'?" in refused("relay.py", tmp_path)
    assert "Restore it, or correct its name." in refused("gone/relay.py", tmp_path)


def test_two_distributions_that_offer_one_name_are_both_named(install: Callable[..., Path]) -> None:
    install("neuraxis-a", "nxtest_a.plugin", source(name="twin"), offers="twin")
    install("neuraxis-b", "nxtest_b.plugin", source(name="twin"), offers="twin")
    with pytest.raises(PluginUnusable, match=r"offered by neuraxis-a and by neuraxis-b. Uninstall one of them."):
        load("twin", None)


def test_distribution_that_is_found_twice_is_one(install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    site = install("neuraxis-same", "nxtest_same.plugin", source(name="same"))
    monkeypatch.syspath_prepend(str(site) + "/.")
    assert load("same", None).manifest.name == "same"


def test_entry_point_without_distribution_is_named_by_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points = [EntryPoint("lone", value, discover.GROUP) for value in ("nxtest_x", "nxtest_y")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    with pytest.raises(PluginUnusable, match="offered by nxtest_x and by nxtest_y"):
        installed()


# ------------------------------------------------------------------------------ manifests


def test_module_without_manifest_is_refused(tmp_path: Path, install: Callable[..., Path]) -> None:
    for code in ("", "MANIFEST = {'name': 'p'}"):
        (tmp_path / "p.py").write_text(code)
        assert "neuraxis_scenario_p has no MANIFEST. Add MANIFEST = neuraxis.Manifest(" in refused("p.py", tmp_path)
    install("neuraxis-bare", "nxtest_bare.plugin", "")
    assert "module nxtest_bare.plugin has no MANIFEST" in refused("bare")


@pytest.mark.parametrize("api", [">=1.0,<2", ">=1", "<=1.0", "==1.0", "==1.0.0", ">0.9", " >= 1.0 , < 1.1 ", "<10"])
def test_plugin_for_this_api_is_accepted(tmp_path: Path, api: str) -> None:
    written(tmp_path, api=api)
    assert Plugins(["p.py"], beside=tmp_path).loaded


@pytest.mark.parametrize("api", [">=2", "<1", ">1.0", "==1.1", ">=1.1,<2", ">=1.0,<1.0", "", "1.0", "~=1.0", ">=1.x"])
def test_plugin_for_another_api_is_refused(tmp_path: Path, api: str) -> None:
    written(tmp_path, api=api)
    assert f"it is made for API {api}, this is 1.0. Install a version of the plugin" in refused("p.py", tmp_path)


def test_manifest_with_another_name_than_the_entry_point_is_refused(install: Callable[..., Path]) -> None:
    install("neuraxis-outer", "nxtest_outer.plugin", source(name="inner"))
    assert "neuraxis-outer offers it, but its manifest names it 'inner'. Give" in refused("outer")


# -------------------------------------------------------------------------- broken plugins


def test_file_that_fails_to_import_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("import math\n\ndef fail():\n    return 1 / 0\n\nfail()\n")
    said = refused("p.py", tmp_path)
    assert f"{tmp_path / 'p.py'}:4 fails to import: ZeroDivisionError: division by zero. Correct the file." in said
    (tmp_path / "p.py").write_text("x = 1\ny = = 2\n")
    assert f"{tmp_path / 'p.py'}:2 fails to import: SyntaxError" in refused("p.py", tmp_path)
    (tmp_path / "p.py").write_text("import nxtest_absent_library\n")
    assert "p.py:1 fails to import: ModuleNotFoundError: No module named 'nxtest_absent" in refused("p.py", tmp_path)
    assert "neuraxis_scenario_p" not in sys.modules


def test_distribution_that_fails_to_import_is_named(install: Callable[..., Path]) -> None:
    install("neuraxis-broken", "nxtest_broken.plugin", "raise RuntimeError('out of order')")
    assert "neuraxis-broken fails to import: RuntimeError: out of order. Repair or reinstall it" in refused("broken")
    install("neuraxis-hollow", "nxtest_hollow.plugin", None)
    assert "neuraxis-hollow fails to import: ModuleNotFoundError" in refused("hollow")


def test_broken_plugin_breaks_only_what_names_it(install: Callable[..., Path]) -> None:
    install("neuraxis-broken", "nxtest_broken.plugin", "raise RuntimeError('out of order')")
    install("neuraxis-fine", "nxtest_fine.plugin", source(OFFERS_EAR, name="fine"))
    assert Plugins(["fine"]).actors.keys() == {"p.ear"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("@hookimpl\nasync def neuraxis_register_actors():\n    return {}\n", "hook neuraxis_register_actors is async"),
        ("@hookimpl\ndef neuraxis_register_actorz():\n    return {}\n", "unknown hook 'neuraxis_register_actorz'"),
        ("@hookimpl\ndef neuraxis_review_graph(graf):\n    return []\n", "graf"),
    ],
)
def test_hook_that_cannot_be_called_is_refused(tmp_path: Path, body: str, said: str) -> None:
    written(tmp_path, body)
    assert said in refused("p.py", tmp_path)


def test_async_function_that_is_no_hook_is_left_alone(tmp_path: Path) -> None:
    written(tmp_path, OFFERS_EAR + "\nasync def helper():\n    return 1\n")
    assert Plugins(["p.py"], beside=tmp_path).actors


@pytest.mark.parametrize(
    ("hook", "body", "said"),
    [
        ("actors", "raise KeyError('lost')", "its hook neuraxis_register_actors raised KeyError: 'lost'"),
        ("actors", "return None", "neuraxis_register_actors raised TypeError"),
        ("actors", "return {'p.x': 3}", "as kind of actor 'p.x' it offers 3, which is none"),
        ("actors", "return {'p.x': Graph}", "as kind of actor 'p.x' it offers <class"),
        ("backends", "return {'fast': None}", "as backend 'fast' it offers None, which is none"),
        ("messages", "return None", "neuraxis_register_messages raised TypeError"),
        ("messages", "return [Graph]", "as message type it offers <class 'neuraxis.graph.Graph'>, which is none"),
        ("messages", "return ['x']", "as message type it offers 'x', which is none"),
        ("messages", "yield Actor\n    raise ValueError('late')", "raised ValueError: late"),
        ("migrations", "return [3]", "as migration it offers 3, which is none"),
    ],
)
def test_hook_that_offers_nonsense_is_refused_with_the_plugin_named(
    tmp_path: Path, hook: str, body: str, said: str
) -> None:
    written(tmp_path, f"@hookimpl\ndef neuraxis_register_{hook}():\n    {body}\n")
    assert said in refused("p.py", tmp_path)


# ---------------------------------------------------------------------- uses and duplicates


def test_plugins_that_a_plugin_uses_are_loaded_with_it(tmp_path: Path) -> None:
    written(tmp_path, file="a.py", uses=("b.py",))
    written(tmp_path, file="b.py", uses=("c.py", "a.py"))
    written(tmp_path, OFFERS_EAR, file="c.py")
    plugins = Plugins(["a.py"], beside=tmp_path)
    assert [each.source.name for each in plugins.loaded] == ["a.py", "b.py", "c.py"]
    assert plugins.actors.keys() == {"p.ear"}
    written(tmp_path, file="b.py", uses=("gone.py",))
    with pytest.raises(PluginUnusable, match=r"there is no file .*gone\.py"):
        Plugins(["a.py"], beside=tmp_path)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (OFFERS_EAR, "kind of actor 'p.ear'"),
        ("@hookimpl\ndef neuraxis_register_backends():\n    return {'fast': lambda: 1}\n", "backend 'fast'"),
        (
            '@message("note", version=2)\n@attrs.frozen\nclass Note:\n    x: int\n\n'
            "@hookimpl\ndef neuraxis_register_messages():\n    return [Note]\n",
            "message type 'note/2'",
        ),
        (
            "@hookimpl\ndef neuraxis_register_migrations():\n    return [Migration('ear', 3, dict, '')]\n",
            "migration 'ear from version 3'",
        ),
        (
            "from neuraxis.hooks import Inspection\n@hookimpl\ndef neuraxis_register_inspections():\n"
            "    return {'sounds': Inspection('', (), '', print)}\n",
            "inspection 'sounds'",
        ),
    ],
)
def test_two_plugins_that_offer_one_name_are_both_named(tmp_path: Path, body: str, what: str) -> None:
    written(tmp_path, body, file="a.py")
    written(tmp_path, body, file="b.py")
    for order in (["a.py", "b.py"], ["b.py", "a.py"]):
        with pytest.raises(DuplicateName, match=f"^.NX106. {what} is offered by a.py and by b.py. Name only one"):
            Plugins(order, beside=tmp_path)


def test_one_class_that_two_plugins_offer_is_no_duplicate(tmp_path: Path) -> None:
    body = (
        "from tests.kernel.actors import Listener, Point\nSTEP = Migration('ear', 1, dict, '')\n"
        "@hookimpl\ndef neuraxis_register_actors():\n    return {'ear': Listener}\n"
        "@hookimpl\ndef neuraxis_register_messages():\n    return [Point]\n"
    )
    written(tmp_path, body, file="a.py")
    written(tmp_path, body, file="b.py")
    plugins = Plugins(["a.py", "b.py"], beside=tmp_path)
    assert plugins.actors == {"ear": Listener}
    assert list(plugins.messages) == [("test-point", 1)]


def test_what_plugins_offer_is_sorted_by_name_whatever_the_order(tmp_path: Path) -> None:
    for file in ("c.py", "a.py", "b.py"):
        written(tmp_path, OFFERS_EAR.replace("p.ear", f"{'cab'.index(file[0])}.ear"), file=file)
    for order in (["c.py", "a.py", "b.py"], ["b.py", "c.py", "a.py"]):
        plugins = Plugins(order, beside=tmp_path)
        assert [each.source.name for each in plugins.loaded] == ["a.py", "b.py", "c.py"]
        assert list(plugins.actors) == ["0.ear", "1.ear", "2.ear"]


# ------------------------------------------------------------------------ backends, migrations


def test_backend_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    written(
        tmp_path,
        "made = []\n@hookimpl\ndef neuraxis_register_backends():\n"
        "    return {'fast': lambda: made.append(1) or 'the backend'}\n",
    )
    plugins = Plugins(["p.py"], beside=tmp_path)
    assert plugins.loaded[0].module.made == []
    assert plugins.backend("fast") == "the backend"
    with pytest.raises(PluginUnusable, match=r"no loaded plugin offers a backend of that name. Did you mean 'fast'\?"):
        plugins.backend("fasd")


def test_migrations_are_found_by_kind_and_version(tmp_path: Path) -> None:
    written(
        tmp_path,
        "@hookimpl\ndef neuraxis_register_migrations():\n"
        "    return (Migration('ear', version, dict, 'a note') for version in (1, 2))\n",
    )
    found = Plugins(["p.py"], beside=tmp_path).migrations
    assert found == {("ear", version): Migration("ear", version, dict, "a note") for version in (1, 2)}


# --------------------------------------------------------------------------------- review


def test_plugins_may_object_to_a_graph(tmp_path: Path) -> None:
    objects = (
        "@hookimpl\ndef neuraxis_review_graph(graph):\n"
        "    return [Problem(where='', key=each.path, got='', expected='{}') for each in graph.actors]\n"
    )
    written(tmp_path, objects.format("First."), file="a.py")
    written(tmp_path, objects.format("Second."), file="b.py")
    written(tmp_path, "@hookimpl\ndef neuraxis_review_graph():\n    return None\n", file="c.py")
    graph = Graph("g")
    graph.add("ear", Listener)
    found = Plugins(["b.py", "c.py", "a.py"], beside=tmp_path).review(graph)
    assert [(each.key, each.expected) for each in found] == [("ear", "First."), ("ear", "Second.")]
    assert Plugins().review(graph) == []


# ------------------------------------------------------------------------------- observers


def test_observers_hear_of_opening_snapshots_and_closing(tmp_path: Path) -> None:
    written(
        tmp_path,
        """
        heard = []

        @hookimpl
        def neuraxis_simulation_opened(name, folder, tick):
            heard.append(("opened", name, folder, tick))

        @hookimpl
        def neuraxis_snapshot_taken(tick, file):
            heard.append(("snapshot", tick, file.exists(), file.name))

        @hookimpl
        def neuraxis_simulation_closed(digests, tick):
            heard.append(("closed", tick, digests))
        """,
    )
    plugins = Plugins(["p.py"], beside=tmp_path)
    with Simulation(ring(3), folder=tmp_path / "run", plugins=plugins) as sim:
        sim.advance(5)
        sim.snapshot()
        sim.advance(1)
    sim.close()
    assert plugins.loaded[0].module.heard == [
        ("opened", "ring", tmp_path / "run", 0),
        ("snapshot", 5, True, "000000000005.nxs"),
        ("closed", 6, sim.digests),
    ]


# ------------------------------------------------------------------------------- isolation


def test_managers_of_two_simulations_share_nothing(tmp_path: Path) -> None:
    written(
        tmp_path,
        OFFERS_EAR + "\nheard = []\n@hookimpl\ndef neuraxis_simulation_closed(tick):\n    heard.append(tick)\n",
    )
    one, two, none = Plugins(["p.py"], beside=tmp_path), Plugins(["p.py"], beside=tmp_path), Plugins()
    assert one.actors["p.ear"] is not two.actors["p.ear"]
    one.notify("simulation_closed", tick=3, digests={})
    none.notify("simulation_closed", tick=4, digests={})
    assert (one.loaded[0].module.heard, two.loaded[0].module.heard) == ([3], [])
    assert none.actors == {}
    one.actors.clear()
    assert two.actors


# ------------------------------------------------------------------------------------ lock


def test_lock_names_the_kernel_and_every_plugin_with_its_content(tmp_path: Path) -> None:
    written(tmp_path, file="b.py")
    written(tmp_path, file="a.py")
    found = Plugins(["b.py", "a.py"], beside=tmp_path).lock()
    assert [(each["name"], each["version"]) for each in found] == [
        ("neuraxis", neuraxis.__version__),
        ("a.py", "1.2"),
        ("b.py", "1.2"),
    ]
    assert found[0] == kernel_entry()
    assert all(len(each["sha256"]) == 64 for each in found)


def test_content_hash_changes_with_the_code_and_with_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "deep").mkdir(parents=True)
    (package / "a.py").write_text("x = 1\n")
    (package / "deep" / "b.py").write_text("y = 1\n")
    first = content_hash(package)
    (package / "notes.txt").write_text("not code")
    (package / "__pycache__").mkdir()
    assert content_hash(package) == first
    package.rename(tmp_path / "moved")
    package = tmp_path / "moved"
    assert content_hash(package) == first
    (package / "a.py").rename(package / "c.py")
    second = content_hash(package)
    (package / "deep" / "b.py").write_text("y = 2\n")
    third = content_hash(package)
    (package / "deep" / "b.py").rename(package / "b.py")
    assert len({first, second, third, content_hash(package)}) == 4
    assert content_hash(package / "b.py") != content_hash(package / "c.py")


def entry(name: str, version: str = "1", sha256: str = "ab") -> dict[str, str]:
    return {"name": name, "version": version, "sha256": sha256}


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ([entry("k")], "plugin 'p': the run was made with it, but it is not loaded now"),
        ([entry("k"), entry("p", "2")], "plugin 'p': the run was made with version 1, here is 2"),
        ([entry("k"), entry("p", sha256="cd")], r"'p': its code differs from the one that made the run \(version 1\)"),
        ([entry("k", "0"), entry("p")], "plugin 'k': the run was made with version 1, here is 0"),
    ],
)
def test_code_that_differs_from_the_lock_is_named(present: list[dict[str, str]], said: str) -> None:
    with pytest.raises(PluginUnusable, match=said + ".*Install the code that made the run; .* --accept-changes"):
        require_same([entry("k"), entry("p")], present)


def test_code_that_is_the_locked_one_is_accepted(tmp_path: Path) -> None:
    written(tmp_path)
    plugins = Plugins(["p.py"], beside=tmp_path)
    require_same(plugins.lock(), Plugins(["p.py"], beside=tmp_path).lock())
    require_same(plugins.lock(), lock(each.source for each in plugins.loaded))
    locked = plugins.lock()
    written(tmp_path, "x = 1\n")
    with pytest.raises(PluginUnusable, match=r"plugin 'p\.py': its code differs"):
        require_same(locked, Plugins(["p.py"], beside=tmp_path).lock())
