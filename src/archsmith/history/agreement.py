"""How well two rankings of the same architectures agree, with intervals, and what errors cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError
from .objective import Direction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TOP = 5  # the top is one part in five
_LEVEL = 0.95
_MIN_FOR_INTERVAL = 5  # architectures needed for an interval
_MAX_RESAMPLED = 1000  # architectures that are resampled at most


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A rank correlation in [-1, 1] with its 95 % interval.

    ``value`` is ``None`` if all ranks are equal or there are fewer than two. ``low`` and ``high``
    are also ``None`` if most resamples have no value, and for fewer than five architectures, whose
    resamples have too few different ones.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Picks:
    """The cost of choosing by shared weights, in the metric; ties count as the worse choice.

    A regret is how far a stand-alone value is behind the best one of the sample, at least zero.

    Attributes:
        rank: stand-alone rank of the best architecture by shared weights, from 1.
        regret: of that architecture.
        five, ten: number of architectures in the top 5 % and 10 % by shared weights, at least one.
        regret_five, regret_ten: of the best among these.
        regret_random: mean regret of a random architecture.
    """

    rank: int
    regret: float
    five: int
    regret_five: float
    ten: int
    regret_ten: float
    regret_random: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of shared with stand-alone values.

    Attributes:
        count: number of architectures.
        tau, rho: Kendall's tau-b and Spearman's rho over all.
        top: number of architectures in the top fifth by stand-alone value, including ties with the
            last.
        top_tau, top_rho: over the top fifth only.
        picks: the cost of choosing by shared weights; ``None`` if a stand-alone value is not
            finite.
    """

    count: int
    tau: Coefficient
    rho: Coefficient
    top: int
    top_tau: Coefficient
    top_rho: Coefficient
    picks: Picks | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Agreement:
        """The inverse of :meth:`to_json`."""
        names = ("tau", "rho", "top_tau", "top_rho")
        picks = values.get("picks")
        return cls(
            count=values["count"],
            top=values["top"],
            picks=Picks(**picks) if picks else None,
            **{name: Coefficient(**values[name]) for name in names},
        )


