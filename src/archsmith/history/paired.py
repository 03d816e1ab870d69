"""Compare two models on the same test examples: by how much one is better, and how surely."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from .objective import Direction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    #: Sums of contributions (..., k) to a metric (...,).
    Pooled = Callable[[Floats], Floats]

_LEVEL = 0.95
_RESAMPLES = 10_000
_BLOCK = 1 << 22  # numbers in a block of resamples


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two models on the same examples.

    The interval accounts for the choice of test examples, not for randomness in training.

    Attributes:
        metric, direction: what is compared.
        examples: how many there were.
        value, other: the metric of both.
        low, high: 95 % interval of ``value - other``.
        method: ``mcnemar`` or ``bootstrap``.
        p: of McNemar's exact test, two-sided; ``None`` for the bootstrap.
        against: what the other is, for :attr:`words`.
    """

    metric: str
    direction: Direction
    examples: int
    value: float
    other: float
    low: float
    high: float
    method: str
    p: float | None = None
    against: str = "the default"

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def better(self) -> float:
        """By how much it is better than the other; negative if it is worse."""
        sign = 1 if self.direction == "maximize" else -1
        return sign * (self.value - self.other)

    @property
    def words(self) -> str:
        """The result as a sentence without its subject."""
        points = self.metric == "accuracy"
        scale, unit = (100.0, " points") if points else (1.0, f" in {self.metric}")
        ends = sorted(
            (end if self.direction == "maximize" else -end) * scale for end in (self.low, self.high)
        )
        interval = f"95% interval {_number(ends[0])} to {_number(ends[1])}"
        by = f"{_number(abs(self.better) * scale)}{unit}"
        which = "better" if self.better >= 0 else "worse"
        count = f"{self.examples:,} test examples"
        if self.clear:
            return f"{which} than {self.against} by {by} ({interval}) on {count}"
        if self.better == 0:
            return f"no difference from {self.against} on {count} ({interval})"
        return f"no clear difference from {self.against} on {count}: {which} by {by} ({interval})"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = asdict(self) | {"clear": self.clear, "words": self.words}
        if self.against == "the default":
            del plain["against"]
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Comparison:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: the values have another form.
        """
        way: Direction = "maximize" if values["direction"] == "maximize" else "minimize"
        value, other, low, high = (float(values[n]) for n in ("value", "other", "low", "high"))
        p = None if values["p"] is None else float(values["p"])
        metric, examples = str(values["metric"]), int(values["examples"])
        method, against = str(values["method"]), str(values.get("against", "the default"))
        return cls(metric, way, examples, value, other, low, high, method, p, against)


def compare(
    metric: str,
    direction: Direction,
    one: Floats,
    other: Floats,
    seed: int = 0,
    against: str = "the default",
    pooled: Pooled | None = None,
) -> Comparison:
    """Compare two models by the contributions (n,) or (n, k) of the same examples to a metric.

    For accuracy, contributions are 1 and 0: McNemar's exact test (1947), with the matching interval
    of Clopper and Pearson (1934) for the share of examples that only the first model gets right
    among those that exactly one gets right; it excludes zero if p is 0.05 or less. Other metrics
    are means of their contributions, ``rmse`` the root of the mean, with percentile intervals of
    the paired bootstrap (Efron and Tibshirani 1993), or with ``pooled`` a function of the sums of
    their contributions, with the same intervals.
    """
    if pooled is not None:
        low, high = bootstrap_pooled(pooled, one, other, seed)
        value, other_value = (float(pooled(parts.sum(0))) for parts in (one, other))
        found = Comparison(metric, direction, len(one), value, other_value, low, high, "bootstrap")
        return replace(found, against=against)
    value, other_value = _metric(metric, one.mean()), _metric(metric, other.mean())
    if metric == "accuracy":
        won, lost = int((one > other).sum()), int((one < other).sum())
        low, high, p = mcnemar(won, lost, len(one))
        found = Comparison(metric, direction, len(one), value, other_value, low, high, "mcnemar", p)
    else:
        low, high = bootstrap(metric, one, other, seed)
        found = Comparison(metric, direction, len(one), value, other_value, low, high, "bootstrap")
    return replace(found, against=against)


def mcnemar(won: int, lost: int, count: int) -> tuple[float, float, float]:
    """The exact interval of the difference of two proportions of ``count``, and the two-sided p.

    Args:
        won, lost: number of examples that only the first, or only the second, gets right.
    """
    from scipy import stats

    discordant = won + lost
    if not discordant:
        return 0.0, 0.0, 1.0
    p = min(1.0, 2 * float(stats.binom.cdf(min(won, lost), discordant, 0.5)))
    tail = (1 - _LEVEL) / 2
    low = float(stats.beta.ppf(tail, won, lost + 1)) if won else 0.0
    high = float(stats.beta.ppf(1 - tail, won + 1, lost)) if lost else 1.0
    share = discordant / count
    return (2 * low - 1) * share, (2 * high - 1) * share, p


def bootstrap(metric: str, one: Floats, other: Floats, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the difference of a metric over paired resamples."""
    import numpy as np

    rng, count = np.random.default_rng(seed), len(one)
    block = max(1, _BLOCK // count)
    differences: list[Floats] = []
    for start in range(0, _RESAMPLES, block):
        rows = rng.integers(0, count, (min(block, _RESAMPLES - start), count))
        means = one[rows].mean(1), other[rows].mean(1)
        root = metric == "rmse"
        differences.append(np.sqrt(means[0]) - np.sqrt(means[1]) if root else means[0] - means[1])
    tail = 100 * (1 - _LEVEL) / 2
    low, high = np.percentile(np.concatenate(differences), [tail, 100 - tail])
    return float(low), float(high)


def bootstrap_pooled(
    pooled: Pooled, one: Floats, other: Floats, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of the difference of a metric that is a function of sums over examples.

    Args:
        pooled: sums (..., k) of the contributions to the metric (...,).
        one, other: contributions (n, k) of the same examples.
    """
    import numpy as np

    rng, count = np.random.default_rng(seed), len(one)
    block = max(1, _BLOCK // count)
    differences: list[Floats] = []
    for start in range(0, _RESAMPLES, block):
        size = min(block, _RESAMPLES - start)
        # How often each example is drawn, by counting pairs of resample and example.
        drawn = rng.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        often = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        differences.append(pooled(often @ one) - pooled(often @ other))
    tail = 100 * (1 - _LEVEL) / 2
    low, high = np.percentile(np.concatenate(differences), [tail, 100 - tail])
    return float(low), float(high)


def _metric(name: str, mean: float) -> float:
    return math.sqrt(mean) if name == "rmse" else float(mean)


def _number(value: float) -> str:
    text = (
        f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
    )
    return text.replace("-", "−")
