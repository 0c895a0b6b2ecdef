"""The network as an effect: a decision may be late, and a replay calls nothing.

A request carries the graph and the name of the weights; the outcome carries what the heads said. Under the live
clock it has a deadline, and a miss is an outcome like any other, so that a replay misses, too. Under the virtual
clock it is never late; how long it took goes to the log.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Final, final

import numpy as np
from msgspec import Struct

from neuraxis import Effect, message
from neuraxis_morphogenesis.blueprints.catalogue import CATALOGUE
from neuraxis_morphogenesis.policy.actions import BREAKERS, METHODS, PLACES, Action
from neuraxis_morphogenesis.policy.errors import PolicyUnusable
from neuraxis_morphogenesis.policy.graphs import EDGE_FEATURES, NODES, RELATIONS, StateGraph

_log = logging.getLogger(__name__)

BUDGET_MS: Final = 12.0
"""What an inference should take; the log tells it beside what it took. The deadline is a parameter of the actor."""


@final
@message("morphogenesis.policy_source")
class Source(Struct, frozen=True):
    """Where weights come from.

    Attributes:
        version: Name of the policy.
        seed: Of first weights, where there is no file.
        path: File of weights, or empty.
        checksum: SHA-256 of the file, hexadecimal.
    """

    version: str
    seed: int
    path: str = ""
    checksum: str = ""


@final
@message("morphogenesis.inference")
class Inference(Struct, frozen=True, kw_only=True, eq=False):
    """What the heads said.

    Attributes:
        version: Of the policy.
        logits: (32,) of actions.
        risk: (5,) logits of levels, for learning; the risk engine decides.
        value: Expected of the state.
        numbers: (4,) from -1 to 1; the first is the learning rate's exponent of 2.
        blend: (3,) logits of how alpha may rise, `actions.METHODS`.
        schedule: (2,) logits of when it begins to rise and when it is 1.
        breaker: (2,) logits of the circuit breakers that it may force, `actions.BREAKERS`.
        seeds, blueprints: A score for each.
    """

    version: str
    logits: np.ndarray
    risk: np.ndarray
    value: float
    numbers: np.ndarray
    blend: np.ndarray
    schedule: np.ndarray
    breaker: np.ndarray
    seeds: np.ndarray
    blueprints: np.ndarray

    def is_finite(self) -> bool:
        """Return whether everything it says is a finite number."""
        parts = (self.logits, self.risk, self.numbers, self.blend, self.schedule, self.breaker, self.seeds)
        return all(bool(np.isfinite(each).all()) for each in (*parts, self.blueprints, np.array(self.value)))


@final
@message("morphogenesis.infer")
class Infer(Effect, Struct, frozen=True, eq=False):
    """Asks the network about a graph.

    Attributes:
        source: Which weights.
        graph: What it is to see.
    """

    source: Source
    graph: StateGraph

    def perform(self, key: str) -> Inference:
        """Ask it.

        Raises:
            PolicyUnusable: Its weights cannot be used.
        """
        from neuraxis_morphogenesis.policy.with_torch.network import infer, network_of

        network = network_of(self.source.seed, self.source.path, self.source.checksum)
        began = time.perf_counter()
        said = infer(network, self.graph)
        took_ms = (time.perf_counter() - began) * 1e3
        _log.info("policy inferred", extra={"ms": took_ms, "budget_ms": BUDGET_MS})
        return Inference(
            version=self.source.version,
            logits=said["policy"],
            risk=said["risk"],
            value=float(said["value"][0]),
            numbers=said["numbers"],
            blend=said["blend"],
            schedule=said["schedule"],
            breaker=said["breaker"],
            seeds=said["seeds"],
            blueprints=said["blueprints"],
        )


@final
@message("morphogenesis.install_policy")
class InstallPolicy(Effect, Struct, frozen=True):
    """Writes weights to a folder, and proves that a fresh network takes them.

    Attributes:
        version: Name of the policy.
        folder: Where weights lie, named by their checksums.
        tensors: Weights, as safetensors.
    """

    version: str
    folder: str
    tensors: bytes

    def perform(self, key: str) -> Source:
        """Do it. A second time finds the file and changes nothing.

        Raises:
            PolicyUnusable: Registry, shapes or values do not fit, or the file cannot be written.
        """
        from neuraxis_morphogenesis.policy.with_torch.network import restored

        if header_of(self.tensors, name=self.version).get("registry") != registry_digest():
            raise PolicyUnusable(policy=self.version, reason="registry: it was made for other nodes, edges or actions")
        restored(self.tensors, name=self.version)
        checksum = hashlib.sha256(self.tensors).hexdigest()
        path = Path(self.folder) / f"{checksum}.safetensors"
        try:
            _write(path, self.tensors)
        except OSError as error:
            reason = f"it cannot be written to {self.folder} ({error.strerror})"
            raise PolicyUnusable(policy=self.version, reason=reason) from error
        return Source(self.version, 0, str(path), checksum)


def registry_digest() -> str:
    """Return SHA-256 of everything by which numbers get their meaning: nodes, edges, actions, blueprints."""
    actions = [PLACES, [each.name for each in Action], METHODS, BREAKERS]
    meaning = [list(NODES.items()), RELATIONS, EDGE_FEATURES, actions, list(CATALOGUE)]
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


def header_of(tensors: bytes, *, name: str) -> dict[str, str]:
    """Return the metadata of safetensors.

    Raises:
        PolicyUnusable: They are none.
    """
    size = int.from_bytes(tensors[:8], "little")
    try:
        header = json.loads(tensors[8 : 8 + size])
        found = header.get("__metadata__", {})
    except (ValueError, AttributeError) as error:
        raise PolicyUnusable(policy=name, reason="it is no safetensors file") from error
    return dict(found)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with open(fresh, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
