"""Examples that a torch ``Dataset`` reads as they are needed, in worker processes where asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from .._support.errors import DataError, InputError
from .._support.trees import count_examples, leaves
from .splits import Batch, Split

#: Examples that a digest reads, spread over all: reading all may take as long as an epoch.
_LOOKS = 64
#: Where data sets keep the classes of their examples.
_LABELS = ("targets", "labels")


class DatasetSplit(Split):
    """The examples of a map-style data set, each a pair of inputs and targets.

    Args:
        dataset: gives a pair for each number from 0 on: tensors, arrays, numbers, or tuples and
            mappings of them.
        collate: makes a batch, inputs and targets, of a list of examples; torch's own if not given.
            Ragged parts are padded here, beside their lengths.
        workers: processes that read; 0 reads here.
        labels: the class or value (n,) of each example, so that parts keep them in proportion. Left
            out, they are taken from the data set's ``targets`` or ``labels`` if it has one of each
            example.

    Raises:
        InputError: no data set of pairs, or labels of another number.
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
                "read an iterable one into a list of (inputs, targets)",
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
        return {**self.__dict__, "_loader": None}  # its processes stay where they are

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
        # The workers stay from epoch to epoch; what they read is told them anew.
        self._order.batches = [index.tolist() for index in order]
        for inputs, targets in self._loader:
            yield Batch(inputs, targets)

    def take(self, index: Tensor) -> Batch:
        # A single batch is read here: workers may be in the middle of an epoch.
        return self._batch([self.dataset[place] for place in index.tolist()])

    def update(self, digest: hashlib._Hash) -> None:
        """Take in the number of examples, all labels, and 64 examples from the first to the last.

        What it does not see is a change of other examples that keeps their labels.
        """
        digest.update(f"{len(self)}".encode())
        if self._labels is not None:
            digest.update(self._labels.numpy().tobytes())
        for place in np.unique(np.linspace(0, len(self) - 1, _LOOKS).round().astype(int)):
            for tensor in leaves(tuple(self.take(torch.tensor([place])))):
                array = tensor.detach().cpu().contiguous().numpy()
                digest.update(f"{place} {array.dtype.str}{array.shape}".encode())
                digest.update(array.tobytes())

    def _batch(self, examples: list[Any]) -> Batch:
        made = self.collate(examples)
        if not isinstance(made, tuple | list) or len(made) != 2:
            got = (
                f"{type(made).__name__} of {len(made)}" if hasattr(made, "__len__") else repr(made)
            )
            raise DataError(
                type(self.dataset).__name__,
                "pairs of inputs and targets",
                got,
                "several inputs go into a tuple or a mapping, beside the targets",
            )
        return Batch(*made)

    def _check(self) -> None:
        """Raises what is wrong with a batch at once, and not in the middle of a search."""
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
    """A batch sampler that is told what to read."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _labels_of(dataset: object) -> Tensor | None:
    for name in _LABELS:
        found = getattr(dataset, name, None)
        if isinstance(found, Tensor | np.ndarray | Sequence) and len(found) == len(dataset):  # type: ignore[arg-type]
            labels = torch.as_tensor(np.asarray(found)) if _plain(found) else None
            if labels is not None and labels.dim() == 1:
                return labels
    return None


def _as_labels(labels: Any) -> Tensor:
    found = torch.as_tensor(np.asarray(labels))
    if found.dim() != 1:
        raise InputError("labels", "one number for each example", f"shape {tuple(found.shape)}")
    return found


def _plain(values: Any) -> bool:
    array = np.asarray(values)
    return array.dtype.kind in "biuf"
