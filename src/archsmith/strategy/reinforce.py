"""REINFORCE: a policy over the decisions, moved towards what was rewarded.

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

#: Standardised rewards are cut off here: one collapsed network must not undo the policy.
_CLIP = 3.0
#: Share of a normal distribution's spread that lies between its quartiles.
_QUARTILES = 1.349
#: Draws of a proposal made by the policy as it is; the later ones grow more even.
_COOL = 16


class Policy(Protocol):
    """Gives logits to the arms of questions, and learns."""

    def logits(self, path: Draws, question: Question) -> Sequence[float]:
        """One for each arm, after this path; the question's prior comes on top of them."""

    def learn(self, draws: Sequence[tuple[Question, int]], advantage: float) -> None:
        """One step up the gradient of ``advantage`` times the log-probability of the draws."""


class Reinforce(Strategy):
    """Draws architectures from a policy that is moved by each ended trial, in order of ending.

    Rewards are standardised by the median and the quartiles of all before, so the same learning
    rate does for accuracies in [0, 1], in percent and for perplexities. Trials that break a limit
    are rewarded with -1 to -3, the more they break it; failed and otherwise pruned ones with -1.
    Several objectives are summed after standardising, which is the weighted product of MnasNet (Tan
    et al. 2019, arXiv:1807.11626) without its targets: the policy goes to one trade-off, set by
    ``weights``, and the front is what it meets on its way.

    Listed answers have a softmax, long ranges one over eight bins of their scale, long subsets one
    over taking and leaving for each label. A trial that was drawn under an older policy (with
    several workers) counts as drawn under the present one.

    Args:
        controller: ``"table"``, independent logits for each decision and answer; ``"lstm"``, an
            LSTM over the sequence of decisions, which needs torch.
        learning_rate: of the policy; ``None`` is 0.3 for a table by plain ascent, else 0.01.
        optimizer: ``"sgd"`` is plain ascent, ``"adam"`` is Kingma & Ba 2015 (arXiv:1412.6980);
            ``None`` is plain ascent for a table. An LSTM always has Adam.
        baseline: decay of the moving average of the rewards before, which is subtracted from a
            reward, in [0, 1).
        entropy: weight of the policy's entropy beside the reward.
        repeats: whether an architecture may be proposed again, as in the papers. Otherwise draws
            that repeat are drawn again.
        weights: of the objectives, in their order; equal ones where ``None``.

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
            raise InputError("reinforce, weights", "shares of 0 or more, one above", str(weights))
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
            # A policy that is sure of itself repeats itself; what is nearly as good comes next.
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
    """A policy and what it was taught: rewards, held against the moving average of those before.

    Args:
        decay: of that average, in [0, 1).
    """

    def __init__(self, space: Space, policy: Policy, decay: float) -> None:
        self.space, self.policy, self.decay = space, policy, decay
        self.average = 0.0

    def teach(self, architecture: Architecture, reward: float) -> None:
        """One step of the policy towards an architecture, or away from it."""
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
        """An architecture from the policy, its logits divided by ``heat``."""
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
    """One that is taught by trials."""

    def __init__(self, space: Space, policy: Policy, rewards: Rewards, decay: float) -> None:
        super().__init__(space, policy, decay)
        self.rewards = rewards

    def take(self, trial: Trial) -> None:
        self.teach(trial.architecture, self.rewards.of(trial))


class Rewards:
    """Trials as numbers around 0, larger is better, on the scale of all trials before."""

    def __init__(self, history: History, weights: Sequence[float] | None) -> None:
        self.history = history
        shares = list(weights or [1.0] * len(history.objectives))
        self.shares = [share / sum(shares) for share in shares]
        self.losses: list[list[float]] = [[] for _ in shares]
        self.violations: list[float] = []

    def of(self, trial: Trial) -> float:
        """The reward of a trial, in [-3, 3]; what is asked next is measured against it too."""
        violation = self.history.violation(trial.metrics)
        if violation > 0.0:
            insort(self.violations, violation)
            worse = bisect_left(self.violations, violation) / len(self.violations)
            return -1.0 - (_CLIP - 1.0) * worse
        losses = self.history.losses(trial)
        if trial.state is not State.FINISHED or not all(map(math.isfinite, losses)):
            return -1.0
        total = 0.0
        for share, known, loss in zip(self.shares, self.losses, losses, strict=True):
            insort(known, loss)
            total += share * standardised(known, loss)
        return total


def standardised(known: Sequence[float], loss: float) -> float:
    """How many robust deviations a loss lies below the median of ``known`` (sorted), in [-3, 3]."""
    count = len(known)
    median = (known[(count - 1) // 2] + known[count // 2]) / 2
    spread = (known[(3 * count) // 4] - known[count // 4]) / _QUARTILES
    if spread <= 0.0:  # half of them are equal
        spread = sum(abs(x - median) for x in known) / count
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
            # Entropy is measured against the prior, which is even but for subsets.
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
