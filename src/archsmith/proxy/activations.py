"""Proxies that read which activations are active: the linear regions that inputs fall into.

Activations are observed wherever they are called, as modules or functions. Those with a kink at
zero count: ReLU and other piecewise linear ones, and smooth relatives (GELU, SiLU, ELU, Mish, hard
swish) by the sign of their input. Sigmoid and tanh have no kink, so recurrent layers that consist
of them cannot be scored."""

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

    The kernel counts, for each pair of inputs, the activations on which their codes agree.
    BatchNorm is kept, with the statistics of the batch.
    """

    name = "naswot"
    needs = frozenset({"kernel"})
    smallest = 2

    def value(self, passes: Passes) -> float:
        kernel = passes.kernel
        if kernel is None:
            raise no_activations(self)
        sign, logarithm = np.linalg.slogdet(kernel)
        if sign <= 0 or np.linalg.matrix_rank(kernel) < len(kernel):
            raise self.refuse(
                "a code of its own for every input",
                "a singular kernel",
                "some inputs are equal, or too few activations distinguish them; use a smaller "
                "batch, or score by params, flops or synflow",
            )
        return float(logarithm)


class SWAP(Proxy):
    """Number of distinct sample-wise patterns (Peng et al. 2024, SWAP-NAS, arXiv:2403.04161).

    The pattern of one activation of the model tells for which examples it is active. With ``mu``
    and ``sigma`` the score is multiplied by exp(-((p - mu)^2 / sigma)), p being thousands of
    parameters, which is the paper's regularised score.

    Args:
        samples: number of examples that are used, from the start of the batch; ``None`` uses all.
        mu, sigma: of the regularisation; without them there is none.

    Raises:
        InputError: only one of ``mu`` and ``sigma``, a sigma that is not above 0, or fewer than 2
            samples.
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
            raise no_activations(self)
        distinct = float(
            _count_distinct(patterns, min(self.samples or len(passes.batch), len(passes.batch)))
        )
        if self.mu is None or self.sigma is None:
            return distinct
        thousands = sum(p.numel() for p in passes.original.parameters()) / 1e3
        return float(distinct * np.exp(-((thousands - self.mu) ** 2) / self.sigma))


def _count_distinct(patterns: NDArray[np.uint8], samples: int) -> int:
    """The number of distinct rows of (activations, bytes), comparing only the first bits."""
    size = -(-samples // 8)
    kept = np.zeros((len(patterns), 8 * -(-size // 8)), np.uint8)
    kept[:, :size] = patterns[:, :size]
    if samples % 8:
        kept[:, size - 1] &= 0xFF << (8 - samples % 8) & 0xFF
    words = kept.view(np.uint64)
    return len(np.unique(words[:, 0])) if words.shape[1] == 1 else len(np.unique(words, axis=0))


def no_activations(proxy: Proxy) -> CannotScore:
    """The error for a model without activations that have a kink at zero."""
    return proxy.refuse(
        "activations with a kink at zero, such as ReLU, GELU or SiLU",
        "none of them in a pass (sigmoid, tanh and the gates of recurrent layers do not count)",
    )
