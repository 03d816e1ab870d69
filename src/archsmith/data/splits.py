"""The data that a model is trained and evaluated on, accessed in batches by index."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._support.trees import Tree, join, leaves, move, take
from .partition import strata

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Batch(NamedTuple):
    """Inputs and targets of some examples, in the same order."""

    inputs: Tree
    targets: Tree


class Split(ABC):
    """One part of the data (training, validation or test)."""

    @abstractmethod
    def __len__(self) -> int:
        """How many examples there are."""

    @abstractmethod
    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        """A batch for each tensor of example indices, in order."""

    @property
    def labels(self) -> Tensor | None:
        """The class or value (n,) of each example, on the CPU; ``None`` if targets are not a single
        number per example."""
        return None

    @abstractmethod
    def update(self, digest: hashlib._Hash) -> None:
        """Add all examples to a digest."""

    def to(self, device: str | torch.device) -> Split:
        """This split with its batches moved to a device."""
        return _Moved(self, torch.device(device))

    def take(self, index: Tensor) -> Batch:
        """The examples with these indices."""
        return next(self.batches([index]))

    def head(self, count: int) -> Batch:
        """The first ``count`` examples, or all if there are fewer."""
        return self.take(torch.arange(min(count, len(self))))

    def chunks(self, size: int) -> Iterator[Batch]:
        """All examples in their order, ``size`` at a time."""
        return self.batches(torch.split(torch.arange(len(self)), size))

    def joined(self, other: Split) -> Split | None:
        """The examples of this split and of another one of its kind, in this order; ``None`` if
        they cannot be joined."""
        return None

    def strata(self) -> NDArray[np.int64]:
        """Strata (n,) for stratified subsets."""
        if self.labels is None:
            return np.zeros(len(self), dtype=np.int64)
        return strata(self.labels.numpy())


@dataclass(frozen=True)
class TensorSplit(Split):
    """Examples in memory: trees of tensors with the examples in their first dimension.

    Images: (n, channels, height, width), uint8, or float32 or float64 if bytes would lose levels.
    Tables: (n, columns), float32, or float64 if float32 would lose digits; categories as codes.
    Targets: int64 class indices (n,), or float32 values (n,) for regression.
    """

    inputs: Tree
    targets: Tree

    def __len__(self) -> int:
        return len(next(leaves(self.targets)))

    @property
    def labels(self) -> Tensor | None:
        plain = isinstance(self.targets, Tensor) and self.targets.dim() == 1
        return self.targets if plain else None

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        device = next(leaves(self.targets)).device
        for index in order:
            index = index.to(device)
            yield Batch(take(self.inputs, index), take(self.targets, index))

    def update(self, digest: hashlib._Hash) -> None:
        for tensor in leaves((self.inputs, self.targets)):
            array = tensor.detach().cpu().contiguous().numpy()
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.reshape(-1).view("uint8").data)

    def joined(self, other: Split) -> Split | None:
        if not isinstance(other, TensorSplit):
            return None
        inputs, targets = (self.inputs, other.inputs), (self.targets, other.targets)
        return TensorSplit(join(inputs), join(targets))

    def to(self, device: str | torch.device) -> TensorSplit:
        """The examples themselves on a device."""
        return TensorSplit(move(self.inputs, device), move(self.targets, device))


class _Moved(Split):
    """Another split with its batches moved to a device."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.split, self.device = split, device

    def __len__(self) -> int:
        return len(self.split)

    @property
    def labels(self) -> Tensor | None:
        return self.split.labels

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        for batch in self.split.batches(order):
            yield Batch(move(batch.inputs, self.device), move(batch.targets, self.device))

    def update(self, digest: hashlib._Hash) -> None:
        self.split.update(digest)
