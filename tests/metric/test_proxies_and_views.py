from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from archsmith._support.errors import InputError, MissingExtraError
from archsmith.metric import loss_class
from archsmith.metric.distill import relational
from archsmith.metric.proxies import ProxyAnchor, ProxyNCA
from archsmith.metric.views import barlow_twins, found_partner, nt_xent

GENERATOR = torch.Generator().manual_seed(0)
Z = torch.randn(6, 4, generator=GENERATOR)
TARGETS = torch.tensor([0, 2, 2, 0, 4, 2])


def unit(values: torch.Tensor) -> np.ndarray:
    array = values.detach().double().numpy()
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_proxy_nca_is_a_softmax_over_distances_to_proxies() -> None:
    loss = ProxyNCA(5, 4)
    z, p = unit(Z), unit(loss.proxies)
    distances = ((z[:, None] - p[None]) ** 2).sum(-1)
    chances = np.exp(-8.0 * distances)
    expected = -np.log(chances[np.arange(6), TARGETS] / chances.sum(1)).mean()
    assert float(loss(Z, TARGETS).detach()) == pytest.approx(expected, rel=1e-5)


def test_proxy_anchor_is_the_formula_of_the_paper() -> None:
    loss = ProxyAnchor(5, 4, scale=2.0, margin=0.3)
    cosines = unit(Z) @ unit(loss.proxies).T
    pull, push = [], []
    for c in range(5):
        own = [i for i in range(6) if TARGETS[i] == c]
        others = [i for i in range(6) if TARGETS[i] != c]
        if own:
            pull.append(np.log1p(sum(np.exp(-2.0 * (cosines[i, c] - 0.3)) for i in own)))
        push.append(np.log1p(sum(np.exp(2.0 * (cosines[i, c] + 0.3)) for i in others)))
    expected = np.mean(pull) + np.mean(push)
    assert float(loss(Z, TARGETS).detach()) == pytest.approx(expected, rel=1e-5)


def test_proxies_learn_where_their_class_is() -> None:
    generator = torch.Generator().manual_seed(1)
    centres = F.normalize(torch.randn(3, 8, generator=generator), dim=1)
    labels = torch.arange(3).repeat(20)
    points = centres[labels] + 0.1 * torch.randn(60, 8, generator=generator)
    for kind in (ProxyNCA, ProxyAnchor):
        loss = kind(3, 8)
        optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
        for _ in range(100):
            optimizer.zero_grad()
            loss(points, labels).backward()
            optimizer.step()
        assert (loss.cosines(points).argmax(1) == labels).all()


def test_nt_xent_is_the_formula_of_the_paper() -> None:
    z = unit(Z)
    told = []
    for i in range(6):
        j = i + 1 if i % 2 == 0 else i - 1
        total = sum(np.exp(z[i] @ z[k] / 0.5) for k in range(6) if k != i)
        told.append(-np.log(np.exp(z[i] @ z[j] / 0.5) / total))
    assert float(nt_xent(Z, 0.5)) == pytest.approx(np.mean(told), rel=1e-5)


def test_barlow_twins_is_the_formula_of_the_paper() -> None:
    outputs = torch.randn(40, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    a, b = (
        v / v.std(0)
        for v in ((x - x.mean(0)) for x in (outputs[::2].numpy(), outputs[1::2].numpy()))
    )
    c = a.T @ b / 20
    off = c - np.diag(np.diag(c))
    expected = (((1 - np.diag(c)) ** 2).sum() + 0.005 * (off**2).sum()) / 4
    assert float(barlow_twins(outputs)) == pytest.approx(expected, rel=1e-4)


def test_views_that_are_equal_find_each_other() -> None:
    first = torch.eye(5)
    assert found_partner(first.repeat_interleave(2, 0)).all()
    assert not found_partner(first.repeat_interleave(2, 0).roll(1, 0)).any()
    for loss in (nt_xent, barlow_twins):
        with pytest.raises(InputError, match="two views"):
            loss(torch.zeros(5, 3))


def test_relational_imitation_takes_any_size_and_sees_no_rotation() -> None:
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)))[0]
    assert float(relational(Z @ turn, Z)) == pytest.approx(0, abs=1e-5)
    assert float(relational(F.pad(Z, (0, 3)), Z)) == pytest.approx(0, abs=1e-6)
    student = Z.clone().requires_grad_()
    relational(student, 2 * Z).backward()
    assert student.grad is not None
    assert student.grad.abs().max() > 1e-4


def test_losses_of_pytorch_metric_learning() -> None:
    if __import__("importlib.util").util.find_spec("pytorch_metric_learning") is None:
        with pytest.raises(MissingExtraError, match=r"archsmith\[metric\]"):
            loss_class("pml:TripletMarginLoss")
        pytest.skip("pip install 'archsmith[metric]' for the rest")
    from archsmith._support.errors import UnknownNameError

    ours = loss_class("contrastive")()
    theirs = loss_class("pml:ContrastiveLoss")()
    assert float(theirs(Z, TARGETS)) > 0
    assert float(ours(Z, TARGETS)) > 0
    mined = loss_class("pml:TripletMarginLoss+BatchHardMiner")()
    assert float(mined(Z, TARGETS)) >= 0
    kind = loss_class("pml:ProxyAnchorLoss")
    assert kind.learned
    assert len(list(kind(5, 4).parameters())) == 1
    with pytest.raises(UnknownNameError):
        loss_class("pml:Nothing")
    # SupConLoss there is the same formula as ours.
    same = loss_class("pml:SupConLoss")()(Z, TARGETS)
    assert float(loss_class("supervised-contrastive")()(Z, TARGETS)) == pytest.approx(
        float(same), rel=1e-4
    )
