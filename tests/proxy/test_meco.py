"""MeCo against correlations worked out with numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError
from archsmith.proxy import CannotScore
from archsmith.proxy.meco import MeCo
from archsmith.testing.proxy import ProxyContract

from .toys import Recurrent, mlp, numbers, pictures, seeded, tokens


class TestMeCo(ProxyContract):
    proxy = MeCo()


def noise(count, shape, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.randn((count, *shape), dtype=torch.float64)


def smallest(images):
    """Of (n, channels, h, w): every position of every image is an observation."""
    channels = images.detach().numpy().transpose(1, 0, 2, 3).reshape(images.shape[1], -1)
    with np.errstate(invalid="ignore"):
        found = np.nan_to_num(np.corrcoef(channels))
    return np.linalg.eigvals(found).real.min()


def build():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 3),
    )


def test_every_layer_gives_its_smallest_eigenvalue():
    model = seeded(build)
    images = noise(4, (2, 5, 5))
    first = model[0](images)
    second = first.relu()
    # The pooled features, 4 positions, have more positions than channels as well.
    expected = smallest(first) + smallest(second) + smallest(second.mean((2, 3), keepdim=True))
    assert MeCo().score(model, pictures()) == pytest.approx(expected, abs=1e-9)


def test_a_channel_that_repeats_another_makes_the_layer_worthless():
    model = seeded(lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(27, 3)))
    assert MeCo().score(model, pictures()) > 0.01
    with torch.no_grad():
        model[0].weight[1] = model[0].weight[0]
    assert MeCo().score(model, pictures()) == pytest.approx(0, abs=1e-9)


def test_independent_channels_have_eigenvalue_one():
    """The identity of white noise: correlations of many samples tend to the unit matrix."""
    model = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.Flatten(), nn.Linear(50, 3)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2)[:, :, None, None])
    assert MeCo(samples=2000).score(model, pictures()) == pytest.approx(1, abs=0.02)


def test_a_layer_with_more_channels_than_positions_has_no_part():
    wide = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 200, 3), nn.Conv2d(200, 3, 1), nn.Flatten(), nn.Linear(27, 3)
        )
    )
    images = noise(4, (2, 5, 5))
    expected = smallest(wide[1](wide[0](images)))
    assert MeCo().score(wide, pictures()) == pytest.approx(expected, abs=1e-9)


def test_channels_of_tokens_are_last():
    model, batch = seeded(Recurrent), tokens(6, 12)
    model.eval()
    table = model.table(batch.inputs[:4])
    states = model.layer(table)[0]
    expected = sum(
        np.linalg.eigvalsh(np.corrcoef(x.detach().numpy().reshape(-1, 8).T))[0]
        for x in (table, states)
    )
    assert MeCo().score(model, batch) == pytest.approx(expected, abs=1e-9)


def test_flat_features_are_refused():
    with pytest.raises(CannotScore, match=r"meco[\s\S]*more than 4 samples"):
        MeCo().score(mlp(), numbers())
    with pytest.raises(InputError, match="meco, samples"):
        MeCo(samples=0)
