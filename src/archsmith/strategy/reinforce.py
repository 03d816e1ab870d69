"""REINFORCE: a policy over the decisions, updated by policy gradients.

Williams 1992, Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
Learning; for architectures Zoph & Le 2017 (arXiv:1611.01578), NASNet (arXiv:1707.07012), ENAS
(arXiv:1802.03268), and with a table of logits the baseline of NAS-Bench-201 (arXiv:2001.00326).
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from .._support.errors import InputError
from ..history.trial import History, Proposal, State, Trial
from ..space.architecture import Answer, Architecture
from ..space.decision import Decision
from .base import HistoryCache, Strategy, sample_unseen
from .questions import Draws, Question, ask, told

if TYPE_CHECKING:
    from ..space import Space

#: Standardised rewards are clipped here: one collapsed network must not ruin the policy.
_CLIP = 3.0
#: Distance between the quartiles of a normal distribution, in standard deviations.
_QUARTILES = 1.349
#: Draws from the unchanged policy for one proposal; later draws become more uniform.
_COOL = 16


class Policy(Protocol):
    """Gives logits for the arms of questions, and learns."""

    def logits(self, path: Draws, question: Question) -> Sequence[float]:
        """One logit for each arm, after this path; the question's prior is added to them."""

    def learn(self, draws: Sequence[tuple[Question, int]], advantage: float) -> None:
        """One step up the gradient of ``advantage`` times the log-probability of the draws."""


