"""Small spaces, data and sessions for the tests of one-shot methods."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.data.splits import TensorSplit
from archsmith.space.architecture import Architecture
from archsmith.supernet.method import Moment, SampledMethod, SampledPath, Sampler
from archsmith.supernet.session import Session, start
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.survey_records import Survey
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions, Recipe

IMAGES = task("image-classification")
RECIPE = Recipe(epochs=4, batch_size=32, lr=5e-3)


def _conv(width: int, kernel: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def operations(channels: int = 1, classes: int = 10) -> nn.Module:
    """Three places with three operations each; nothing is sliced."""
    width = 4

    def cell(place: int) -> Any:
        options = {
            "conv3": lambda: _conv(width, 3),
            "conv1": lambda: _conv(width, 1),
            "skip": nn.Identity,
        }
        return nas.one_of(f"op{place}", options)

    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        *(cell(i) for i in range(3)),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


def elastic(channels: int = 1, classes: int = 10) -> nn.Module:
    """Elastic kernel, depth and width, an operation and a value."""
    width = nas.choose("width", [2, 4, 8])
    kernel = nas.choose("kernel", [1, 3, 5])
    rate = nas.choose("rate", [0.0, 0.1])

    def block(place: int) -> Any:
        return nn.Sequential(_conv(width, kernel), nn.Dropout(rate))

    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nas.repeat("depth", [1, 2], block),
        nas.one_of("pool", {"mean": lambda: nn.AvgPool2d(2), "most": lambda: nn.MaxPool2d(2)}),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


def nested(channels: int = 1, classes: int = 10) -> nn.Module:
    """Decisions that only some architectures ask, and a continuous one."""

    def deep() -> Any:
        return _conv(4, nas.choose("kernel", [1, 3, 5, 7]))

    rate = nas.real("rate", 0.0, 0.5)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nas.one_of("op", {"deep": deep, "plain": lambda: _conv(4, 1), "skip": nn.Identity}),
        nn.Dropout(rate),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


@lru_cache(maxsize=1)
def digits() -> Data:
    """The digits, with 160 to train on."""
    data = IMAGES.read("digits", ReadOptions())
    few = TensorSplit(data.train.inputs[:160], data.train.targets[:160])
    return replace(data, train=few)


def space_of(builder: Any) -> nas.Space:
    return nas.Space(builder, channels=1, classes=10)


def session_of(
    builder: Any = operations, recipe: Recipe = RECIPE, seed: int = 0, **options: Any
) -> Session:
    supernet = Supernet(space_of(builder), seed=seed)
    return start(supernet, IMAGES, digits(), recipe, seed=seed, **options)


def first_batch(session: Session) -> tuple[Tensor, Tensor]:
    return next(iter(session.epoch(1)))


class Fixed(Sampler):
    """Always the same paths."""

    def __init__(self, *paths: SampledPath) -> None:
        self.fixed = list(paths)

    def paths(self, now: Moment) -> list[SampledPath]:
        return self.fixed


class Summed(Fixed):
    averaged = False


class Trains(SampledMethod):
    """Trains what a sampler says, under a name that is not registered."""

    name = "toy"


def moment(
    space: nas.Space,
    survey: Survey | None = None,
    *,
    seed: int = 0,
    step: int = 0,
    progress: float = 0.0,
    score: Any = None,
    cost: Any = None,
) -> Moment:
    """What a sampler would know at a step."""
    rng = random.Random(f"{seed} {step}")

    def nothing(_: Architecture) -> float:
        raise AssertionError("this sampler has no use for it")

    found = survey if survey is not None else Survey()
    return Moment(space, found, rng, seed, step, progress, score or nothing, cost or nothing)


def values(session: Session) -> dict[str, Tensor]:
    """All stored tensors, copied."""
    return {key: tensor.detach().clone() for key, tensor in session.supernet.stored()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
