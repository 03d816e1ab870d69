"""Data passed as objects: arrays, tensors, frames, data sets, pairs of them, and splits."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from .._support.errors import DataError, InputError, MissingExtraError
from .._support.trees import Tree, leaves, take
from .dataset import DatasetSplit
from .numerals import narrowed
from .partition import split, split_by_group, split_by_order
from .splits import Split, TensorSplit

_EXPECTED = (
    "one part, which is split at random, or three (training, validation, test); a part is a torch "
    "Dataset, a pair (inputs, targets) or a split"
)

_WITH_LOSS = "nas.search(space, data=..., loss=..., metrics={'accuracy': ...})"


def parts_of(data: Any, validation: float, test: float, seed: int) -> tuple[Split, Split, Split]:
    """Training, validation and test part of data passed as an object.

    Args:
        data: a torch ``Dataset``, a pair of inputs and targets (arrays, tensors, frames, or tuples
            and mappings of them), a :class:`Split`; or three of these.
        validation, test: shares taken from a single part.
        seed: of its split, which is stratified by class if there are labels.

    Raises:
        InputError: another kind of object, or too few examples.
    """
    if isinstance(data, tuple | list) and len(data) == 3 and all(map(_is_part, data)):
        one, two, three = (_part(part) for part in data)
        return one, two, three
    if not _is_part(data):
        raise InputError("data", _EXPECTED, _describe(data))
    return split_data(data, validation=validation, test=test, seed=seed)


def split_data(
    data: Any,
    *,
    groups: Any = None,
    order: Any = None,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> tuple[Split, Split, Split]:
    """Training, validation and test part, for ``nas.search(data=...)``.

    Args:
        data: a pair of inputs and targets, a torch ``Dataset`` or a :class:`Split`.
        groups: (n,) group of each example, such as a patient; a group is never split.
        order: (n,) times; the training part is earliest, then validation, then test.
        validation, test: shares of the examples.
        seed: of the random split; without groups and order it is stratified by class.

    Raises:
        InputError: both groups and order, or not one for each example.
        DataError: too few groups or times.

    Example:
        >>> parts = nas.split_data((x, y), groups=patients)
        >>> result = nas.search(space, data=parts)
    """
    whole = _part(data)
    parts = np.zeros(len(whole), dtype=np.int8)
    if groups is not None and order is not None:
        raise InputError("split", "groups or order", "both")
    by = groups if groups is not None else order
    if by is not None and len(by) != len(whole):
        raise InputError("split", f"one for each of {len(whole)} examples", str(len(by)))
    if by is None:
        indices = split(whole.strata(), parts, validation, test, seed, "data")
    elif groups is None:
        ranks = np.unique(np.asarray(order), return_inverse=True)[1]
        indices = split_by_order(ranks, parts, validation, test, "data")
    else:
        owners = np.unique(np.asarray(groups), return_inverse=True)[1]
        indices = split_by_group(owners, parts, validation, test, seed, "data")
    one, two, three = (_select(whole, torch.from_numpy(index)) for index in indices)
    return one, two, three


@contextlib.contextmanager
def as_file(data: Any) -> Iterator[Path]:
    """Write data to a temporary file of arrays or a table, for the readers of such files.

    Objects are thus checked and interpreted in the same way as files.

    Args:
        data: a pair of inputs and targets, three of these (training, validation, test), or a pandas
            frame with its target column.

    Raises:
        InputError: another kind of object; a torch ``Dataset`` needs a loss.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        try:
            yield _write(data, path)
        except DataError as error:
            where = re.sub(rf"{re.escape(str(path))}\.\w+", "data", error.where)
            raise DataError(where, error.expected, error.got, error.hint) from None


