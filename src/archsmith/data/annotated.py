"""What a source of images with boxes contains, before its images are opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: How to go on with a source that is not without faults.
SKIP = "repair them, or leave them out: --unreadable skip"


@dataclass(frozen=True)
class Annotated:
    """Images and the boxes of their objects.

    Attributes:
        where: the file or folder, for messages.
        files: a file of each image, or its bytes.
        owners: int64 (m,), the image of each box; -1 if there is none.
        labels: int64 (m,), the class of each box; -1 if there is none.
        boxes: float64 (m, 4), xmin, ymin, xmax, ymax in pixels.
        parts: int8 (n,): ``TRAIN``, ``VALIDATION`` or ``TEST``.
        sizes: int64 (n, 2), width and height of each image as declared; 0 if not.
        box_names, image_names: of boxes and images in messages, by default numbers.
        unknown: what boxes of no image or class name in place of one, by number of the box.
        notes: what was left out, as lines for people.
    """

    where: str
    name: str
    files: Sequence[Path | bytes]
    owners: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    class_names: tuple[str, ...]
    parts: NDArray[np.int8]
    sizes: NDArray[np.int64]
    box_names: Sequence[str] | None = None
    image_names: Sequence[str] | None = None
    unknown: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def box(self, number: int) -> str:
        return f"box {number}" if self.box_names is None else self.box_names[number]

    def image(self, number: int) -> str:
        return f"image {number}" if self.image_names is None else self.image_names[number]
