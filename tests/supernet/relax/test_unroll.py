"""The second order of DARTS: the step that is looked ahead, and the gradient through it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archsmith.supernet.relax import darts
from archsmith.supernet.relax.darts import SecondOrderDARTS
from archsmith.supernet.relax.unroll import ComingStep, unrolled_gradient

from ..training_toys import RECIPE, first_batch, operations, session_of

OPTIMISERS: dict[str, Any] = {
    "descent": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.8, dampening=0.1, weight_decay=0.05
    ),
    "nesterov": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05
    ),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05),
}


def trained(name: str, steps: int) -> tuple[nn.Parameter, torch.optim.Optimizer]:
    """A weight that has been trained for some steps, so that the optimiser remembers something."""
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(4, generator=generator, dtype=torch.float64))
    optimizer = OPTIMISERS[name]([weight])
    for _ in range(steps):
        weight.grad = torch.randn(4, generator=generator, dtype=torch.float64)
        optimizer.step()
    return weight, optimizer


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_coming_step_is_the_one_that_the_optimiser_takes(name: str, steps: int) -> None:
    for clip in (0.0, 0.5):
        weight, optimizer = trained(name, steps)
        gradient = torch.tensor([3.0, -0.4, 0.0, 1.0], dtype=torch.float64)
        (expected,) = ComingStep(optimizer, 0.1, clip)([weight], [gradient])
        assert expected is not None
        weight.grad = gradient.clone()
        if clip:
            nn.utils.clip_grad_norm_([weight], clip)
        optimizer.step()
        assert torch.allclose(weight, expected, rtol=1e-6, atol=1e-9)
    assert ComingStep(optimizer, 0.1)([weight], [None]) == [None]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_unrolled_gradient_is_that_of_autograd(name: str) -> None:
    # Training loss quadratic in the weights, so that the finite difference has no error of order.
    w, optimizer = trained(name, 3)
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    goal = torch.randn(6, generator=generator, dtype=torch.float64)
    alpha = torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_()

    def train(weights: Tensor, a: Tensor) -> Tensor:
        return (data @ (weights * a.exp()) - goal).square().mean()

    def held(weights: Tensor, a: Tensor) -> Tensor:
        return (data.flip(0) @ (weights * a.exp()) - 1.0).square().mean()

    step = ComingStep(optimizer, 0.1, clip=2.0)
    (gradient,) = torch.autograd.grad(train(w, alpha), w, create_graph=True)
    (after,) = step([w], [gradient])
    assert after is not None
    (exact,) = torch.autograd.grad(held(after, alpha), alpha)
    before = w.detach().clone()
    (found,) = unrolled_gradient(
        lambda: held(w, alpha), lambda: train(w, alpha), [w], [alpha], step=step
    )
    assert torch.equal(w.detach(), before)
    assert found is not None
    assert torch.allclose(found, exact, rtol=1e-5, atol=1e-8)
    (first,) = torch.autograd.grad(held(w, alpha), alpha)
    assert not torch.allclose(first, exact, rtol=1e-2)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_darts_looks_ahead_to_where_the_weights_go(
    optimizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[list[Tensor | None]] = []

    class Noted(ComingStep):
        def __call__(self, *args: Any) -> Any:
            ahead.append([None if w is None else w.detach() for w in super().__call__(*args)])
            return super().__call__(*args)

    monkeypatch.setattr(darts, "ComingStep", Noted)
    recipe = replace(RECIPE, optimizer=optimizer, lr=0.05, weight_decay=0.1, clip=0.5, warmup=0.5)
    method = SecondOrderDARTS(rate=1e-9)  # the alphas stay: the weights' step is that of before
    session = session_of(operations, recipe, holdout=0.5)
    method.begin(session)
    rates = []
    for _ in range(4):
        method.step(session, first_batch(session))
        session.step += 1
        rates.append(session.rate)
        stored = [p.detach() for p in session.supernet.parameters() if p.requires_grad]
        moved = [(w, a) for w, a in zip(stored, ahead[-1], strict=True) if a is not None]
        assert len(moved) > 8
        for weight, expected in moved:
            assert torch.allclose(weight, expected, rtol=1e-4, atol=1e-6)
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]
