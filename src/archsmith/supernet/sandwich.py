"""The sandwich rule: the largest, the smallest and a few random architectures in each step."""

from __future__ import annotations

from .._support.errors import InputError
from ..space.architecture import Architecture
from .method import Moment, SampledMethod, SampledPath, Sampler


class Sandwich(Sampler):
    """The largest, which learns from the targets; the smallest and random ones, which imitate it.

    Gradients are averaged: the papers sum them, which AdamW cannot tell from the average, and a
    learning rate of SGD is meant for one network.

    Args:
        random_paths: number of random architectures.
    """

    def __init__(self, random_paths: int = 2) -> None:
        if random_paths < 0:
            raise InputError("sandwich rule, random_paths", "0 or more", str(random_paths))
        self.random_paths = random_paths

    def paths(self, now: Moment) -> list[SampledPath]:
        between = [SampledPath(self.between(now), soft=True) for _ in range(self.random_paths)]
        ends = [SampledPath(now.survey.largest), SampledPath(now.survey.smallest, soft=True)]
        return ends + between

    def between(self, now: Moment) -> Architecture:
        """An architecture that is neither the largest nor the smallest by intention."""
        return now.draw()


class BigNAS(SampledMethod):
    """BigNAS (Yu et al. 2020, arXiv:2003.11142): sandwich rule and in-place distillation.

    The largest architecture learns from the targets, all others from its outputs in the same step.

    Args:
        random_paths: random architectures per step, in addition to the largest and the smallest.
    """

    name = "bignas"

    def __init__(self, random_paths: int = 2) -> None:
        super().__init__(Sandwich(random_paths))
