"""BoTorch as a strategy (Balandat et al. 2020, arXiv:1910.06403): a yardstick for others."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import History, Proposal, Trial
from archsmith.space.architecture import Architecture
from archsmith.strategy.base import HistoryCache, Strategy, check_whole, sample_unseen
from archsmith.strategy.candidates import Pool
from archsmith.strategy.ranking import Ranking

if TYPE_CHECKING:
    from archsmith.space import Space

Array = np.ndarray[Any, np.dtype[Any]]

#: Candidates of one proposal in a listed space, at random if there are more; and the latest trials
#: that processes are fitted to.
_CANDIDATES, _FITTED = 2000, 300
#: Draws of the posterior.
_DRAWS = 64


class BoTorch(Strategy):
    """Proposes by BoTorch's noisy log expected improvement, of the hypervolume for several
    objectives (Ament et al. 2023, arXiv:2310.20708): what ``bayesian`` is measured against.

    A Gaussian process for each objective and each limit sees the numbers of ``Space.encode``; the
    candidates are those of ``bayesian``. Needs ``pip install botorch``; a proposal takes seconds.

    Args:
        start: number of random trials before the first model.
    """

    name = "botorch"

    def __init__(self, start: int = 10) -> None:
        check_whole(self.name, start=start)
        self.start = start
        self._memo = HistoryCache(_State)

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        state = self._memo.at(space, history)
        columns = [*history.objectives, *history.limits]
        trials = [t for t in history.full if _finite(t, columns)][-_FITTED:]
        candidates = state.pool.draw(space, history, state.ranking, rng)[0]
        if len(trials) < max(2, self.start) or not candidates:
            drawn = sample_unseen(space, history, lambda: space.sample(rng))
            return Proposal(drawn, note="random") if drawn else None
        if len(candidates) > _CANDIDATES:
            candidates = rng.sample(candidates, _CANDIDATES)
        running = [trial.architecture for trial in history.running.values()]
        best = _best(space, history, trials, candidates, running, rng.getrandbits(32))
        return Proposal(candidates[best], note="BoTorch")


class _State:
    """What is known of a history: the order of its trials, and the list of a small space."""

    def __init__(self, space: Space, history: History) -> None:
        self.ranking, self.pool = Ranking(space, history), Pool(space, history)

    def take(self, trial: Trial) -> None:
        self.ranking.take(trial)


def _finite(trial: Trial, columns: Sequence[Objective | Limit]) -> bool:
    return all(math.isfinite(trial.metrics.get(c.metric, math.nan)) for c in columns)


def _best(
    space: Space,
    history: History,
    trials: Sequence[Trial],
    candidates: Sequence[Architecture],
    running: Sequence[Architecture],
    seed: int,
) -> int:
    """The place of the most promising candidate."""
    import torch
    from botorch.optim import optimize_acqf_discrete

    def rows(architectures: Sequence[Architecture]) -> torch.Tensor:
        return torch.tensor(np.stack([space.encode(a) for a in architectures])).double()

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        known = rows([trial.architecture for trial in trials])
        values, bounds = _outcomes(history, trials)
        outcomes = torch.tensor(values)
        spread = outcomes.std(dim=0).clamp_min(1e-12)
        scaled = (outcomes - outcomes.mean(dim=0)) / spread
        zero = ((torch.tensor(bounds) - outcomes.mean(dim=0)) / spread).tolist()
        function = _acquisition(
            known, scaled, len(history.objectives), zero, rows(running) if running else None, seed
        )
        choices = rows(candidates)
        found, _ = optimize_acqf_discrete(function, 1, choices, max_batch_size=256)
        return int((choices - found).abs().sum(dim=1).argmin())


def _outcomes(history: History, trials: Sequence[Trial]) -> tuple[Array, list[float]]:
    """Gains of the objectives and values of the limits, (n, k), and the bound of each limit, of
    which more is worse; 0.0 for an objective."""
    columns = [[-objective.loss(t.metrics) for t in trials] for objective in history.objectives]
    bounds = [0.0] * len(columns)
    for limit in history.limits:
        sign = 1.0 if limit.sign == "<=" else -1.0
        columns.append([sign * trial.metrics[limit.metric] for trial in trials])
        bounds.append(sign * limit.bound)
    return np.array(columns, dtype=np.float64).T, bounds


def _acquisition(
    known: Any, scaled: Any, goals: int, bounds: Sequence[float], running: Any, seed: int
) -> Any:
    """The acquisition function over processes that are fitted to the trials."""
    import torch
    from botorch.acquisition.logei import qLogNoisyExpectedImprovement
    from botorch.acquisition.multi_objective import logei
    from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
    from botorch.acquisition.objective import GenericMCObjective
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import SumMarginalLogLikelihood

    columns = scaled.split(1, dim=1)
    model = ModelListGP(*(SingleTaskGP(known, y, outcome_transform=None) for y in columns))
    fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
    limits = [
        lambda draws, place=place, bound=bounds[place]: draws[..., place] - bound
        for place in range(goals, len(columns))
    ]
    options: dict[str, Any] = {
        "X_baseline": known,
        "sampler": SobolQMCNormalSampler(torch.Size([_DRAWS]), seed=seed),
        "constraints": limits or None,
        "X_pending": running,
    }
    if goals == 1:
        objective = GenericMCObjective(lambda draws, X=None: draws[..., 0])
        return qLogNoisyExpectedImprovement(model, objective=objective, **options)
    low, high = scaled[:, :goals].amin(dim=0), scaled[:, :goals].amax(dim=0)
    return logei.qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=(low - 0.1 * (high - low)).tolist(),
        objective=IdentityMCMultiOutputObjective(outcomes=list(range(goals))),
        prune_baseline=True,
        **options,
    )
