"""Optuna's samplers as strategies (Akiba et al. 2019, arXiv:1907.10902).

The history is written into a study of Optuna's that lives in memory and holds nothing of its own:
what a sampler remembers beside its trials is derived from them, or made anew for each proposal.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pickle
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, MissingExtraError, unknown
from ..history.objective import Limit
from ..history.trial import History, Proposal, State, Trial
from ..space.architecture import Answer, Architecture
from ..space.decision import Decision, Integer, Real
from .base import HistoryCache, Strategy, sample_unseen
from .suggestions import parameters, read, write

if TYPE_CHECKING:
    from ..space import Space

#: Samplers that propose from trials alone. The others want their own list of points, or count
#: in their storage what is left.
SAMPLERS = (
    "CmaEsSampler",
    "GPSampler",
    "NSGAIIISampler",
    "NSGAIISampler",
    "QMCSampler",
    "RandomSampler",
    "TPESampler",
)
_SINGLE = ("CmaEsSampler",)  # objectives
_TRIES = 8
#: CMA-ES starts from the best tenth of so many trials, at the least.
_WARM = 20
_BROKEN = 1e3  # violation that stands for NaN and infinity


def by_name(sampler: str) -> Callable[..., OptunaSampler]:
    """What ``optuna:SAMPLER`` means: the strategy with that sampler, to be called with the rest.

    Raises:
        UnknownNameError: with the nearest name.
    """
    if sampler not in SAMPLERS:
        raise unknown("optuna sampler", sampler, SAMPLERS)
    return partial(OptunaSampler, sampler)


class OptunaSampler(Strategy):
    """Asks one of Optuna's samplers.

    Running trials are told as running, so that samplers that can (TPE, GP) keep away from them. A
    broken limit is a violated constraint; what was pruned for it counts with the worst value of
    each objective so far. Samplers that repeat themselves are asked again, up to eight times, then
    a new architecture is drawn at random.

    ``CmaEsSampler`` moves numbers alone and draws other decisions at random; its Gaussian is
    fitted for each proposal to the best tenth of the trials (Nomura et al. 2021, arXiv:2012.06932).
    In the genetic ones each ``population_size`` trials, in order of ending, are a generation.

    Args:
        sampler: one of :data:`SAMPLERS`.
        options: arguments of the sampler, as plain values.

    Raises:
        InputError: no such sampler or option, or Optuna is not installed.
    """

    name = "optuna"

    def __init__(
        self, sampler: str = "TPESampler", options: Mapping[str, Any] | None = None
    ) -> None:
        if sampler not in SAMPLERS:
            raise unknown("optuna sampler", sampler, SAMPLERS)
        self.sampler, self.options = sampler, dict(options or {})
        try:
            with _quiet():
                self._make(random.Random(0), 0, [])
        except (TypeError, ValueError) as error:
            raise InputError(f"optuna, {sampler}", "options that it takes", str(error)) from None
        self._memo = HistoryCache(self._told)

    def check(self, space: Space, history: History) -> None:
        super().check(space, history)
        if self.sampler not in _SINGLE:
            return
        if len(history.objectives) > 1:
            raise InputError(
                f"optuna, {self.sampler}",
                "one objective",
                str(len(history.objectives)),
                "optuna:TPESampler and optuna:GPSampler trade several off",
            )
        if not any(isinstance(d, Integer | Real) for d in space.decisions(space.default())):
            raise InputError(
                f"optuna, {self.sampler}",
                "a decision over a range of numbers",
                "none",
                "it moves numbers alone; optuna:TPESampler serves all spaces",
            )

    def describe(self, space: Space, history: History) -> str:
        return f"optuna:{self.sampler}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if _used_up(space, history):
            return None
        told = self._memo.at(space, history)
        with _quiet():
            study = told.copy()
            study.sampler = self._make(rng, len(history), told.complete)
            for trial in history.running.values():
                study.add_trial(told.frozen(trial))
            for _ in range(_TRIES):
                # A draw that repeats a trial stays in the study as one that runs.
                architecture = _asked(space, study, rng)
                if history.new(architecture):
                    return Proposal(architecture, note=f"from {self.sampler}")
        drawn = sample_unseen(space, history, lambda: space.sample(rng))
        return Proposal(drawn, note="random") if drawn else None

    def _told(self, space: Space, history: History) -> _Told:
        with _quiet():
            return _Told(space, history, self._make(random.Random(0), 0, []))

    def _make(self, rng: random.Random, number: int, complete: list[Any]) -> Any:
        """The sampler, seeded, for the proposal of this number."""
        made = getattr(_optuna().samplers, self.sampler)
        if self.sampler == "CmaEsSampler":
            _needed("cmaes")
        options: dict[str, Any] = {"seed": rng.getrandbits(31), **self.options}
        if "warn_independent_sampling" in inspect.signature(made).parameters and (
            self.sampler != "TPESampler"  # where it is silent, and saying so is deprecated
        ):
            options.setdefault("warn_independent_sampling", False)
        if self.sampler == "CmaEsSampler" and len(complete) >= _WARM:
            options.setdefault("source_trials", _numbers(complete))
        if self.sampler == "QMCSampler":
            options["seed"] = self.options.get("seed", 0)  # one sequence for the whole study
        sampler = made(**options)
        if self.sampler == "QMCSampler":
            # Optuna counts the points used up in its storage; here the trials tell.
            sampler._find_sample_id = lambda study, _: len(study.get_trials(deepcopy=False)) - 1
        return sampler


class _Told:
    """A study of Optuna's with the trials that have ended, in order of ending."""

    def __init__(self, space: Space, history: History, sampler: Any) -> None:
        self.space, self.history = space, history
        self.optuna = _optuna()
        self.study = self.optuna.create_study(
            study_name="archsmith",
            storage=self.optuna.storages.InMemoryStorage(),
            directions=[objective.direction for objective in history.objectives],
        )
        self.complete: list[Any] = []  # trials with values
        self.worst: list[float] = [0.0] * len(history.objectives)
        self._generation = ""
        if isinstance(sampler, self.optuna.samplers.BaseGASampler):
            self._generation, self._population = (
                sampler._get_generation_key(),
                sampler.population_size,
            )
        self._copied: bytes | None = None

    def take(self, trial: Trial) -> None:
        with _quiet():
            frozen = self.frozen(trial)
            self.study.add_trial(frozen)
        if frozen.state == self.optuna.trial.TrialState.COMPLETE:
            self.complete.append(frozen)
        self._copied = None

    def copy(self) -> Any:
        """The study once more, to add to; making it anew would take far longer."""
        if self._copied is None:
            self._copied = pickle.dumps(self.study._storage)
        return self.optuna.load_study(study_name="archsmith", storage=pickle.loads(self._copied))

    def frozen(self, trial: Trial) -> Any:
        """The trial in Optuna's form."""
        drawn: dict[str, Any] = {}
        domains: dict[str, Any] = {}

        def retrace(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            answer = trial.architecture[decision.name]
            for parameter, value in zip(parameters(decision), write(decision, answer), strict=True):
                domains[parameter.name] = parameter.distribution(self.optuna.distributions)
                drawn[parameter.name] = value
            return answer

        self.space.walk(retrace)
        state, values = self._end(trial)
        limits = self.history.limits
        constraints = {str(limit): _signed(limit, trial.metrics) for limit in limits}
        notes = {}
        if self._generation and values is not None:
            notes[self._generation] = len(self.complete) // self._population
        return self.optuna.trial.create_trial(
            state=state,
            values=values,
            params=drawn,
            distributions=domains,
            constraints=constraints if trial.state.ended else None,
            system_attrs=notes,
        )

    def _end(self, trial: Trial) -> tuple[Any, list[float] | None]:
        states = self.optuna.trial.TrialState
        if not trial.state.ended:
            return states.RUNNING, None
        values = [trial.metrics.get(o.metric, math.nan) for o in self.history.objectives]
        if self.history.violation(trial.metrics) > 0.0:
            # Only with values will a sampler learn from it that the limit is broken there.
            worst = zip(values, self.worst, strict=True)
            return states.COMPLETE, [v if math.isfinite(v) else w for v, w in worst]
        if trial.state is State.FINISHED and all(map(math.isfinite, values)):
            for i, (objective, value) in enumerate(
                zip(self.history.objectives, values, strict=True)
            ):
                worse = max if objective.direction == "minimize" else min
                self.worst[i] = worse(self.worst[i], value) if self.complete else value
            return states.COMPLETE, values
        return (states.PRUNED if trial.state is State.PRUNED else states.FAIL), None


def _asked(space: Space, study: Any, rng: random.Random) -> Architecture:
    trial = study.ask()
    # Now, since a space may ask from within a builder that runs with torch under its own rules.
    _ = trial.relative_params

    def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
        return read(decision, [p.suggest(trial) for p in parameters(decision)], rng)

    return space.walk(policy)


def _used_up(space: Space, history: History) -> bool:
    """Whether nothing new is left. Samplers would be asked eight times over, and some are slow."""
    size = space.size()
    if not size.exact or size.count > 2 * len(history.seen) + 32:
        return False
    return not any(history.new(architecture) for architecture in space.enumerate())


def _signed(limit: Limit, metrics: Mapping[str, float]) -> float:
    """How far the metric is over its limit (positive) or within it, relative to the bound."""
    if limit.metric not in metrics:
        return 0.0
    value, scale = metrics[limit.metric], abs(limit.bound) or 1.0
    over = (value - limit.bound if limit.sign == "<=" else limit.bound - value) / scale
    return _BROKEN if math.isnan(over) else max(-_BROKEN, min(_BROKEN, over))


def _numbers(trials: list[Any]) -> list[Any]:
    """The trials with their ranges of numbers alone, which is all that CMA-ES can read."""
    optuna = _optuna()
    ranges = (optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution)
    cut = []
    for trial in trials:
        kept = {n: d for n, d in trial.distributions.items() if isinstance(d, ranges)}
        params = {name: trial.params[name] for name in kept}
        cut.append(
            optuna.trial.create_trial(values=trial.values, params=params, distributions=kept)
        )
    return cut


def _optuna() -> Any:
    return _needed("optuna")


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtraError(
            "optuna's samplers", package, "not installed", "pip install 'archsmith[optuna]'"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's remarks on its own studies and its experimental features."""
    logging = _optuna().logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
