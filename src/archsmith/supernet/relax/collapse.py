"""Whether a relaxation is about to collapse into options without parameters, and when to stop.

The signs: the share of decisions that such options lead, the entropy of the mixing weights, and the
dominant eigenvalue of the Hessian of the held-out loss in the alphas, whose growth goes before the
collapse (Zela et al. 2020, RobustDARTS, arXiv:1909.09656).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

_WINDOW, _BACK = 5, 4  # epochs that are averaged, and between which averages are compared
_RATIO = 0.75
_PATIENCE = 3  # epochs in a row
_STEP = 0.01  # of the difference quotient, in alphas


def dominant_eigenvalue(
    gradient: Callable[[], Sequence[Tensor | None]],
    variables: Sequence[Tensor],
    *,
    iterations: int = 5,
    seed: int = 0,
) -> float:
    """The eigenvalue of largest magnitude of a Hessian, by power iteration.

    Products with the Hessian are central differences of the gradient along a direction: two
    gradients an iteration, of any model (not every kernel has a second derivative).

    Args:
        gradient: of the loss in ``variables`` at their present values; must be the same function
            at each call.
        variables: changed in place meanwhile, and put back.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = [v.numel() for v in variables]
    first = torch.randn(sum(sizes), generator=generator)
    direction = (first / first.norm()).to(variables[0])
    before = [v.detach().clone() for v in variables]

    def along(step: float) -> Tensor:
        with torch.no_grad():
            for v, b, d in zip(variables, before, direction.split(sizes), strict=True):
                v.copy_(b + step * d.view_as(b))
        found = [
            torch.zeros_like(v) if g is None else g
            for v, g in zip(variables, gradient(), strict=True)
        ]
        return torch.cat([g.detach().reshape(-1) for g in found])

    eigenvalue = 0.0
    try:
        for _ in range(iterations):
            product = (along(_STEP) - along(-_STEP)) / (2 * _STEP)
            eigenvalue = float(direction @ product)
            length = float(product.norm())
            if not length > 0 or not math.isfinite(length):
                break
            direction = product / length
    finally:
        with torch.no_grad():
            for v, b in zip(variables, before, strict=True):
                v.copy_(b)
    return eigenvalue


def entropy_share(weights: Sequence[Tensor]) -> float:
    """Mean entropy of mixing weights, as a share of that of even ones: 1 at the start, 0 decided.

    Args:
        weights: one vector a decision, none negative; those of one option are left out.
    """
    shares = []
    for vector in weights:
        if vector.numel() > 1:
            p = vector.double() / vector.double().sum().clamp_min(1e-12)
            shares.append(float(torch.special.entr(p).sum()) / math.log(p.numel()))
    return sum(shares) / len(shares) if shares else 0.0


def free_share(leading: Mapping[str, Sequence[int]], free: Mapping[str, frozenset[int]],
               sizes: Mapping[str, int]) -> float:  # fmt: skip
    """Share of the leading options that have no parameters, over decisions that offer both kinds.

    Args:
        leading: places of the options that would be taken now, by decision.
        free: places of those without parameters.
        sizes: how many options there are.
    """
    taken = [
        place in free[name]
        for name, places in leading.items()
        if 0 < len(free[name]) < sizes[name]
        for place in places
    ]
    return sum(taken) / len(taken) if taken else 0.0


@dataclass
class Watch:
    """Looks at the signs after each epoch, and says when to stop and which alphas to go back to.

    Stops when the eigenvalue, averaged over 5 epochs, has grown to more than 1 / 0.75 of that
    average 4 epochs ago (as RobustDARTS does it: not before the ninth epoch), or when the share of
    parameter-free options was above a bound for three epochs, after one where it was not.

    Args:
        bound: of that share.
    """

    bound: float = 0.75
    eigenvalues: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    kept: list[dict[str, Tensor]] = field(default_factory=list)

    def look(self, share: float, eigenvalue: float | None, alphas: dict[str, Tensor]) -> str:
        """Take in an epoch; a reason to stop, or nothing. The last of ``kept`` are then good."""
        self.shares.append(share)
        if eigenvalue is not None:
            self.eigenvalues.append(eigenvalue)
        self.kept.append(alphas)
        reason, back = self._grown(), _BACK
        if not reason:
            reason, back = self._free(), _PATIENCE
        if reason:
            self.kept = self.kept[: max(1, len(self.kept) - back)]
        self.kept = self.kept[-(max(_BACK, _PATIENCE) + 1) :]
        return reason

    @property
    def good(self) -> dict[str, Tensor]:
        """The alphas to go back to, once there is a reason to stop."""
        return self.kept[-1]

    def _grown(self) -> str:
        if len(self.eigenvalues) < _WINDOW + _BACK:
            return ""
        now = sum(self.eigenvalues[-_WINDOW:]) / _WINDOW
        before = sum(self.eigenvalues[-_WINDOW - _BACK : -_BACK]) / _WINDOW
        if now > 0 and before / now < _RATIO:
            return (
                f"the dominant eigenvalue of the held-out loss grew from {before:.3g} to {now:.3g} "
                f"in {_BACK} epochs; the alphas are those of {_BACK} epochs ago"
            )
        return ""

    def _free(self) -> str:
        last = self.shares[-_PATIENCE:]
        before = self.shares[-_PATIENCE - 1 : -_PATIENCE]
        if len(last) == _PATIENCE and before and before[0] <= self.bound < min(last):
            return (
                f"options without parameters lead {last[-1]:.0%} of the decisions for {_PATIENCE} "
                "epochs; the alphas are those from before"
            )
        return ""

    def state(self) -> dict[str, Any]:
        return {"eigenvalues": self.eigenvalues, "shares": self.shares, "kept": self.kept}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.eigenvalues = list(state["eigenvalues"])
        self.shares, self.kept = list(state["shares"]), list(state["kept"])
