"""Linear classifiers that are fitted to the support of each episode."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import FewShotLearner
from .distances import class_means, within_span


class Ridge(FewShotLearner):
    """Ridge regression to one-hot targets in closed form: R2D2 (Bertinetto et al. 2019,
    arXiv:1805.08136).

    Strength, scale and bias are trained along with an embedding, as in the paper.

    Args:
        strength: of the penalty on squared weights.
        scale: factor that turns predictions into logits.
    """

    name = "ridge"

    def __init__(
        self,
        embed: nn.Module | None = None,
        *,
        dim: int | None = None,
        strength: float = 1.0,
        scale: float = 10.0,
    ) -> None:
        super().__init__(embed, dim=dim)
        self.demand("strength", strength > 0, "a number above 0", strength)
        self.demand("scale", scale > 0, "a number above 0", scale)
        self.log_strength = nn.Parameter(torch.tensor(float(strength)).log())
        self.log_scale = nn.Parameter(torch.tensor(float(scale)).log())

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        strength = self.log_strength.exp()
        shots, dim = support.shape[1:]
        if dim > shots:
            # X' (X X' + s)^-1 = (X' X + s)^-1 X' (Woodbury): the smaller of both is solved.
            weights = support.mT @ _solve(support @ support.mT, strength, members)
        else:
            weights = _solve(support.mT @ support, strength, support.mT @ members)
        return self.log_scale.exp() * (query @ weights)


class FineTuning(FewShotLearner):
    """A linear layer trained on the support until convergence: logistic regression.

    It minimises cross entropy summed over the support plus ``|W|^2 / (2 C)``, without a penalty on
    the bias, as scikit-learn's ``LogisticRegression`` does. The curvature is bounded once (Böhning
    1992), so a step needs no Hessian; steps are accelerated (Nesterov) and restarted for
    each episode where they overshoot.

    Args:
        inverse_strength: C.
        steps: of the optimiser.
    """

    name = "fine-tuning"
    settings = ("inverse_strength", "steps")

    def __init__(
        self,
        embed: nn.Module | None = None,
        *,
        dim: int | None = None,
        inverse_strength: float = 1.0,
        steps: int = 100,
    ) -> None:
        super().__init__(embed, dim=dim)
        c = inverse_strength
        self.demand("inverse_strength", c > 0, "a number above 0", c)
        self.demand("steps", steps >= 1, "1 or more", steps)
        self.inverse_strength, self.steps = inverse_strength, steps

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        middle = support.mean(dim=1, keepdim=True)
        inputs, asked = within_span(support - middle, query - middle)
        inputs, asked = F.pad(inputs, (0, 1), value=1.0), F.pad(asked, (0, 1), value=1.0)
        penalty = inputs.new_full(inputs.shape[-1:], 1 / self.inverse_strength)
        # Almost none on the bias: adding the same number to all logits changes no probability.
        penalty[-1] = 1e-6
        curvature = 0.5 * inputs.mT @ inputs + torch.diag(penalty)
        inverse = torch.linalg.inv(curvature)
        weights = inputs.new_zeros(*inputs.shape[::2], members.shape[-1])
        ahead, momentum = weights, inputs.new_ones(len(inputs), 1, 1)
        for _ in range(self.steps):
            wrong = (inputs @ ahead).softmax(dim=-1) - members
            slope = inputs.mT @ wrong + penalty[:, None] * ahead
            new = ahead - inverse @ slope
            overshot = (slope * (new - weights)).sum(dim=(1, 2), keepdim=True) > 0
            momentum = torch.where(overshot, 1.0, momentum)
            following = (1 + torch.sqrt(1 + 4 * momentum**2)) / 2
            ahead = new + (momentum - 1) / following * (new - weights)
            weights, momentum = new, following
        return asked @ weights


class BaselinePlusPlus(FewShotLearner):
    """Baseline++ (Chen et al. 2019, arXiv:1904.04232): a cosine classifier trained on the support.

    Weights of classes start at their means and move on the unit sphere, by gradient descent with
    momentum 0.9 on the mean cross entropy.

    Args:
        scale: factor of the cosines.
        steps, lr: of the descent.
    """

    name = "baseline++"
    settings = ("scale", "steps", "lr")

    def __init__(
        self,
        embed: nn.Module | None = None,
        *,
        dim: int | None = None,
        scale: float = 10.0,
        steps: int = 100,
        lr: float = 0.1,
    ) -> None:
        super().__init__(embed, dim=dim)
        self.demand("scale", scale > 0, "a number above 0", scale)
        self.demand("steps", steps >= 0, "0 or more", steps)
        self.demand("lr", lr > 0, "a number above 0", lr)
        self.scale, self.steps, self.lr = scale, steps, lr

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        # Descent never leaves the span of the support, so its coordinates suffice.
        inputs, asked = within_span(F.normalize(support, dim=-1), F.normalize(query, dim=-1))
        weights = F.normalize(class_means(inputs, members), dim=-1)
        speed = torch.zeros_like(weights)
        for _ in range(self.steps):
            cosines = inputs @ weights.mT
            wrong = (self.scale * cosines).softmax(dim=-1) - members
            slope = self.scale / inputs.shape[1] * (wrong.mT @ inputs)
            # Only the component perpendicular to a unit vector can change it.
            slope = slope - (slope * weights).sum(dim=-1, keepdim=True) * weights
            speed = 0.9 * speed + slope
            weights = F.normalize(weights - self.lr * speed, dim=-1)
        return self.scale * (asked @ weights.mT)


def _solve(gram: Tensor, strength: Tensor, right: Tensor) -> Tensor:
    """(G + strength I)^-1 R."""
    eye = torch.eye(gram.shape[-1], device=gram.device, dtype=gram.dtype)
    return torch.cholesky_solve(right, torch.linalg.cholesky(gram + strength * eye))
