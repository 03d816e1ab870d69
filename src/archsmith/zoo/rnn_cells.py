"""Language models on recurrent cells that are graphs.

The space of NAS-Bench-NLP (Klyuchnikov et al. 2020, arXiv:2006.07116): it contains the simple
recurrent cell, LSTM and GRU in addition to unknown cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space import Answer, Architecture, choose, graph_form, scope, subset
from .cell_graph import MOST_STATES, OPS, Cell, source_names

#: Nodes of the recorded cells.
NODES = tuple(range(2, 16))
#: The inputs of a blend: ``gate * first + (1 - gate) * second``.
_BLEND = ("gate", "first", "second")


@graph_form(lambda a: cell_of(a).canonical(), lambda a: cell_of(a).features())
def rnn_cells(
    vocabulary: int,
    embedding: int = 400,
    hidden: int = 600,
    layers: int = 3,
    dropout: float = 0.1,
    tied: bool = True,
    nodes: Sequence[int] = NODES,
) -> nn.Module:
    """Tokens int64 (n, length) to logits (n, length, vocabulary); each position sees earlier ones.

    One cell is chosen and used, with separate weights, in every layer: its number of hidden states,
    its number of nodes, and the operation and inputs of each node. Nodes that never reach the
    output are not built. The default is the simple recurrent cell,
    ``tanh(linear(x, h))``.

    Args:
        vocabulary: number of tokens.
        embedding: width of a token's vector.
        hidden: width of the hidden states; that of the last layer is ``embedding`` if ``tied``.
        layers: recurrent layers.
        dropout: dropout rate of the input of each layer and of the final linear layer.
        tied: use one matrix for the embedding and the logits, as in the paper.
        nodes: numbers of nodes to choose from, each at least 2.
    """
    cell = _choose_cell(nodes)
    sizes = [embedding, *[hidden] * layers]
    if tied:
        sizes[-1] = embedding
    stack = [Recurrent(cell, sizes[i], sizes[i + 1]) for i in range(layers)]
    return LanguageModel(vocabulary, embedding, stack, sizes[-1], dropout, tied)


def _choose_cell(counts: Sequence[int]) -> Cell:
    states: int = choose("states", list(range(1, MOST_STATES + 1)))
    # Each state needs a node for its new value, so there are at least as many nodes as states.
    fitting = [count for count in counts if count >= states]
    count: int = choose("nodes", fitting)
    chosen_nodes = [_choose_node(number, states) for number in range(count)]
    remaining = list(reversed(range(count)))
    # Counted from the last of the remaining nodes, so that every answer is valid.
    places: list[int] = [choose(f"h_new_{k}", list(range(count - k))) for k in range(states)]
    state_nodes = [remaining.pop(place) for place in places]
    return Cell(tuple(chosen_nodes), tuple(state_nodes))


def _choose_node(number: int, states: int) -> tuple[str, tuple[str | int, ...]]:
    inputs: tuple[str, ...]
    source_count = len(source_names("blend", states, number))
    # The inputs of a blend may be equal; those of other operations are distinct.
    ops = [op for op in OPS if op in ("linear", "blend") or min(OPS[op]) <= source_count]
    with scope(f"node{number}"):
        op: str = choose("op", ops, "activation_tanh" if number % 2 else "linear")
        sources = source_names(op, states, number)
        if op == "blend":
            inputs = tuple(choose(part, sources, sources[-1]) for part in _BLEND)
        else:
            sizes = [size for size in OPS[op] if size <= len(sources)]
            start = ["x", sources[-1]] if op == "linear" else sources[-sizes[0] :]
            inputs = subset("inputs", sources, sizes, start)
    return op, tuple(_source(source) for source in inputs)


def _source(source: str) -> str | int:
    return int(source.removeprefix("node")) if source.startswith("node") else source


class Recurrent(nn.Module):
    """One layer: (n, length, inside) to (n, length, outside); hidden states start at zero."""

    def __init__(self, cell: Cell, inside: int, outside: int) -> None:
        super().__init__()
        self.outside, self.nodes, self.states = outside, cell.nodes, cell.states
        self.order = sorted(cell.live)
        self.linear = nn.ModuleDict()
        for node in self.order:
            op, sources = cell.nodes[node]
            if op == "linear":
                width = sum(inside if source == "x" else outside for source in sources)
                self.linear[str(node)] = nn.Linear(width, outside)

    def forward(self, x: Tensor) -> Tensor:
        hidden = [x.new_zeros(len(x), self.outside) for _ in self.states]
        outputs = []
        for step in x.unbind(1):
            values: dict[str | int, Tensor] = {"x": step}
            values |= {f"h_prev_{state}": value for state, value in enumerate(hidden)}
            for node in self.order:
                op, sources = self.nodes[node]
                values[node] = self._compute(node, op, [values[source] for source in sources])
            hidden = [values.get(node, old) for node, old in zip(self.states, hidden, strict=True)]
            outputs.append(hidden[0])
        return torch.stack(outputs, dim=1)

    def _compute(self, node: int, op: str, read: list[Tensor]) -> Tensor:
        match op:
            case "linear":
                out: Tensor = self.linear[str(node)](torch.cat(read, dim=-1))
                return out
            case "activation_tanh":
                return torch.tanh(read[0])
            case "activation_sigm":
                return torch.sigmoid(read[0])
            case "activation_leaky_relu":
                return nn.functional.leaky_relu(read[0])
            case "elementwise_sum":
                return read[0] + read[1]
            case "elementwise_prod":
                return read[0] * read[1]
        return read[0] * read[1] + (1 - read[0]) * read[2]


class LanguageModel(nn.Module):
    """Embedding, recurrent layers with dropout between them, and logits."""

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        layers: Sequence[nn.Module],
        last: int,
        dropout: float,
        tied: bool,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.layers, self.dropout = nn.ModuleList(layers), nn.Dropout(dropout)
        self.logits = nn.Linear(last, vocabulary)
        if not self.logits.weight.is_meta:  # nothing to initialise there, and it takes time
            nn.init.uniform_(self.logits.weight, -0.1, 0.1)
            nn.init.zeros_(self.logits.bias)
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if tied:
            self.logits.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(self.dropout(x))
        logits: Tensor = self.logits(self.dropout(x))
        return logits


def from_cell(cell: Cell) -> Architecture:
    """The architecture of this cell, node for node."""
    states, count = len(cell.states), len(cell.nodes)
    answers: dict[str, Answer] = {"states": states, "nodes": count}
    for number, (op, read) in enumerate(cell.nodes):
        names = tuple(f"node{s}" if isinstance(s, int) else s for s in read)
        answers[f"node{number}.op"] = op
        if op == "blend":
            answers |= {f"node{number}.{p}": n for p, n in zip(_BLEND, names, strict=True)}
        else:
            order = source_names(op, states, number)
            answers[f"node{number}.inputs"] = tuple(name for name in order if name in names)
    remaining = list(reversed(range(count)))
    for state, node in enumerate(cell.states):
        answers[f"h_new_{state}"] = remaining.index(node)
        remaining.remove(node)
    return Architecture(answers)


def cell_of(architecture: Mapping[str, Answer]) -> Cell:
    """The inverse of :func:`from_cell`.

    Raises:
        SpaceError: an answer is missing or has another type.
    """
    count, states = (_integer(architecture, name) for name in ("nodes", "states"))
    nodes = []
    for number in range(count):
        op = architecture.get(f"node{number}.op")
        if op not in OPS:
            raise SpaceError(f"node{number}.op", f"one of {', '.join(OPS)}", repr(op))
        if op == "blend":
            read: Answer = tuple(architecture.get(f"node{number}.{part}") for part in _BLEND)
        else:
            read = architecture.get(f"node{number}.inputs")
        source_options = source_names(str(op), states, number)
        if not isinstance(read, tuple) or not all(source in source_options for source in read):
            raise SpaceError(
                f"node{number}", f"inputs among {', '.join(source_options)}", repr(read)
            )
        nodes.append((str(op), tuple(_source(str(source)) for source in read)))
    remaining = list(reversed(range(count)))
    state_nodes = [
        remaining.pop(_integer(architecture, f"h_new_{state}")) for state in range(states)
    ]
    return Cell(tuple(nodes), tuple(state_nodes))


def _integer(architecture: Mapping[str, Answer], name: str) -> int:
    answer = architecture.get(name)
    if type(answer) is not int:
        raise SpaceError(name, "an integer", repr(answer))
    return answer
