"""The network of the policy: a heterogeneous graph network in PyTorch Geometric.

    encode      by kind of node: linear, GELU, layer norm
    2 × SAGE    256 wide, weights of their own for each relation, residual (Hamilton et al. 2017)
    2 × GAT     128 wide, 4 heads averaged, over all relations at once; an edge tells its relation, strength, flow
                and distance; residual (Veličković et al. 2018)
    heads       policy 32, risk 5, value 1, numbers 4 (tanh), blend 3, schedule 2, breaker 2; a score for each
                seed and each blueprint

The network always evaluates: dropout is there for learning alone.

Determinism: machine.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save
from torch import Tensor, nn

from neuraxis.rng import Stream, stream_key
from neuraxis_morphogenesis.policy.actions import PLACES
from neuraxis_morphogenesis.policy.errors import PolicyUnusable
from neuraxis_morphogenesis.policy.graphs import EDGE_FEATURES, NODES, RELATIONS, StateGraph
from neuraxis_morphogenesis.policy.inference import registry_digest

with warnings.catch_warnings():  # while it loads, it calls what torch 2.13 warns of
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.nn import GATConv, SimpleConv

WIDE: Final = 256
NARROW: Final = 128
ATTENTION_HEADS: Final = 4
DROPOUT: Final = 0.2
HEADS: Final = {"policy": PLACES, "risk": 5, "value": 1, "numbers": 4, "blend": 3, "schedule": 2, "breaker": 2}
POLICIES_KEPT: Final = 4
"""Loaded networks that a process keeps: the one that decides, its successor, its predecessor, and one more."""


class Sage(nn.Module):
    """GraphSAGE by relation: what a node is, beside the mean of its neighbours by each relation that leads to it.

    The means of all relations are one pass over the edges, and each kind of node has one matrix for all of its
    relations side by side, which is the sum of a matrix for each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mean = SimpleConv(aggr="mean")
        self.joins = nn.ModuleDict({f"{kind}_": nn.Linear(WIDE * (1 + len(_leading_to(kind))), WIDE) for kind in NODES})

    def forward(self, every: Tensor, union: _Union) -> Tensor:
        """Return (all nodes, `WIDE`)."""
        means = self.mean((every, None), union.rows, size=(len(every), union.row_count))
        new = []
        for kind, (start, stop) in union.spans.items():
            beside = [means[first : first + stop - start] for first in union.firsts[kind]]
            new.append(self.joins[f"{kind}_"](torch.cat([every[start:stop], *beside], dim=1)))
        return torch.cat(new)


@final
class _Union:
    """All relations of a graph as one.

    Attributes:
        spans: First and last node of each kind, among all nodes.
        ends: (2, edges): from and to, among all nodes.
        features: (edges, 3 + relations): what is told about edges, beside their relation.
        rows: (2, edges): from, among all nodes; to, among rows with one for each node and relation that leads to it.
        row_count: How many rows there are.
        firsts: First row of each relation that leads to a kind.
    """

    def __init__(self, sizes: Mapping[str, int], edges: Sequence[Tensor], told: Sequence[Tensor]) -> None:
        self.spans, self.row_count, count = {}, 0, 0
        for kind, size in sizes.items():
            self.spans[kind] = (count, count + size)
            count += size
        self.firsts: dict[str, list[int]] = {kind: [] for kind in sizes}
        ends, rows = [], []
        # by numpy, on the same memory: dozens of tiny operations cost torch ten times as much
        pairs = [each.numpy() for each in edges]
        for (start, _, end), each in zip(RELATIONS, pairs, strict=True):
            ends.append(each + np.array([[self.spans[start][0]], [self.spans[end][0]]]))
            rows.append(each[1] + self.row_count)
            self.firsts[end].append(self.row_count)
            self.row_count += sizes[end]
        joined = np.concatenate(ends, axis=1)
        self.ends = torch.from_numpy(joined)
        self.rows = torch.from_numpy(np.stack([joined[0], np.concatenate(rows)]))
        kinds = np.repeat(np.eye(len(RELATIONS), dtype=np.float32), [each.shape[1] for each in pairs], axis=0)
        self.features = torch.cat([torch.cat(list(told)), torch.from_numpy(kinds)], dim=1)


def _leading_to(kind: str) -> tuple[str, ...]:
    return tuple(name for _, name, end in RELATIONS if end == kind)


