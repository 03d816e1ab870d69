"""Parts of the data whose images stay on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .decoded import open_map
from .raw import expect_room
from .splits import Batch, Split, TensorSplit

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MappedSplit(Split):
    """Images (n, channels, height, width) of a file that :func:`open_map` opened.

    Pickled, it is the path of the file, which is opened again.

    Args:
        images: all images of the file.
        index: int64, (n,), which of them are the examples.
        targets: (n,) or (n, classes), as in :class:`~archsmith.data.splits.TensorSplit`.
    """

    def __init__(
        self, images: np.memmap[Any, Any], index: NDArray[np.int64], targets: Tensor
    ) -> None:
        self.images, self.index, self.targets = images, index, targets

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.images.filename, self.index, self.targets)

    @property
    def inputs(self) -> Tensor:
        """All examples in memory. Raises DataError if there is no room for them."""
        expect_room(str(self.images.filename), len(self) * self.images[0].nbytes)
        return self.head(len(self)).inputs  # type: ignore[no-any-return]

    @property
    def labels(self) -> Tensor | None:
        return self.targets if self.targets.dim() == 1 else None

    def batches(self, order: Iterable[Tensor]) -> Iterator[Batch]:
        pixels = np.asarray(self.images)
        for index in order:
            index = index.cpu()
            yield Batch(torch.from_numpy(pixels[self.index[index.numpy()]]), self.targets[index])

    def update(self, digest: hashlib._Hash) -> None:
        """Add the examples as a :class:`~archsmith.data.splits.TensorSplit` of them does."""
        shape = (len(self), *self.images.shape[1:])
        digest.update(f"{self.images.dtype.str}{shape}".encode())
        for batch in self.chunks(1024):
            digest.update(batch.inputs.numpy().data)
        TensorSplit((), self.targets).update(digest)

    def joined(self, other: Split) -> Split | None:
        if not isinstance(other, MappedSplit) or other.images.filename != self.images.filename:
            return None
        index = np.concatenate([self.index, other.index])
        return MappedSplit(self.images, index, torch.cat([self.targets, other.targets]))


#: Parts whose targets are one tensor in memory.
Labelled = TensorSplit | MappedSplit


def _opened(place: Path, index: NDArray[np.int64], targets: Tensor) -> MappedSplit:
    return MappedSplit(open_map(place), index, targets)
