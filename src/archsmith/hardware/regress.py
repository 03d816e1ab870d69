"""Small regressions of a time on named features, which can be stored as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
#: Features by name; a missing feature is 0.
Row = Mapping[str, float]

_FOLDS = 5


_T = TypeVar("_T")
_Contra = TypeVar("_Contra", contravariant=True)


class Regression(Protocol[_Contra]):
    """Predicts positive times, from rows of features or other descriptions."""

    def predict(self, rows: Sequence[_Contra]) -> Array:
        """Times (n,)."""
        ...

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        ...


@dataclass(frozen=True)
class Linear:
    """A constant and a coefficient for each feature, none of them negative.

    Least squares of relative errors: a millisecond matters more for a fast model.
    """

    names: tuple[str, ...]
    constant: float
    prices: tuple[float, ...]

    @classmethod
    def fit(cls, rows: Sequence[Row], times: Array, uses: Callable[[str], bool]) -> Linear:
        """Fit coefficients of the features whose names ``uses`` accepts.

        Times that are an exact combination of the features are matched exactly.
        """
        from scipy.optimize import nnls

        names = tuple(sorted({name for row in rows for name in row if uses(name)}))
        matrix = np.column_stack([np.ones(len(rows)), table(rows, names)]) / times[:, None]
        # Columns differ by nine orders of magnitude (calls, FLOPs), which would make the problem
        # ill-conditioned.
        scale = np.linalg.norm(matrix, axis=0)
        scale[scale == 0] = 1.0
        solved, _ = nnls(matrix / scale, np.ones(len(rows)), maxiter=100 * len(scale))
        constant, *prices = (float(price) for price in solved / scale)
        return cls(names, constant, tuple(prices))

    def predict(self, rows: Sequence[Row]) -> Array:
        times: Array = self.constant + table(rows, self.names) @ np.array(self.prices)
        # A pass takes some time, even if none of its features was in the fit.
        return np.maximum(times, 1e-9)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "linear",
            "names": self.names,
            "constant": self.constant,
            "prices": self.prices,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Linear:
        """The inverse of :meth:`to_json`."""
        prices = tuple(map(float, values["prices"]))
        return cls(tuple(values["names"]), float(values["constant"]), prices)


@dataclass(frozen=True)
class Boosted:
    """A regression, and gradient-boosted trees for its residuals in the logarithm of the time.

    Attributes:
        trees: each as the lists ``feature`` (-1 at a leaf), ``threshold``, ``left``, ``right`` and
            ``value`` over its nodes, the root first.
        rate: factor of the sum of the trees.
    """

    base: Linear
    names: tuple[str, ...]
    trees: tuple[Mapping[str, Sequence[float]], ...]
    rate: float

    @classmethod
    def fit(cls, base: Linear, rows: Sequence[Row], times: Array, seed: int = 0) -> Boosted:
        """Fit the trees to the base's errors on the same rows."""
        from sklearn.ensemble import GradientBoostingRegressor

        names = tuple(sorted({name for row in rows for name in row}))
        residual = np.log(times / base.predict(rows))
        rate = 0.1
        learner = GradientBoostingRegressor(
            n_estimators=100,
            max_depth=2,
            learning_rate=rate,
            subsample=0.8,
            min_samples_leaf=3,
            init="zero",
            random_state=seed,
        ).fit(table(rows, names), residual)
        return cls(
            base, names, tuple(_tree_lists(e.tree_) for e in learner.estimators_[:, 0]), rate
        )

    def predict(self, rows: Sequence[Row]) -> Array:
        # The trees were fitted to float32 features.
        matrix = table(rows, self.names).astype(np.float32)
        total = sum((_evaluate_tree(tree, matrix) for tree in self.trees), np.zeros(len(rows)))
        times: Array = self.base.predict(rows) * np.exp(self.rate * total)
        return times

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "boosted",
            "base": self.base.to_json(),
            "names": self.names,
            "trees": [dict(tree) for tree in self.trees],
            "rate": self.rate,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Boosted:
        """The inverse of :meth:`to_json`."""
        base, names = Linear.from_json(values["base"]), tuple(values["names"])
        return cls(base, names, tuple(values["trees"]), float(values["rate"]))


def table(rows: Sequence[Row], names: Sequence[str]) -> Array:
    """The named features, (n, names); 0 where a row does not have the feature."""
    return np.array([[row.get(name, 0.0) for name in names] for row in rows]).reshape(
        len(rows), len(names)
    )


def relative_error(predicted: Array, times: Array) -> float:
    """Mean absolute error relative to the time: 0.05 is five percent off, on average."""
    return float(np.mean(np.abs(predicted / times - 1.0)))


def held_out(
    fit: Callable[[Sequence[_T], Array], Regression[_T]],
    rows: Sequence[_T],
    times: Array,
    seed: int = 0,
) -> Array:
    """Predictions by cross-validation: each fifth of the rows by a regression fitted to the others.

    Returns:
        (n,): each predicted by the one regression that was not fitted to its time.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    predictions = np.zeros(len(rows))
    for fold in np.array_split(order, min(_FOLDS, len(rows))):
        rest = np.setdiff1d(order, fold)
        predictions[fold] = fit([rows[i] for i in rest], times[rest]).predict(
            [rows[i] for i in fold]
        )
    return predictions


def _tree_lists(tree: Any) -> dict[str, list[float]]:
    return {
        "feature": [int(f) if f >= 0 else -1 for f in tree.feature],
        "threshold": tree.threshold.tolist(),
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "value": tree.value[:, 0, 0].tolist(),
    }


def _evaluate_tree(tree: Mapping[str, Sequence[float]], matrix: Any) -> Array:
    """The value of the leaf that each row reaches, (n,)."""
    feature, threshold = np.array(tree["feature"]), np.array(tree["threshold"])
    left, right = np.array(tree["left"]), np.array(tree["right"])
    node, places = np.zeros(len(matrix), dtype=int), np.arange(len(matrix))
    while (feature[node] >= 0).any():
        inner = feature[node] >= 0
        lower = matrix[places, np.maximum(feature[node], 0)] <= threshold[node]
        node = np.where(inner, np.where(lower, left[node], right[node]), node)
    values: Array = np.array(tree["value"], dtype=float)[node]
    return values
