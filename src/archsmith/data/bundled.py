"""Data sets bundled with scikit-learn, available without a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from .raw import Column, Dataset, Images, RawTable


def _digits() -> Images:
    """1,797 handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak 1998, UCI)."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    return Images(
        "digits",
        images,
        bunch.target.astype(np.int64),
        tuple(str(digit) for digit in range(10)),
        np.zeros(len(images), dtype=np.int8),
        high=16.0,
    )


def _table(name: str) -> RawTable:
    import sklearn.datasets

    loaders = {
        "iris": sklearn.datasets.load_iris,
        "wine": sklearn.datasets.load_wine,
        "breast-cancer": sklearn.datasets.load_breast_cancer,
        "diabetes": sklearn.datasets.load_diabetes,
    }
    bunch: Any = loaders[name]()
    classes = tuple(map(str, bunch.target_names)) if "target_names" in bunch else None
    return RawTable(
        name,
        tuple(Column(str(feature)) for feature in bunch.feature_names),
        bunch.data.astype(np.float64),
        "progression" if classes is None else "class",
        bunch.target.astype(np.float64),
        np.zeros(len(bunch.data), dtype=np.int8),
        classes,
    )


DIGITS = Dataset("images", _digits, "1,797 handwritten digits of 8 x 8 pixels, 10 classes")
IRIS = Dataset("classes", lambda: _table("iris"), "150 flowers by 4 measures, 3 species")
WINE = Dataset("classes", lambda: _table("wine"), "178 wines by 13 measures, 3 growers")
BREAST_CANCER = Dataset(
    "classes",
    lambda: _table("breast-cancer"),
    "569 tumours by 30 measures, malignant or benign",
)
DIABETES = Dataset(
    "values",
    lambda: _table("diabetes"),
    "442 patients by 10 measures, the progression of diabetes after a year",
)
