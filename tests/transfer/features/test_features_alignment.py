"""CKA against direct formulas in numpy, and what it must not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError


def data(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def direct(x: np.ndarray, y: np.ndarray) -> float:
    """Linear CKA by features, as the paper writes it."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    across = np.linalg.norm(y.T @ x) ** 2
    return across / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def hsic1(k: np.ndarray, m: np.ndarray) -> float:
    """The unbiased estimate of Song et al. 2012, term by term."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    first = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (first - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def direct_unbiased(x: np.ndarray, y: np.ndarray) -> float:
    k, m = x @ x.T, y @ y.T
    return hsic1(k, m) / math.sqrt(hsic1(k, k) * hsic1(m, m))


@pytest.mark.parametrize(("d", "e"), [(3, 5), (40, 60)])
def test_cka_is_the_formula(d, e):
    x, y = data(20, d, 0), data(20, e, 1)
    y[:, :3] += 2 * x[:, :3]
    assert nas.cka(x, y) == pytest.approx(direct(x.numpy(), y.numpy()), rel=1e-9)
    wanted = direct_unbiased(x.numpy(), y.numpy())
    assert nas.cka(x, y, unbiased=True) == pytest.approx(wanted, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(5, 15),
    d=st.integers(2, 8),
    seed=st.integers(0, 1000),
    scale=st.floats(0.01, 100),
    shift=st.floats(-50, 50),
    unbiased=st.booleans(),
)
def test_cka_does_not_see_rotation_scale_or_place(n, d, seed, scale, shift, unbiased):
    x, y = data(n, d, seed), data(n, 4, seed + 1)
    y[:, 0] += x[:, 0]
    turn = torch.linalg.qr(data(d, d, seed + 2))[0]
    moved = scale * (x @ turn) + shift
    value = nas.cka(x, y, unbiased=unbiased)
    assert nas.cka(moved, y, unbiased=unbiased) == pytest.approx(value, abs=1e-6)
    assert nas.cka(y, x, unbiased=unbiased) == pytest.approx(value, abs=1e-9)
    assert nas.cka(x, moved, unbiased=unbiased) == pytest.approx(1, abs=1e-6)
    if not unbiased:
        assert -1e-9 <= value <= 1 + 1e-9


def test_cka_sees_other_linear_maps():
    # Not invariant to every invertible map: that would make wide layers all alike.
    x = data(200, 5, 0)
    stretched = x * torch.tensor([1, 1, 1, 1, 50.0], dtype=torch.float64)
    assert nas.cka(x, stretched) < 0.7


def test_few_examples_of_many_features_look_alike_unless_unbiased():
    x, y = data(100, 3000, 0), data(100, 3000, 1)
    assert nas.cka(x, y) > 0.9
    assert abs(nas.cka(x, y, unbiased=True)) < 0.05


def test_a_constant_set_has_no_similarity():
    x = data(20, 3, 0)
    for unbiased in (False, True):
        assert math.isnan(nas.cka(x, torch.full((20, 2), 0.1, dtype=torch.float64)))
        assert math.isnan(nas.cka(torch.zeros(20, 2), x, unbiased=unbiased))
    with pytest.raises(InputError, match="the same examples"):
        nas.cka(x, x[:10])
    with pytest.raises(InputError, match="4 or more"):
        nas.cka(x[:3], x[:3], unbiased=True)
    with pytest.raises(InputError, match=r"\(n, d\)"):
        nas.cka(x, x[:, 0])


def network(seed: int, width: int = 6) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, width, 3),
        nn.ReLU(),
        nn.Conv2d(width, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 16, 3),
    )


@torch.no_grad()
def test_layers_of_two_models_pair_by_pair():
    images = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    one, two = network(1), network(2, 5)
    found = nas.similarity(one, two, images, unbiased=False)
    assert found.rows == found.columns == ("0", "2", "5")
    assert (found.examples, found.own) == (24, False)
    for i, end in enumerate((1, 3, 6)):
        for j, stop in enumerate((1, 3, 6)):
            x, y = one[:end](images).flatten(1), two[:stop](images).flatten(1)
            wanted = direct(x.double().numpy(), y.double().numpy())
            assert found.values[i, j] == pytest.approx(wanted, rel=1e-5)


@torch.no_grad()
def test_batches_are_averaged_before_they_are_divided():
    images = torch.randn(25, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    one = network(1)
    seen = []
    found = nas.similarity(
        one, None, images, ["0", "5"], batch=9, progress=lambda *at: seen.append(at)
    )
    assert found.own
    assert seen == [(9, 25), (17, 25), (25, 25)]
    sums = np.zeros((2, 2))
    for part in (images[:9], images[9:17], images[17:]):
        grams = [f.double().numpy() for f in (one[:1](part).flatten(1), one(part))]
        grams = [g @ g.T for g in grams]
        sums += [[hsic1(a, b) for b in grams] for a in grams]
    wanted = sums / np.sqrt(np.outer(np.diag(sums), np.diag(sums)))
    assert np.allclose(found.values, wanted, rtol=1e-5)
    assert np.allclose(np.diag(found.values), 1)
    told = found.to_json()
    assert told["rows"] == ["0", "5"]
    assert told["values"][0][0] == pytest.approx(1)


def test_a_layer_that_says_nothing_is_nan():
    net = network(1)
    with torch.no_grad():
        net[0].weight.zero_()
    images = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = nas.similarity(net, None, images)
    assert np.isnan(found.values).all()
    assert found.to_json()["values"][0][1] is None


def test_what_cannot_be_compared_is_refused():
    images = torch.randn(3, 1, 8, 8)
    with pytest.raises(InputError, match="4 examples"):
        nas.similarity(network(1), None, images)
    with pytest.raises(InputError, match="weights"):
        nas.similarity(nn.ReLU(), None, torch.randn(9, 4))
    deep = nn.Sequential(*[nn.Linear(4, 4) for _ in range(60)])
    found = nas.similarity(deep, None, torch.randn(9, 4))
    assert len(found.rows) == 40
    assert (found.rows[0], found.rows[-1]) == ("0", "59")
