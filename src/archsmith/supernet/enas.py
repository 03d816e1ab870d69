"""ENAS: a controller learns which architectures to draw while they share their weights."""

from __future__ import annotations

import math
import random
from typing import Any

from .._support.errors import InputError
from ..history.objective import violation
from ..space.architecture import Architecture
from ..strategy.controller import LSTMPolicy
from ..strategy.reinforce import Learner
from .method import Batch, Moment, SampledMethod, SampledPath, Sampler, draw_accepted
from .session import Session

#: Architectures drawn from the controller to pick the best from, and attempts at new ones.
_DRAWS = 100


class Drawn(Sampler):
    """One architecture per step, from a controller."""

    def __init__(self) -> None:
        self.learner: Learner | None = None

    def paths(self, now: Moment) -> list[SampledPath]:
        learner = self.learner
        assert learner is not None, "begin comes first"
        return [SampledPath(draw_accepted(lambda: learner.draw(now.rng)))]


class ENAS(SampledMethod):
    """Efficient NAS via parameter sharing (Pham et al. 2018, arXiv:1802.03268).

    The shared weights are trained on architectures that the controller draws. After each epoch the
    controller, an LSTM over the decisions, takes steps of REINFORCE: the reward of a draw is its
    quality on a batch that the weights are not trained on, minus the moving average of rewards.

    The controller is a function of the rewards so far, and is resumed by replaying them.

    Args:
        controller_steps: REINFORCE steps after each epoch.
        learning_rate: of the controller (Adam). At 0.005 and low entropy it settled on one
            architecture in three epochs, before the weights could tell which is good.
        baseline: decay of the average, in [0, 1).
        entropy: weight of the controller's entropy, added to the reward.
        draws: how many architectures :meth:`derive` draws to pick the best from.
        derive_batches: held-out batches on which it scores each.

    Raises:
        InputError: an option is out of its range.
    """

    name = "enas"
    holdout = 0.1

    def __init__(
        self,
        controller_steps: int = 50,
        learning_rate: float = 0.002,
        baseline: float = 0.95,
        entropy: float = 0.01,
        draws: int = _DRAWS,
        derive_batches: int = 2,
    ) -> None:
        ranges = {
            "controller_steps": (controller_steps >= 1, "1 or more", controller_steps),
            "learning_rate": (0 < learning_rate < math.inf, "more than 0", learning_rate),
            "baseline": (0 <= baseline < 1, "a decay in [0, 1)", baseline),
            "entropy": (0 <= entropy < math.inf, "0 or more", entropy),
            "draws": (draws >= 1, "1 or more", draws),
            "derive_batches": (derive_batches >= 1, "1 or more", derive_batches),
        }
        for option, (holds, expected, got) in ranges.items():
            if not holds:
                raise InputError(f"enas, {option}", expected, str(got))
        self._drawn = Drawn()
        super().__init__(self._drawn)
        self.controller_steps, self.learning_rate = controller_steps, learning_rate
        self.baseline, self.entropy = baseline, entropy
        self.draws, self.derive_batches = draws, derive_batches
        self._rewards: list[tuple[dict[str, Any], float]] = []

    def begin(self, session: Session) -> None:
        super().begin(session)
        self._rewards = []
        policy = LSTMPolicy(self.learning_rate, self.entropy)
        self._drawn.learner = Learner(session.supernet.space, policy, self.baseline)

    @property
    def learner(self) -> Learner:
        """The controller."""
        assert self._drawn.learner is not None, "begin comes first"
        return self._drawn.learner

    def end_epoch(self, session: Session, epoch: int) -> dict[str, float]:
        """Train the controller. Returns the mean reward and the moving average."""
        rng = session.rng("controller")
        total = 0.0
        for _ in range(self.controller_steps):
            architecture, reward = draw_accepted(lambda: self._try(session, rng))
            self._teach(architecture, reward)
            total += reward
        return {"reward": total / self.controller_steps, "baseline": self.learner.average}

    def derive(self, session: Session, count: int) -> list[Architecture]:
        """The best architectures on held-out batches that the controller draws, without repeats.

        Those that break a limit on costs are left out, where costs are known.
        """
        batches = [session.held() for _ in range(self.derive_batches)]
        drawn = self._distinct_draws(session.rng("derive"), max(self.draws, count))
        drawn = [a for a in drawn if session.supernet.builds(a)]
        if session.limits and session.costs is not None:
            costs = session.costs.of
            drawn = [a for a in drawn if violation(costs(a), session.limits) == 0]
        scores = {a: self._score(session, a, batches) for a in drawn}
        return sorted(drawn, key=lambda a: -scores[a])[:count]

    def state(self) -> dict[str, Any]:
        return {**super().state(), "rewards": self._rewards}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        for answers, reward in state["rewards"]:
            self._teach(Architecture(answers), reward)

    def _try(self, session: Session, rng: random.Random) -> tuple[Architecture, float]:
        architecture = self.learner.draw(rng)
        return architecture, reward_of(session, session.judge(architecture, session.held()))

    def _teach(self, architecture: Architecture, reward: float) -> None:
        if not self._rewards:
            # Otherwise the first draws, which are as good as random, would count as very good.
            self.learner.average = reward
        self._rewards.append((dict(architecture), reward))
        self.learner.teach(architecture, reward)

    def _distinct_draws(self, rng: random.Random, draws: int) -> list[Architecture]:
        return list(
            dict.fromkeys(draw_accepted(lambda: self.learner.draw(rng)) for _ in range(draws))
        )

    def _score(self, session: Session, architecture: Architecture, batches: list[Batch]) -> float:
        rewards = [reward_of(session, session.judge(architecture, batch)) for batch in batches]
        return sum(rewards) / len(rewards)


def reward_of(session: Session, metrics: dict[str, float]) -> float:
    """The task's first metric if higher is better (accuracy), else the negative loss."""
    first = session.task.metrics[0]
    reward = metrics[first.name] if first.direction == "maximize" else -metrics["loss"]
    return reward if math.isfinite(reward) else -1.0


__all__ = ["ENAS", "reward_of"]
