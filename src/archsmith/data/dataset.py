"""Examples that a torch ``Dataset`` reads on demand, optionally in worker processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, default_collate

from .._support.errors import DataError, InputError
from .._support.trees import count_examples, leaves
from .splits import Batch, Split

#: Examples that a digest reads, spread evenly: reading all may take as long as an epoch.
_DIGEST_EXAMPLES = 64
#: Attributes in which data sets store the classes of their examples.
_LABELS = ("targets", "labels")


class DatasetSplit(Split):
    """The examples of a map-style data set, each a pair of inputs and targets.

    Args:
        dataset: returns a pair for each index from 0: tensors, arrays, numbers, or tuples and
            mappings of them.
        collate: combines a list of examples into a batch, inputs and targets; torch's default if
            not given. Ragged parts are padded here, together with their lengths.
        workers: number of processes that read; 0 reads in this process.
        labels: the class or value (n,) of each example, for stratified splits. If not given, the
            data set's ``targets`` or ``labels`` are used if they have one entry per example.

    Raises:
        InputError: not a map-style data set, or not one label for each example.
        DataError: no examples, examples that are not pairs, or batches without a batch dimension.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        collate: Callable[[list[Any]], Any] | None = None,
        workers: int = 0,
        labels: Any = None,
    ) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise InputError(
                "data set",
                "one with __getitem__ and __len__",
                type(dataset).__name__,
                "convert an iterable data set to a list of (inputs, targets)",
            )
        self.dataset, self.collate, self.workers = dataset, collate or default_collate, workers
        self._labels = _labels_of(dataset) if labels is None else _as_labels(labels)
        if self._labels is not None and len(self._labels) != len(self):
            raise InputError("labels", f"one for each of {len(self)}", str(len(self._labels)))
        self._order = _Order()
        self._loader: DataLoader[Any] | None = None
        self._check()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loader": None}  # its worker processes cannot be pickled

    @property
    def labels(self) -> Tensor | None:
        return self._labels

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        if self.workers == 0:
            for index in order:
                yield self._batch([self.dataset[place] for place in index.tolist()])
            return
        if self._loader is None:
            self._loader = DataLoader(
                self.dataset,
                batch_sampler=self._order,
                num_workers=self.workers,
                collate_fn=self.collate,
                persistent_workers=True,
            )
        # The workers persist between epochs; only the indices to read change.
        self._order.batches = [index.tolist() for index in order]
        for inputs, targets in self._loader:
            yield Batch(inputs, targets)

    def joined(self, other: Split) -> Split | None:
        if not isinstance(other, DatasetSplit):
            return None
        labels = None
        if self._labels is not None and other._labels is not None:
            labels = torch.cat((self._labels, other._labels))
        both: Dataset[Any] = ConcatDataset([self.dataset, other.dataset])
        return DatasetSplit(both, self.collate, self.workers, labels)

    def take(self, index: Tensor) -> Batch:
        # A single batch is read in this process: workers may be in the middle of an epoch.
        return self._batch([self.dataset[place] for place in index.tolist()])

    def update(self, digest: hashlib._Hash) -> None:
        """Hash the number of examples, all labels, and 64 evenly spaced examples.

        Changes of other examples that keep their labels are not detected.
        """
        digest.update(f"{len(self)}".encode())
        if self._labels is not None:
            digest.update(self._labels.numpy().tobytes())
        for place in np.unique(np.linspace(0, len(self) - 1, _DIGEST_EXAMPLES).round().astype(int)):
            for tensor in leaves(tuple(self.take(torch.tensor([place])))):
                array = tensor.detach().cpu().contiguous().numpy()
                digest.update(f"{place} {array.dtype.str}{array.shape}".encode())
                digest.update(array.tobytes())

    def _batch(self, examples: list[Any]) -> Batch:
        batch = self.collate(examples)
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            got = (
                f"{type(batch).__name__} of {len(batch)}"
                if hasattr(batch, "__len__")
                else repr(batch)
            )
            raise DataError(
                type(self.dataset).__name__,
                "pairs of inputs and targets",
                got,
                "put several inputs into one tuple or mapping: ((a, b), target)",
            )
        return Batch(*batch)

    def _check(self) -> None:
        """Check a first batch now, rather than failing in the middle of a search."""
        if len(self) == 0:
            raise DataError(type(self.dataset).__name__, "examples", "none")
        batch = self.head(2)
        sizes = {count_examples(tree) for tree in batch}
        if sizes != {min(2, len(self))}:
            raise DataError(
                type(self.dataset).__name__,
                "batches whose tensors have the examples in their first dimension",
                f"{sorted(sizes)} for {min(2, len(self))} examples",
                "give a collate function",
            )


class _Order:
    """A batch sampler for a list of index lists."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _labels_of(dataset: object) -> Tensor | None:
    for name in _LABELS:
        values = getattr(dataset, name, None)
        if isinstance(values, Tensor | np.ndarray | Sequence) and len(values) == len(dataset):  # type: ignore[arg-type]
            labels = torch.as_tensor(np.asarray(values)) if _is_numeric(values) else None
            if labels is not None and labels.dim() == 1:
                return labels
    return None


def _as_labels(labels: Any) -> Tensor:
    tensor = torch.as_tensor(np.asarray(labels))
    if tensor.dim() != 1:
        raise InputError("labels", "one number for each example", f"shape {tuple(tensor.shape)}")
    return tensor


def _is_numeric(values: Any) -> bool:
    array = np.asarray(values)
    return array.dtype.kind in "biuf"
