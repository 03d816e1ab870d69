"""Whether a relaxation is about to collapse into options without parameters, and when to stop.

The signs: the share of decisions that such options lead, the entropy of the mixing weights, and the
largest eigenvalue of the Hessian of the held-out loss in the alphas, whose growth precedes the
collapse (Zela et al. 2020, RobustDARTS, arXiv:1909.09656).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

_WINDOW, _BACK = 5, 4  # epochs that are averaged, and the distance of the averages compared
_RATIO = 0.75
_START = 0.2  # share of the training before which the signs are ignored
_FALLEN = 0.95  # the loss counts as fallen below this share of the earlier loss
_HALF = 0.5  # of the decisions
_PATIENCE = 3  # epochs in a row


def entropy_share(weights: Sequence[Tensor]) -> float:
    """Mean entropy of mixing weights relative to uniform ones: 1 at the start, 0 when decided.

    Args:
        weights: one nonnegative vector per decision; those with one option are left out.
    """
    shares = []
    for vector in weights:
        if vector.numel() > 1:
            p = vector.double() / vector.double().sum().clamp_min(1e-12)
            shares.append(float(torch.special.entr(p).sum()) / math.log(p.numel()))
    return sum(shares) / len(shares) if shares else 0.0


def free_share(
    leading: Mapping[str, Sequence[int]],
    free: Mapping[str, frozenset[int]],
    sizes: Mapping[str, int],
) -> float:
    """Share of the leading options that have no parameters, over decisions that offer both kinds.

    Args:
        leading: places of the options that would be taken now, by decision.
        free: places of those without parameters.
        sizes: how many options there are.
    """
    is_free = [
        place in free[name]
        for name, places in leading.items()
        if 0 < len(free[name]) < sizes[name]
        for place in places
    ]
    return sum(is_free) / len(is_free) if is_free else 0.0


@dataclass
class Watch:
    """Checks the signs after each epoch, and decides when to stop and which alphas to restore.

    Stops if the eigenvalue has grown as RobustDARTS asks: averaged over 5 epochs, to more than
    1 / 0.75 of that average 4 epochs ago. While the weights learn, it grows in every search, with
    nothing wrong, so growth is ignored if the loss whose curvature it is has fallen by more than
    a twentieth between the same epochs; or if parameter-free options neither gain nor lead half
    of the decisions: these are what the search would collapse into.

    Stops also if the share of parameter-free options was above a bound for three epochs, after
    one where it was not. The first fifth of the training (10 of 50 epochs in the paper's code)
    is ignored.

    Args:
        bound: on that share.
    """

    bound: float = 0.75
    eigenvalues: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    kept: list[dict[str, Tensor]] = field(default_factory=list)

    def look(
        self,
        share: float,
        alphas: dict[str, Tensor],
        *,
        eigenvalue: float | None = None,
        loss: float | None = None,
        progress: float = 1.0,
    ) -> str:
        """Record an epoch; a reason to stop, or nothing. With one, the last of ``kept`` are good.

        Args:
            loss: the loss that the eigenvalue belongs to.
            progress: share of the training that is done.
        """
        if progress > _START:
            self.shares.append(share)
            if eigenvalue is not None and loss is not None:
                self.eigenvalues.append(eigenvalue)
                self.losses.append(loss)
        self.kept.append(alphas)
        reason, back = self._growth_reason(), _BACK
        if not reason:
            reason, back = self._free_options_reason(), _PATIENCE
        if reason:
            self.kept = self.kept[: max(1, len(self.kept) - back)]
        self.kept = self.kept[-(max(_BACK, _PATIENCE) + 1) :]
        return reason

    @property
    def good(self) -> dict[str, Tensor]:
        """The alphas to restore, once there is a reason to stop."""
        return self.kept[-1]

    def _growth_reason(self) -> str:
        if len(self.eigenvalues) < _WINDOW + _BACK:
            return ""
        before, now = _averages(self.eigenvalues)
        loss_before, loss_now = _averages(self.losses)
        share_before, share_now = _averages(self.shares)
        free = share_now > min(share_before, _HALF)
        if free and now > 0 and before / now < _RATIO and loss_now > _FALLEN * loss_before:
            return (
                f"the largest eigenvalue of the held-out loss grew from {before:.3g} to {now:.3g} "
                f"in {_BACK} epochs, and the loss did not fall; the alphas are those of {_BACK} "
                "epochs ago"
            )
        return ""

    def _free_options_reason(self) -> str:
        last = self.shares[-_PATIENCE:]
        before = self.shares[-_PATIENCE - 1 : -_PATIENCE]
        if len(last) == _PATIENCE and before and before[0] <= self.bound < min(last):
            return (
                f"options without parameters lead {last[-1]:.0%} of the decisions for {_PATIENCE} "
                "epochs; the alphas were restored from before"
            )
        return ""

    def state(self) -> dict[str, Any]:
        return {
            "eigenvalues": self.eigenvalues,
            "losses": self.losses,
            "shares": self.shares,
            "kept": self.kept,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        # Eigenvalues stored by earlier versions were noise, and came without losses.
        self.losses = list(state.get("losses", ()))
        self.eigenvalues = list(state["eigenvalues"]) if self.losses else []
        self.shares, self.kept = list(state["shares"]), list(state["kept"])


def _averages(values: Sequence[float]) -> tuple[float, float]:
    """Of the window that ended some epochs ago, and of the last one."""
    before = values[-_WINDOW - _BACK : -_BACK]
    return sum(before) / _WINDOW, sum(values[-_WINDOW:]) / _WINDOW
