"""The space of NAS-Bench-Graph (Qin et al. 2022, arXiv:2206.09166): graph neural networks.

Four nodes, each with one operation and one input: the features (0) or an earlier node. The outputs
of nodes that no node reads are concatenated. Nine links times 9^4 operations are 59,049 spellings
of 26,207 networks, of which the benchmark has all except the one with only skips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from .._support.errors import InputError, SpaceError
from ..space import Answer, Architecture, choose, graph_form, one_of
from .graph_layers import Arma, Cheb, Dense, Edges, Gat, Gcn, Gin, KGnn, Sage, Skip

#: The input of each of the four nodes, in the order of the published code.
LINKS = (
    "0-0-0-0",
    "0-0-0-1",
    "0-0-1-1",
    "0-0-1-2",
    "0-0-1-3",
    "0-1-1-1",
    "0-1-1-2",
    "0-1-2-2",
    "0-1-2-3",
)
#: Operations, in the order of the published code. ``graph`` is the k-GNN convolution.
OPS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
#: Decisions for the operations; the first one is ``"link"``.
NODES = ("node1", "node2", "node3", "node4")
#: Builder arguments per graph that give the recorded parameters (see ``tables/graph.py``).
GRAPHS: dict[str, dict[str, int | bool]] = {
    "cora": {"features": 1433, "classes": 7, "width": 256, "post": True},
    "citeseer": {"features": 3703, "classes": 6, "width": 256, "post": True},
    "pubmed": {"features": 500, "classes": 3, "width": 128},
    "cs": {"features": 6805, "classes": 15, "width": 128, "pre": True},
    "physics": {"features": 8415, "classes": 5, "width": 256, "pre": True},
    "photo": {"features": 745, "classes": 8, "width": 128},
    "computers": {"features": 767, "classes": 10, "width": 64, "pre": True, "post": True},
    "arxiv": {"features": 128, "classes": 40, "width": 128, "post": True},
}


@graph_form(lambda architecture: canonical(architecture), lambda a: features_of(a))
def nasbench_graph(
    features: int,
    classes: int,
    width: int = 64,
    pre: bool = False,
    post: bool = False,
    dropout: float = 0.5,
) -> nn.Module:
    """Nodes with features, and edges between them, to logits for every node.

    Each node of the network is its operation, batch norm, ReLU and dropout; ``skip`` passes its
    input on. Graphs are dense: the input is one tensor (n, nodes, nodes + features), the adjacency
    in front of the features as :func:`pack` puts them, or the pair of features
    (n, nodes, features) and adjacency (n, nodes, nodes). Logits are (n, nodes, classes). An entry
    above 0 in row i and column j is an edge from node j to node i.

    Args:
        features: of a node.
        classes: outputs.
        width: of the hidden layers; two attention heads share it, so it is even.
        pre: a linear layer before the first node.
        post: a linear layer between the last nodes and the classifier.
        dropout: share of hidden values dropped in training.
    """
    sources = [int(part) for part in choose("link", LINKS, default="0-1-2-3").split("-")]
    start = width if pre else features
    sizes, raw, layers = [start], [True], []
    for name, source in zip(NODES, sources, strict=True):
        layer = one_of(name, _options(sizes[source], width), default="gcn")
        passes = isinstance(layer, Skip)
        raw.append(raw[source] and passes)
        sizes.append(sizes[source] if passes else width)
        layers.append(layer if passes else Node(layer, width, dropout))
    # The paper's graphs pass no raw features to the output beside a layer's.
    leaves = [node for node in range(1, 5) if node not in sources]
    ends = [node for node in leaves if not raw[node]] or leaves[:1]
    before = nn.Linear(features, width) if pre else nn.Identity()
    head: list[nn.Module] = []
    last = sum(sizes[end] for end in ends)
    if post:
        head, last = [nn.Linear(last, width), nn.ReLU(), nn.Dropout(dropout)], width
    head.append(nn.Linear(last, classes))
    return GraphNetwork(features, before, layers, sources, ends, nn.Sequential(*head))


class Node(nn.Module):
    """An operation, batch norm over all nodes of all graphs, ReLU and dropout."""

    def __init__(self, layer: nn.Module, width: int, dropout: float) -> None:
        super().__init__()
        self.layer, self.norm = layer, nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        mixed: Tensor = self.layer(x, edges)
        out: Tensor = self.dropout(torch.relu(self.norm(mixed.flatten(0, 1))))
        return out.reshape(mixed.shape)


class GraphNetwork(nn.Module):
    """Layers on a tree: each has one input, and the outputs of the leaves are concatenated."""

    def __init__(
        self,
        features: int,
        before: nn.Module,
        layers: list[nn.Module],
        sources: list[int],
        ends: list[int],
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.features, self.sources, self.ends = features, sources, ends
        self.before, self.layers, self.head = before, nn.ModuleList(layers), head

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        if adjacency is None:
            adjacency, x = self.unpack(x)
        edges = Edges(adjacency)
        values = [self.before(x)]
        for layer, source in zip(self.layers, self.sources, strict=True):
            values.append(layer(values[source], edges))
        logits: Tensor = self.head(torch.cat([values[end] for end in self.ends], dim=-1))
        return logits

    def unpack(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """The adjacency and the features of a tensor (n, nodes, nodes + features).

        Raises:
            InputError: it has another shape.
        """
        nodes = packed.shape[-2] if packed.ndim == 3 else -1
        if packed.shape[-1] != nodes + self.features:
            raise InputError(
                "graph",
                f"a tensor (n, nodes, nodes + {self.features})",
                str(tuple(packed.shape)),
                "pack(x, adjacency) makes one",
            )
        return packed[..., :nodes], packed[..., nodes:]


def pack(x: Tensor, adjacency: Tensor) -> Tensor:
    """Features (..., nodes, features) and adjacency (..., nodes, nodes) as one tensor."""
    return torch.cat([adjacency.to(x.dtype).expand(*x.shape[:-1], -1), x], dim=-1)


def _options(inside: int, width: int) -> Mapping[str, Callable[[], nn.Module]]:
    kinds = (Gat, Gcn, Gin, Cheb, Sage, Arma, KGnn, Dense)
    options = {op: partial(kind, inside, width) for op, kind in zip(OPS[:-1], kinds, strict=True)}
    return {**options, "skip": Skip}


def from_row(link: str, ops: str) -> Architecture:
    """An architecture from the benchmark's notation: ``0-0-1-2`` and ``gat-gcn-fc-skip``.

    Raises:
        SpaceError: an invalid link or operation, with the node.
    """
    if link not in LINKS:
        raise SpaceError("link", f"one of {', '.join(LINKS)}", repr(link))
    parts = ops.split("-")
    if len(parts) != len(NODES):
        raise SpaceError("ops", "four operations joined by -", repr(ops))
    for name, op in zip(NODES, parts, strict=True):
        if op not in OPS:
            raise SpaceError(f"ops, {name}", f"one of {', '.join(OPS)}", repr(op))
    return Architecture({"link": link, **dict(zip(NODES, parts, strict=True))})


def to_row(architecture: Mapping[str, Answer]) -> tuple[str, str]:
    """The inverse of :func:`from_row`: the link and the operations."""
    sources, ops = _read(architecture)
    return "-".join(map(str, sources)), "-".join(ops)


def canonical(architecture: Mapping[str, Answer]) -> str:
    """A string that is the same for architectures that build the same network.

    As in the paper: the tree of operations from the features on, with unordered branches. A
    ``skip`` is left out if another node reads it, if it is the only reader of its input, or if it
    would take raw features to the output. ``gcn(fc,skip)`` outputs the result of ``gcn`` both
    directly and through a linear layer.

    Raises:
        SpaceError: an answer is missing or unknown.
    """
    return ",".join(_spell(branch) for branch in _tree(architecture))


def features_of(architecture: Mapping[str, Answer]) -> dict[str, float]:
    """Features for surrogates, the same for equal graphs.

    ``op:``, how often each operation occurs; ``pair:``, how often one reads another (``>gcn`` reads
    the features); ``depth:``, the longest path and the number of results in the output. Whole paths
    would be thousands of features, most of them of only a few architectures.
    """
    counts: Counter[str] = Counter()

    def count(branches: list[_Branch], before: str, depth: int) -> None:
        counts["depth:longest"] = max(counts["depth:longest"], depth)
        for op, inner in branches:
            counts[f"op:{op}"] += 1
            counts[f"pair:{before}>{op}"] += 1
            counts["depth:ends"] += not inner
            count(inner, op, depth + 1)

    count(_tree(architecture), "", 0)
    return {name: float(number) for name, number in counts.items()}


#: An operation and its readers.
_Branch = tuple[str, list["_Branch"]]


def _tree(architecture: Mapping[str, Answer]) -> list[_Branch]:
    """The readers of the features, without redundant skips, sorted."""
    sources, ops = _read(architecture)
    readers: list[list[int]] = [[] for _ in range(5)]
    for node, source in enumerate(sources, start=1):
        readers[source].append(node)

    def below(node: int) -> list[_Branch]:
        branches: list[_Branch] = []
        for reader in readers[node]:
            op = ops[reader - 1]
            if op != "skip":
                inner = below(reader)
                branches.append((op, [] if inner == [("skip", [])] else inner))
            elif readers[reader]:
                branches += below(reader)
            else:
                branches.append(("skip", []))
        return sorted(branches, key=_spell)

    return [branch for branch in below(0) if branch[0] != "skip"]


def _spell(branch: _Branch) -> str:
    op, inner = branch
    return f"{op}({','.join(map(_spell, inner))})" if inner else op


def _read(architecture: Mapping[str, Answer]) -> tuple[list[int], list[str]]:
    link = architecture.get("link")
    if link not in LINKS:
        raise SpaceError("link", f"one of {', '.join(LINKS)}", repr(link))
    ops = []
    for name in NODES:
        op = architecture.get(name)
        if op not in OPS:
            raise SpaceError(name, f"one of {', '.join(OPS)}", repr(op))
        ops.append(str(op))
    return [int(part) for part in str(link).split("-")], ops
