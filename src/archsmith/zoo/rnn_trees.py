"""Language models on recurrent cells that are trees of gated nodes: the spaces of ENAS and DARTS.

A node reads one earlier node ``s`` and gives ``s + c * (h - s)`` with ``c = sigmoid(gate(s))`` and
``h = activation(value(s))``, a highway connection. Node 0 reads the input as well, and the hidden
state is its ``s``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..space import Answer, Architecture, choose, scope
from .language import LanguageModel
from .mixers import Carried

#: What a node may compute, by the published names.
OPS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
#: Activation and source of each node after node 0.
Genotype = tuple[tuple[str, int], ...]

#: Both as the authors of DARTS published them.
DARTS_V1: Genotype = (
    *(("relu", 0), ("relu", 1), ("tanh", 2), ("relu", 3)),
    *(("relu", 4), ("identity", 1), ("relu", 5), ("relu", 1)),
)
DARTS_V2: Genotype = (
    *(("sigmoid", 0), ("relu", 1), ("relu", 1), ("identity", 1)),
    *(("tanh", 2), ("sigmoid", 5), ("tanh", 3), ("relu", 5)),
)
#: The cell of ENAS, whose node 0 is ``tanh``.
ENAS: Genotype = (
    *(("tanh", 0), ("tanh", 1), ("relu", 1), ("tanh", 3), ("tanh", 3), ("relu", 3)),
    *(("relu", 4), ("relu", 7), ("relu", 8), ("relu", 8), ("relu", 8)),
)


def enas_rnn(
    vocabulary: int,
    widths: Sequence[int] = (96, 128, 192),
    nodes: int = 12,
    dropout: float = 0.1,
    tied: bool = True,
) -> nn.Module:
    """The recurrent space of ENAS (Pham et al. 2018, arXiv:1802.03268): tokens int64 (n, t) to
    logits (n, t, vocabulary).

    Each node has one of four activations and one earlier source; the output is the mean of the
    nodes that no node reads. There are 4^12 * 11! = 10^15 cells with 12 nodes. Where weights are
    shared, each pair of source and node has a matrix of its own, as in the paper. The default is
    the beginning of the published cell.

    Args:
        vocabulary: number of tokens.
        widths: of the embedding and the hidden state.
        nodes: of the cell, from 1 to 12.
        dropout: rate of dropout of the embedding and the output.
        tied: use one matrix for the embedding and the logits.
    """
    width: int = choose("width", widths, widths[-1])
    with scope("node0"):
        first: str = choose("op", list(OPS))
    cell = TreeCell(width, first, _ask(ENAS[: nodes - 1]), loose=True)
    return _model(vocabulary, width, cell, dropout, tied)


def darts_rnn(
    vocabulary: int,
    widths: Sequence[int] = (96, 128, 192),
    nodes: int = 8,
    dropout: float = 0.1,
    tied: bool = True,
) -> nn.Module:
    """The recurrent space of DARTS (Liu et al. 2019, arXiv:1806.09055): tokens int64 (n, t) to
    logits (n, t, vocabulary).

    After node 0, a ``tanh``, each node has one of four activations and one earlier source; the
    output is the mean of all nodes but that one. There are 4^8 * 8! = 10^9 cells with 8 nodes. A
    node has one matrix for all its sources. The default is the beginning of :data:`DARTS_V2`.

    Args:
        vocabulary, widths, dropout, tied: as of :func:`enas_rnn`.
        nodes: of the cell after node 0, from 1 to 8.
    """
    width: int = choose("width", widths, widths[-1])
    cell = TreeCell(width, "tanh", _ask(DARTS_V2[:nodes]), loose=False)
    return _model(vocabulary, width, cell, dropout, tied)


def from_genotype(genotype: Genotype, width: int, first: str = "") -> Architecture:
    """The architecture of a published cell.

    Args:
        first: activation of node 0, for :func:`enas_rnn`.
    """
    answers: dict[str, Answer] = {"width": width} | ({"node0.op": first} if first else {})
    for number, (op, source) in enumerate(genotype, start=1):
        answers |= {f"node{number}.op": op, f"node{number}.source": source}
    return Architecture(answers)


def _ask(usual: Genotype) -> Genotype:
    found = []
    for number, (op, source) in enumerate(usual, start=1):
        with scope(f"node{number}"):
            chosen: str = choose("op", list(OPS), op)
            found.append((chosen, choose("source", list(range(number)), source)))
    return tuple(found)


def _model(vocabulary: int, width: int, cell: TreeCell, dropout: float, tied: bool) -> nn.Module:
    layers, end = nn.Sequential(TreeLayer(width, cell)), nn.Dropout(dropout)
    return LanguageModel(vocabulary, width, layers, end, dropout, tied)


class TreeLayer(Carried):
    """A recurrent layer, (n, t, width) to (n, t, width); the state is the hidden one (n, width)."""

    def __init__(self, width: int, cell: TreeCell) -> None:
        super().__init__()
        self.input, self.cell = nn.Linear(width, 2 * width, bias=False), cell

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden: Tensor = torch.zeros_like(x[:, 0]) if state is None else state
        outputs = []
        for given in self.input(x).unbind(1):
            hidden = self.cell(given, hidden)
            outputs.append(hidden)
        return torch.stack(outputs, 1), hidden


class TreeCell(nn.Module):
    """One step: what the input gives to gate and value of node 0, (n, 2 * width), and the hidden
    state (n, width), to the next one.

    Args:
        first: activation of node 0.
        genotype: of the nodes after it.
        loose: whether the output is the mean of the nodes that no node reads, and each pair of
            nodes has a matrix of its own; otherwise it is that of all nodes but node 0.
    """

    def __init__(self, width: int, first: str, genotype: Genotype, loose: bool) -> None:
        super().__init__()
        self.first, self.genotype = first, genotype
        # One matrix for gate and value, as published.
        self.hidden = nn.Linear(width, 2 * width, bias=False)
        self.names = [f"{i}_{s}" if loose else f"{i}" for i, (_, s) in enumerate(genotype, 1)]
        self.nodes = nn.ModuleDict(
            {name: _NODES[op](width) for name, (op, _) in zip(self.names, genotype, strict=True)}
        )
        read = {source for _, source in genotype} if loose else {0}
        self.ends = [node for node in range(len(genotype) + 1) if node not in read]

    def forward(self, given: Tensor, hidden: Tensor) -> Tensor:
        states = [_highway(hidden, given + self.hidden(hidden), self.first)]
        for name, (_, source) in zip(self.names, self.genotype, strict=True):
            states.append(self.nodes[name](states[source]))
        return torch.stack([states[end] for end in self.ends]).mean(0)


class TreeNode(nn.Module):
    """A node after node 0, (n, width) to (n, width); subclasses are named in diagrams."""

    op: ClassVar[str]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.both = nn.Linear(width, 2 * width, bias=False)

    def forward(self, state: Tensor) -> Tensor:
        return _highway(state, self.both(state), self.op)


class TanhNode(TreeNode):
    op = "tanh"


class ReLUNode(TreeNode):
    op = "relu"


class SigmoidNode(TreeNode):
    op = "sigmoid"


class IdentityNode(TreeNode):
    op = "identity"


_NODES = {kind.op: kind for kind in (TanhNode, ReLUNode, SigmoidNode, IdentityNode)}


def _highway(state: Tensor, both: Tensor, op: str) -> Tensor:
    gate, value = both.chunk(2, -1)
    return state + gate.sigmoid() * (OPS[op](value) - state)
