"""Neural architecture search for the PyTorch model you already write.

Public names are loaded when first used, so that ``import archsmith`` costs next to nothing.
"""

# ruff: noqa: F401  (the imports below are for type checkers)

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._support.errors import ArchsmithError, InputError, SpaceError, WorkError
    from .bench import BenchmarkResult, benchmark, compare, picture, read_table
    from .data.dataset import DatasetSplit
    from .data.episodes import Episodes, one_drawer_each
    from .data.objects import split_data
    from .data.splits import Split, TensorSplit
    from .evaluate import Evaluator, Trainer, TrialFailed, TrialPruned, Watch
    from .hardware.options import LatencyOptions
    from .history.objective import Limit, Metric, Objective
    from .history.trial import Fidelity, History, Proposal, State, Trial
    from .predictor import Prediction, Predictor, Validation, cross_validate, fit_on
    from .predictor.curves import CurveModel
    from .profiling.result import Profile
    from .profiling.run import profile
    from .proxy import Batch, CannotScore, Proxy, SetProxy, rank_by_proxies, score_proxies
    from .report.heat import similarity_picture
    from .report.plane import map_picture
    from .space import (
        Architecture,
        Size,
        Space,
        choose,
        described,
        graph_form,
        integer,
        module_scopes,
        one_of,
        real,
        repeat,
        scope,
        subset,
        weight_names,
    )
    from .strategy import Strategy
    from .strategy.abohb import AsyncBOHB
    from .strategy.advised import Advised
    from .strategy.asha import ASHA
    from .strategy.auto import Auto
    from .strategy.bananas import Bananas, LinearThompson
    from .strategy.bayesian import BayesianOptimization
    from .strategy.bohb import BOHB
    from .strategy.distinct import Distinct
    from .strategy.evolution import RegularizedEvolution
    from .strategy.freeze_thaw import FreezeThaw
    from .strategy.genetic import GeneticAlgorithm
    from .strategy.grid import GridSearch
    from .strategy.guided import PredictorGuided
    from .strategy.hyperband import Hyperband
    from .strategy.keep_limits import KeepLimits
    from .strategy.local_search import LocalSearch
    from .strategy.nsga2 import NSGA2
    from .strategy.optuna import OptunaSampler
    from .strategy.random import RandomSearch
    from .strategy.reinforce import Reinforce
    from .strategy.successive_halving import SuccessiveHalving
    from .strategy.tpe import TPE
    from .study import Study
    from .study.stopping import CurveStop, MedianStop, Pruner
    from .supernet.attentive import AttentiveNAS
    from .supernet.enas import ENAS
    from .supernet.fair import FairNAS
    from .supernet.fewshot import FewShotNAS
    from .supernet.method import Method
    from .supernet.progressive import OFA
    from .supernet.sandwich import BigNAS
    from .supernet.slicing import SlicingRule, slice_rule
    from .supernet.supernet import Supernet
    from .supernet.training import train_supernet
    from .supernet.uniform import SPOS
    from .task.base import Data, ReadOptions, Recipe, Task
    from .task.problem import open_space
    from .task.tune import RecipeSpace, recipe_of
    from .train import Trained
    from .transfer.features import (
        Features,
        cka,
        feature_map,
        load_features,
        probe,
        save_features,
        similarity,
    )
    from .transfer.fewshot import (
        EpisodeResult,
        FewShotLearner,
        evaluate_episodes,
        learners,
        train_episodes,
    )
    from .transfer.pretrained import Backbone, backbone
    from .transfer.pretrained.checkpoint import read_checkpoint
    from .transfer.pretrained.fit import CheckpointFit, fit_checkpoint
    from .transfer.pretrained.text import text_encoder
    from .transfer.tuning import FineTuning, Tuned, fine_tune, merge, start_from, tuned
    from .transfer.zeroshot import (
        ZeroShotClassifier,
        ZeroShotData,
        ZeroShotResult,
        evaluate_zero_shot,
        read_zero_shot,
    )
    from .transfer.zeroshot.pairs import train_pairs
    from .transfer.zeroshot.text import ZeroShotText, describe_classes
    from .transfer.zeroshot.towers import TwoTower
    from .transfer.zeroshot.words import WordTower
    from .workflow.baseline import Baseline
    from .workflow.finalist import Finalist
    from .workflow.listener import Listener
    from .workflow.result import SearchResult
    from .workflow.run import Run
    from .workflow.search import search

__version__ = "0.1.0"

