"""Evaluation of zero-shot classifiers: on unseen classes, and with seen classes competing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._support.errors import InputError
from .base import ZeroShotClassifier
from .checks import Indices
from .data import ZeroShotData
from .folds import FEWEST, class_folds
from .measure import (
    Estimate,
    Generalised,
    SeenUnseen,
    between,
    class_accuracy,
    generalised,
    seen_unseen_curve,
)

#: Share of a seen class's examples that replace test examples while gamma is chosen.
_HELD = 0.2
#: Limit on the values of gamma that are tried.
_GAMMAS = 400


@dataclass(frozen=True)
class ZeroShotResult:
    """The measurements. Accuracies are class-averaged top-1 (arXiv:1707.00600).

    Attributes:
        method: name of the classifier.
        accuracy: on unseen classes, with only these as candidates.
        chance: its expected value by chance: one divided by the number of unseen classes.
        generalised: with all classes as candidates; ``None`` without test examples of seen classes.
        calibrated: the same with calibrated stacking (arXiv:1605.04253); ``None`` also if there
            were too few seen classes to choose ``gamma``.
        gamma: number subtracted from the scores of seen classes, chosen on held-out seen classes.
        ausuc: area under the curve of seen against unseen accuracy over all gammas.
        hyperparameters: the values used.
        seconds: time for fitting, including the choice of hyperparameters.
    """

    method: str
    accuracy: Estimate
    chance: float
    generalised: Generalised | None
    calibrated: Generalised | None
    gamma: float | None
    ausuc: float | None
    hyperparameters: Mapping[str, Any]
    seconds: float
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "method": self.method,
            "accuracy": self.accuracy._asdict(),
            "chance": self.chance,
            "generalised": self.generalised.to_json() if self.generalised else None,
            "calibrated": self.calibrated.to_json() if self.calibrated else None,
            "gamma": self.gamma,
            "ausuc": self.ausuc,
            "hyperparameters": dict(self.hyperparameters),
            "seconds": self.seconds,
            "notes": list(self.notes),
        }


def evaluate_zero_shot(
    classifier: ZeroShotClassifier | str,
    data: ZeroShotData,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> ZeroShotResult:
    """Fit a classifier on the training examples and test it on unseen and on seen classes.

    Args:
        classifier: a classifier, or the name of one, made with its defaults.
        confidence: of the intervals; they refer to other examples of the same classes.
        seed: of the classes and examples that are held out to choose ``gamma``.

    Raises:
        UnknownNameError: no classifier with this name.
        DataError: what :meth:`ZeroShotClassifier.fit` refuses.
        InputError: fewer than two unseen classes.
    """
    if isinstance(classifier, str):
        from .registry import zero_shot

        classifier = zero_shot.get(classifier)(seed=seed)
    assert isinstance(classifier, ZeroShotClassifier)
    unseen = data.unseen
    if len(unseen) < 2:
        raise InputError("unseen classes", "two or more, to be distinguished", str(len(unseen)))
    began = time.perf_counter()
    classifier.fit(data.features[data.train], data.labels[data.train], data.descriptions)
    seconds = time.perf_counter() - began
    truth = data.labels[data.test_unseen]
    own = classifier.scores(data.features[data.test_unseen], data.descriptions[unseen])
    accuracy = class_accuracy(unseen[own.argmax(axis=1)], truth, confidence)
    plain = calibrated = gamma = ausuc = None
    if len(data.test_seen):
        classes = np.union1d(data.seen, unseen)
        tested = np.concatenate([data.test_seen, data.test_unseen])
        scores = classifier.scores(data.features[tested], data.descriptions[classes])
        labels = np.searchsorted(classes, data.labels[tested])
        seen = np.searchsorted(classes, data.seen)
        plain = generalised(scores, labels, seen, 0.0, confidence)
        ausuc = seen_unseen_curve(scores, labels, seen).area
        gamma = choose_gamma(classifier, data, seed)
        if gamma is not None:
            calibrated = generalised(scores, labels, seen, gamma, confidence)
    return ZeroShotResult(
        classifier.name,
        accuracy,
        1 / len(unseen),
        plain,
        calibrated,
        gamma,
        ausuc,
        classifier.chosen,
        seconds,
        classifier.notes,
    )


def choose_gamma(classifier: ZeroShotClassifier, data: ZeroShotData, seed: int = 0) -> float | None:
    """The ``gamma`` with the best harmonic mean when some seen classes act as unseen ones.

    Each fold of the seen classes is left out of training, with a fifth of the other classes'
    training examples; test examples are not used. The hyperparameters are those of the
    fitted classifier.

    Returns:
        ``None`` with fewer than four seen classes.
    """
    if len(data.seen) < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    curves = [
        _held_out_curve(classifier, data, out, rng)
        for out in class_folds(data.seen, seed, classifier.folds)
    ]
    tried = between(np.unique(np.concatenate([curve.edges for curve in curves])))
    if len(tried) > _GAMMAS:
        tried = np.quantile(tried, np.linspace(0, 1, _GAMMAS))
    mean = np.mean([curve.harmonic_at(tried) for curve in curves], axis=0)
    top = np.flatnonzero(mean >= mean.max() - 1e-12)
    return float(tried[top[len(top) // 2]])


def _held_out_curve(
    classifier: ZeroShotClassifier, data: ZeroShotData, unseen: Indices, rng: np.random.Generator
) -> SeenUnseen:
    train = data.train
    labels = data.labels[train]
    out = np.isin(labels, unseen)
    test = np.zeros(len(train), dtype=bool)
    for number in np.setdiff1d(data.seen, unseen):
        own = rng.permutation(np.flatnonzero(labels == number))
        # A class with one example keeps it for training.
        test[own[: min(len(own) - 1, max(1, round(_HELD * len(own))))]] = True
    kept = ~out & ~test
    again = classifier.with_chosen()
    again.fit(data.features[train[kept]], labels[kept], data.descriptions)
    scores = again.scores(data.features[train[~kept]], data.descriptions[data.seen])
    seen = np.searchsorted(data.seen, np.setdiff1d(data.seen, unseen))
    return seen_unseen_curve(scores, np.searchsorted(data.seen, labels[~kept]), seen)
