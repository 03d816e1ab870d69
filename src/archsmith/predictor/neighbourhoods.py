"""Equal neighbourhoods, found once: what makes message passing over many like graphs cheap.

After k rounds of messages a node knows its neighbourhood of radius k and nothing else. Nodes with
equal neighbourhoods, in one graph or in many, get equal states, so each different neighbourhood is
computed once and graphs are counts of them. It is the refinement of Weisfeiler and Leman (1968).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from .operations import Operation, OperationGraph


@dataclass
class Level:
    """The different neighbourhoods of one radius.

    Attributes:
        own: of each its centre's neighbourhood of one less, (n,).
        giving, taking: pairs (neighbourhood, a neighbour's neighbourhood of one less), of the
            neighbours that give to the centre and that take from it; equal pairs repeat.
    """

    own: list[int]
    giving: list[tuple[int, int]]
    taking: list[tuple[int, int]]


class Neighbourhoods:
    """The different neighbourhoods of graphs, up to a radius.

    Args:
        radius: rounds of messages.
        graphs: nodes may be in any order.

    Attributes:
        operations: the different operations, which are neighbourhoods of radius 0.
        levels: of radius 1, 2, ..., each with what it is made of.
        counts: for each graph and radius from 0 how often each neighbourhood occurs.
    """

    def __init__(self, graphs: Sequence[OperationGraph], radius: int) -> None:
        self._numbers: list[dict[Hashable, int]] = [{} for _ in range(radius + 1)]
        self.operations: list[Operation] = []
        self.levels = [Level([], [], []) for _ in range(radius)]
        self.counts = [self._add(graph) for graph in graphs]

    def _add(self, graph: OperationGraph) -> list[Counter[int]]:
        giving: list[list[int]] = [[] for _ in graph.nodes]
        taking: list[list[int]] = [[] for _ in graph.nodes]
        for giver, taker in graph.edges:
            giving[taker].append(giver)
            taking[giver].append(taker)
        now = [self._operation(node) for node in graph.nodes]
        counts = [Counter(now)]
        for radius in range(1, len(self._numbers)):
            now = [
                self._neighbourhood(
                    radius,
                    now[node],
                    sorted(now[n] for n in giving[node]),
                    sorted(now[n] for n in taking[node]),
                )
                for node in range(len(now))
            ]
            counts.append(Counter(now))
        return counts

    def _operation(self, operation: Operation) -> int:
        number = self._numbers[0].setdefault(operation, len(self.operations))
        if number == len(self.operations):
            self.operations.append(operation)
        return number

    def _neighbourhood(self, radius: int, own: int, giving: list[int], taking: list[int]) -> int:
        level = self.levels[radius - 1]
        number = self._numbers[radius].setdefault(
            (own, tuple(giving), tuple(taking)), len(level.own)
        )
        if number == len(level.own):
            level.own.append(own)
            level.giving += [(number, other) for other in giving]
            level.taking += [(number, other) for other in taking]
        return number
