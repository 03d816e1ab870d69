"""Readers of data: names, folders of images, array files and tables. Nothing heavy at import."""

from __future__ import annotations

from .._support.registry import Registry

#: Data sets that are known by name; each place holds a :class:`archsmith.data.raw.Dataset`.
datasets = Registry(
    "data",
    "archsmith.datasets",
    {
        "digits": "archsmith.data.bundled:DIGITS",
        "fashion-mnist": "archsmith.data.idx:FASHION",
        "omniglot": "archsmith.data.omniglot:OMNIGLOT",
        "iris": "archsmith.data.bundled:IRIS",
        "wine": "archsmith.data.bundled:WINE",
        "breast-cancer": "archsmith.data.bundled:BREAST_CANCER",
        "diabetes": "archsmith.data.bundled:DIABETES",
    },
)

__all__ = ["datasets"]