_PLACES = {
    "ArchsmithError": "_support.errors",
    "InputError": "_support.errors",
    "SpaceError": "_support.errors",
    "WorkError": "_support.errors",
    "BenchmarkResult": "bench",
    "benchmark": "bench",
    "compare": "bench",
    "picture": "bench",
    "read_table": "bench",
    "Evaluator": "evaluate",
    "TrialFailed": "evaluate",
    "TrialPruned": "evaluate",
    "Watch": "evaluate",
    "Trainer": "evaluate",
    "Trained": "train",
    "DatasetSplit": "data.dataset",
    "split_data": "data.objects",
    "Split": "data.splits",
    "TensorSplit": "data.splits",
    "Episodes": "data.episodes",
    "one_drawer_each": "data.episodes",
    "LatencyOptions": "hardware.options",
    "Limit": "history.objective",
    "Metric": "history.objective",
    "Objective": "history.objective",
    "Prediction": "predictor",
    "Predictor": "predictor",
    "Validation": "predictor",
    "cross_validate": "predictor",
    "fit_on": "predictor",
    "Batch": "proxy",
    "CannotScore": "proxy",
    "Proxy": "proxy",
    "SetProxy": "proxy",
    "rank_by_proxies": "proxy",
    "score_proxies": "proxy",
    "Profile": "profiling.result",
    "profile": "profiling.run",
    "map_picture": "report.plane",
    "similarity_picture": "report.heat",
    "Run": "workflow.run",
    "Baseline": "workflow.baseline",
    "Finalist": "workflow.finalist",
    "Listener": "workflow.listener",
    "SearchResult": "workflow.result",
    "search": "workflow.search",
    "open_space": "task.problem",
    "Architecture": "space",
    "Size": "space",
    "Space": "space",
    "choose": "space",
    "described": "space",
    "graph_form": "space",
    "weight_names": "space",
    "integer": "space",
    "one_of": "space",
    "real": "space",
    "repeat": "space",
    "module_scopes": "space",
    "scope": "space",
    "subset": "space",
    "Strategy": "strategy",
    "ASHA": "strategy.asha",
    "Advised": "strategy.advised",
    "AsyncBOHB": "strategy.abohb",
    "Auto": "strategy.auto",
    "BOHB": "strategy.bohb",
    "Bananas": "strategy.bananas",
    "LinearThompson": "strategy.bananas",
    "BayesianOptimization": "strategy.bayesian",
    "Distinct": "strategy.distinct",
    "FreezeThaw": "strategy.freeze_thaw",
    "GeneticAlgorithm": "strategy.genetic",
    "GridSearch": "strategy.grid",
    "Hyperband": "strategy.hyperband",
    "KeepLimits": "strategy.keep_limits",
    "LocalSearch": "strategy.local_search",
    "NSGA2": "strategy.nsga2",
    "OptunaSampler": "strategy.optuna",
    "PredictorGuided": "strategy.guided",
    "RandomSearch": "strategy.random",
    "RegularizedEvolution": "strategy.evolution",
    "Reinforce": "strategy.reinforce",
    "SuccessiveHalving": "strategy.successive_halving",
    "TPE": "strategy.tpe",
    "Study": "study",
    "CurveModel": "predictor.curves",
    "CurveStop": "study.stopping",
    "MedianStop": "study.stopping",
    "Pruner": "study.stopping",
    "AttentiveNAS": "supernet.attentive",
    "BigNAS": "supernet.sandwich",
    "ENAS": "supernet.enas",
    "FairNAS": "supernet.fair",
    "FewShotNAS": "supernet.fewshot",
    "Method": "supernet.method",
    "OFA": "supernet.progressive",
    "SPOS": "supernet.uniform",
    "SlicingRule": "supernet.slicing",
    "Supernet": "supernet.supernet",
    "slice_rule": "supernet.slicing",
    "train_supernet": "supernet.training",
    "Data": "task.base",
    "ReadOptions": "task.base",
    "Recipe": "task.base",
    "RecipeSpace": "task.tune",
    "recipe_of": "task.tune",
    "Task": "task.base",
    "EpisodeResult": "transfer.fewshot",
    "FewShotLearner": "transfer.fewshot",
    "evaluate_episodes": "transfer.fewshot",
    "learners": "transfer.fewshot",
    "train_episodes": "transfer.fewshot",
    "Features": "transfer.features",
    "cka": "transfer.features",
    "feature_map": "transfer.features",
    "load_features": "transfer.features",
    "probe": "transfer.features",
    "save_features": "transfer.features",
    "similarity": "transfer.features",
    "Backbone": "transfer.pretrained",
    "backbone": "transfer.pretrained",
    "read_checkpoint": "transfer.pretrained.checkpoint",
    "CheckpointFit": "transfer.pretrained.fit",
    "fit_checkpoint": "transfer.pretrained.fit",
    "text_encoder": "transfer.pretrained.text",
    "FineTuning": "transfer.tuning",
    "Tuned": "transfer.tuning",
    "fine_tune": "transfer.tuning",
    "merge": "transfer.tuning",
    "start_from": "transfer.tuning",
    "tuned": "transfer.tuning",
    "TwoTower": "transfer.zeroshot.towers",
    "WordTower": "transfer.zeroshot.words",
    "ZeroShotClassifier": "transfer.zeroshot",
    "ZeroShotData": "transfer.zeroshot",
    "ZeroShotResult": "transfer.zeroshot",
    "ZeroShotText": "transfer.zeroshot.text",
    "describe_classes": "transfer.zeroshot.text",
    "evaluate_zero_shot": "transfer.zeroshot",
    "read_zero_shot": "transfer.zeroshot",
    "train_pairs": "transfer.zeroshot.pairs",
    "Fidelity": "history.trial",
    "History": "history.trial",
    "Proposal": "history.trial",
    "State": "history.trial",
    "Trial": "history.trial",
}

#: Names of earlier versions, which still work.
_RENAMED = {"Part": "TensorSplit", "Stopper": "Pruner", "Found": "Finalist"}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        from ._support.renamed import warn_renamed

        warn_renamed(f"archsmith.{name}", f"archsmith.{_RENAMED[name]}")
        return __getattr__(_RENAMED[name])
    if name not in _PLACES:
        raise AttributeError(f"module 'archsmith' has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
