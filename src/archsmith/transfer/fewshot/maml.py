"""Learners that take gradient steps on the support: MAML and its variants."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ..._support.errors import InputError
from .base import FewShotLearner


class MAML(FewShotLearner):
    """Model-agnostic meta-learning (Finn et al. 2017, arXiv:1703.03400).

    ``embed`` is a whole classifier: inputs (n, ...) to at least as many logits as an episode has
    ways. For each episode its weights take ``steps`` gradient steps on the support; training
    differentiates through those steps, including second derivatives.

    BatchNorm uses the statistics of the batch in training, and the running ones afterwards, so
    that a prediction does not depend on the other queries. The inner steps do not change the
    running statistics. If both differ much, GroupNorm does better.

    Args:
        embed: the classifier.
        lr: of the inner steps.
        steps: inner steps.
    """

    name = "maml"
    settings = ("lr", "steps")
    adapts = True
    #: Whether the inner gradient is treated as constant in training.
    first_order: ClassVar[bool] = False

    def __init__(
        self,
        embed: nn.Module | None = None,
        *,
        dim: int | None = None,
        lr: float = 0.1,
        steps: int = 5,
    ) -> None:
        super().__init__(embed, dim=dim)
        hint = "pass a classifier with at least as many outputs as there are ways"
        if embed is None:
            raise InputError(f"{self.name} embed", "a model to adapt", "None", hint)
        self.demand("lr", lr > 0, "a number above 0", lr)
        self.demand("steps", steps >= 1, "1 or more", steps)
        self.lr, self.steps = lr, steps
        self.demand("embed", bool(self.adapted()), "a model with trainable parameters", embed)

    def adapted(self) -> dict[str, nn.Parameter]:
        """Parameters of ``embed`` that the inner steps change, by name."""
        assert self.embed is not None
        return {name: p for name, p in self.embed.named_parameters() if p.requires_grad}

    def check(self, features: Tensor, members: Tensor) -> None:
        with torch.no_grad():
            self._run({}, features[:2], members.shape[-1], keep=False)

    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        ways = members.shape[-1]
        return torch.stack(
            [
                self._run(self.adapt(s, m), q, ways, keep=True)
                for s, m, q in zip(support, members, query)
            ]
        )

    def adapt(self, support: Tensor, members: Tensor) -> dict[str, Tensor]:
        """Parameters after the inner steps on one episode's inputs (S, ...) and classes (S, N)."""
        outer = torch.is_grad_enabled()
        fast: dict[str, Tensor] = dict(self.adapted())
        with torch.enable_grad():
            if not outer:
                fast = {name: p.detach().requires_grad_() for name, p in fast.items()}
            for _ in range(self.steps):
                outputs = self._run(fast, support, members.shape[-1], keep=False)
                loss = F.cross_entropy(outputs, members)
                slopes = torch.autograd.grad(
                    loss, list(fast.values()), create_graph=outer and not self.first_order
                )
                fast = {
                    name: p - self.lr * slope
                    for (name, p), slope in zip(fast.items(), slopes, strict=True)
                }
                if not outer:
                    fast = {name: p.detach().requires_grad_() for name, p in fast.items()}
        return fast

    def _run(self, fast: dict[str, Tensor], inputs: Tensor, ways: int, *, keep: bool) -> Tensor:
        """Logits (n, ways) with changed parameters.

        Args:
            keep: whether BatchNorm's statistics may be updated by the inputs.
        """
        assert self.embed is not None
        buffers = {} if keep else {name: b.clone() for name, b in self.embed.named_buffers()}
        outputs: Tensor = functional_call(self.embed, {**fast, **buffers}, (inputs,))
        if outputs.ndim != 2 or outputs.shape[1] < ways:
            raise InputError(
                f"{self.name} embed",
                f"logits (n, {ways}) or more of them",
                f"outputs of shape {tuple(outputs.shape)}",
                "use fewer ways, or a larger head",
            )
        return outputs[:, :ways]


class FirstOrderMAML(MAML):
    """First-order MAML (Finn et al. 2017, arXiv:1703.03400): inner gradients are constants in
    training, which takes less memory and time."""

    name = "fomaml"
    first_order = True


class ANIL(MAML):
    """Almost no inner loop (Raghu et al. 2020, arXiv:1909.09157): inner steps change only the last
    layer."""

    name = "anil"

    def adapted(self) -> dict[str, nn.Parameter]:
        everything = super().adapted()
        last = next(reversed(everything), "").rpartition(".")[0]
        return {n: p for n, p in everything.items() if n.rpartition(".")[0] == last}
