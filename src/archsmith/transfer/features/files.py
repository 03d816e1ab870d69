"""Features in files that other programs can read: ``.npz`` and Parquet."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..._support.errors import DataError, InputError, MissingExtraError, StoreError
from ..._support.files import replacing
from ...data.arrays import load, open_archive

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".npz", ".parquet")
#: Parts of the data, in their order in a file.
PARTS = ("train", "validation", "test")
_LABEL, _PART = "label", "part"  # columns of a Parquet file in addition to x0, x1, ...
_META = b"archsmith"


@dataclass(frozen=True)
class SavedFeatures:
    """What a file of features holds.

    Attributes:
        features: float32 (n, d).
        labels: int64 (n,), or ``None``.
        names: names of the classes 0, 1, ..., or ``None``.
        parts: the part of each row, ``"train"``, ``"validation"`` or ``"test"``, or ``None``.
    """

    features: Tensor
    labels: Tensor | None = None
    names: tuple[str, ...] | None = None
    parts: tuple[str, ...] | None = None


def save_features(
    path: str | Path,
    features: Tensor,
    labels: Tensor | None = None,
    names: Sequence[str] | None = None,
    *,
    parts: Sequence[str] | None = None,
) -> Path:
    """Write features as ``.npz`` or ``.parquet``, completely or not at all.

    With labels the file is a table that ``archsmith search`` reads. An ``.npz`` file holds
    ``features``, ``labels`` and ``class_names``, or with ``parts`` ``train_features`` and so on, in
    the order of the parts. A Parquet file has the columns ``x0``, ``x1``, ..., ``label`` and
    ``part``.

    Args:
        features: (n, d).
        labels: whole numbers (n,); indices into ``names`` if there are names.
        parts: the part of each row.

    Raises:
        InputError: another suffix, or lengths that differ.
        MissingExtraError: Parquet without the ``data`` extra.
        StoreError: the file cannot be written.
    """
    place = Path(path)
    check_path(place)
    saved = _check(features, labels, names, parts)
    try:
        with replacing(place) as half:
            if place.suffix == ".npz":
                arrays: dict[str, Any] = _arrays(saved)
                with half.open("wb") as file:  # numpy adds a suffix of its own to a name
                    np.savez(file, **arrays)
            else:
                _write_parquet(half, saved)
    except OSError as error:
        raise StoreError(str(place), "a file that can be written", str(error)) from error
    return place


def load_features(path: str | Path) -> SavedFeatures:
    """Features that :func:`save_features` wrote.

    Raises:
        DataError: no such file, a damaged one, or one without features.
        MissingExtraError: Parquet without the ``data`` extra.
    """
    place = Path(path)
    check_path(place)
    if not place.is_file():
        raise DataError(str(place), "a file of features", "no such file")
    return _read_npz(place) if place.suffix == ".npz" else _read_parquet(place)


def check_path(path: Path) -> None:
    """Refuse a file of another kind, one in a missing folder, and Parquet without its extra."""
    if path.suffix not in SUFFIXES:
        got = path.suffix or "no suffix"
        raise InputError(str(path), f"a file that ends in {' or '.join(SUFFIXES)}", got)
    if not path.resolve().parent.is_dir():
        raise InputError(str(path), "a file in a folder that is there", str(path.parent))
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(str(path), "pyarrow", "none", "pip install 'archsmith[data]'")


def _check(
    features: Tensor,
    labels: Tensor | None,
    names: Sequence[str] | None,
    parts: Sequence[str] | None,
) -> SavedFeatures:
    if features.dim() != 2:
        raise InputError("features", "(n, d)", str(tuple(features.shape)))
    count = len(features)
    for what, values in (("labels", labels), ("parts", parts)):
        if values is not None and len(values) != count:
            raise InputError(what, f"one for each of {count} examples", str(len(values)))
    if labels is not None:
        labels = torch.as_tensor(labels).long().cpu()
        if names is not None and count and not 0 <= int(labels.min()) <= labels.max() < len(names):
            got = f"{int(labels.min())} to {int(labels.max())}"
            raise InputError("labels", f"0 to {len(names) - 1}, the places of names", got)
    wrong = sorted(set(parts or ()) - set(PARTS))
    if wrong:
        raise InputError("parts", f"{', '.join(PARTS)}", repr(wrong[0]))
    return SavedFeatures(
        features.detach().float().cpu(),
        labels,
        None if names is None else tuple(map(str, names)),
        None if parts is None else tuple(parts),
    )


def _arrays(saved: SavedFeatures) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    columns = {"features": saved.features.numpy()}
    if saved.labels is not None:
        columns["labels"] = saved.labels.numpy()
    if saved.parts is None:
        arrays = dict(columns)
    else:
        own = np.array(saved.parts)
        for part in [part for part in PARTS if (own == part).any()]:
            arrays |= {f"{part}_{name}": value[own == part] for name, value in columns.items()}
    if saved.names is not None:
        arrays["class_names"] = np.array(saved.names)
    return arrays


def _read_npz(path: Path) -> SavedFeatures:
    with open_archive(path) as opened:
        arrays = {name: load(path, opened, name) for name in opened.files}
    present = [part for part in PARTS if f"{part}_features" in arrays]
    heads = [f"{part}_" for part in present] or [""]
    if any(f"{head}features" not in arrays for head in heads):
        raise DataError(str(path), "an array 'features'", "keys " + ", ".join(arrays))
    labels = None
    try:
        features = np.concatenate([arrays[f"{head}features"] for head in heads])
        if all(f"{head}labels" in arrays for head in heads):
            labels = np.concatenate([arrays[f"{head}labels"] for head in heads])
    except ValueError as error:
        raise DataError(str(path), "parts of one width", str(error)) from error
    parts = [part for part in present for _ in arrays[f"{part}_features"]]
    names = arrays.get("class_names")
    return _from_arrays(path, features, labels, names, parts or None)


def _from_arrays(path: Path, features: Any, labels: Any, names: Any, parts: Any) -> SavedFeatures:
    """Arrays of a file as features, after checking them."""
    if features.ndim != 2 or features.dtype.kind not in "fiu":
        got = f"{features.dtype} {features.shape}"
        raise DataError(str(path), "features (n, d), numbers", got)
    if labels is not None and (labels.shape != features.shape[:1] or labels.dtype.kind not in "iu"):
        got = f"{labels.dtype} {labels.shape}"
        raise DataError(str(path), f"labels ({len(features)},), whole numbers", got)
    return SavedFeatures(
        torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32)),
        None if labels is None else torch.from_numpy(labels.astype(np.int64)),
        None if names is None else tuple(map(str, names)),
        None if parts is None else tuple(parts),
    )


def _write_parquet(path: Path, saved: SavedFeatures) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = saved.features.numpy()
    columns: dict[str, Any] = {f"x{i}": values[:, i] for i in range(values.shape[1])}
    if saved.labels is not None:
        # Names for people and programs; indices are restored by the order kept in the schema.
        names, labels = saved.names, saved.labels.tolist()
        columns[_LABEL] = labels if names is None else [names[i] for i in labels]
    if saved.parts is not None:
        columns[_PART] = list(saved.parts)
    meta = {_META: json.dumps({"names": saved.names, "features": values.shape[1]}).encode()}
    pq.write_table(pa.table(columns).replace_schema_metadata(meta), path)


def _read_parquet(path: Path) -> SavedFeatures:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        meta = json.loads((table.schema.metadata or {})[_META])
        wide = range(int(meta["features"]))
        features = np.stack([table[f"x{i}"].to_numpy() for i in wide], axis=1)
        names = None if meta["names"] is None else tuple(meta["names"])
        labels = None
        if _LABEL in table.column_names:
            values = table[_LABEL].to_pylist()
            places = {name: i for i, name in enumerate(names or ())}
            labels = np.array([places[v] if names else v for v in values])
        parts = table[_PART].to_pylist() if _PART in table.column_names else None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        expected = "a Parquet file that save_features wrote"
        raise DataError(str(path), expected, str(error) or type(error).__name__) from error
    return _from_arrays(path, features, labels, names, parts)
