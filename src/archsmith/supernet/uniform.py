"""Uniform single paths: the simplest one-shot method."""

from __future__ import annotations

from .method import Moment, SampledMethod, SampledPath, Sampler


class Uniform(Sampler):
    """One random architecture per step, each decision drawn uniformly as it is asked."""

    def paths(self, now: Moment) -> list[SampledPath]:
        return [SampledPath(now.draw())]


class SPOS(SampledMethod):
    """Single Path One-Shot (Guo et al. 2019, arXiv:1904.00420): uniform sampling.

    The paper searches over the trained weights with an evolutionary algorithm.
    """

    name = "spos"

    def __init__(self) -> None:
        super().__init__(Uniform())
