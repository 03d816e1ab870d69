"""A small network that passes messages along the edges of graphs (loads torch)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .neighbourhoods import Neighbourhoods
from .operations import Operation, OperationGraph

Array = np.ndarray[Any, np.dtype[np.float64]]

_RATE, _DECAY = 0.005, 0.1
#: Variance below which a readout of graphs counts as constant.
_LEAST = 1e-4


class Vocabulary:
    """Operations as rows: their kind and sizes, scaled by the operations that it was created from.

    Kinds and sizes that do not occur in these are ignored.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        kinds = sorted({operation.kind for operation in operations})
        names = sorted({name for operation in operations for name, _ in operation.sizes})
        self._places = {("kind", kind): place for place, kind in enumerate(kinds)}
        for name in names:
            self._places["size", name] = len(self._places)
        plain = self._plain(operations)
        self._centre, spread = plain.mean(axis=0), plain.std(axis=0)
        self._centre[: len(kinds)] = 0.0
        spread[: len(kinds)] = 1.0
        self._spread = np.where(spread > 1e-6, spread, 1.0)

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, operations: Sequence[Operation]) -> Tensor:
        """The rows of operations, float32 (n, len(self))."""
        scaled = (self._plain(operations) - self._centre) / self._spread
        return torch.from_numpy(scaled.astype(np.float32))

    def _plain(self, operations: Sequence[Operation]) -> Array:
        rows = np.zeros((len(operations), len(self._places)))
        for row, operation in zip(rows, operations, strict=True):
            for key, value in [(("kind", operation.kind), 1.0)] + [
                (("size", name), value) for name, value in operation.sizes
            ]:
                if key in self._places:
                    row[self._places[key]] = value
        return rows


class Batch:
    """Graphs as tensors.

    Attributes:
        rows: of the distinct operations, (operations, columns).
        levels: for each radius the centres (n,), and (neighbourhoods, neighbours) of the
            predecessors and of the successors.
        counts: for each radius from 0, how often each graph has each neighbourhood, as a sparse
            matrix: graphs, neighbourhoods and counts, (entries,) each.
        sizes: number of nodes of each graph, (graphs,).
    """

    def __init__(
        self, graphs: Sequence[OperationGraph], radius: int, vocabulary: Vocabulary | None = None
    ) -> None:
        neighbourhoods = Neighbourhoods(graphs, radius)
        self.vocabulary = vocabulary or Vocabulary(neighbourhoods.operations)
        self.rows = self.vocabulary.rows(neighbourhoods.operations)
        self.levels = [
            (
                torch.tensor(level.own, dtype=torch.long),
                _pair_tensors(level.giving),
                _pair_tensors(level.taking),
            )
            for level in neighbourhoods.levels
        ]
        self.counts = [
            _sparse_counts([c[r] for c in neighbourhoods.counts]) for r in range(radius + 1)
        ]
        self.sizes = torch.tensor([float(len(graph.nodes)) for graph in graphs])


class MessageNetwork(nn.Module):
    """Rounds of messages along and against the edges, then a linear readout of all rounds.

    The readout uses the mean and the scaled sum of the nodes' states after each round, so that both
    shares and numbers of operations count.

    Args:
        columns: length of an operation's row.
        hidden: size of a state.
        radius: rounds of messages.
        size: number of nodes of a typical graph, by which sums are divided.
    """

    def __init__(self, columns: int, hidden: int, radius: int, size: float) -> None:
        super().__init__()
        self.size = size
        self.enter = nn.Linear(columns, hidden)
        self.own = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(radius))
        self.giving = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(radius))
        self.taking = nn.ModuleList(nn.Linear(hidden, hidden, bias=False) for _ in range(radius))
        # Means over hundreds of nodes hardly differ between graphs: without normalisation training
        # takes several times as many steps. Momentum 1 keeps only the latest statistics.
        wide = 2 * hidden * (radius + 1)
        self.scale = nn.BatchNorm1d(wide, eps=_LEAST, momentum=1.0, affine=False)
        self.read = nn.Linear(wide, 1)

    def forward(self, batch: Batch) -> Tensor:
        """One number for each graph, (graphs,)."""
        state = F.relu(self.enter(batch.rows))
        read = self._readout(batch, 0, state)
        for radius, (own, giving, taking) in enumerate(batch.levels):
            message = self.own[radius](state)[own]
            message = _add_messages(message, giving, self.giving[radius](state))
            message = _add_messages(message, taking, self.taking[radius](state))
            state = F.relu(message)
            read += self._readout(batch, radius + 1, state)
        out: Tensor = self.read(self.scale(torch.cat(read, dim=1))).squeeze(1)
        return out

    def _readout(self, batch: Batch, radius: int, state: Tensor) -> list[Tensor]:
        graph, place, times = batch.counts[radius]
        total = state.new_zeros(len(batch.sizes), state.shape[1])
        total = total.index_add(0, graph, state[place] * times[:, None])
        return [total / batch.sizes[:, None], total / self.size]


def train(
    batch: Batch, targets: Array, hidden: int, radius: int, steps: int, seed: int
) -> MessageNetwork:
    """A network fitted to one number for each graph; the global random state is restored."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        size = float(batch.sizes.mean())
        network = MessageNetwork(len(batch.vocabulary), hidden, radius, size)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
        goal = torch.from_numpy(targets.astype(np.float32))
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = 0.5 * _RATE * (1 + math.cos(math.pi * step / steps))
            loss = F.mse_loss(network(batch), goal)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network(batch)  # updates the statistics to the final weights
    return network.eval()


def _pair_tensors(pairs: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    both = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    return both[:, 0].contiguous(), both[:, 1].contiguous()


def _sparse_counts(counts: Sequence[Counter[int]]) -> tuple[Tensor, Tensor, Tensor]:
    entries = [(g, place, n) for g, counter in enumerate(counts) for place, n in counter.items()]
    whole = torch.tensor(entries, dtype=torch.long).reshape(-1, 3)
    return whole[:, 0].contiguous(), whole[:, 1].contiguous(), whole[:, 2].float()


def _add_messages(to: Tensor, pairs: tuple[Tensor, Tensor], messages: Tensor) -> Tensor:
    into, source = pairs
    return to.index_add(0, into, messages[source])
