"""Cosine of features and descriptions that lie in the same space already."""

from __future__ import annotations

from typing import Any, Self

from ..._support.errors import DataError
from .base import ZeroShotClassifier
from .checks import Array, Indices, class_numbers, descriptions_of, rows
from .folds import Scorer, Solver
from .scaling import unit


class Nearest(ZeroShotClassifier):
    """The class whose description is nearest by cosine: sentences and class names, for example.

    Nothing is learned; it scores without being fitted, and ``fit`` only checks its arguments.
    """

    name = "nearest"

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__(features_scale="none", descriptions_scale="none", seed=seed)

    def prepare(self, features: Array, labels: Indices, descriptions: Array) -> Solver:
        def solve() -> Scorer:
            return lambda given, described: unit(given) @ unit(described).T

        return solve

    def fit(self, features: Any, labels: Any, descriptions: Any) -> Self:
        examples, described = _check_both(features, descriptions)
        class_numbers("labels", labels, len(examples), len(described))
        return self

    def scores(self, features: Any, descriptions: Any) -> Array:
        examples, described = _check_both(features, descriptions)
        return unit(examples) @ unit(described).T


def _check_both(features: Any, descriptions: Any) -> tuple[Array, Array]:
    examples, described = rows("features", features), descriptions_of(descriptions)
    if examples.shape[1] != described.shape[1]:
        raise DataError(
            "descriptions",
            f"{examples.shape[1]} columns, as the features have",
            str(described.shape[1]),
            "nearest compares within one space; choose a method that learns a map",
        )
    return examples, described
