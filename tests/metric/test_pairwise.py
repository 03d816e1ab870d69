"""Losses over pairs against loops that say the formula as the paper does."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.metric import loss_class, losses
from archsmith.metric.distances import squared
from archsmith.metric.pairwise import (
    NCA,
    Contrastive,
    EmbeddingLoss,
    Prototypical,
    SupervisedContrastive,
    Triplet,
)

TARGETS = torch.tensor([3, 0, 3, 7, 0, 3, 7, 1])  # 1 has no other of its class


@pytest.fixture
def embeddings() -> Tensor:
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def near(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().sum())


def prototypical(z: Tensor) -> float:
    told = []
    for i, own in enumerate(TARGETS.tolist()):
        if int((own == TARGETS).sum()) < 2:
            continue
        chances = {}
        for c in TARGETS.unique().tolist():
            rows = [j for j in range(8) if TARGETS[j] == c and j != i]
            chances[c] = math.exp(-near(z[i], torch.stack([z[j] for j in rows]).mean(0)))
        told.append(-math.log(chances[own] / sum(chances.values())))
    return sum(told) / len(told)


def nca(z: Tensor) -> float:
    told = []
    for i in range(8):
        weights = {j: math.exp(-near(z[i], z[j])) for j in range(8) if j != i}
        own = [w for j, w in weights.items() if TARGETS[j] == TARGETS[i]]
        if own:
            told.append(-math.log(sum(own) / sum(weights.values())))
    return sum(told) / len(told)


def supervised_contrastive(z: Tensor) -> float:
    z = F.normalize(z, dim=1)
    told = []
    for i in range(8):
        others = [j for j in range(8) if j != i]
        total = sum(math.exp(float(z[i] @ z[j]) / 0.1) for j in others)
        own = [j for j in others if TARGETS[j] == TARGETS[i]]
        if own:
            logs = [-math.log(math.exp(float(z[i] @ z[j]) / 0.1) / total) for j in own]
            told.append(sum(logs) / len(logs))
    return sum(told) / len(told)


def contrastive(z: Tensor) -> float:
    z = F.normalize(z, dim=1)
    pull, push = [], []
    for i in range(8):
        for j in range(8):
            if i == j:
                continue
            d = math.sqrt(near(z[i], z[j]))
            if TARGETS[i] == TARGETS[j]:
                pull.append(d**2)
            else:
                push.append(max(0.0, 1.0 - d) ** 2)
    return sum(pull) / len(pull) + sum(push) / len(push)


def triplet(z: Tensor) -> float:
    told = []
    for i in range(8):
        own = [math.sqrt(near(z[i], z[j])) for j in range(8) if j != i and TARGETS[j] == TARGETS[i]]
        strange = [math.sqrt(near(z[i], z[j])) for j in range(8) if TARGETS[j] != TARGETS[i]]
        if own:
            told.append(math.log1p(math.exp(max(own) - min(strange))))
    return sum(told) / len(told)


FORMULAS: dict[str, Callable[[Tensor], float]] = {
    "prototypical": prototypical,
    "nca": nca,
    "supervised-contrastive": supervised_contrastive,
    "contrastive": contrastive,
    "triplet": triplet,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_loss_is_what_the_formula_says(name: str, embeddings: Tensor) -> None:
    value = float(loss_class(name)()(embeddings, TARGETS))
    assert value == pytest.approx(FORMULAS[name](embeddings), rel=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_agree_with_differences(name: str, embeddings: Tensor) -> None:
    loss, formula = loss_class(name)(), FORMULAS[name]
    z = embeddings.clone().requires_grad_()
    loss(z, TARGETS).backward()
    assert z.grad is not None
    for place in ((0, 0), (3, 2), (7, 4)):
        step = torch.zeros_like(embeddings)
        step[place] = 1e-5
        slope = (formula(embeddings + step) - formula(embeddings - step)) / 2e-5
        assert float(z.grad[place]) == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMULAS)
def test_training_pulls_classes_together(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(4).repeat_interleave(4)
    z = torch.randn(16, 3, generator=generator, requires_grad=True)
    optimizer, loss = torch.optim.Adam([z], lr=0.05), loss_class(name)()
    for _ in range(300):
        optimizer.zero_grad()
        loss(z, targets).backward()
        optimizer.step()
    shown = (
        F.normalize(z.detach(), dim=1)
        if name in ("supervised-contrastive", "contrastive")
        else z.detach()
    )
    distances = squared(shown, shown)
    distances.fill_diagonal_(math.inf)
    assert (targets[distances.argmin(1)] == targets).all()


@pytest.mark.parametrize("name", FORMULAS)
def test_a_batch_without_any_pair_gives_zero_and_a_gradient(name: str) -> None:
    z = torch.randn(3, 2, requires_grad=True)
    loss = loss_class(name)()(z, torch.arange(3))
    if name != "contrastive":  # strangers are still pushed
        assert float(loss.detach()) == 0.0
    loss.backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


@given(st.permutations(range(8)))
@settings(max_examples=20, deadline=None)
def test_order_and_names_of_classes_do_not_matter(order: list[int]) -> None:
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(2))
    for kind in (Prototypical, NCA, SupervisedContrastive, Contrastive, Triplet):
        loss: EmbeddingLoss = kind()
        renamed = 10 - TARGETS[order]
        assert float(loss(z[order], renamed)) == pytest.approx(float(loss(z, TARGETS)), rel=1e-4)


def test_identical_embeddings_have_finite_gradients() -> None:
    for name in FORMULAS:
        z = torch.ones(8, 4, requires_grad=True)
        loss_class(name)()(z, TARGETS).backward()
        assert z.grad is not None
        assert z.grad.isfinite().all(), name


def test_settings_are_checked_and_names_are_offered() -> None:
    with pytest.raises(InputError, match="temperature"):
        NCA(0)
    with pytest.raises(InputError, match="margin"):
        Triplet(margin=-1)
    with pytest.raises(UnknownNameError, match="did you mean 'triplet'"):
        loss_class("tripplet")
    assert set(FORMULAS) < set(losses.names())


@pytest.mark.parametrize("name", ["CrossBatchMemory", "MultipleLosses"])
def test_a_foreign_loss_that_needs_more_is_refused(name: str) -> None:
    pytest.importorskip("pytorch_metric_learning", reason="needs the extra metric")
    with pytest.raises(InputError, match="without required arguments, got"):
        loss_class(f"pml:{name}")
