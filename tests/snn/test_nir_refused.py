"""Wrong NIR graphs and hostile files: each is refused with the node, the reason and the remedy."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis.errors import ExtraMissing
from neuraxis_snn import NetworkInvalid
from neuraxis_snn.nir_graphs import NirUnusable, read_nir
from neuraxis_snn.nir_graphs import errors as doors
from neuraxis_snn.nir_graphs.linear import SYNAPSES_MAX
from tests.snn.nir_graphs import MS, chain, full, graph_of, h5py, lif, nir

# ------------------------------------------------------------------------------ wrong graphs


def wrong_graphs() -> dict[str, tuple[Any, str]]:
    inputs, outputs = nir.Input({"input": np.array([1])}), nir.Output({"output": np.array([1])})
    li = nir.LI(tau=full(1, MS * 4), r=full(1, 1.0), v_leak=full(1, 0.0))
    conv = nir.Conv2d(None, np.ones((1, 1, 9, 9)), 1, 0, 1, 1, np.zeros(1))
    image = {"input": nir.Input({"input": np.array([1, 4, 4])}), "conv": conv, "n": lif(1), "output": outputs}
    bad_output = chain(1, lif(1))
    bad_output.nodes["output"] = nir.Output({"output": np.array([3])})
    one = {"input": inputs, "n": lif(1), "output": outputs}
    large = chain(1, lif(1))
    large.nodes["input"] = nir.Input({"input": np.array([2**20, 2**20])})
    return {
        "nothing": (graph_of({}), "no input"),
        "no neurons": (chain(1, nir.Scale(full(1, 2.0))), "no input, or no neurons"),
        "no output": (graph_of({"input": inputs, "n": lif(1)}, ("input", "n")), "no output"),
        "threshold": (chain(1, nir.Threshold(full(1, 1.0))), r"'n0' \(Threshold\): the engine has no such nodes"),
        "shape": (chain(2, nir.Linear(np.ones((1, 3))), lif(1), out=1), r"it takes \(3,\) and gets \(2,\)"),
        "neuron shape": (chain(2, lif(3), out=3), r"has the shape \(3,\) and gets \(2,\)"),
        "output shape": (bad_output, r"has the shape \(3,\) and gets \(1,\)"),
        "matrix": (chain(2, nir.Linear(np.ones((2, 1, 2))), lif(1)), "Use a matrix"),
        "bias": (chain(1, nir.Affine(np.ones((1, 1)), np.ones(3)), lif(1)), "its bias has the shape"),
        "scale": (chain(1, nir.Scale(np.ones(3)), lif(1)), "its scale has the shape"),
        "nan weight": (chain(1, nir.Linear(np.full((1, 1), np.nan)), lif(1)), "weight has a value that is not finite"),
        "tiny weight": (chain(1, nir.Linear(np.full((1, 1), 5e-324)), lif(1)), "too small"),
        "inf tau": (chain(1, lif(1, tau=np.inf)), "tau has a value that is not finite"),
        "zero tau": (chain(1, lif(1, tau=0.0)), "not above 0"),
        "short tau": (chain(1, lif(1, tau=0.4 * MS)), "diverges"),
        "nan threshold": (chain(1, lif(1, v_threshold=np.nan)), "v_threshold has a value that is not finite"),
        "odd delay": (chain(1, nir.Delay(full(1, 1.5 * MS)), lif(1)), r"1\.5000 steps"),
        "negative delay": (chain(1, nir.Delay(full(1, -MS)), lif(1)), "steps"),
        "long delay": (chain(1, nir.Delay(full(1, 1e6)), lif(1)), "must be kept"),
        "delayed bias": (
            chain(1, nir.Affine(np.eye(1), full(1, 1.0)), nir.Delay(full(1, MS)), lif(1)),
            "Put the bias behind",
        ),
        "value to neurons": (chain(1, li, lif(1)), "sends values, not spikes"),
        "sums to output": (chain(1, lif(1), nir.Scale(full(1, 2.0))), "sums of spikes"),
        "edge to nowhere": (graph_of({"input": inputs, "n": lif(1)}, ("input", "m")), "Did you mean|Known"),
        "edge twice": (graph_of({"input": inputs, "n": lif(1)}, ("input", "n"), ("input", "n")), "two edges"),
        "edge to input": (
            graph_of(one, ("input", "n"), ("n", "input"), ("n", "output")),
            "Remove the edge",
        ),
        "edge from output": (
            graph_of(one, ("input", "n"), ("output", "n"), ("n", "output")),
            "leads away",
        ),
        "lonely linear": (
            graph_of({**chain(1, lif(1)).nodes, "w": nir.Linear(np.eye(1))}, ("w", "n0"), ("n0", "output")),
            "nothing arrives",
        ),
        "large kernel": (graph_of(image, ("input", "conv"), ("conv", "n"), ("n", "output")), "larger than the image"),
        "large input": (large, f"at most {SYNAPSES_MAX:,}"),
        "no numbers": (chain(1, nir.Scale(np.array(["x"])), lif(1)), "Use numbers"),
        "flatten": (chain(1, nir.Flatten({"input": np.array([1])}, 0, 5), lif(1)), "Correct start_dim"),
    }


@pytest.mark.parametrize("name", wrong_graphs())
def test_a_wrong_graph_is_refused_with_node_reason_and_remedy(name: str) -> None:
    graph, complaint = wrong_graphs()[name]
    with pytest.raises(NirUnusable, match=complaint) as error:
        read_nir(graph, dt="1 ms")
    assert str(error.value).endswith((".", "?"))
    assert error.value.exit_code == 2


def test_a_step_that_is_none_and_an_object_that_is_no_graph_are_refused() -> None:
    with pytest.raises(NetworkInvalid, match="dt"):
        read_nir(chain(1, lif(1)), dt="0 ms")
    with pytest.raises(NirUnusable, match="it is a int"):
        read_nir(3, dt="1 ms")
    with pytest.raises(NirUnusable, match="Use refuse or one-step"):
        read_nir(chain(1, lif(1)), dt="1 ms", cycles="maybe")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ hostile files


def written(change: Callable[[Any], None] = lambda _: None, graph: Any = None) -> bytes:
    """Return a NIR file, after something was done to it."""
    content = io.BytesIO()
    nir.write(content, graph or chain(1, nir.Linear(np.eye(1)), lif(1)))
    with h5py.File(content, "r+") as file:
        change(file)
    return content.getvalue()


def replace(place: str, value: Any, **how: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[place]
        file.create_dataset(place, data=value, **how)

    return change


def huge(file: Any) -> None:
    del file["node/nodes/n0/weight"]
    file.create_dataset("node/nodes/n0/weight", shape=(2**40, 2**40), dtype="f8", chunks=(1024, 1024))


def soft_link(file: Any) -> None:
    file["node/nodes/again"] = h5py.SoftLink("/node/nodes/n0")


def external_link(file: Any) -> None:
    file["node/nodes/other"] = h5py.ExternalLink("/etc/passwd", "/")


def external_array(file: Any) -> None:
    del file["node/nodes/n0/weight"]
    file.create_dataset("node/nodes/n0/weight", shape=(1, 1), dtype="f8", external=[("/etc/hostname", 0, 8)])


def contains_itself(file: Any) -> None:
    file["node/nodes/n0/self"] = file["node/nodes"]


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no NIR graph, or damaged"),
    "text": (b"import os", "no NIR graph, or damaged"),
    "cut": (written()[: len(written()) // 2], "no NIR graph, or damaged"),
    "no version": (written(lambda file: file.__delitem__("version")), "no version"),
    "future version": (written(replace("version", "7.0.0")), "version '7.0.0'"),
    "odd version": (written(replace("version", 3)), "version '3'"),
    "no graph": (written(replace("node/type", "LIF")), "outermost node"),
    "unknown node": (written(replace("node/nodes/n1/type", "Izhikevich")), r"node 'n1' \(Izhikevich\)"),
    "no node": (written(replace("node/nodes/n1/type", "Any")), "no nodes of the type 'Any'"),
    "unknown attribute": (written(lambda file: file.create_dataset("node/nodes/n1/x", data=1)), "damaged"),
    "missing attribute": (written(lambda file: file.__delitem__("node/nodes/n1/tau")), "damaged"),
    "mismatched attribute": (written(replace("node/nodes/n1/tau", np.ones(4))), "damaged"),
    "text for numbers": (written(replace("node/nodes/n0/weight", "x")), "damaged"),
    "complex numbers": (written(replace("node/nodes/n0/weight", np.ones((1, 1), complex))), "Use numbers and texts"),
    "odd edges": (written(replace("node/edges", np.ones((2, 3)))), "damaged"),
    "huge": (written(huge), "more than 4,294,967,296 bytes"),
    "soft link": (written(soft_link), "is a link"),
    "external link": (written(external_link), "is a link"),
    "external array": (written(external_array), "lies in another file"),
    "contains itself": (written(contains_itself), "deeper than|more than"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    content, complaint = HOSTILE[name]
    (tmp_path / "x.nir").write_bytes(content)
    with pytest.raises(NirUnusable, match=complaint):
        read_nir(tmp_path / "x.nir", dt="1 ms")


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_file_with_wrong_bytes_gives_a_network_or_a_typed_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(GOOD)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("wrong") / "x.nir"
    path.write_bytes(content)
    with suppress(NirUnusable):  # anything else fails the test
        assert read_nir(path, dt="1 ms").inputs


GOOD = written()


def test_a_missing_file_and_a_missing_library_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NirUnusable, match="cannot be read"):
        read_nir(tmp_path / "none.nir", dt="1 ms")

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(doors.importlib, "import_module", absent)
    with pytest.raises(ExtraMissing, match=r"neuraxis\[nir\]"):
        read_nir(tmp_path / "none.nir", dt="1 ms")
