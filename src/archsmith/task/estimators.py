"""References for tables and texts: gradient boosting and linear models of scikit-learn.

They are fitted to the rows that networks are trained on, prepared in the same way, and give what a
network would: logits, or standardised values.
"""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from .._support.trees import leaves
from ..data.splits import Split
from .references import Fitted, FittedReference
from .rows import MISSING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .base import Task
    from .values import Data

#: Categories that a column may have for gradient boosting; rarer ones count as one.
_MOST_CATEGORIES = 254
#: Trees are added in portions, until several in a row did not help on the validation part.
_PORTION, _PATIENCE, _MOST_TREES = 20, 3, 1000

Settings = dict[str, float]


class Estimator(nn.Module):
    """A function of prepared rows (n, features) as a module, with the outputs of a network."""

    def __init__(self, predict: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        super().__init__()
        self.predict = predict

    def forward(self, rows: Tensor) -> Tensor:
        outputs = self.predict(rows.detach().cpu().numpy())
        return torch.from_numpy(np.ascontiguousarray(outputs)).float().to(rows.device)


@dataclass(frozen=True)
class _Columns:
    """Prepared rows as an estimator takes them, which of its columns are categories, and whether
    there are several targets."""

    encode: Callable[[NDArray[Any]], NDArray[Any]]
    categorical: NDArray[np.bool_]
    several: bool = False


@dataclass(frozen=True)
class _Estimated(FittedReference):
    """Settings are tried in order; the one with the lowest loss on the validation part counts.

    Attributes:
        classes: whether targets are classes; else they are values.
    """

    classes: bool

    #: What is tried, the usual settings first.
    tried: ClassVar[Sequence[Settings]]

    @abstractmethod
    def _make(self, settings: Settings, columns: _Columns, seed: int) -> Any:
        """An estimator that is not fitted yet."""

    def _columns(self, facts: Mapping[str, Any], rows: NDArray[Any]) -> _Columns:
        """How prepared rows are given to it, learned from training rows."""
        return _Columns(lambda prepared: prepared, np.zeros(rows.shape[1], bool))

    def fit(
        self,
        task: Task,
        data: Data,
        seed: int,
        seconds: float | None = None,
        last: Split | None = None,
    ) -> Fitted:
        began = time.perf_counter()
        rows, *known = _prepared(task, data.train, data.facts)
        columns = self._columns(data.facts, rows)
        train = (columns.encode(rows), *known)
        tested, truth, _ = _prepared(task, data.validation, data.facts)
        tested = columns.encode(tested)

        def judge(model: Any) -> float:
            return self._loss(model, tested, truth)

        best: tuple[float, Settings, Any] | None = None
        for settings in self.tried:
            settings = self._grown(settings, columns, seed, train, judge)
            model = _fitted(self._make(settings, columns, seed), *train)
            loss = judge(model)
            if best is None or loss < best[0]:
                best = loss, settings, model
            if seconds is not None and time.perf_counter() - began > seconds:
                break
        assert best is not None
        _, settings, model = best
        if last is not None:
            rows, *known = _prepared(task, last, data.facts)
            model = _fitted(self._make(settings, columns, seed), columns.encode(rows), *known)
        return Fitted(Estimator(lambda raw: self._outputs(model, columns.encode(raw))), settings)

    def _grown(
        self,
        settings: Settings,
        columns: _Columns,
        seed: int,
        train: tuple[NDArray[Any], ...],
        judge: Callable[[Any], float],
    ) -> Settings:
        """Settings with what only fitting shows."""
        return settings

    def _outputs(self, fitted: Any, rows: NDArray[Any]) -> NDArray[Any]:
        """Logits (n, classes), or standardised values (n, values)."""
        if self.classes:
            logits: NDArray[Any] = np.log(np.asarray(fitted.predict_proba(rows)).clip(1e-12))
            return logits
        return np.asarray(fitted.predict(rows)).reshape(len(rows), -1)

    def _loss(self, fitted: Any, rows: NDArray[Any], targets: NDArray[Any]) -> float:
        """Cross entropy, or the mean squared error."""
        outputs = self._outputs(fitted, rows)
        if self.classes:
            return float(-outputs[np.arange(len(targets)), targets].mean())
        return float(np.square(outputs - targets.reshape(outputs.shape)).mean())


@dataclass(frozen=True)
class GradientBoosting(_Estimated):
    """Histogram-based gradient boosting (Ke et al. 2017, LightGBM) of scikit-learn.

    Categories are given as such, not one-hot. The number of trees, their leaves and the learning
    rate are chosen on the validation part.
    """

    tried = tuple(
        {"learning_rate": rate, "leaves": leaves}
        for rate, leaves in ((0.1, 31), (0.05, 31), (0.1, 15), (0.05, 63))
    )

    def _columns(self, facts: Mapping[str, Any], rows: NDArray[Any]) -> _Columns:
        return _folded(facts, rows)

    def _make(self, settings: Settings, columns: _Columns, seed: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.multioutput import MultiOutputRegressor

        kind = HistGradientBoostingClassifier if self.classes else HistGradientBoostingRegressor
        made = kind(
            learning_rate=settings["learning_rate"],
            max_leaf_nodes=int(settings["leaves"]),
            # Trees of several targets cannot grow together, so each stops by rows of its own.
            max_iter=_MOST_TREES if columns.several else int(settings.get("trees", _PORTION)),
            early_stopping=columns.several,
            categorical_features=columns.categorical,
            random_state=seed,
        )
        return MultiOutputRegressor(made) if columns.several else made

    def _grown(
        self,
        settings: Settings,
        columns: _Columns,
        seed: int,
        train: tuple[NDArray[Any], ...],
        judge: Callable[[Any], float],
    ) -> Settings:
        if columns.several:
            return settings
        growing = self._make(settings, columns, seed).set_params(warm_start=True)
        best, trees = float("inf"), _PORTION
        for count in range(_PORTION, _MOST_TREES + 1, _PORTION):
            growing.set_params(max_iter=count).fit(*train)
            if (loss := judge(growing)) < best:
                best, trees = loss, count
            elif count - trees >= _PATIENCE * _PORTION:
                break
        return settings | {"trees": trees}


@dataclass(frozen=True)
class LinearModel(_Estimated):
    """Logistic regression of classes, ridge regression of values; the strength of the penalty is
    chosen on the validation part."""

    tried = tuple({"penalty": penalty} for penalty in (1.0, 10.0, 0.1, 100.0, 0.01, 1000.0))

    def _make(self, settings: Settings, columns: _Columns, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        penalty = settings["penalty"]
        return LogisticRegression(C=1 / penalty, max_iter=1000) if self.classes else Ridge(penalty)


class TfidfLinear(LinearModel):
    """Logistic regression of TF-IDF weights (Salton and Buckley 1988) of words and pairs of words,
    for tokens of texts, which are decoded."""

    tried = tuple({"penalty": penalty} for penalty in (0.1, 1.0, 0.03, 0.3, 0.01, 3.0))

    def _columns(self, facts: Mapping[str, Any], rows: NDArray[Any]) -> _Columns:
        from sklearn.feature_extraction.text import TfidfVectorizer

        from ..data.tokens import Tokens

        words = Tokens(facts["tokens"])

        def decode(prepared: NDArray[Any]) -> list[str]:
            return [words.decode(row) for row in prepared.astype(np.int64).tolist()]

        # Single characters count, too: they are what punctuation and many languages consist of.
        weights = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]"
        )
        weights.fit(decode(rows))
        return _Columns(lambda prepared: weights.transform(decode(prepared)), np.zeros(0, bool))


def table_references(classes: bool) -> tuple[FittedReference, ...]:
    """The references of tables, whose targets are classes or values."""
    linear = "logistic-regression" if classes else "ridge-regression"
    return GradientBoosting("gradient-boosting", classes), LinearModel(linear, classes)


def _fitted(model: Any, *train: NDArray[Any]) -> Any:
    """The model, fitted to rows, targets and weights of the rows."""
    with warnings.catch_warnings():
        # A regression that has not converged is judged by its loss, as the others are.
        warnings.simplefilter("ignore")
        return model.fit(*train)


def _prepared(
    task: Task, part: Split, facts: Mapping[str, Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Rows (n, features), targets (n,) or (n, values), and weights (n,) as a network is trained on
    them."""
    batch = task.prepare_batch(part.head(len(part)), facts)
    (rows,), (targets,) = leaves(batch.inputs), leaves(batch.targets)
    weights = torch.ones(len(targets))
    if "classes" in facts and targets.dim() == 2:  # one-hot, times the weight of the class
        weights, targets = targets.max(dim=1)
    return rows.numpy().astype(np.float64), targets.numpy(), weights.numpy()


def _folded(facts: Mapping[str, Any], rows: NDArray[Any]) -> _Columns:
    """Columns as trees take them, from prepared features: categories numbered by how frequent they
    are, and numbers that are missing as NaN."""
    expansion = facts["expansion"]
    column, code = (np.array(expansion[name]) for name in ("column", "code"))
    ranks: dict[int, NDArray[Any]] = {}
    taken: list[tuple[NDArray[Any], NDArray[Any]]] = []  # features, and what marks missing ones
    for index, described in enumerate(facts["columns"]):
        own = np.flatnonzero(column == index)
        marks = own[code[own] == MISSING]
        if described["categories"] is not None:
            ranks[len(taken)] = np.argsort(np.argsort(-rows[:, own].sum(0), kind="stable"))
            taken.append((own, own[:0]))
        else:
            taken += [(own[at : at + 1], marks) for at in range(len(own) - len(marks))]
    categorical = np.array([number in ranks for number in range(len(taken))])

    def encode(prepared: NDArray[Any]) -> NDArray[Any]:
        columns = []
        for number, (own, marks) in enumerate(taken):
            features = prepared[:, own]
            if number in ranks:
                place = ranks[number][features.argmax(1)].clip(max=_MOST_CATEGORIES)
                unknown = ~features.any(axis=1)
            else:
                place, unknown = features[:, 0], prepared[:, marks].any(axis=1)
            columns.append(np.where(unknown, np.nan, place))
        return np.stack(columns, axis=1)

    return _Columns(encode, categorical, several="targets" in facts)
