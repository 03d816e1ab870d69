"""The parts of segmentation: losses of pixels, their metrics, augmentation, the deployed module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.trees import call
from ..data.masks import UNLABELLED
from ..data.splits import Batch
from .base import Meter
from .classify import expect_shape

#: Losses by name; several are added, as in ``cross-entropy+dice``.
LOSSES = ("cross-entropy", "focal", "dice")
#: Images that a model is evaluated on at once: the output of each layer is as large as the image.
AT_ONCE = 16
#: How far augmentation enlarges and shifts an image at most, as shares of its side.
_ZOOM, _SHIFT = 0.25, 0.1
#: Exponent of the focal loss, the best in its paper.
_FOCUS = 2.0


def pixel_loss(
    outputs: Tensor, targets: Tensor, names: Sequence[str], smoothing: float = 0.0
) -> Tensor:
    """The sum of losses of logits (n, classes, h, w) and class numbers (n, h, w), a scalar.

    - ``cross-entropy``: the mean over labelled pixels;
    - ``focal``: the same, pixels that are predicted well counting less (Lin et al. 2017,
      arXiv:1708.02002);
    - ``dice``: 1 minus the overlap of predicted shares and classes, the mean over the classes of
      the batch, however few pixels they have (Milletari et al. 2016, arXiv:1606.04797).

    Args:
        names: of :data:`LOSSES`.
        smoothing: of labels, for cross entropy.
    """
    losses = {
        # From the sum: the mean over a batch without labelled pixels would be NaN.
        "cross-entropy": lambda: cross_entropy(outputs, targets, smoothing) / _labelled(targets),
        "focal": lambda: _focal(outputs, targets) / _labelled(targets),
        "dice": lambda: _dice(outputs, targets),
    }
    return torch.stack([losses[name]() for name in names]).sum()


def cross_entropy(outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The sum over labelled pixels."""
    return F.cross_entropy(
        outputs.float(),
        targets,
        ignore_index=UNLABELLED,
        reduction="sum",
        label_smoothing=smoothing,
    )


def _labelled(targets: Tensor) -> Tensor:
    return (targets != UNLABELLED).sum().clamp(min=1)


def _focal(outputs: Tensor, targets: Tensor) -> Tensor:
    loss = F.cross_entropy(outputs.float(), targets, ignore_index=UNLABELLED, reduction="none")
    return ((1 - (-loss).exp()) ** _FOCUS * loss).sum()


def _dice(outputs: Tensor, targets: Tensor) -> Tensor:
    classes, labelled = outputs.shape[1], targets != UNLABELLED
    shares = outputs.float().softmax(1) * labelled[:, None]
    true = F.one_hot(targets.where(labelled, 0), classes).movedim(-1, 1) * labelled[:, None]
    both, sizes = ((a).sum((0, 2, 3)) for a in (shares * true, shares + true))
    there = true.sum((0, 2, 3)) > 0
    # A pixel more on both sides keeps the gradient small where a class has hardly any.
    overlap = (2 * both + 1) / (sizes + 1)
    return ((1 - overlap) * there).sum() / there.sum().clamp(min=1)


class SegmentationMeter(Meter):
    """Mean intersection over union, share of correct pixels, mean cross entropy, and the
    intersection over union of each class.

    All are computed over the whole part, from one confusion matrix of its labelled pixels: in a
    mean over images a class with a few pixels in one image would count as much as one that fills
    another. The intersection over union of a class is the number of its correct pixels over the
    number of pixels whose true or predicted class it is; classes without any are left out, of the
    mean as well.

    Args:
        classes: number of classes.
        names: of the classes whose own values are given, as ``iou_road``.
    """

    def __init__(self, classes: int, names: Sequence[str] = ()) -> None:
        self.classes, self.names = classes, names
        #: One row per true class, one column per predicted class.
        self.confusion = torch.zeros(classes, classes, dtype=torch.int64)
        self.loss = torch.zeros((), dtype=torch.float64)

    def see(self, model: nn.Module, batch: Batch) -> None:
        parts = (torch.split(tensor, AT_ONCE) for tensor in (batch.inputs, batch.targets))
        for inputs, targets in zip(*parts, strict=True):
            self.update(call(model, inputs), targets)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (len(targets), self.classes, *targets.shape[1:]))
        labelled = targets != UNLABELLED
        pairs = targets[labelled].long() * self.classes + outputs.argmax(1)[labelled]
        counts = torch.bincount(pairs, minlength=self.classes**2)
        self.confusion = self.confusion.to(counts.device) + counts.view_as(self.confusion)
        total = cross_entropy(outputs, targets.long())
        self.loss = self.loss.to(total.device) + total.double()

    def result(self) -> dict[str, float]:
        confusion = self.confusion.cpu().double()
        right, count = confusion.diagonal(), confusion.sum().clamp(min=1)
        union = confusion.sum(0) + confusion.sum(1) - right
        there, overlaps = union > 0, right / union.clamp(min=1)
        own = {
            f"iou_{name.replace(' ', '_')}": float(overlaps[number])
            for number, name in enumerate(self.names)
            if there[number]
        }
        return {
            "miou": float(overlaps[there].mean()) if there.any() else 0.0,
            "pixel_accuracy": float(right.sum() / count),
            "loss": float(self.loss.cpu() / count),
            **own,
        }


class PixelProbabilities(nn.Module):
    """Raw images in, probabilities (n, classes, height, width) out."""

    def __init__(self, prepare: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.prepare = prepare
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(self.prepare(inputs))
        return logits.float().softmax(1)


def moved_together(
    images: Tensor,
    targets: Tensor,
    generator: torch.Generator,
    mirror: bool,
    crop: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Images and masks enlarged, shifted and mirrored at random, each pair independently.

    Images are interpolated bilinearly, masks take the nearest pixel; beyond the border the image is
    repeated and the mask is unlabelled.

    Args:
        images: floats, (n, channels, height, width).
        targets: uint8, (n, height, width).
        mirror: whether each pair is mirrored with probability 1/2.
        crop: cut out squares of this side, at random places, from larger images.
    """
    count, device = len(images), images.device
    sides = [min(side, crop or side) for side in images.shape[2:]]
    drawn = torch.rand(4, count, generator=generator, device=device)
    zoom, zeros = 1 - _ZOOM * drawn[0], torch.zeros(count, device=device)
    # Height and width of the visible part, as shares; and how far its centre may move.
    tall, wide = (zoom * side / whole for side, whole in zip(sides, images.shape[2:], strict=True))
    right, down = (
        (2 * place - 1) * (1 - share if crop else 2 * _SHIFT)  # affine_grid counts a side as 2
        for place, share in ((drawn[2], wide), (drawn[3], tall))
    )
    wide = torch.where((drawn[1] < 0.5) & mirror, -wide, wide)
    theta = torch.stack([wide, zeros, right, zeros, tall, down], dim=1).view(count, 2, 3)
    grid = F.affine_grid(theta, [count, images.shape[1], *sides], align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    # Class numbers from 1, so that the zeros beyond the border are not a class.
    numbers = (targets.to(images.dtype) + 1)[:, None]
    moved_numbers = (
        F.grid_sample(numbers, grid, mode="nearest", align_corners=False)[:, 0].round().long()
    )
    return moved, torch.where(moved_numbers == 0, UNLABELLED, moved_numbers - 1).to(targets.dtype)
