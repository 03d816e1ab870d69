"""DrNAS: mixing weights from a Dirichlet distribution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional as F

from ...space.decision import Categorical
from ..session import Session
from .mixture import Mix
from .reading import Relaxed, taken
from .relaxation import Relaxation

_ANCHOR = 1e-3  # weight of the regulariser, as in the paper
_LEAST = 1e-4  # smallest concentration; zero does not define a distribution


class DrNAS(Relaxation):
    """Dirichlet NAS (Chen et al. 2021, arXiv:2006.10355).

    Mixing weights are drawn from a Dirichlet distribution whose concentrations, one plus an ELU
    of the alphas, are learned through the draws; a divergence from the uniform Dir(1) keeps them
    near it. The progressive narrowing of the paper is left out: all channels are used.
    """

    name = "drnas"

    def concentration(self, decision: Relaxed) -> Tensor:
        """Of the Dirichlet distribution, (options,); above 0."""
        return (F.elu(self.alphas[decision.name]) + 1.0).clamp_min(_LEAST)

    def probabilities(self, decision: Relaxed) -> Tensor:
        """The mean of the distribution, (options,)."""
        concentration = self.concentration(decision)
        return concentration / concentration.sum() * taken(decision)

    def scores(self, decision: Relaxed) -> Tensor:
        alpha = self.alphas[decision.name].detach()
        if isinstance(decision, Categorical):
            return self.probabilities(decision).detach().log()
        return alpha - alpha.mean()

    def mix(self, session: Session, decision: Relaxed, purpose: str) -> Mix:
        # On the CPU, where the draws of a seed are the same on every machine.
        concentration = self.concentration(decision).cpu()
        with torch.random.fork_rng(devices=[]):
            seed = session.rng(f"{purpose} {decision.name}").getrandbits(63)
            torch.default_generator.manual_seed(seed)  # that of the GPU stays
            drawn = Dirichlet(concentration).rsample()
        return Mix(drawn.to(session.device) * taken(decision))

    def regulariser(self, session: Session) -> Tensor | None:
        total = torch.zeros((), device=session.device)
        for decision in self.relaxed.values():
            concentration = self.concentration(decision)
            even = Dirichlet(torch.ones_like(concentration))
            total = total + kl_divergence(Dirichlet(concentration), even)
        return _ANCHOR * total
