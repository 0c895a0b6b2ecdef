"""The network of the policy: a heterogeneous graph network in PyTorch Geometric.

    encode      by kind of node: linear; then GELU, layer norm
    2 × SAGE    256 wide, a vector for each relation, residual (Hamilton et al. 2017)
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
    from torch_geometric.nn import GATConv, MessagePassing

WIDE: Final = 256
NARROW: Final = 128
ATTENTION_HEADS: Final = 4
DROPOUT: Final = 0.2
HEADS: Final = {"policy": PLACES, "risk": 5, "value": 1, "numbers": 4, "blend": 3, "schedule": 2, "breaker": 2}
POLICIES_KEPT: Final = 4
"""Loaded networks that a process keeps: the one that decides, its successor, its predecessor, and one more."""

_ends = np.cumsum([2 * width + 1 for width in NODES.values()]).tolist()
COLUMNS: Final = {
    kind: slice(end - 2 * width - 1, end) for (kind, width), end in zip(NODES.items(), _ends, strict=True)
}
"""Where a kind of node has its values, its masks, and a one."""
COLUMN_COUNT: Final = int(_ends[-1])


@final
class Union:
    """A graph with all of its relations as one.

    Made by numpy: dozens of tiny operations cost torch ten times as much.

    Attributes:
        spans: First and last node of each kind, among all nodes.
        x: (nodes, `COLUMN_COUNT`): each kind has columns of its own, and zeros in all others.
        ends: (2, edges): from and to, among all nodes.
        kinds: (edges,): number of the relation.
        shares: (edges, 1): 1 / edges of the same relation that lead to the same node.
        features: (edges, `EDGE_FEATURES` + relations): what is told about edges, beside their relation.
    """

    def __init__(self, graph: StateGraph) -> None:
        stops = np.cumsum([len(each) for each in graph.values])
        self.spans = {
            kind: (int(stop) - len(each), int(stop))
            for kind, stop, each in zip(NODES, stops, graph.values, strict=True)
        }
        x = np.zeros((stops[-1], COLUMN_COUNT), dtype=np.float32)
        for kind, values, mask in zip(NODES, graph.values, graph.masks, strict=True):
            x[slice(*self.spans[kind]), COLUMNS[kind]] = np.hstack([values, mask, np.ones((len(values), 1))])
        ends = [
            each + np.array([[self.spans[start][0]], [self.spans[end][0]]])
            for (start, _, end), each in zip(RELATIONS, graph.edges, strict=True)
        ]
        joined = np.concatenate(ends, axis=1)
        kinds = np.repeat(np.arange(len(RELATIONS)), [each.shape[1] for each in ends])
        places = joined[1] * len(RELATIONS) + kinds
        shares = (1 / np.bincount(places)[places]).astype(np.float32)
        features = np.hstack([np.concatenate(graph.attributes), np.eye(len(RELATIONS), dtype=np.float32)[kinds]])
        self.x = torch.from_numpy(x)
        self.ends = torch.from_numpy(joined)
        self.kinds = torch.from_numpy(kinds)
        self.shares = torch.from_numpy(shares[:, None])
        self.features = torch.from_numpy(features)


class Sage(MessagePassing):
    """GraphSAGE that knows relations: what a node is, beside the sum over relations of the mean of its neighbours.

    What a neighbour says is multiplied by a vector of the relation by which it is one (Vashishth et al. 2020). A
    matrix for each relation would be nine times as many weights, and fetching them most of a decision's time.
    """

    def __init__(self) -> None:
        super().__init__(aggr="sum")
        self.relations = nn.Parameter(torch.ones(len(RELATIONS), WIDE))
        self.join = nn.Linear(2 * WIDE, WIDE)

    def forward(self, every: Tensor, union: Union) -> Tensor:
        """Return (all nodes, `WIDE`)."""
        beside = self.propagate(union.ends, x=every, relation=self.relations[union.kinds], share=union.shares)
        result: Tensor = self.join(torch.cat([every, beside], dim=1))
        return result

    def message(self, x_j: Tensor, relation: Tensor, share: Tensor) -> Tensor:
        """Return (edges, `WIDE`): what goes along each edge."""
        return x_j * relation * share


class PolicyNetwork(nn.Module):
    """From a state graph to logits, scores and a value."""

    def __init__(self) -> None:
        super().__init__()
        # one matrix, of which each kind of node sees its own columns
        self.encoder = nn.Sequential(nn.Linear(COLUMN_COUNT, WIDE, bias=False), nn.GELU(), nn.LayerNorm(WIDE))
        self.sages = nn.ModuleList(Sage() for _ in range(2))
        self.bridge = nn.Linear(WIDE, NARROW)
        self.attentions = nn.ModuleList(_attention(width) for width in (WIDE, NARROW))
        self.dropout = nn.Dropout(DROPOUT)
        self.heads = nn.Linear(NARROW, sum(HEADS.values()))
        self.seed_head = nn.Linear(NARROW, 1)
        self.blueprint_head = nn.Linear(NARROW, 1)

    def forward(self, union: Union) -> dict[str, Tensor]:
        """Return what the heads say: names of `HEADS`, and `seeds` (n,), `blueprints` (m,)."""
        every = self.encoder(union.x)
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
                bound = math.sqrt(3 / _fan_in(name, parameter)) * (0.1 if name.startswith("heads.") else 1.0)
                values = ((2 * draws - 1) * bound).astype(np.float32).reshape(tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(values))
            elif name.endswith("bias"):
                parameter.zero_()
    return network.eval()


def _fan_in(name: str, parameter: Tensor) -> int:
    """Return how many numbers a parameter adds up, in an encoder those of the widest kind of node."""
    if name.endswith(".relations"):
        return 1
    return 2 * max(NODES.values()) if name.startswith("encoder.") else parameter.shape[-1]


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
        found = network(Union(graph))
        return {name: each.double().numpy() for name, each in found.items()}
