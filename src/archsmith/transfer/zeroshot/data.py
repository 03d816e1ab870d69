"""Features, descriptions and splits of a zero-shot problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..._support.errors import DataError
from .checks import Array, Indices, class_numbers, descriptions_of, listed, refuse_overlap, rows


@dataclass(frozen=True)
class ZeroShotData:
    """Examples of seen and unseen classes, and a description of each class.

    Attributes:
        features: float64 (n, d).
        labels: int64 (n,) rows of ``descriptions``.
        descriptions: float64 (classes, a).
        class_names: one per description.
        train: indices of training examples; their classes are the seen ones.
        test_seen: indices of examples of seen classes to test on; may be empty.
        test_unseen: indices of examples of unseen classes.

    Raises:
        DataError: shapes; values that are not finite; a class whose attributes are missing; a
            class that is both seen and unseen; an example used for both training and testing.
    """

    features: Array
    labels: Indices
    descriptions: Array
    class_names: tuple[str, ...]
    train: Indices
    test_seen: Indices
    test_unseen: Indices

    @classmethod
    def of(
        cls,
        features: Any,
        labels: Any,
        descriptions: Any,
        unseen: Sequence[int],
        *,
        class_names: Sequence[str] | None = None,
        test_share: float = 0.2,
        seed: int = 0,
    ) -> ZeroShotData:
        """A problem in which some classes are unseen; a share of the others' examples is held out.

        Args:
            features, labels, descriptions: arrays or tensors, shaped as the attributes.
            unseen: numbers of the classes without training examples.
            test_share: of the examples of each seen class, held out for the generalised setting.

        Raises:
            DataError: as for the class.
        """
        examples, numbers = np.asarray(features), np.asarray(labels)
        unknown = [c for c in unseen if not 0 <= c < len(descriptions)]
        if unknown or not len(unseen):
            got = ", ".join(map(str, unknown)) or "none"
            raise DataError("unseen", f"numbers of classes, 0 to {len(descriptions) - 1}", got)
        rng = np.random.default_rng(seed)
        out = np.isin(numbers, unseen)
        test = np.zeros(len(numbers), dtype=bool)
        for number in np.unique(numbers[~out]):
            own = rng.permutation(np.flatnonzero(numbers == number))
            test[own[: round(test_share * len(own))]] = True
        names = class_names or [str(i) for i in range(len(descriptions))]
        return cls(
            examples,
            numbers,
            np.asarray(descriptions),
            tuple(names),
            np.flatnonzero(~out & ~test),
            np.flatnonzero(test),
            np.flatnonzero(out),
        )

    def __post_init__(self) -> None:
        examples = rows("features", self.features)
        described = descriptions_of(self.descriptions, self.class_names)
        numbers = class_numbers("labels", self.labels, len(examples), len(described))
        values = {"features": examples, "labels": numbers, "descriptions": described}
        for name, value in values.items():
            object.__setattr__(self, name, value)
        for name in ("train", "test_seen", "test_unseen"):
            object.__setattr__(self, name, self._indices(name))
        refuse_overlap(self.seen.tolist(), self.unseen.tolist(), self.class_names)
        twice = np.intersect1d(self.train, self.test_seen)
        if len(twice):
            raise DataError("test_seen", "no training examples", listed(twice, "row"))
        unknown = np.setdiff1d(self.labels[self.test_seen], self.seen)
        if len(unknown):
            got = listed(unknown, "class", self.class_names)
            raise DataError("test_seen", "classes that have training examples", got)

    @property
    def seen(self) -> Indices:
        """Classes with training examples, in ascending order."""
        return np.unique(self.labels[self.train])

    @property
    def unseen(self) -> Indices:
        """Classes that are tested without training examples, in ascending order."""
        return np.unique(self.labels[self.test_unseen])

    def save(self, path: Path) -> None:
        """Write an ``.npz`` that :func:`~.standard.read_zero_shot` reads.

        Keys, orientation and counting from 1 are those of the standard ``.mat`` files.
        """
        np.savez_compressed(
            path,
            features=self.features.T,
            labels=self.labels + 1,
            att=self.descriptions.T,
            allclasses_names=np.array(self.class_names),
            trainval_loc=self.train + 1,
            test_seen_loc=self.test_seen + 1,
            test_unseen_loc=self.test_unseen + 1,
        )

    def _indices(self, name: str) -> Indices:
        indices = np.asarray(getattr(self, name))
        if indices.size == 0 and name == "test_seen":
            return np.zeros(0, dtype=np.int64)
        if indices.ndim != 1 or indices.dtype.kind not in "iu" or not indices.size:
            expected = "indices of examples (k,), one or more"
            raise DataError(name, expected, f"{indices.shape} {indices.dtype}")
        wrong = indices[(indices < 0) | (indices >= len(self.labels))]
        if len(wrong):
            raise DataError(name, f"indices below {len(self.labels)}", str(int(wrong[0])))
        if len(np.unique(indices)) < len(indices):
            raise DataError(name, "each example once", "an index that occurs twice")
        return indices.astype(np.int64)