def _write(data: Any, path: Path) -> Path:
    if hasattr(data, "to_parquet"):
        try:
            data.to_parquet(path.with_suffix(".parquet"), index=False)
        except ImportError:
            raise MissingExtraError(
                "data",
                "pyarrow, which frames are passed on with",
                None,
                "pip install 'archsmith[data]'",
            ) from None
        return path.with_suffix(".parquet")
    parts = [data] if _is_pair(data) else list(data) if isinstance(data, tuple | list) else []
    if len(parts) not in (1, 3) or not all(map(_is_pair, parts)):
        raise InputError(
            "data",
            "a name, a path, a pair (inputs, targets), three pairs (training, validation, test) or "
            "a pandas frame",
            _describe(data),
            f"a torch Dataset needs a loss and metrics: {_WITH_LOSS}",
        )
    if (
        len(parts) == 1
        and not isinstance(parts[0], TensorSplit)
        and hasattr(parts[0][0], "to_parquet")
    ):
        inputs, targets = parts[0]
        # The reader looks for this name first, so no column of the inputs is taken for the targets.
        if any(str(column).lower() == "target" for column in inputs.columns):
            raise InputError(
                "inputs",
                "no column called 'target' beside the targets",
                "one",
                "rename or drop that column, or pass the whole frame",
            )
        return _write(inputs.assign(target=np.asarray(targets)), path)
    ends = ("",) if len(parts) == 1 else ("_train", "_val", "_test")
    arrays: dict[str, Any] = {}
    for end, part in zip(ends, parts, strict=True):
        both = isinstance(part, TensorSplit)
        inputs, targets = (part.inputs, part.targets) if both else part
        arrays |= {f"x{end}": _array(inputs, "inputs"), f"y{end}": _array(targets, "targets")}
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def _array(value: Any, what: str) -> Any:
    if isinstance(value, tuple | Mapping):
        raise InputError(
            what,
            "one array, tensor or frame",
            f"a {type(value).__name__} of {len(value)}",
            f"models with several {what} need a loss and metrics: {_WITH_LOSS}",
        )
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind == "O":
        strings = [str(value) for value in array.ravel()]
        if not all(isinstance(value, str) for value in array.ravel()):
            raise InputError(what, "numbers or texts", f"values of type {array.dtype}")
        array = np.array(strings).reshape(array.shape)
    return array


def _is_pair(value: Any) -> bool:
    if isinstance(value, TensorSplit):
        return True
    return isinstance(value, tuple | list) and len(value) == 2 and not isinstance(value[0], str)


def _is_part(value: Any) -> bool:
    if isinstance(value, Split | Dataset):
        return True
    return isinstance(value, tuple | list) and len(value) == 2


def _part(value: Any) -> Split:
    if isinstance(value, Split):
        return value
    if isinstance(value, Dataset):
        return DatasetSplit(value)
    inputs, targets = (_tensors(member, what) for member, what in zip(value, ("inputs", "targets")))
    sizes = {len(tensor) for tensor in leaves((inputs, targets)) if tensor.dim()}
    if len(sizes) != 1 or not all(tensor.dim() for tensor in leaves((inputs, targets))):
        raise InputError(
            "data", "inputs and targets with the same number of examples", f"{sorted(sizes)}"
        )
    return TensorSplit(inputs, targets)


def _tensors(value: Any, what: str) -> Tree:
    if isinstance(value, Mapping):
        return {name: _tensors(member, what) for name, member in value.items()}
    if isinstance(value, tuple):
        return tuple(_tensors(member, what) for member in value)
    if isinstance(value, Tensor):
        return value
    array = value.to_numpy() if hasattr(value, "to_numpy") else np.asarray(value)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(
                what, "finite numbers", "NaN or infinity among them", "fill or remove them"
            )
        converted = narrowed(array) if array.dtype == np.float64 else array.astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(converted))
    if array.dtype.kind in "iub":
        converted = array if array.dtype == np.uint8 else array.astype(np.int64)
        return torch.from_numpy(np.ascontiguousarray(converted))
    raise InputError(what, "numbers", f"values of type {array.dtype}", "encode texts first")


def _select(whole: Split, index: Tensor) -> Split:
    if isinstance(whole, TensorSplit):
        return TensorSplit(take(whole.inputs, index), take(whole.targets, index))
    if isinstance(whole, DatasetSplit):
        labels = None if whole.labels is None else whole.labels[index].numpy()
        inside = Subset(whole.dataset, index.tolist())
        return DatasetSplit(inside, whole.collate, whole.workers, labels)
    raise InputError("data", "three parts", f"one {type(whole).__name__}", "split it yourself")


def _describe(data: Any) -> str:
    inside = f" of {len(data)}" if isinstance(data, tuple | list) else ""
    return f"a value of type {type(data).__name__}{inside}"