class Reinforce(Strategy):
    """Draws architectures from a policy that is updated by each ended trial, in order of ending.

    Rewards are standardised by the median and the quartiles of all earlier ones, so that one
    learning rate suits accuracies in [0, 1], percentages and perplexities. Trials that break a
    limit get a reward from -1 down to -3, depending on how far; failed and otherwise pruned ones
    get -1. Several objectives are standardised and then summed, which is the weighted product of
    MnasNet (Tan et al. 2019, arXiv:1807.11626) without its targets: the policy converges to one
    trade-off, set by ``weights``, and the front consists of what it finds on the way.

    Listed answers have a softmax over the answers, long ranges one over eight bins of their scale,
    and long subsets one per label over including and excluding it. A trial that was drawn under an
    older policy (with several workers) is treated as drawn under the current one.

    Args:
        controller: ``"table"``, independent logits for each decision and answer; ``"lstm"``, an
            LSTM over the sequence of decisions, which needs torch.
        learning_rate: of the policy; ``None`` means 0.3 for a table with plain ascent, else 0.01.
        optimizer: ``"sgd"`` is plain ascent, ``"adam"`` is Kingma & Ba 2015 (arXiv:1412.6980);
            ``None`` means plain ascent for a table. An LSTM always uses Adam.
        baseline: decay of the moving average of earlier rewards, which is subtracted from a
            reward, in [0, 1).
        entropy: weight of the policy's entropy relative to the reward.
        repeats: whether an architecture may be proposed again, as in the papers. Otherwise
            repeated draws are drawn again.
        weights: of the objectives, in their order; ``None`` means equal weights.

    Raises:
        InputError: an option is out of its range.
    """

    name = "reinforce"

    def __init__(
        self,
        controller: str = "table",
        learning_rate: float | None = None,
        optimizer: str | None = None,
        baseline: float = 0.95,
        entropy: float = 0.05,
        repeats: bool = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        if controller not in ("table", "lstm"):
            raise InputError("reinforce, controller", "table or lstm", repr(controller))
        if optimizer not in (None, "sgd", "adam") or (controller, optimizer) == ("lstm", "sgd"):
            allowed = "sgd or adam" if controller == "table" else "adam for an LSTM"
            raise InputError("reinforce, optimizer", allowed, repr(optimizer))
        if learning_rate is not None and not 0 < learning_rate < math.inf:
            raise InputError("reinforce, learning_rate", "more than 0", str(learning_rate))
        if not 0 <= baseline < 1:
            raise InputError("reinforce, baseline", "a decay in [0, 1)", str(baseline))
        if not 0 <= entropy < math.inf:
            raise InputError("reinforce, entropy", "0 or more", str(entropy))
        shares = [1.0] if weights is None else weights
        if not (shares and all(0 <= w < math.inf for w in shares) and sum(shares) > 0):
            raise InputError(
                "reinforce, weights", "numbers of 0 or more, at least one above 0", str(weights)
            )
        self.controller, self.learning_rate, self.optimizer = controller, learning_rate, optimizer
        self.baseline, self.entropy, self.repeats = baseline, entropy, repeats
        self.weights = None if weights is None else list(weights)
        self._memo = HistoryCache(self._learner)

    def check(self, space: Space, history: History) -> None:
        super().check(space, history)
        goals = history.objectives
        if self.weights is not None and len(self.weights) != len(goals):
            names = ", ".join(o.metric for o in goals)
            expected = f"one for each objective ({names})"
            raise InputError("reinforce, weights", expected, str(len(self.weights)))

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        learner = self._memo.at(space, history)
        if self.repeats:
            return Proposal(learner.draw(rng), note="drawn by the policy")
        tries = itertools.count()

        def draw() -> Architecture:
            # A confident policy repeats itself; flattening it gives the next best architectures.
            return learner.draw(rng, 1.0 + max(0, next(tries) - _COOL) / 8)

        architecture = sample_unseen(space, history, draw)
        return Proposal(architecture, note="drawn by the policy") if architecture else None

    def _learner(self, space: Space, history: History) -> _Learner:
        rewards = Rewards(history, self.weights)
        return _Learner(space, self._policy(), rewards, self.baseline)

    def _policy(self) -> Policy:
        if self.controller == "lstm":
            from .controller import LSTMPolicy

            return LSTMPolicy(self.learning_rate or 0.01, self.entropy)
        adam = self.optimizer == "adam"
        return TablePolicy(self.learning_rate or (0.01 if adam else 0.3), self.entropy, adam)


class Learner:
    """A policy that learns from rewards, relative to the moving average of earlier ones.

    Args:
        decay: of that average, in [0, 1).
    """

    def __init__(self, space: Space, policy: Policy, decay: float) -> None:
        self.space, self.policy, self.decay = space, policy, decay
        self.average = 0.0

    def teach(self, architecture: Architecture, reward: float) -> None:
        """Move the policy one step towards an architecture, or away from it."""
        advantage = reward - self.average
        self.average += (1 - self.decay) * advantage
        draws: list[tuple[Question, int]] = []

        def retrace(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            answer = architecture[decision.name]
            draws.extend(told(decision, answer))
            return answer

        self.space.walk(retrace)
        self.policy.learn(draws, advantage)

    def draw(self, rng: random.Random, heat: float = 1.0) -> Architecture:
        """Draw an architecture from the policy, its logits divided by ``heat``."""
        path: Draws = ()

        def choose(question: Question) -> int:
            nonlocal path
            logits = self.policy.logits(path, question)
            chances = _softmax([x / heat + p for x, p in zip(logits, question.prior, strict=True)])
            arm = rng.choices(range(len(chances)), chances)[0]
            path = (*path, (question.key, question.arms[arm]))
            return arm

        return self.space.walk(lambda decision, _: ask(decision, choose, rng))


class _Learner(Learner):
    """A learner that is taught by trials."""

    def __init__(self, space: Space, policy: Policy, rewards: Rewards, decay: float) -> None:
        super().__init__(space, policy, decay)
        self.rewards = rewards

    def take(self, trial: Trial) -> None:
        self.teach(trial.architecture, self.rewards.of(trial))


class Rewards:
    """Rewards of trials around 0, larger is better, on the scale of all earlier trials."""

    def __init__(self, history: History, weights: Sequence[float] | None) -> None:
        self.history = history
        shares = list(weights or [1.0] * len(history.objectives))
        self.shares = [share / sum(shares) for share in shares]
        self.losses: list[list[float]] = [[] for _ in shares]
        self.violations: list[float] = []

    def of(self, trial: Trial) -> float:
        """The reward of a trial, in [-3, 3]; later rewards are measured against it, too."""
        violation = self.history.violation(trial.metrics)
        if violation > 0.0:
            insort(self.violations, violation)
            worse = bisect_left(self.violations, violation) / len(self.violations)
            return -1.0 - (_CLIP - 1.0) * worse
        losses = self.history.losses(trial)
        if trial.state is not State.FINISHED or not all(map(math.isfinite, losses)):
            return -1.0
        total = 0.0
        for share, earlier, loss in zip(self.shares, self.losses, losses, strict=True):
            insort(earlier, loss)
            total += share * standardised(earlier, loss)
        return total


def standardised(losses: Sequence[float], loss: float) -> float:
    """Robust deviations of ``loss`` below the median of ``losses`` (sorted), in [-3, 3]."""
    count = len(losses)
    median = (losses[(count - 1) // 2] + losses[count // 2]) / 2
    spread = (losses[(3 * count) // 4] - losses[count // 4]) / _QUARTILES
    if spread <= 0.0:  # half of them are equal
        spread = sum(abs(x - median) for x in losses) / count
    return max(-_CLIP, min(_CLIP, (median - loss) / spread)) if spread > 0.0 else 0.0


class TablePolicy:
    """Independent logits for each decision and answer, 0.0 at first."""

    def __init__(self, learning_rate: float, entropy: float, adam: bool = False) -> None:
        self.learning_rate, self.entropy, self.adam = learning_rate, entropy, adam
        self.table: dict[tuple[str, Answer], float] = {}
        self.moments: dict[tuple[str, Answer], tuple[float, float, int]] = {}

    def logits(self, path: Draws, question: Question) -> list[float]:
        return [self.table.get((question.key, arm), 0.0) for arm in question.arms]

    def learn(self, draws: Sequence[tuple[Question, int]], advantage: float) -> None:
        for question, drawn in draws:
            logits = self.logits((), question)
            chances = _softmax([x + p for x, p in zip(logits, question.prior, strict=True)])
            priors = _softmax(question.prior)
            # Entropy is relative to the prior, which is uniform except for subsets.
            excess = [math.log(max(p, 1e-12) / q) for p, q in zip(chances, priors, strict=True)]
            mean = sum(p * e for p, e in zip(chances, excess, strict=True))
            for arm, answer in enumerate(question.arms):
                gradient = advantage * ((arm == drawn) - chances[arm])
                gradient -= self.entropy * chances[arm] * (excess[arm] - mean)
                key = (question.key, answer)
                self.table[key] = self.table.get(key, 0.0) + self._step(key, gradient)

    def _step(self, key: tuple[str, Answer], gradient: float) -> float:
        if not self.adam:
            return self.learning_rate * gradient
        first, second, count = self.moments.get(key, (0.0, 0.0, 0))
        count += 1
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        self.moments[key] = (first, second, count)
        root = math.sqrt(second / (1 - 0.999**count))
        return self.learning_rate * first / (1 - 0.9**count) / (root + 1e-8)


def _softmax(values: Sequence[float]) -> list[float]:
    top = max(values)
    exps = [math.exp(value - top) for value in values]
    total = sum(exps)
    return [e / total for e in exps]
