"""The contract of a zero-cost proxy: an untrained model and one batch in, a number out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from .batch import Batch, CannotScore
from .passes import Passes

#: Proxies that can score any model with weights and a backward pass.
GENERAL = ("params", "flops", "l2_norm", "grad_norm", "snip", "plain", "synflow")


class Proxy(ABC):
    """A score of an untrained model. Larger is better, whatever sign the paper's formula has.

    Scoring works on a copy: the model keeps its weights, buffers, gradients, modes and flags, and
    torch's global generators keep their state. The same model, batch and seed give the same score,
    whether proxies are computed alone or together.

    A subclass declares what it reads in ``needs`` and computes its score in :meth:`value`; passes
    that several proxies need are run only once.
    """

    #: Name on the command line and in results.
    name: ClassVar[str]
    #: Results of the shared pass that :meth:`value` reads: names in ``passes.SHARED``.
    needs: ClassVar[frozenset[str]] = frozenset()
    #: Whether targets matter. If so, a batch with a single class is refused.
    labelled: ClassVar[bool] = False
    #: Lowest number of examples in a batch.
    smallest: ClassVar[int] = 1

    @abstractmethod
    def value(self, passes: Passes) -> float:
        """The score.

        Raises:
            CannotScore: the proxy is not defined for this model.
        """

    def score(self, model: nn.Module, batch: Batch, seed: int = 0) -> float:
        """The score of a model, the same as that of :func:`archsmith.proxy.score_proxies`.

        Raises:
            CannotScore: the proxy is not defined for this model or this batch.
        """
        batch.check()
        self.check(batch)
        return self.read(Passes(model, batch, seed, self.needs))

    def read(self, passes: Passes) -> float:
        """The score, a finite number.

        Raises:
            CannotScore: the score is not finite, or the proxy is not defined for this model.
        """
        value = self.value(passes)
        if not math.isfinite(value):
            raise self.refuse("a finite score", f"{value:g}")
        return float(value)

    def check(self, batch: Batch) -> None:
        """Refuse a batch that this proxy cannot read.

        Raises:
            CannotScore: the batch is too small, or its loss or targets do not fit; the message
                tells what the proxy needs.
        """
        if len(batch) < self.smallest:
            expected = f"a batch of {self.smallest} examples or more"
            got, hint = str(len(batch)), "use a larger batch"
            raise CannotScore(f"proxy {self.name}", expected, got, hint)
        if self.labelled and batch.loss is None:
            raise self.refuse("a loss of outputs and targets", "a loss that takes the model")
        targets = batch.targets
        plain = isinstance(targets, Tensor) and not targets.is_floating_point()
        if self.labelled and plain and bool((targets == targets.flatten()[0]).all()):
            raise CannotScore(
                f"proxy {self.name}",
                "a batch with two classes or more",
                "a single class",
                "draw the batch at random, or score by proxies that need no targets",
            )

    def refuse(self, expected: str, got: str, hint: str | None = None) -> CannotScore:
        """The error for a model that this proxy is not defined for."""
        others = ", ".join(name for name in GENERAL if name != self.name)
        return CannotScore(f"proxy {self.name}", expected, got, hint or f"use one of: {others}")


class SetProxy(ABC):
    """A score that is defined only within a set of architectures: it combines ranks of scores."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def members(self) -> tuple[str, ...]:
        """Names of the proxies whose scores are combined."""

    @abstractmethod
    def combine(self, scores: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
        """One number for each architecture of the set, (n,), larger being better.

        Args:
            scores: n scores for each member, in the same order; minus infinity, the worst, for an
                architecture that could not be scored.

        Raises:
            InputError: a member is missing, scores are not numbers, or all are equal.
        """


def named(names: Sequence[str | Any]) -> list[Any]:
    """Proxies of these names; instances are returned unchanged.

    Raises:
        UnknownNameError: no proxy has this name; the message suggests the nearest one.
    """
    from .registry import proxies

    return [proxies.get(proxy)() if isinstance(proxy, str) else proxy for proxy in names]
