"""Optuna's samplers as strategies (Akiba et al. 2019, arXiv:1907.10902).

The history is copied into an Optuna study in memory that has no state of its own: what a sampler
remembers in addition to its trials is derived from them, or made again for each proposal.
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

#: Samplers that need only trials to propose. The others need their own list of points, or count
#: the remaining ones in their storage.
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
#: Least number of trials from which CMA-ES takes its starting distribution (the best tenth).
_WARM = 20
_BROKEN = 1e3  # violation that stands for NaN and infinity


def by_name(sampler: str) -> Callable[..., OptunaSampler]:
    """The factory that ``optuna:SAMPLER`` stands for; takes the other arguments of the strategy.

    Raises:
        UnknownNameError: there is no such sampler; suggests the nearest name.
    """
    if sampler not in SAMPLERS:
        raise unknown("optuna sampler", sampler, SAMPLERS)
    return partial(OptunaSampler, sampler)


class OptunaSampler(Strategy):
    """Proposes by one of Optuna's samplers.

    Running trials are passed on as running, so that samplers that can (TPE, GP) avoid them. A
    broken limit is a violated constraint; a trial pruned for it counts with the worst value of
    each objective so far. A sampler that repeats itself is asked again, up to eight times; then a
    new architecture is drawn at random.

    ``CmaEsSampler`` handles only numbers and draws other decisions at random; its Gaussian is
    fitted for each proposal to the best tenth of the trials (Nomura et al. 2021, arXiv:2012.06932).
    In the genetic ones every ``population_size`` trials, in order of ending, form a generation.

    Args:
        sampler: one of :data:`SAMPLERS`.
        options: arguments of the sampler, as plain values.

    Raises:
        UnknownNameError: there is no such sampler.
        InputError: the sampler does not accept the options.
        MissingExtraError: Optuna is not installed.
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
            raise InputError(f"optuna, {sampler}", "options that it accepts", str(error)) from None
        self._memo = HistoryCache(self._mirror)

    def check(self, space: Space, history: History) -> None:
        super().check(space, history)
        if self.sampler not in _SINGLE:
            return
        if len(history.objectives) > 1:
            raise InputError(
                f"optuna, {self.sampler}",
                "one objective",
                str(len(history.objectives)),
                "use optuna:TPESampler or optuna:GPSampler for several objectives",
            )
        if not any(isinstance(d, Integer | Real) for d in space.decisions(space.default())):
            raise InputError(
                f"optuna, {self.sampler}",
                "a decision over a range of numbers",
                "none",
                "it handles only numbers; optuna:TPESampler works in all spaces",
            )

    def describe(self, space: Space, history: History) -> str:
        return f"optuna:{self.sampler}"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        if _used_up(space, history):
            return None
        mirror = self._memo.at(space, history)
        with _quiet():
            study = mirror.copy()
            study.sampler = self._make(rng, len(history), mirror.complete)
            for trial in history.running.values():
                study.add_trial(mirror.frozen(trial))
            for _ in range(_TRIES):
                # A draw that repeats a trial stays in the study as a running trial.
                architecture = _asked(space, study, rng)
                if history.new(architecture):
                    return Proposal(architecture, note=f"from {self.sampler}")
        drawn = sample_unseen(space, history, lambda: space.sample(rng))
        return Proposal(drawn, note="random") if drawn else None

    def _mirror(self, space: Space, history: History) -> _Mirror:
        with _quiet():
            return _Mirror(space, history, self._make(random.Random(0), 0, []))

    def _make(self, rng: random.Random, number: int, complete: list[Any]) -> Any:
        """The sampler, seeded, for the proposal of this number."""
        sampler_class = getattr(_optuna().samplers, self.sampler)
        if self.sampler == "CmaEsSampler":
            _import("cmaes")
        options: dict[str, Any] = {"seed": rng.getrandbits(31), **self.options}
        if "warn_independent_sampling" in inspect.signature(sampler_class).parameters and (
            self.sampler != "TPESampler"  # which never warns, and deprecates the option
        ):
            options.setdefault("warn_independent_sampling", False)
        if self.sampler == "CmaEsSampler" and len(complete) >= _WARM:
            options.setdefault("source_trials", _numbers(complete))
        if self.sampler == "QMCSampler":
            options["seed"] = self.options.get("seed", 0)  # one sequence for the whole study
        sampler = sampler_class(**options)
        if self.sampler == "QMCSampler":
            # Optuna counts the used points in its storage; here they are counted from the trials.
            sampler._find_sample_id = lambda study, _: len(study.get_trials(deepcopy=False)) - 1
        return sampler


class _Mirror:
    """An Optuna study with the trials that have ended, in order of ending."""

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
        """A copy of the study to add trials to; building it again would take far longer."""
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
        constraints = {str(limit): _relative_excess(limit, trial.metrics) for limit in limits}
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
            # Samplers learn from a broken limit only if the trial has values.
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
    # Sampled here, because a space may ask inside a builder, where torch is restricted.
    _ = trial.relative_params

    def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
        return read(decision, [p.suggest(trial) for p in parameters(decision)], rng)

    return space.walk(policy)


def _used_up(space: Space, history: History) -> bool:
    """Whether nothing new is left, to avoid asking a slow sampler eight times in vain."""
    size = space.size()
    if not size.exact or size.count > 2 * len(history.seen) + 32:
        return False
    return not any(history.new(architecture) for architecture in space.enumerate())


def _relative_excess(limit: Limit, metrics: Mapping[str, float]) -> float:
    """How far the metric is over its limit (positive) or within it, relative to the bound."""
    if limit.metric not in metrics:
        return 0.0
    value, scale = metrics[limit.metric], abs(limit.bound) or 1.0
    over = (value - limit.bound if limit.sign == "<=" else limit.bound - value) / scale
    return _BROKEN if math.isnan(over) else max(-_BROKEN, min(_BROKEN, over))


def _numbers(trials: list[Any]) -> list[Any]:
    """The trials with only their numeric decisions, which is all that CMA-ES can use."""
    optuna = _optuna()
    ranges = (optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution)
    reduced = []
    for trial in trials:
        kept = {n: d for n, d in trial.distributions.items() if isinstance(d, ranges)}
        params = {name: trial.params[name] for name in kept}
        reduced.append(
            optuna.trial.create_trial(values=trial.values, params=params, distributions=kept)
        )
    return reduced


def _optuna() -> Any:
    return _import("optuna")


def _import(package: str) -> Any:
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
    """Suppress Optuna's messages about its studies and its experimental features."""
    logging = _optuna().logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
