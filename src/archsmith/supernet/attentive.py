"""Attentive sampling: the sandwich rule, with random paths picked by their loss."""

from __future__ import annotations

import random
from bisect import bisect_left

from .._support.errors import InputError
from ..space.architecture import Architecture
from .method import Moment, SampledMethod, draw_accepted
from .sandwich import Sandwich

#: Random architectures whose costs are known at a time, and steps that they serve.
_POOL = 64
_STEPS = 100


class Attentive(Sandwich):
    """Of a few random architectures of about the same size, the best or the worst is trained.

    Comparing equal sizes is what makes the pick one about the Pareto front: among any sizes the
    best would nearly always be the largest. The paper compares FLOPs, this parameters.

    Args:
        random_paths: how many paths are picked in a step.
        candidates: how many architectures each path is picked from.
        pick: ``"worst"`` by the loss on a part of the batch, or ``"best"``.
    """

    def __init__(self, random_paths: int = 2, candidates: int = 3, pick: str = "worst") -> None:
        super().__init__(random_paths)
        if not 1 <= candidates <= _POOL:
            raise InputError("attentive, candidates", f"1 to {_POOL}", str(candidates))
        if pick not in ("best", "worst"):
            raise InputError("attentive, pick", "best or worst", repr(pick))
        self.candidates, self.pick = candidates, pick
        self._pool: list[tuple[float, Architecture]] = []
        self._period = -1

    def begin(self) -> None:
        self._pool, self._period = [], -1

    def between(self, now: Moment) -> Architecture:
        neighbours = self._neighbours(now)
        chosen = min if self.pick == "best" else max
        return chosen(neighbours, key=now.score)

    def _neighbours(self, now: Moment) -> list[Architecture]:
        """Neighbours by size around the size of a random architecture."""
        self._refill(now)
        sizes = [size for size, _ in self._pool]
        place = bisect_left(sizes, self._pool[now.rng.randrange(len(sizes))][0])
        first = min(max(0, place - self.candidates // 2), len(sizes) - self.candidates)
        return [architecture for _, architecture in self._pool[first : first + self.candidates]]

    def _refill(self, now: Moment) -> None:
        period = now.step // _STEPS
        if period == self._period:
            return
        # A function of the period alone: a training resumed in its middle has the same pool.
        rng = random.Random(f"{now.seed} pool {period}")

        def drawn() -> tuple[float, Architecture]:
            architecture = now.space.sample(rng, "decisions")
            return now.cost(architecture), architecture

        entries = [draw_accepted(drawn) for _ in range(_POOL)]
        self._pool = sorted(entries, key=lambda entry: entry[0])
        self._period = period


class AttentiveNAS(SampledMethod):
    """AttentiveNAS (Wang et al. 2020, arXiv:2011.09011): worst-up or best-up sampling.

    In addition to the sandwich rule's largest and smallest, training focuses on architectures that
    do worst (or best) among those of their size. All but the largest imitate the largest.

    Args:
        random_paths, candidates, pick: see :class:`Attentive`.
        scored: examples of a batch on which candidates are scored.
    """

    name = "attentive"

    def __init__(
        self,
        random_paths: int = 2,
        candidates: int = 3,
        pick: str = "worst",
        scored: int = 32,
    ) -> None:
        if scored < 2:
            raise InputError("attentive, scored", "2 or more", str(scored))
        super().__init__(Attentive(random_paths, candidates, pick), scored)
