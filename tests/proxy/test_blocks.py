"""The components of AZ-NAS against their definitions on a net of two blocks."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from archsmith.proxy import CannotScore, score_proxies
from archsmith.proxy.blocks import Expressivity, Progressivity, Trainability, blocks_of
from archsmith.space import Space
from archsmith.testing.proxy import ProxyContract
from archsmith.zoo.nasbench201 import Cell, Reduction, from_arch_str, nasbench201

from .toys import Recurrent, Transformer, mlp, numbers, pictures, seeded, tokens


class TestExpressivity(ProxyContract):
    proxy = Expressivity()


class TestProgressivity(ProxyContract):
    proxy = Progressivity()


class TestTrainability(ProxyContract):
    proxy = Trainability()


def chain(last=6):
    """Three convolutions, the third at half the resolution."""
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False),
            nn.Conv2d(4, 4, 3, padding=1, bias=False),
            nn.Conv2d(4, last, 2, stride=2, bias=False),
            nn.Flatten(),
            nn.Linear(4 * last, 3),
        )
    )


def drawn(model, batch, seed=0):
    """The same net with Kaiming weights, and the noise it is given."""
    other = chain(model[2].out_channels)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for i in (0, 1, 2, 4):
            weight = other[i].weight
            fan_in = weight[0].numel()
            with torch.no_grad():
                weight.normal_(0, math.sqrt(2 / fan_in))
        other[4].bias.data.zero_()
        return other, torch.randn(batch.inputs.shape, dtype=torch.float64)


def entropy(images):
    rows = images.detach().numpy().transpose(0, 2, 3, 1).reshape(-1, images.shape[1])
    values = np.linalg.eigvalsh(np.cov(rows.T, bias=True))
    shares = values / values.sum()
    return -(shares * np.log(shares)).sum()


def features(model, batch):
    other, x = drawn(model, batch)
    found = []
    for layer in other[:3]:
        x = layer(x)
        found.append(x)
    return other, found


def test_expressivity_and_progressivity_are_entropies_of_principal_components():
    model, batch = chain(), pictures()
    _, found = features(model, batch)
    entropies = [entropy(x) for x in found]
    scores = score_proxies(model, batch, ["expressivity", "progressivity"])
    assert scores["expressivity"] == pytest.approx(sum(entropies), abs=1e-6)
    assert scores["progressivity"] == pytest.approx(min(np.diff(entropies)), abs=1e-6)


class Scale(nn.Module):
    """A block that multiplies by a number, so that its Jacobian is that number."""

    def __init__(self, factor):
        super().__init__()
        self.factor, self.inner = factor, nn.Sequential(nn.Identity())

    def forward(self, x):
        return self.factor * self.inner(x)


def trained(*factors):
    layers = [nn.Conv2d(2, 3, 1, bias=False), *map(Scale, factors), nn.AdaptiveAvgPool2d(1)]
    return seeded(lambda: nn.Sequential(*layers, nn.Flatten(), nn.Linear(3, 3)))


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0, -1.0])
def test_a_block_that_scales_is_judged_by_its_factor(factor):
    """Signs are sent back scaled; the mean of their products over positions has a spectral norm
    of about the factor (it is the factor times that of the signs' own covariance)."""
    score = Trainability().score(trained(factor), pictures(400))
    size = abs(factor)
    assert score == pytest.approx(2 - size - 1 / size, abs=0.1)


def test_the_best_is_a_block_that_keeps_the_size_and_the_identity_is_as_bad_as_nothing():
    batch = pictures(400)
    scores = {f: Trainability().score(trained(f), batch) for f in (0.2, 0.9, 5.0, 1.0, 0.0)}
    assert scores[0.9] > max(scores[0.2], scores[5.0]) > scores[1.0]
    assert scores[1.0] == scores[0.0] == 2 - 1e6


def test_trainability_of_convolutions_by_explicit_products():
    """What comes back of random signs, with pixels under a stride of two taken as channels."""
    model, batch = chain(), pictures()
    other, found = features(model, batch)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signs = {}
        for i in (2, 1):
            signs[i] = torch.randint(0, 2, found[i].shape).double() * 2 - 1
    scores = []
    for i in (2, 1):
        before = found[i - 1].detach().requires_grad_()
        (back,) = torch.autograd.grad(other[i](before), before, signs[i])
        sent, stride = signs[i], 2 if i == 2 else 1
        n, _, h, w = sent.shape
        rows = []
        for k in range(n):
            for y in range(h):
                for x in range(w):
                    tile = back[k, :, y * stride : (y + 1) * stride, x * stride : (x + 1) * stride]
                    rows.append((tile.reshape(-1), sent[k, :, y, x]))
        matrix = sum(torch.outer(a, b) for a, b in rows) / len(rows)
        size = np.linalg.svd(matrix.numpy())[1].max()
        scores.append(2 - size - 1 / (size + 1e-6))
    assert Trainability().score(model, batch) == pytest.approx(np.mean(scores))


def test_features_that_never_vary_have_no_entropy():
    model, batch = trained(0.0, 1.0), pictures()
    one, two = Expressivity().score(model, batch), Expressivity().score(trained(1.0), batch)
    assert one == pytest.approx(two / 2)
    assert Progressivity().score(model, batch) == pytest.approx(-one)


def test_blocks_of_the_cell_space_are_its_stem_cells_and_reductions():
    space = Space(nasbench201, channels=3, classes=10, width=4, cells=2)
    kinds = [type(b) for b in blocks_of(space.build(space.default()))]
    cells = [Cell, Cell]
    assert kinds[1:-1] == [*cells, Reduction, *cells, Reduction, *cells]
    assert kinds[0] is nn.BatchNorm2d
    assert kinds[-1] is nn.Linear


def test_cells_that_pass_nothing_are_scored_lowest():
    space = Space(nasbench201, channels=3, classes=10, width=4, cells=1)
    none = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    batch = numbers(8, (3, 8, 8))
    batch = type(batch)(batch.inputs.float(), batch.targets, batch.loss)
    dead = score_proxies(
        space.build(from_arch_str(none), seed=0), batch, ["progressivity", "trainability"]
    )
    alive = score_proxies(
        space.build(space.default(), seed=0), batch, ["progressivity", "trainability"]
    )
    assert all(dead[name] < alive[name] for name in dead)


def test_layers_of_transformers_and_recurrent_nets_are_blocks():
    kinds = [type(b).__name__ for b in blocks_of(Transformer(), 2)]
    assert kinds == ["Embedding", "TransformerEncoderLayer", "TransformerEncoderLayer", "Linear"]
    kinds = [type(b).__name__ for b in blocks_of(Recurrent())]
    assert kinds == ["Embedding", "LSTM", "Linear"]


@pytest.mark.parametrize("build", [Transformer, Recurrent])
def test_tokens_are_positions(build):
    model, batch = seeded(build), tokens(6, 12)
    scores = score_proxies(model, batch, ["expressivity", "progressivity", "trainability"])
    assert 0 < scores["expressivity"] <= 3 * math.log(8)
    assert all(math.isfinite(v) for v in scores.values())


class Wrapped(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.body = model

    def forward(self, x):
        return self.body(x)


class Body(nn.Module):
    """A chain inside a module of the user's own."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(5, 5) for _ in range(3))

    def forward(self, x):
        return self.c(self.b(self.a(x).relu()).relu())


def test_a_body_inside_a_body_is_opened():
    batch = numbers()
    inside, outside = Body(), Wrapped(Wrapped(Body()))
    names = ["expressivity", "trainability"]
    assert score_proxies(inside.double(), batch, names) == pytest.approx(
        score_proxies(outside.double(), batch, names)
    )


def test_a_model_of_one_layer_is_refused():
    with pytest.raises(CannotScore, match=r"two blocks or more, got 1[\s\S]*use one of: params"):
        Expressivity().score(mlp(), numbers())
