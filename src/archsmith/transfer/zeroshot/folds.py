"""Validation on held-out classes: the only kind that is informative about unseen classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .checks import Array, Indices
from .measure import class_accuracy

#: With fewer seen classes none can be held out: two are needed to learn and two to distinguish.
FEWEST = 4
_FOLDS = 3

#: From hyperparameters to scores (n, classes) of features (n, d) and descriptions (classes, a).
Scorer = Callable[[Array, Array], Array]
Solver = Callable[..., Scorer]


class Prepared(NamedTuple):
    """The result of preparing a set of examples: a solver, and the scales of its scorers."""

    solve: Solver
    scale: Callable[[Array], Array]
    describe: Callable[[Array], Array]


def class_folds(classes: Indices, seed: int, most: int = 12) -> Iterator[Indices]:
    """Classes that are held out together; at least two are, and two are left.

    Each round is a partition of the classes. Few classes make few and noisy folds, so that they
    are partitioned again, up to ``most`` folds in total.
    """
    rng = np.random.default_rng(seed)
    count = min(_FOLDS, len(classes) // 2)
    rounds = max(1, min(most // max(count, 1), 60 // len(classes)))
    for _ in range(rounds if count > 1 else 0):
        for held in np.array_split(rng.permutation(classes), count):
            yield np.sort(held)


def candidates(
    grid: Mapping[str, Sequence[float]], given: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """All combinations of the grid; a given hyperparameter has only its given value."""
    options = [[given[k]] if given.get(k) is not None else list(grid[k]) for k in grid]
    return [dict(zip(grid, values)) for values in product(*options)]


def best_on_held_out(
    prepare: Callable[[Array, Indices, Array], Prepared],
    features: Array,
    labels: Indices,
    descriptions: Array,
    tried: Sequence[dict[str, Any]],
    seed: int,
    most: int = 12,
) -> tuple[dict[str, Any], float]:
    """The candidate with the best class-averaged accuracy on held-out classes, and that accuracy.

    Of equals the middle one is taken, not one at the edge of the range that works.

    Args:
        prepare: from unscaled features, labels and descriptions to a solver.
        descriptions: (seen, a), only of the seen classes; labels index its rows.
    """
    every = np.arange(len(descriptions))
    total, folds = np.zeros(len(tried)), 0
    for held in class_folds(every, seed, most):
        kept = np.setdiff1d(every, held)
        inside, outside = np.isin(labels, kept), np.isin(labels, held)
        prepared = prepare(
            features[inside], np.searchsorted(kept, labels[inside]), descriptions[kept]
        )
        queries, described = (
            prepared.scale(features[outside]),
            prepared.describe(descriptions[held]),
        )
        truth = np.searchsorted(held, labels[outside])
        for place, hyper in enumerate(tried):
            scores = prepared.solve(**hyper)(queries, described)
            total[place] += class_accuracy(scores.argmax(axis=1), truth).value
        folds += 1
    mean = total / folds
    top = np.flatnonzero(mean >= mean.max() - 1e-12)
    chosen = int(top[len(top) // 2])
    return dict(tried[chosen]), float(mean[chosen])
