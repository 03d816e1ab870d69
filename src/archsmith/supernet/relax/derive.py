"""From learned weights back to architectures: the most probable independent choices first."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..._support.errors import SpaceError, WorkError
from ...space.architecture import Answer, Architecture
from ...space.building import tell
from ...space.decision import Decision, Subset

if TYPE_CHECKING:
    from ...space import Space

#: Answers of a decision with their scores (log-probabilities), best first; ``None``: it was not
#: learned.
Ranking = Callable[[Decision], "list[tuple[float, Answer]] | None"]

_WAYS = 8  # ways to answer the decisions that were not learned
_POOL = 4  # candidates of a subset beyond its size that are considered
TRIES = 1000  # architectures that are examined


def derive(
    space: Space,
    ranking: Ranking,
    count: int,
    *,
    excess: Callable[[Architecture], float] | None = None,
    joined: Callable[[Architecture], bool] | None = None,
    seed: int = 0,
    tries: int = TRIES,
) -> list[Architecture]:
    """Up to ``count`` architectures, the most probable first, no graph twice.

    The first one has the best answer of each learned decision. Decisions that were not learned
    take their defaults, and random answers in other ways, so there can be several architectures
    for the same learned answers.

    Args:
        excess: how far an architecture is beyond the limits, 0.0 where it keeps them.
        joined: whether an architecture's input reaches its output; the others are left out.
            ``None``: all are kept.
        tries: architectures that are examined; at least ``count`` are.

    Raises:
        WorkError: none of the architectures examined keeps the limits (it names the nearest one),
            or none of those that do has a path from its input to its output.
    """
    derived: dict[str, Architecture] = {}
    nearest: tuple[float, Architecture] | None = None
    disconnected: set[str] = set()
    examined = 0
    for architecture in itertools.islice(best_first(space, ranking, seed), max(tries, count)):
        examined += 1
        graph = space.canonical(architecture)
        if graph in derived or graph in disconnected:
            continue
        over = excess(architecture) if excess is not None else 0.0
        if over <= 0:
            if joined is not None and not joined(architecture):
                disconnected.add(graph)
                continue
            derived[graph] = architecture
            if len(derived) == count:
                break
        elif nearest is None or over < nearest[0]:
            nearest = over, architecture
    if not derived and not disconnected and nearest is not None:
        raise WorkError(
            "derived architectures",
            f"one of the {examined} most probable to keep the limits",
            f"none; the nearest exceeds them by {nearest[0]:.0%}: {tell(nearest[1])}",
            "relax the limits, search longer, or search with strategy='evolution' on the shared "
            "weights",
        )
    if not derived and disconnected:
        raise WorkError(
            "derived architectures",
            f"one of the {examined} most probable with a path from its input to its output",
            "none",
            "search longer, or search with strategy='evolution' on the shared weights",
        )
    return list(derived.values())


def rank_subset(decision: Subset, scores: list[float]) -> list[tuple[float, Answer]]:
    """Subsets by the sum of their members' scores, best first.

    Of many candidates, only the best ``max(sizes) + 4`` by score are considered.
    """
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    pool = sorted(order[: max(decision.sizes) + _POOL])
    subsets = (
        (sum(scores[i] for i in places), tuple(decision.labels[i] for i in places))
        for size in decision.sizes
        for places in itertools.combinations(pool, size)
    )
    return sorted(subsets, key=lambda pair: -pair[0])


@dataclass(order=True, slots=True)
class _State:
    """A partial answer: given ranks for some decisions, and the best answer everywhere else.

    ``cost`` is how far the answers' scores fall short of the best ones in total. A state's
    successors take the next best answer at ``position`` or later, so each is reached once.
    """

    cost: float
    order: int
    way: int = field(compare=False)
    given: Mapping[str, int] = field(compare=False)
    position: int = field(compare=False)


def best_first(space: Space, ranking: Ranking, seed: int = 0) -> Iterator[Architecture]:
    """Architectures by falling score, lazily.

    For independent decisions that is the order of their joint probability. A decision inside an
    option counts only where the option is taken.
    """
    ranked: dict[Decision, list[tuple[float, Answer]] | None] = {}
    counter = itertools.count()
    queue = [_State(0.0, next(counter), 0, {}, 0)]
    started = False
    while queue:
        state = heapq.heappop(queue)
        walk = _Walk(ranking, ranked, state, seed)
        architecture = None
        with contextlib.suppress(SpaceError):  # the builder refuses it
            architecture = space.walk(walk.answer)
        if not started and walk.valued:
            started = True
            for way in range(1, _WAYS):
                heapq.heappush(queue, _State(0.0, next(counter), way, {}, 0))
        if architecture is not None:
            yield architecture
        for position in range(state.position, len(walk.learned)):
            decision, place = walk.learned[position]
            answers = ranked[decision]
            assert answers is not None
            if place + 1 < len(answers):
                more = answers[place][0] - answers[place + 1][0]
                given = {d.name: p for d, p in walk.learned[:position]} | {decision.name: place + 1}
                heapq.heappush(
                    queue, _State(state.cost + more, next(counter), state.way, given, position)
                )


class _Walk:
    """Answers one walk through the space, and records what was asked."""

    def __init__(
        self,
        ranking: Ranking,
        ranked: dict[Decision, list[tuple[float, Answer]] | None],
        state: _State,
        seed: int,
    ) -> None:
        self.ranking, self.ranked, self.state, self.seed = ranking, ranked, state, seed
        self.learned: list[tuple[Decision, int]] = []
        self.valued = False

    def answer(self, decision: Decision, _: Mapping[str, Answer]) -> Answer:
        if decision not in self.ranked:
            self.ranked[decision] = self.ranking(decision)
        answers = self.ranked[decision]
        if answers is None:
            self.valued = True
            if self.state.way == 0:
                return decision.default
            # A function of the name, so that the answer stays the same while others change.
            return decision.draw(random.Random(f"{self.seed} {self.state.way} {decision.name}"))
        place = self.state.given.get(decision.name, 0)
        self.learned.append((decision, place))
        return answers[place][1]
