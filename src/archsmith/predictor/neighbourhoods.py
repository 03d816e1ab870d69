"""Distinct neighbourhoods, each computed once: this makes message passing over many similar graphs
cheap.

After k rounds of messages the state of a node depends only on its neighbourhood of radius k. Nodes
with equal neighbourhoods, in one graph or in many, have equal states, so each distinct
neighbourhood is computed once, and graphs are counts of them. This is the colour refinement of
Weisfeiler and Leman (1968).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from .operations import Operation, OperationGraph


@dataclass
class Level:
    """The distinct neighbourhoods of one radius.

    Attributes:
        own: for each, the neighbourhood of its centre with a radius smaller by one, (n,).
        giving, taking: pairs (neighbourhood, a neighbour's neighbourhood with a radius smaller by
            one), for the predecessors and the successors of the centre; equal pairs repeat.
    """

    own: list[int]
    giving: list[tuple[int, int]]
    taking: list[tuple[int, int]]


class Neighbourhoods:
    """The distinct neighbourhoods of graphs, up to a radius.

    Args:
        radius: rounds of messages.
        graphs: nodes may be in any order.

    Attributes:
        operations: the distinct operations, which are the neighbourhoods of radius 0.
        levels: the neighbourhoods of radius 1, 2, ..., in terms of those of the radius before.
        counts: for each graph and each radius from 0, how often each neighbourhood occurs.
    """

    def __init__(self, graphs: Sequence[OperationGraph], radius: int) -> None:
        self._numbers: list[dict[Hashable, int]] = [{} for _ in range(radius + 1)]
        self.operations: list[Operation] = []
        self.levels = [Level([], [], []) for _ in range(radius)]
        self.counts = [self._add_graph(graph) for graph in graphs]

    def _add_graph(self, graph: OperationGraph) -> list[Counter[int]]:
        giving: list[list[int]] = [[] for _ in graph.nodes]
        taking: list[list[int]] = [[] for _ in graph.nodes]
        for giver, taker in graph.edges:
            giving[taker].append(giver)
            taking[giver].append(taker)
        numbers = [self._operation(node) for node in graph.nodes]
        counts = [Counter(numbers)]
        for radius in range(1, len(self._numbers)):
            numbers = [
                self._neighbourhood(
                    radius,
                    numbers[node],
                    sorted(numbers[n] for n in giving[node]),
                    sorted(numbers[n] for n in taking[node]),
                )
                for node in range(len(numbers))
            ]
            counts.append(Counter(numbers))
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