class PolicyNetwork(nn.Module):
    """From a state graph to logits, scores and a value."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {
                f"{kind}_": nn.Sequential(nn.Linear(2 * width, WIDE), nn.GELU(), nn.LayerNorm(WIDE))
                for kind, width in NODES.items()
            }
        )
        self.sages = nn.ModuleList(Sage() for _ in range(2))
        self.bridge = nn.Linear(WIDE, NARROW)
        self.attentions = nn.ModuleList(_attention(width) for width in (WIDE, NARROW))
        self.dropout = nn.Dropout(DROPOUT)
        self.heads = nn.Linear(NARROW, sum(HEADS.values()))
        self.seed_head = nn.Linear(NARROW, 1)
        self.blueprint_head = nn.Linear(NARROW, 1)

    def forward(self, x: Sequence[Tensor], edges: Sequence[Tensor], told: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return what the heads say: names of `HEADS`, and `seeds` (n,), `blueprints` (m,).

        Args:
            x: (nodes, 2 · features) for each kind: values, then masks.
            edges: (2, edges) for each relation.
            told: (edges, 3) for each relation.
        """
        every = torch.cat([self.encoders[f"{kind}_"](each) for kind, each in zip(NODES, x, strict=True)])
        union = _Union({kind: len(each) for kind, each in zip(NODES, x, strict=True)}, edges, told)
        for sage in self.sages:
            every = every + self.dropout(torch.relu(sage(every, union)))
        attended = self.attentions[0](every, union.ends, union.features)
        every = self.bridge(every) + self.dropout(torch.relu(attended))
        every = every + self.dropout(torch.relu(self.attentions[1](every, union.ends, union.features)))
        said = self.heads(every[union.spans["global"][0]]).split(tuple(HEADS.values()))
        found = dict(zip(HEADS, said, strict=True))
        found["numbers"] = torch.tanh(found["numbers"])
        for name, kind, head in (("seeds", "seed", self.seed_head), ("blueprints", "blueprint", self.blueprint_head)):
            found[name] = head(every[slice(*union.spans[kind])]).squeeze(1)
        return found


def _attention(width: int) -> nn.Module:
    """Attention over the union of all relations; an edge tells by which it leads."""
    return GATConv(
        width,
        NARROW,
        heads=ATTENTION_HEADS,
        concat=False,
        edge_dim=EDGE_FEATURES + len(RELATIONS),
        add_self_loops=False,
    )


def fresh(seed: int) -> PolicyNetwork:
    """Return a network of first weights, evaluating.

    Matrices are uniform with variance 1 / fan-in, drawn by the name of the parameter; those of the heads are
    small, so that a policy that learned nothing prefers nothing.

    Determinism: exact (weights).
    """
    with torch.random.fork_rng(devices=[]):
        network = PolicyNetwork()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                draws = Stream(stream_key(seed, "policy", name)).at(0).random(parameter.numel())
                bound = math.sqrt(3 / parameter.shape[-1]) * (0.1 if name.startswith("heads.") else 1.0)
                values = ((2 * draws - 1) * bound).astype(np.float32).reshape(tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(values))
            elif name.endswith("bias"):
                parameter.zero_()
    return network.eval()


def stored(network: PolicyNetwork) -> bytes:
    """Return the weights as safetensors."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    return save(tensors, metadata={"registry": registry_digest()})


def restored(payload: bytes, *, name: str) -> PolicyNetwork:
    """Return a network of stored weights, evaluating.

    Raises:
        PolicyUnusable: They are no weights of this network, or not finite.
    """
    network = fresh(0)
    try:
        tensors = tensors_of(payload)
        network.load_state_dict(tensors, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise PolicyUnusable(policy=name, reason=f"shapes: {str(error)[:200]}") from error
    if not all(bool(torch.isfinite(each).all()) for each in tensors.values()):
        raise PolicyUnusable(policy=name, reason="not_finite")
    return network.eval()


@lru_cache(maxsize=POLICIES_KEPT)
def network_of(seed: int, path: str, checksum: str) -> PolicyNetwork:
    """Return the network of a seed, or that of a file. A pure function of its arguments, so that it may be kept.

    Raises:
        PolicyUnusable: The file cannot be read, or does not hash to the checksum.
    """
    if not path:
        return fresh(seed)
    try:
        payload = Path(path).read_bytes()
    except OSError as error:
        raise PolicyUnusable(policy=path, reason=f"it cannot be read ({error.strerror})") from error
    if hashlib.sha256(payload).hexdigest() != checksum:
        raise PolicyUnusable(policy=path, reason="checksum")
    return restored(payload, name=path)


def infer(network: PolicyNetwork, graph: StateGraph) -> dict[str, np.ndarray]:
    """Return what the heads say about a graph, as float64 arrays.

    Determinism: machine; no dropout, no gradient.
    """
    with torch.inference_mode():
        x = [
            torch.from_numpy(np.concatenate([values, mask.astype(np.float32)], axis=1))
            for values, mask in zip(graph.values, graph.masks, strict=True)
        ]
        # arrays of messages are read-only; torch wants its own
        edges = [torch.from_numpy(each.copy()) for each in graph.edges]
        told = [torch.from_numpy(each.copy()) for each in graph.attributes]
        found = network(x, edges, told)
        return {name: each.double().numpy() for name, each in found.items()}
