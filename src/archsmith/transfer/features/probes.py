"""Probes: how well a simple classifier predicts the labels from fixed features."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..._support.errors import InputError, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int64]

#: Inverse penalty strengths that a linear probe tries.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
#: Numbers of neighbours that a k-NN probe tries.
NEIGHBOURS = (1, 3, 5, 10, 20)
_HELD = 0.2  # share of the examples on which such a choice is made


@dataclass(frozen=True)
class ProbeScore:
    """The result of a probe.

    Attributes:
        probe: its name.
        accuracy: share of the held-out examples that it classified correctly.
        per_class: share of each class that it classified correctly, by label.
        chosen: the setting that it chose, such as ``C=0.1``; empty if it chooses nothing.
    """

    probe: str
    accuracy: float
    per_class: dict[int, float]
    chosen: str = ""


class Probe(ABC):
    """A classifier on fixed features: :meth:`fit`, then :meth:`predict` or :meth:`score`.

    Args:
        seed: of the part that is held out to choose settings.
    """

    name: ClassVar[str]

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.chosen = ""
        self._model: Any = None

    def fit(self, features: Tensor, labels: Tensor) -> Probe:
        """Learn from features (n, d) and whole labels (n,).

        Raises:
            InputError: shapes that do not fit, fewer than two classes, values that are not finite
                or all the same.
        """
        x, y = _arrays(features, labels)
        if len(np.unique(y)) < 2:
            raise InputError("labels", "at least two classes", f"only {y[0]}" if len(y) else "none")
        if not np.ptp(x, axis=0).any():
            raise InputError("features", "examples that differ", "all the same")
        with warnings.catch_warnings():
            # An unconverged last digit does no harm, and the choice of C accounts for it.
            warnings.simplefilter("ignore")
            self._model = self._fit_estimator(x, y)
        return self

    def predict(self, features: Tensor) -> Tensor:
        """Labels (n,), int64.

        Raises:
            InputError: before :meth:`fit`, or features of another width.
        """
        if self._model is None:
            raise InputError(f"probe {self.name}", "fit before predict", "no fit")
        x, _ = _arrays(features, None)
        if x.shape[1] != self._model.n_features_in_:
            expected = f"{self._model.n_features_in_} features"
            raise InputError(f"probe {self.name}", expected, str(x.shape[1]))
        return torch.from_numpy(np.asarray(self._model.predict(x), dtype=np.int64))

    def score(self, features: Tensor, labels: Tensor) -> ProbeScore:
        """Accuracy on held-out examples, whose classes must be among those it was fitted on.

        Raises:
            InputError: before :meth:`fit`, or a class that it was not fitted on.
        """
        _, y = _arrays(features, labels)
        new = sorted(set(y.tolist()) - set(self._classes()))
        if new:
            listed = ", ".join(map(str, new[:5]))
            raise InputError("held labels", "classes that the probe was fitted on", listed)
        right = self.predict(features).numpy() == y
        per_class = {int(c): float(right[y == c].mean()) for c in np.unique(y)}
        return ProbeScore(self.name, float(right.mean()), per_class, self.chosen)

    def _classes(self) -> list[int]:
        if self._model is None:
            raise InputError(f"probe {self.name}", "fit before score", "no fit")
        return [int(c) for c in self._model.classes_]

    @abstractmethod
    def _fit_estimator(self, x: Floats, y: Labels) -> Any:
        """A fitted estimator of scikit-learn."""

    def _choose(self, options: Sequence[Any], x: Floats, y: Labels, make: Any) -> Any:
        """The option that does best on a held-out part, the first of equals."""
        from sklearn.model_selection import train_test_split

        if len(options) == 1:
            return options[0]
        held = max(len(np.unique(y)), round(_HELD * len(y)))
        if np.unique(y, return_counts=True)[1].min() < 2 or held > len(y) // 2:
            return options[len(options) // 2]  # too few to hold any out
        one, two, y_one, y_two = train_test_split(
            x, y, test_size=held, stratify=y, random_state=self.seed
        )
        scores = [make(option, len(one)).fit(one, y_one).score(two, y_two) for option in options]
        return options[int(np.argmax(scores))]


class LinearProbe(Probe):
    """Logistic regression on standardised features (Alain & Bengio 2016, arXiv:1610.01644).

    Args:
        strengths: inverse strengths of the L2 penalty; the best on a held-out fifth is used and
            fitted to all.
    """

    name = "linear"

    def __init__(self, strengths: Sequence[float] = STRENGTHS, seed: int = 0) -> None:
        super().__init__(seed)
        self.strengths = list(strengths)

    def _fit_estimator(self, x: Floats, y: Labels) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        def make(strength: float, count: int) -> Any:
            model = LogisticRegression(C=strength, max_iter=500, random_state=self.seed)
            return make_pipeline(StandardScaler(), model)

        best = self._choose(self.strengths, x, y, make)
        self.chosen = f"C={best:g}"
        return make(best, len(x)).fit(x, y)


class CentroidProbe(Probe):
    """The class whose mean is nearest, by Euclidean distance."""

    name = "centroid"

    def _fit_estimator(self, x: Floats, y: Labels) -> Any:
        from sklearn.neighbors import NearestCentroid

        return NearestCentroid().fit(x, y)


class NeighbourProbe(Probe):
    """A vote of the k nearest examples by cosine similarity, weighted by it (k-NN).

    Args:
        neighbours: values of k; the best on a held-out fifth is used.
    """

    name = "knn"

    def __init__(self, neighbours: Sequence[int] = NEIGHBOURS, seed: int = 0) -> None:
        super().__init__(seed)
        self.neighbours = list(neighbours)

    def _fit_estimator(self, x: Floats, y: Labels) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        def make(k: int, count: int) -> Any:
            near = min(k, count)
            return KNeighborsClassifier(near, metric="cosine", weights="distance")

        best = self._choose(self.neighbours, x, y, make)
        self.chosen = f"k={min(best, len(x))}"
        return make(best, len(x)).fit(x, y)


#: Probes by name.
PROBES: dict[str, type[Probe]] = {p.name: p for p in (LinearProbe, CentroidProbe, NeighbourProbe)}


def probe(
    features: Tensor,
    labels: Tensor,
    held_features: Tensor,
    held_labels: Tensor,
    kinds: Sequence[str] = tuple(PROBES),
    *,
    seed: int = 0,
) -> list[ProbeScore]:
    """Fit probes on features and score them on held-out ones.

    Args:
        features: (n, d); ``labels`` whole numbers (n,).
        held_features: (m, d), on which no probe is fitted or chosen.
        kinds: names in :data:`PROBES`.

    Raises:
        InputError: an unknown name, shapes that do not fit, or held-out classes that the
            labels do not have.
    """
    for kind in kinds:
        if kind not in PROBES:
            raise unknown("probe", kind, PROBES)
    _arrays(held_features, held_labels)
    return [
        PROBES[kind](seed=seed).fit(features, labels).score(held_features, held_labels)
        for kind in kinds
    ]


def _arrays(features: Tensor, labels: Tensor | None) -> tuple[Floats, Labels]:
    features = torch.as_tensor(features)
    labels = None if labels is None else torch.as_tensor(labels)
    if features.dim() != 2 or not len(features):
        raise InputError("features", "(n, d) with n of 1 or more", str(tuple(features.shape)))
    x = features.detach().cpu().double().numpy()
    if not np.isfinite(x).all():
        first = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise InputError("features", "finite numbers", f"NaN or infinity in row {first}")
    if labels is None:
        return x, np.empty(0, np.int64)
    if labels.shape != (len(features),) or labels.is_floating_point():
        got = f"{labels.dtype} {tuple(labels.shape)}"
        raise InputError("labels", f"whole numbers ({len(features)},)", got)
    return x, labels.detach().cpu().numpy().astype(np.int64)
