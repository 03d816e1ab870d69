"""Proxies that read which activations are on: the linear regions that inputs fall into.

Activations are seen wherever they are called, as modules or functions. Those that bend at zero
count: ReLU and its piecewise linear kin, and smooth relatives (GELU, SiLU, ELU, Mish, hard swish)
by the sign of what they are given. Sigmoid and tanh have no such bend, so recurrent layers made of
them cannot be scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._support.errors import InputError
from .base import Proxy
from .batch import CannotScore
from .passes import Passes


class NASWOT(Proxy):
    """Log-determinant of the kernel of activation codes (Mellor et al. 2021, Neural Architecture
    Search without Training, arXiv:2006.04647).

    The kernel counts, for each two inputs, the activations on which their codes agree. BatchNorm
    stays, by statistics of the batch.
    """

    name = "naswot"
    needs = frozenset({"kernel"})
    smallest = 2

    def value(self, passes: Passes) -> float:
        kernel = passes.kernel
        if kernel is None:
            raise none_seen(self)
        sign, logarithm = np.linalg.slogdet(kernel)
        if sign <= 0 or np.linalg.matrix_rank(kernel) < len(kernel):
            raise self.refuse(
                "a code of its own for every input",
                "a singular kernel",
                "some inputs are equal, or too few activations tell them apart; take a smaller "
                "batch, or score by params, flops or synflow",
            )
        return float(logarithm)


class SWAP(Proxy):
    """Number of different sample-wise patterns (Peng et al. 2024, SWAP-NAS, arXiv:2403.04161).

    A pattern says, for one activation of the model, which examples it is on for. With ``mu`` and
    ``sigma`` the score is multiplied by exp(-((p - mu)^2 / sigma)), p being thousands of
    parameters, which is the paper's regularised score.

    Args:
        samples: examples that are looked at, the first of the batch; ``None`` takes all.
        mu, sigma: of the regularisation; off without them.

    Raises:
        InputError: one of them without the other, or a sigma that is not above 0.
    """

    name = "swap"
    needs = frozenset({"patterns"})
    smallest = 2

    def __init__(
        self, samples: int | None = None, mu: float | None = None, sigma: float | None = None
    ) -> None:
        if (mu is None) != (sigma is None) or (sigma is not None and sigma <= 0):
            raise InputError("swap", "mu together with a sigma above 0", f"{mu} and {sigma}")
        if samples is not None and samples < 2:
            raise InputError("swap, samples", "2 or more", str(samples))
        self.samples, self.mu, self.sigma = samples, mu, sigma

    def value(self, passes: Passes) -> float:
        patterns = passes.patterns
        if patterns is None:
            raise none_seen(self)
        found = float(
            _different(patterns, min(self.samples or len(passes.batch), len(passes.batch)))
        )
        if self.mu is None or self.sigma is None:
            return found
        thousands = sum(p.numel() for p in passes.original.parameters()) / 1e3
        return float(found * np.exp(-((thousands - self.mu) ** 2) / self.sigma))


def _different(patterns: NDArray[np.uint8], samples: int) -> int:
    """How many different rows there are in the first bits of (activations, bytes)."""
    size = -(-samples // 8)
    kept = np.zeros((len(patterns), 8 * -(-size // 8)), np.uint8)
    kept[:, :size] = patterns[:, :size]
    if samples % 8:
        kept[:, size - 1] &= 0xFF << (8 - samples % 8) & 0xFF
    words = kept.view(np.uint64)
    return len(np.unique(words[:, 0])) if words.shape[1] == 1 else len(np.unique(words, axis=0))


def none_seen(proxy: Proxy) -> CannotScore:
    """The error of a model without activations that bend at zero."""
    return proxy.refuse(
        "activations that bend at zero, such as ReLU, GELU or SiLU",
        "none of them in a pass (sigmoid, tanh and the gates of recurrent layers have no codes)",
    )
