"""Search strategies, one file each."""

from __future__ import annotations

from collections.abc import Callable

from .._support.registry import Registry
from .base import HistoryCache, Strategy, sample_unseen

#: Name to :class:`Strategy` class.
strategies = Registry(
    "strategy",
    "archsmith.strategies",
    {
        "abohb": "archsmith.strategy.abohb:AsyncBOHB",
        "asha": "archsmith.strategy.asha:ASHA",
        "auto": "archsmith.strategy.auto:Auto",
        "bananas": "archsmith.strategy.bananas:Bananas",
        "bayesian": "archsmith.strategy.bayesian:BayesianOptimization",
        "bohb": "archsmith.strategy.bohb:BOHB",
        "evolution": "archsmith.strategy.evolution:RegularizedEvolution",
        "freeze-thaw": "archsmith.strategy.freeze_thaw:FreezeThaw",
        "genetic": "archsmith.strategy.genetic:GeneticAlgorithm",
        "grid": "archsmith.strategy.grid:GridSearch",
        "hyperband": "archsmith.strategy.hyperband:Hyperband",
        "linear-thompson": "archsmith.strategy.bananas:LinearThompson",
        "local-search": "archsmith.strategy.local_search:LocalSearch",
        "nsga2": "archsmith.strategy.nsga2:NSGA2",
        "predictor": "archsmith.strategy.guided:PredictorGuided",
        "race": "archsmith.strategy.race:Race",
        "random": "archsmith.strategy.random:RandomSearch",
        "reinforce": "archsmith.strategy.reinforce:Reinforce",
        "successive-halving": "archsmith.strategy.successive_halving:SuccessiveHalving",
        "tpe": "archsmith.strategy.tpe:TPE",
    },
)

#: Names with this prefix are Optuna samplers: ``optuna:GPSampler``.
_OPTUNA = "optuna:"


def named(name: str) -> Callable[[], Strategy]:
    """A picklable factory for the strategy of this name, registered or ``optuna:SAMPLER``.

    Raises:
        UnknownNameError: no strategy has that name; suggests the nearest one.
        MissingExtraError: Optuna is not installed.
    """
    if name.startswith(_OPTUNA):
        from .optuna import by_name

        sampler: Callable[[], Strategy] = by_name(name.removeprefix(_OPTUNA))
        return sampler
    strategy: Callable[[], Strategy] = strategies.get(name)
    return strategy


__all__ = ["HistoryCache", "Strategy", "named", "sample_unseen", "strategies"]
