"""Neural architecture search for the PyTorch model you already write.

Public names are loaded when first used, so that ``import archsmith`` costs next to nothing.
"""

# ruff: noqa: F401  (the imports below are for type checkers)

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import ArchsmithError, InputError, SpaceError, WorkError
    from .evaluate import Evaluator, TrialFailed, TrialPruned, Watch
    from .objective import Limit, Metric, Objective
    from .run import Run
    from .searching import Found, Listener, SearchResult, search
    from .space import (
        Architecture,
        Size,
        Space,
        choose,
        graph_form,
        integer,
        one_of,
        real,
        repeat,
        scope,
        subset,
    )
    from .strategy import Strategy
    from .study import Study
    from .task.base import Data, Part, ReadOptions, Recipe, Task
    from .trial import Fidelity, History, Proposal, State, Trial

__version__ = "0.1.0"

_PLACES = {
    "ArchsmithError": "errors",
    "InputError": "errors",
    "SpaceError": "errors",
    "WorkError": "errors",
    "Evaluator": "evaluate",
    "TrialFailed": "evaluate",
    "TrialPruned": "evaluate",
    "Watch": "evaluate",
    "Limit": "objective",
    "Metric": "objective",
    "Objective": "objective",
    "Run": "run",
    "Found": "searching",
    "Listener": "searching",
    "SearchResult": "searching",
    "search": "searching",
    "Architecture": "space",
    "Size": "space",
    "Space": "space",
    "choose": "space",
    "graph_form": "space",
    "integer": "space",
    "one_of": "space",
    "real": "space",
    "repeat": "space",
    "scope": "space",
    "subset": "space",
    "Strategy": "strategy",
    "Study": "study",
    "Data": "task.base",
    "Part": "task.base",
    "ReadOptions": "task.base",
    "Recipe": "task.base",
    "Task": "task.base",
    "Fidelity": "trial",
    "History": "trial",
    "Proposal": "trial",
    "State": "trial",
    "Trial": "trial",
}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'archsmith' has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
