"""Densities of good and of bad architectures, for TPE and BOHB.

A density is a mixture of one kernel for each observed architecture and the prior, which is flat for
decisions without one of their own. A kernel is a product over decisions, so it captures which
answers go together (Falkner et al. 2018, BOHB, arXiv:1807.01774, have the same form; Bergstra et
al. 2011, Algorithms for Hyper-Parameter Optimization, NeurIPS, multiply one mixture per decision
instead). Each factor is relative to the uniform distribution over the decision's answers: a
decision that an observation was never asked has the factor 1, so architectures with different
decisions are comparable.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import SpaceError
from ..space.architecture import Answer, Architecture
from ..space.decision import Categorical, Decision, Integer, Real, Subset

if TYPE_CHECKING:
    from ..space import Space

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Width of a numeric kernel for one observation, as a share of the range (Optuna's constant).
_WIDTH = 0.2
_NARROWEST = 0.01
#: Probability that a kernel leaves the observed option, for one observation.
_LEAVE = 0.3


class Parzen:
    """How much more likely an architecture is among the good ones than among the bad ones.

    Args:
        space: the space of all of them.
        good: observed architectures to resemble; if empty, draws are uniform.
        bad: observed architectures to avoid.
        multivariate: whether the decisions of one observation stay together (BOHB's kernel) or
            each decision has a mixture of its own (Bergstra et al. 2011).
        widening: factor on all widths while drawing; densities are scored without it.
        narrowest: smallest width of a numeric kernel, as a share of the range.
    """

    def __init__(
        self,
        space: Space,
        good: Sequence[Architecture],
        bad: Sequence[Architecture],
        multivariate: bool = True,
        widening: float = 1.0,
        narrowest: float = _NARROWEST,
    ) -> None:
        self._good = _Mixture(good, multivariate, widening, narrowest)
        self._bad = _Mixture(bad, multivariate, widening, narrowest)

    def draw(self, space: Space, rng: random.Random) -> Architecture:
        """Draw an architecture from the density of the good ones."""
        return space.walk(self._good.policy(rng))

    def score(self, space: Space, architecture: Architecture) -> float:
        """Logarithm of the ratio of the two densities; larger is more promising."""
        return float(self.scores(space, [architecture])[0])

    def scores(self, space: Space, architectures: Sequence[Architecture]) -> Array:
        """:meth:`score` of each, shape (n,); much faster than one by one.

        Architectures that the builder rejects score minus infinity.
        """
        asked, refused = _by_decision(space, architectures)
        shape = len(architectures)
        scores = self._good.logs(asked, shape) - self._bad.logs(asked, shape)
        scores[refused] = -np.inf
        return scores


#: For each decision the positions of the architectures that ask it and their answers.
_Asked = dict[Decision, tuple[list[int], list[Answer]]]


def _by_decision(space: Space, architectures: Sequence[Architecture]) -> tuple[_Asked, list[int]]:
    """Answers by decision, and the positions of architectures that the builder rejects."""
    asked: _Asked = {}
    refused: list[int] = []
    for position, architecture in enumerate(architectures):
        try:
            decisions = space.decisions(architecture)
        except SpaceError:
            refused.append(position)
            continue
        for decision in decisions:
            places, answers = asked.setdefault(decision, ([], []))
            places.append(position)
            answers.append(architecture[decision.name])
    return asked, refused


class _Mixture:
    """Kernels around ``n`` observations, and the prior as one more without any answers."""

    def __init__(
        self,
        observed: Sequence[Architecture],
        multivariate: bool,
        widening: float,
        narrowest: float,
    ) -> None:
        self.observed, self.widening, self.narrowest = observed, widening, narrowest
        self.multivariate = multivariate
        size = max((len(a) for a in observed), default=1) if multivariate else 1
        #: Scott's rule: kernels narrow with more observations, slower in many dimensions.
        self.narrowing = max(1, len(observed)) ** (-1.0 / (4 + size))
        self._kernels: dict[Decision, _Kernel] = {}

    def kernel(self, decision: Decision) -> _Kernel:
        kernel = self._kernels.get(decision)
        if kernel is None:
            name = decision.name
            answers = [
                (a[name],) if name in a and decision.accepts(a[name]) else None
                for a in self.observed
            ]
            kernel = self._kernels[decision] = _kind(decision)(
                decision, answers, self.narrowing, self.narrowest
            )
        return kernel

    def policy(self, rng: random.Random) -> Any:
        """Answers for a walk of the space that draws from this density."""
        count = len(self.observed)
        common = int(rng.random() * (count + 1))

        def answer(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            kernel = self.kernel(decision)
            if self.multivariate:
                centre = kernel.answers[common] if common < count else None
            else:
                centre = kernel.any(rng)
            if centre is None:
                return decision.draw_likely(rng)
            return kernel.draw(centre[0], rng, self.widening)

        return answer

    def logs(self, asked: _Asked, count: int) -> Array:
        """Logarithms of the density relative to uniform draws, shape (count,)."""
        if self.multivariate:
            per_observation = np.zeros((count, len(self.observed) + 1))
            for decision, (places, answers) in asked.items():
                per_observation[places, :-1] += self.kernel(decision).logs(answers)
                per_observation[places, -1] += _priors(decision, answers)
            return _log_mean(per_observation)
        total = np.zeros(count)
        for decision, (places, answers) in asked.items():
            kernel = self.kernel(decision)
            per_observation = kernel.logs(answers)[:, kernel.asked]
            prior = _priors(decision, answers)[:, None]
            total[places] += _log_mean(np.hstack([per_observation, prior]))
        return total


def _priors(decision: Decision, answers: Sequence[Answer]) -> Array:
    """Log factors of each answer under the decision's prior, (k,)."""
    if not isinstance(decision, Categorical) or decision.prior is None:
        return np.zeros(len(answers))
    return np.array([decision.log_prior(answer) for answer in answers])


def _log_mean(logs: Array) -> Array:
    """Logarithm of the mean of the exponentials over the last axis."""
    top = logs.max(axis=-1, keepdims=True)
    mean: Array = np.log(np.exp(logs - top).mean(axis=-1)) + top[..., 0]
    return mean


class _Kernel(ABC):
    """The kernels of all observations for one decision.

    Args:
        answers: for each observation a tuple of its answer, ``None`` if it has no valid one.
        narrowing: factor on the width, in (0, 1].
        narrowest: least width of a numeric kernel, as a share of the range.
    """

    def __init__(
        self,
        decision: Any,
        answers: Sequence[tuple[Answer] | None],
        narrowing: float,
        narrowest: float = _NARROWEST,
    ) -> None:
        self.decision, self.narrowest = decision, narrowest
        self.answers = answers
        self.asked = np.array([a is not None for a in answers], dtype=bool)
        self._observed = [a for a in answers if a is not None]
        self.prepare(narrowing)

    def any(self, rng: random.Random) -> tuple[Answer] | None:
        """The answer of a random observation that has one, ``None`` for the prior."""
        place = int(rng.random() * (len(self._observed) + 1))
        return self._observed[place] if place < len(self._observed) else None

    def logs(self, answers: Sequence[Answer]) -> Array:
        """Log factors of each answer under each observation, shape (k, n); 0 where not asked."""
        per_observation = np.zeros((len(answers), len(self.answers)))
        per_observation[:, self.asked] = self.factors(answers)
        return per_observation

    @abstractmethod
    def prepare(self, narrowing: float) -> None:
        """Set the width and convert the observed answers into numbers."""

    @abstractmethod
    def factors(self, answers: Sequence[Answer]) -> Array:
        """Log factors of each answer under each observation that has one."""

    @abstractmethod
    def draw(self, centre: Answer, rng: random.Random, widening: float = 1.0) -> Answer:
        """Draw an answer from the kernel around ``centre``, with ``widening`` times its width."""


class _Options(_Kernel):
    """Aitchison and Aitken's kernel: stays with probability 1 - h, else any other option."""

    def prepare(self, narrowing: float) -> None:
        count = self.decision.cardinality
        self.place = {answer: i for i, answer in enumerate(self.decision.answers())}
        self.leave = min(_LEAVE * narrowing, 1.0 - 1.0 / count)
        self.given = np.array([self.place[a[0]] for a in self._observed], dtype=int)
        self.same = math.log(count * (1.0 - self.leave))
        self.other = math.log(count * self.leave / (count - 1)) if count > 1 else 0.0

    def factors(self, answers: Sequence[Answer]) -> Array:
        places = np.array([self.place[a] for a in answers], dtype=int)
        return np.where(places[:, None] == self.given[None, :], self.same, self.other)

    def draw(self, centre: Answer, rng: random.Random, widening: float = 1.0) -> Answer:
        if rng.random() >= min(widening * self.leave, 1.0 - 1.0 / self.decision.cardinality):
            return centre
        answer: Answer = self.decision.change(centre, rng)
        return answer


class _Range(_Kernel):
    """A normal density on the decision's scale, truncated at its ends."""

    def prepare(self, narrowing: float) -> None:
        self.width = max(_WIDTH * narrowing, self.narrowest)
        count = self.decision.cardinality
        if count is not None and count > 1:
            self.width = max(self.width, 0.5 / (count - 1))  # so that the next answer is in reach
        self.given = np.array([self.decision.encode(a[0])[0] for a in self._observed], dtype=float)
        inside = [_normal((1 - c) / self.width) - _normal(-c / self.width) for c in self.given]
        scale = self.width * math.sqrt(2 * math.pi)
        self.norm = -np.log(np.array(inside, dtype=float) * scale)

    def factors(self, answers: Sequence[Answer]) -> Array:
        places = np.array([self.decision.encode(a)[0] for a in answers], dtype=float)
        away = (places[:, None] - self.given[None, :]) / self.width
        factors: Array = self.norm[None, :] - 0.5 * away**2
        return factors

    def draw(self, centre: Answer, rng: random.Random, widening: float = 1.0) -> Answer:
        place = self.decision.encode(centre)[0]
        for _ in range(32):
            moved = rng.gauss(place, widening * self.width)
            if 0.0 <= moved <= 1.0:
                return _answer_at(self.decision, moved)
        return centre


class _Labels(_Kernel):
    """Each label stays in or out of a subset with probability 1 - h; invalid sizes are redrawn."""

    def prepare(self, narrowing: float) -> None:
        self.leave = min(_LEAVE * narrowing / 2, 0.5)
        self.given = self._rows([a[0] for a in self._observed])

    def factors(self, answers: Sequence[Answer]) -> Array:
        labels = len(self.decision.labels)
        moved = np.abs(self._rows(answers)[:, None, :] - self.given[None, :, :]).sum(axis=-1)
        stay, leave = math.log(2 * (1 - self.leave)), math.log(2 * self.leave)
        factors: Array = (labels - moved) * stay + moved * leave
        return factors

    def draw(self, centre: Answer, rng: random.Random, widening: float = 1.0) -> Answer:
        assert isinstance(centre, tuple)
        leave = min(widening * self.leave, 0.5)
        for _ in range(32):
            answer = tuple(
                label
                for label in self.decision.labels
                if (label in centre) != (rng.random() < leave)
            )
            if len(answer) in self.decision.sizes:
                return answer
        return centre

    def _rows(self, answers: Sequence[Answer]) -> Array:
        rows = [self.decision.encode(a) for a in answers]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.decision.labels))


def _kind(decision: Decision) -> type[_Kernel]:
    if isinstance(decision, Integer | Real):
        return _Range
    return _Labels if isinstance(decision, Subset) else _Options


def _normal(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _answer_at(decision: Integer | Real, place: float) -> Answer:
    """The answer nearest to a place on the decision's scale, in [0, 1]."""
    value: float = decision.low + (decision.high - decision.low) * place
    if decision.log:
        value = decision.low * (decision.high / decision.low) ** place
    if isinstance(decision, Real):
        return min(max(value, decision.low), decision.high)
    step = round((value - decision.low) / decision.step)
    return decision.low + decision.step * min(max(step, 0), decision.cardinality - 1)
