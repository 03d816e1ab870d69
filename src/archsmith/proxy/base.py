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

#: Proxies that score whatever has weights and runs backwards.
GENERAL = ("params", "flops", "l2_norm", "grad_norm", "snip", "plain", "synflow")


class Proxy(ABC):
    """A score of an untrained model. Larger is better, whatever sign the paper's formula has.

    A score looks at a copy: the model keeps its weights, buffers, gradients, modes and flags, and
    torch's global generators their state. The same model, batch and seed give the same score,
    whether it is asked for alone or along with others.

    A subclass says what it reads in ``needs`` and computes in :meth:`value`; passes that several
    proxies need are run once.
    """

    #: Name on the command line and in results.
    name: ClassVar[str]
    #: What :meth:`value` reads of the pass that proxies share: names in ``passes.SHARED``.
    needs: ClassVar[frozenset[str]] = frozenset()
    #: Whether targets matter. A batch of a single class is then refused.
    labelled: ClassVar[bool] = False
    #: Fewest examples of a batch.
    smallest: ClassVar[int] = 1

    @abstractmethod
    def value(self, passes: Passes) -> float:
        """The score.

        Raises:
            CannotScore: the proxy is not defined for this model.
        """

    def score(self, model: nn.Module, batch: Batch, seed: int = 0) -> float:
        """The score of a model, as :func:`archsmith.proxy.score_proxies` gives it."""
        batch.check()
        self.check(batch)
        return self.read(Passes(model, batch, seed, self.needs))

    def read(self, passes: Passes) -> float:
        """The score, which is a finite number.

        Raises:
            CannotScore: it is none, or the proxy is not defined for this model.
        """
        value = self.value(passes)
        if not math.isfinite(value):
            raise self.refuse("a finite score", f"{value:g}")
        return float(value)

    def check(self, batch: Batch) -> None:
        """Refuse a batch that this proxy cannot read.

        Raises:
            CannotScore: with what it needs.
        """
        if len(batch) < self.smallest:
            expected = f"a batch of {self.smallest} examples or more"
            got, hint = str(len(batch)), "take a larger batch"
            raise CannotScore(f"proxy {self.name}", expected, got, hint)
        if self.labelled and batch.loss is None:
            raise self.refuse("a loss of outputs and targets", "one that takes the model")
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
        """The error of a model that this proxy is not defined for."""
        others = ", ".join(name for name in GENERAL if name != self.name)
        return CannotScore(f"proxy {self.name}", expected, got, hint or f"these can: {others}")


class SetProxy(ABC):
    """A score that exists within a set of architectures alone: made of ranks of other scores."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def members(self) -> tuple[str, ...]:
        """Names of the proxies whose scores are combined."""

    @abstractmethod
    def combine(self, scores: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
        """One number for each architecture of the set, (n,), larger being better.

        Args:
            scores: for each member n scores, in one order; minus infinity is worst of all (an
                architecture that could not be scored).

        Raises:
            InputError: a member is missing, scores are not numbers, or all are equal.
        """


def named(names: Sequence[str | Any]) -> list[Any]:
    """Proxies of these names; instances are taken as they are.

    Raises:
        UnknownNameError: with the nearest name.
    """
    from .registry import proxies

    return [proxies.get(name)() if isinstance(name, str) else name for name in names]
