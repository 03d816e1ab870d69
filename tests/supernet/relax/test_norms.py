"""Scales and shifts of normalisations: held inside options while they are mixed, free elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith.train import is_norm

from ..training_toys import first_batch, operations, session_of, values
from .toys import METHODS

NORMS: dict[str, Any] = {
    "batch": lambda: nn.BatchNorm2d(4),
    "instance": lambda: nn.InstanceNorm2d(4, affine=True),
    "group": lambda: nn.GroupNorm(2, 4),
    "layer": lambda: nn.LayerNorm([4, 8, 8]),
    "bare": lambda: nn.BatchNorm2d(4, affine=False),
}


def normed(channels: int, classes: int, norm: str = "batch") -> nn.Module:
    """A normalisation before the choice and one in each option."""

    def conv(kernel: int) -> nn.Module:
        inner = nn.Conv2d(4, 4, kernel, padding=kernel // 2)
        return nn.Sequential(nn.ReLU(), inner, NORMS[norm]())

    def shut() -> nn.Module:
        """A block as with a shortcut, whose last scale begins at zero."""
        block = conv(3)
        if norm == "batch":
            nn.init.zeros_(block[2].weight)  # type: ignore[index]
        return block

    def fixed() -> nn.Module:
        """One whose scale the user has frozen."""
        block = conv(1)
        if norm == "batch":
            nn.init.constant_(block[2].weight, 0.3).requires_grad_(False)  # type: ignore[index]
        return block

    options = {"conv3": lambda: conv(3), "conv1": lambda: conv(1), "shut": shut, "fixed": fixed}
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        NORMS[norm](),
        nas.one_of("op", options),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def held(session: Any, inside: bool) -> dict[str, torch.Tensor]:
    """Scales and shifts that the store has of normalisations inside options, or outside."""
    return {
        key: tensor.detach().clone()
        for key, tensor in session.supernet.named_parameters()
        if is_norm(session.supernet.facts(key.replace("/", ".")).kind) and ("=" in key) == inside
    }


@pytest.mark.parametrize("norm", NORMS)
def test_norms_inside_options_are_held_while_mixed(norm: str) -> None:
    method = METHODS["darts"]()
    session = session_of(lambda channels, classes: normed(channels, classes, norm), holdout=0.5)
    method.begin(session)
    outside, before = held(session, inside=False), values(session)
    for _ in range(3):
        method.step(session, first_batch(session))
        session.step += 1
    for key, tensor in held(session, inside=True).items():
        scale = pytest.approx(0.3) if "fixed" in key and norm == "batch" else 1.0
        assert tensor.unique().tolist() == [scale if key.endswith("weight") else 0.0]
    assert all(not torch.equal(held(session, False)[k], v) for k, v in outside.items())
    assert bool(outside) == (norm != "bare")
    after = values(session)
    convs = [k for k, t in before.items() if "=" in k and t.ndim == 4]
    assert convs
    assert all(not torch.equal(before[k], after[k]) for k in convs)  # a shut option learns, too


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_holds_them_and_what_is_derived_has_them(name: str) -> None:
    method = METHODS[name](warm=0.0)
    session = session_of(operations, holdout=method.holdout)
    method.begin(session)
    for _ in range(4):
        method.step(session, first_batch(session))
        session.step += 1
    scales = held(session, inside=True)
    assert len(scales) == 12  # three places, two options with a norm, scale and shift
    assert all(t.unique().numel() == 1 for t in scales.values())
    (best,) = method.derive(session, 1)
    lent, own = session.supernet.subnet(best), session.supernet.extract(best)
    x = torch.randn(5, 1, 8, 8)
    assert torch.equal(lent.eval()(x), own.eval()(x))
    for model in (lent, own, session.supernet.space.build(best)):
        assert all(p.requires_grad for p in model.parameters())
    own.train()(x).square().sum().backward()
    norms = [m for m in own.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.weight.grad is not None and m.weight.grad.any() for m in norms)
