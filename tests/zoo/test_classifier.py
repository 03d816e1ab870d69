"""Heads on a backbone."""

from __future__ import annotations

import pytest
import torch

import archsmith as nas
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.classifier import classifier

ARGUMENTS = {"channels": 2, "classes": 3, "height": 16, "width": 16, "backbones": ("convnet",)}
SPACE = nas.Space(classifier, **ARGUMENTS)


@pytest.mark.slow
class TestClassifier(SpaceContract):
    space, shape, samples = SPACE, (1, 2, 16, 16), 4


@pytest.mark.slow
class TestSharedClassifier(SupernetContract):
    space, shape, samples = SPACE, (1, 2, 16, 16), 3


def test_a_head_sees_the_last_map_or_the_means_of_all() -> None:
    for maps in ("last", "all"):
        model = SPACE.build(SPACE.complete({"head.maps": maps, "head.hidden": 0})).eval()
        images = torch.randn(2, 2, 16, 16)
        seen = model.base(images)[-1 if maps == "last" else 0 :]
        means = torch.cat([x.mean((2, 3)) for x in seen], dim=1)
        torch.testing.assert_close(model(images), model.head.linear(means))
