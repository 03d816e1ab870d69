"""Convolutions with the channels last: the same values, and models that cannot stay as they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archsmith.task import task
from archsmith.task.base import ReadOptions, Recipe
from archsmith.train import train
from archsmith.train.layout import channels_last, contiguous

LAST = torch.channels_last


class Viewed(nn.Module):
    """Flattens by ``view``, which needs the usual layout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.conv(x)).view(len(x), -1))


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


def test_values_stay_the_same_and_come_back():
    model, example = net().eval(), torch.randn(4, 1, 8, 8)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    expected = model(example)
    random = torch.get_rng_state()
    assert channels_last(model, example)
    assert torch.equal(torch.get_rng_state(), random)
    assert not model.training
    assert model[3].weight.is_contiguous(memory_format=LAST)
    assert not model[3].weight.is_contiguous()
    assert torch.allclose(model(example), expected, atol=1e-6)
    contiguous(model)
    for name, tensor in model.state_dict().items():
        assert tensor.is_contiguous()
        assert torch.equal(tensor, before[name])


def test_a_model_that_views_its_outputs_is_left_as_it_was():
    torch.manual_seed(0)
    model, example = Viewed(), torch.randn(4, 1, 8, 8)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert not channels_last(model, example)
    assert model.conv.weight.is_contiguous()
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    model(example)


def test_without_convolutions_nothing_is_run():
    class Refuses(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError

    assert not channels_last(Refuses(2, 2), torch.zeros(2, 2))


@pytest.mark.parametrize("make", [net, Viewed])
def test_a_training_leaves_a_model_in_the_usual_layout(make):
    images = task("image-classification")
    data = images.read("digits", ReadOptions())
    model = make()
    recipe = Recipe(epochs=2, lr=1e-2, batch_size=32, augment=True)
    trained = train(model, images, data, recipe, seed=0)
    assert trained.metrics["accuracy"] > 0.2
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())
    assert all(torch.equal(t, trained.best_state[n]) for n, t in model.state_dict().items())