def rank_agreement(
    shared: Sequence[float],
    alone: Sequence[float],
    *,
    direction: Direction = "maximize",
    resamples: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Compare the ranking by shared weights with the ranking by stand-alone training.

    Intervals are percentiles over architectures drawn with replacement (bootstrap, Efron 1979);
    each resample has its own top fifth. With more than 1,000 architectures, a random 1,000 are
    resampled to limit memory; intervals are then slightly too wide.

    Args:
        shared: n values with shared weights. NaN counts as worst.
        alone: n stand-alone values of the same architectures, in the same order.
        direction: which way is better, for both.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        InputError: the two have different lengths.

    Example:
        >>> rank_agreement([0.1, 0.2, 0.3], [0.5, 0.6, 0.9]).tau.value
        1.0
    """
    import numpy as np

    if len(shared) != len(alone):
        raise InputError(
            "rank agreement",
            "one stand-alone value for each shared one",
            f"{len(shared)} and {len(alone)} values",
        )
    x, y = _ranks(shared, direction), _ranks(alone, direction)
    top = np.array(top_fifth(alone, direction), dtype=bool)
    intervals = _intervals(x, y, resamples, np.random.default_rng(seed))
    values = (*_coefficients(x, y), *_coefficients(x[top], y[top]))
    counts = (len(y), len(y), int(top.sum()), int(top.sum()))
    tau, rho, top_tau, top_rho = (
        Coefficient(
            value, *(ends if value is not None and count >= _MIN_FOR_INTERVAL else (None, None))
        )
        for value, ends, count in zip(values, intervals, counts, strict=True)
    )
    picks = _picks(x, alone, direction)
    return Agreement(len(y), tau, rho, counts[2], top_tau, top_rho, picks)


def top_fifth(alone: Sequence[float], direction: Direction = "maximize") -> list[bool]:
    """Which values belong to the top fifth: the best fifth, rounded up, including ties with its
    last."""
    import numpy as np

    if not alone:
        return []
    y = _ranks(alone, direction)
    members: list[bool] = (y >= _threshold(np.ones((1, len(y))), y)[0]).tolist()
    return members


def _ranks(values: Sequence[float], direction: Direction) -> Floats:
    """Dense ranks of the values: equal for equal values, larger for better ones."""
    import numpy as np

    signed = np.asarray(values, dtype=float) * (1.0 if direction == "maximize" else -1.0)
    signed[np.isnan(signed)] = -np.inf
    return np.unique(signed, return_inverse=True)[1].astype(float).reshape(-1)


def _coefficients(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    """Kendall's tau-b and Spearman's rho."""
    from scipy import stats

    if len(set(x)) < 2 or len(set(y)) < 2:
        return None, None
    coefficients = (stats.kendalltau(x, y).statistic, stats.spearmanr(x, y).statistic)
    tau, rho = (
        min(1.0, max(-1.0, float(value))) for value in coefficients
    )  # rounding can exceed the range
    return tau, rho


def _threshold(weights: Floats, y: Floats) -> Floats:
    """For each resample, the rank at which its top fifth begins.

    Args:
        weights: (resamples, n), how often each architecture was drawn.
        y: (n,) stand-alone ranks.
    """
    import numpy as np

    order = np.argsort(-y, kind="stable")
    enough = np.cumsum(weights[:, order], axis=1) >= math.ceil(len(y) / _TOP)
    ranks: Floats = y[order][np.argmax(enough, axis=1)]
    return ranks


def _intervals(
    x: Floats, y: Floats, resamples: int, rng: np.random.Generator
) -> list[tuple[float | None, float | None]]:
    """Intervals of tau and rho over all, then over the top fifth."""
    import numpy as np

    if len(x) < 2:
        return [(None, None)] * 4
    if len(x) > _MAX_RESAMPLED:
        subset = rng.choice(len(x), _MAX_RESAMPLED, replace=False)
        x, y = x[subset], y[subset]
    n = len(x)
    drawn = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.reshape(-1), minlength=n * resamples)
    weights: Floats = counts.reshape(resamples, n).astype(float)
    upper = weights * (y[None, :] >= _threshold(weights, y)[:, None])
    all_of_them, top = resampled(x, y, weights), resampled(x, y, upper)
    return [_percentiles(values) for values in (*all_of_them, *top)]


def _percentiles(values: Floats) -> tuple[float | None, float | None]:
    import numpy as np

    finite = np.clip(values[np.isfinite(values)], -1.0, 1.0)
    if 2 * len(finite) < len(values):
        return None, None
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def resampled(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Kendall's tau-b and Spearman's rho of many resamples at once.

    If architecture i was drawn w_i times, sums over pairs are quadratic forms in w, so that all
    resamples together take a few matrix products.

    Args:
        x, y: (n,) values.
        weights: (resamples, n), how often each was drawn.

    Returns:
        Two arrays (resamples,); NaN if one side has a single value.
    """
    import numpy as np

    # Sums of up to 1,000 x 1,000 whole numbers are exact in 32 bits.
    signs = [np.sign(v[:, None] - v[None, :]).astype(np.float32) for v in (x, y)]
    small = weights.astype(np.float32)

    def pairs(matrix: Any) -> Floats:
        sums: Floats = ((small @ matrix).astype(float) * weights).sum(axis=1)
        return sums

    with np.errstate(invalid="ignore", divide="ignore"):
        untied = pairs(np.abs(signs[0])) * pairs(np.abs(signs[1]))
        tau = pairs(signs[0] * signs[1]) / np.sqrt(untied)
        # Up to a constant, twice the rank of i is the count below it minus the count above it.
        a, b = (-(small @ sign).astype(float) for sign in signs)
        total = weights.sum(axis=1, keepdims=True)
        a -= (weights * a).sum(axis=1, keepdims=True) / total
        b -= (weights * b).sum(axis=1, keepdims=True) / total
        spread = (weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1)
        rho = (weights * a * b).sum(axis=1) / np.sqrt(spread)
    return tau, rho


def _picks(x: Floats, alone: Sequence[float], direction: Direction) -> Picks | None:
    import numpy as np

    values = np.asarray(alone, dtype=float) * (1.0 if direction == "maximize" else -1.0)
    if not len(values) or not np.isfinite(values).all():
        return None
    regrets = values.max() - values
    order = np.lexsort((values, -x))  # best by shared weights first; among ties, worst alone first
    five, ten = (max(1, math.ceil(len(values) * share)) for share in (0.05, 0.1))
    return Picks(
        rank=1 + int((values > values[order[0]]).sum()),
        regret=float(regrets[order[0]]),
        five=five,
        regret_five=float(regrets[order[:five]].min()),
        ten=ten,
        regret_ten=float(regrets[order[:ten]].min()),
        regret_random=float(regrets.mean()),
    )
