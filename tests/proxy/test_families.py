"""All proxies on all kinds of models: which are defined, and that nothing else goes wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsmith.proxy import Batch, CannotScore, SetProxy, proxies
from archsmith.proxy.scoring import attempt
from archsmith.space import Space
from archsmith.zoo import spaces

from .toys import Recurrent, Transformer, tokens

SINGLE = [name for name in proxies.names() if not issubclass(proxies.get(name), SetProxy)]
GATED = {"naswot", "swap", "zen"}

#: Arguments that make a zoo space small, the shape of an input and what is refused.
ZOO = {
    "channel_bench": ({"channels": 2, "classes": 4, "width": 2}, (2, 8, 8), set()),
    "convnet": ({"channels": 2, "classes": 4, "height": 8, "width": 8}, (2, 8, 8), set()),
    "hrnet": ({"channels": 2, "classes": 4, "widths": (4, 8), "counts": (1,)}, (2, 32, 32), set()),
    "mlp": ({"features": 9, "outputs": 4}, (9,), {"zen", "meco"}),
    "nasbench101": (
        {"channels": 2, "classes": 4, "width": 4, "stacks": 2, "cells": 1},
        (2, 8, 8),
        set(),
    ),
    "nasbench201": ({"channels": 2, "classes": 4, "width": 4, "cells": 1}, (2, 8, 8), set()),
    "nasbench_macro": ({"channels": 2, "classes": 4, "width": 2}, (2, 16, 16), set()),
    "transnas_micro": ({"channels": 2, "classes": 4, "width": 4}, (2, 32, 32), set()),
}


def refused(model: nn.Module, batch: Batch) -> set[str]:
    """Names of the proxies that refuse; the others gave finite numbers."""
    found = attempt(model, batch, SINGLE)
    assert list(found) == SINGLE
    assert all(isinstance(v, CannotScore) or math.isfinite(v) for v in found.values())
    return {name for name, value in found.items() if isinstance(value, CannotScore)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_spaces_of_images_and_rows(name):
    arguments, shape, expected = ZOO[name]
    space = Space(spaces.get(name), **arguments)
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(8, *shape, generator=generator), torch.arange(8) % 4, F.cross_entropy)
    assert refused(space.build(space.default(), seed=0), batch) == expected


def each_token(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


@pytest.mark.parametrize("name", ["gpt", "rnn_cells"])
def test_language_models_have_no_class_an_example(name):
    small = {
        "gpt": {"widths": (8, 16), "depths": (1, 2), "heads": (1, 2), "head_size": 8},
        "rnn_cells": {"embedding": 4, "hidden": 4, "layers": 2},
    }
    space = Space(spaces.get(name), vocabulary=11, **small[name])
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(11, (8, 7), generator=generator)
    batch = Batch(inputs, inputs.roll(-1, 1), each_token)
    model = space.build(space.default(), seed=0)
    expected = {"epe-nas", "zen"} if name == "gpt" else {"epe-nas", *GATED}
    assert refused(model, batch) == expected


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_have_no_codes_and_no_convolutions(kind):
    assert refused(Recurrent(kind), tokens(8, 12)) == GATED


def test_a_transformer_is_only_not_convolutional():
    assert refused(Transformer(), tokens(8, 12)) == {"zen"}


class Volumes(nn.Module):
    """A convolution over time and one over volumes."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU())
        self.space = nn.Sequential(nn.Conv3d(4, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU())
        self.pool, self.head = nn.AdaptiveAvgPool3d(1), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        found = self.time(x).unflatten(2, (3, 3, 2))
        return self.head(self.pool(self.space(found)).flatten(1))


def test_convolutions_of_one_and_three_dimensions():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        batch = Batch(torch.randn(8, 2, 20), torch.arange(8) % 4, F.cross_entropy)
        assert refused(Volumes(), batch) == set()
