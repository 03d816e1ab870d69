"""Small pretrained networks for digits, which other processes can import."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

import torch
from torch import nn

import archsmith as nas
from archsmith.data.splits import TensorSplit
from archsmith.task import task
from archsmith.task.base import Data, Recipe
from archsmith.train import train
from archsmith.transfer.pretrained.base import Backbone, ImageInput
from archsmith.transfer.tuning import as_backbone

IMAGES = task("image-classification")


@lru_cache
def digits() -> Data:
    return IMAGES.read("digits", nas.ReadOptions())


def of_classes(data: Data, wanted: list[int], few: int | None = None) -> Data:
    """The classes alone, numbered anew, with so many training examples of each."""

    def part(given: TensorSplit, most: int | None) -> TensorSplit:
        kept = []
        for label in wanted:
            index = torch.nonzero(given.targets == label).flatten()
            kept.append(index if most is None else index[:most])
        order = torch.cat(kept)
        new = torch.full((10,), -1)
        new[wanted] = torch.arange(len(wanted))
        return TensorSplit(given.inputs[order], new[given.targets[order]])

    facts = data.facts | {"classes": len(wanted), "class_names": [str(c) for c in wanted]}
    return Data(
        f"{data.name} {wanted}",
        data.source,
        data.task,
        part(data.train, few),
        part(data.validation, None),
        part(data.test, None),
        facts,
    )


def network(classes: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = OrderedDict[str, nn.Module]()
        for number, (inside, outside) in enumerate(((1, 12), (12, 16), (16, 24)), start=1):
            conv = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
            layers[f"block{number}"] = nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU())
            if number < 3:
                layers[f"pool{number}"] = nn.MaxPool2d(2)
        layers["pool"], layers["flat"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        layers["head"] = nn.Linear(24, classes)
        return nn.Sequential(layers)


SOURCE, TARGET = [0, 1, 2, 3, 4, 5], [6, 7, 8, 9]


@lru_cache
def pretrained() -> nn.Sequential:
    """Trained on six of the digits."""
    model = network(6)
    recipe = Recipe(epochs=8, lr=1e-2)
    train(model, IMAGES, of_classes(digits(), SOURCE), recipe, seed=0)
    return model.eval()


def small_backbone() -> Backbone:
    return as_backbone(pretrained(), ImageInput.of(digits().facts), "six digits")
