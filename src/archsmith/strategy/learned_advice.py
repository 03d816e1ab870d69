"""A model of the scores of a few architectures, as a feature of all architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..predictor import predictors
from ..predictor.blocks import ADVICE, listing
from ..space.architecture import Architecture
from ..space.describing import described
from .ranking import normal_scores

if TYPE_CHECKING:
    from ..space import Space


def with_advice(
    space: Space, pool: Sequence[Architecture], scores: Sequence[float], says: str
) -> Space:
    """The space with predicted scores as an additional feature, for surrogates.

    A space has too many architectures to score them all. So a Gaussian process learns the scores of
    the pool, by their ranks, and its prediction is the feature, even for those that were scored, so
    that a surrogate sees one function. The surrogate's own evidence decides how much it counts.

    Args:
        pool: scored architectures.
        scores: of the pool, larger is better, (n,); those that are not finite are ignored.
        says: name of the advice.

    Returns:
        The extended space, or ``space`` itself if the scores cannot be learned.
    """
    finite = [place for place, score in enumerate(scores) if np.isfinite(score)]
    finite_pool = [pool[place] for place in finite]
    values = _normal([scores[place] for place in finite])
    predictor = predictors.get("gaussian")()
    if len({space.canonical(a) for a in finite_pool}) < 2 * predictor.folds or len(set(values)) < 2:
        return space
    if not predictor.fit(space, finite_pool, values).believed:
        return space
    name, listed = f"{ADVICE}:{says}", listing(space)
    means = predictor.predict(listed).mean if listed else []
    learned = {space.canonical(a): float(m) for a, m in zip(listed, means, strict=True)}

    def features(architecture: Architecture) -> Mapping[str, float]:
        graph = space.canonical(architecture)
        if graph not in learned:
            learned[graph] = float(predictor.predict([architecture]).mean[0])
        return {name: learned[graph]}

    return described(space, features)


def _normal(scores: Sequence[float]) -> list[float]:
    """Normal quantiles of the ranks, equal for equal scores."""
    from scipy.stats import rankdata

    if not scores:
        return []
    quantiles = np.interp(
        rankdata(scores), np.arange(1, len(scores) + 1), -normal_scores(len(scores))
    )
    return [float(value) for value in quantiles]
