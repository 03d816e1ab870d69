"""Data that is given as objects: arrays, tensors, frames, data sets, pairs of them, and splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from .._support.errors import InputError
from .._support.trees import Tree, leaves, take
from .dataset import DatasetSplit
from .numerals import narrowed
from .split import split
from .splits import Split, TensorSplit

_EXPECTED = (
    "one part, which is split at random, or three (training, validation, test); a part is a torch "
    "Dataset, a pair (inputs, targets) or a split"
)


def parts_of(data: Any, validation: float, test: float, seed: int) -> tuple[Split, Split, Split]:
    """Training, validation and test part of what was given.

    Args:
        data: a torch ``Dataset``, a pair of inputs and targets (arrays, tensors, frames, or tuples
            and mappings of them), a :class:`Split`; or three of these.
        validation, test: shares of a single part.
        seed: of its split, which keeps classes in proportion where there are labels.

    Raises:
        InputError: something else, or too few examples.
    """
    if isinstance(data, tuple | list) and len(data) == 3 and all(map(_is_part, data)):
        one, two, three = (_part(each) for each in data)
        return one, two, three
    if not _is_part(data):
        raise InputError("data", _EXPECTED, _told(data))
    whole = _part(data)
    brought = np.zeros(len(whole), dtype=np.int8)
    indices = split(whole.strata(), brought, validation, test, seed, "data")
    one, two, three = (_rows(whole, torch.from_numpy(index)) for index in indices)
    return one, two, three


def _is_part(given: Any) -> bool:
    if isinstance(given, Split | Dataset):
        return True
    return isinstance(given, tuple | list) and len(given) == 2


def _part(given: Any) -> Split:
    if isinstance(given, Split):
        return given
    if isinstance(given, Dataset):
        return DatasetSplit(given)
    inputs, targets = (_tensors(each, what) for each, what in zip(given, ("inputs", "targets")))
    sizes = {len(tensor) for tensor in leaves((inputs, targets)) if tensor.dim()}
    if len(sizes) != 1 or not all(tensor.dim() for tensor in leaves((inputs, targets))):
        raise InputError(
            "data", "inputs and targets with the same number of examples", f"{sorted(sizes)}"
        )
    return TensorSplit(inputs, targets)


def _tensors(given: Any, what: str) -> Tree:
    if isinstance(given, Mapping):
        return {name: _tensors(each, what) for name, each in given.items()}
    if isinstance(given, tuple):
        return tuple(_tensors(each, what) for each in given)
    if isinstance(given, Tensor):
        return given
    array = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(what, "finite numbers", "NaN or infinity among them", "fill them in")
        kept = narrowed(array) if array.dtype == np.float64 else array.astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(kept))
    if array.dtype.kind in "iub":
        kept = array if array.dtype == np.uint8 else array.astype(np.int64)
        return torch.from_numpy(np.ascontiguousarray(kept))
    raise InputError(what, "numbers", f"values of type {array.dtype}", "encode texts first")


def _rows(whole: Split, index: Tensor) -> Split:
    if isinstance(whole, TensorSplit):
        return TensorSplit(take(whole.inputs, index), take(whole.targets, index))
    if isinstance(whole, DatasetSplit):
        labels = None if whole.labels is None else whole.labels[index].numpy()
        inside = Subset(whole.dataset, index.tolist())
        return DatasetSplit(inside, whole.collate, whole.workers, labels)
    raise InputError("data", "three parts", f"one {type(whole).__name__}", "split it yourself")


def _told(data: Any) -> str:
    inside = f" of {len(data)}" if isinstance(data, tuple | list) else ""
    return f"a value of type {type(data).__name__}{inside}"
