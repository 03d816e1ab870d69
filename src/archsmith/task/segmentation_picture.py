"""Pictures of segmentations: image, truth and prediction side by side, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..data.masks import UNLABELLED
from .picture import FAINT, INK, LINE, PAPER, SCALE, font, shortened

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Colours that are easy to distinguish side by side; further classes reuse them, darker.
_COLOURS = (
    (122, 179, 232),
    (192, 112, 80),
    (240, 200, 60),
    (128, 100, 162),
    (230, 130, 190),
    (74, 143, 70),
    (215, 60, 50),
    (150, 150, 60),
    (40, 80, 170),
    (20, 190, 180),
    (245, 140, 40),
    (110, 70, 50),
    (170, 215, 130),
    (90, 30, 110),
    (160, 170, 180),
    (60, 110, 120),
)
_BARE = (226, 229, 233)  # pixels without a label
_OPAQUE = 0.7  # how far the colours cover the image
#: Highest number of classes that the legend names.
_MAX_NAMED = 40


def side_by_side(
    images: Tensor, targets: Tensor, guesses: Tensor, class_names: Sequence[str], most: int = 6
) -> Image.Image:
    """One row per example: the image, its mask, the predicted mask, and the share of correct
    pixels.

    The examples are spread evenly from the worst to the best, worst first.

    Args:
        images: uint8 (n, channels, height, width).
        targets, guesses: (n, height, width), class numbers; targets are 255 for no label.
        most: how many are shown.
    """
    labelled = targets != UNLABELLED
    right = ((guesses == targets) & labelled).flatten(1).sum(1) / labelled.flatten(1).sum(1).clamp(
        min=1
    )
    order = torch.argsort(right, stable=True)
    picked = np.unique(np.linspace(0, len(order) - 1, most).round().astype(int))
    height, width = targets.shape[1:]
    across, margin, gap, caption = 220 * SCALE, 20 * SCALE, 10 * SCALE, 24 * SCALE
    tall = max(1, round(across * height / width))
    wide = 2 * margin + 3 * across + 2 * gap
    legend = _legend(class_names, wide - 2 * margin)
    top = margin + caption
    below = top + len(picked) * (tall + caption)
    sheet = Image.new("RGB", (wide, below + legend.height + margin), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(("image", "truth", "prediction")):
        draw.text((margin + column * (across + gap), margin), title, fill=INK, font=font(13))
    for row, place in enumerate(picked):
        index, y = int(order[place]), top + row * (tall + caption)
        image = _rgb(images[index])
        shown = image, _over(image, targets[index]), _over(image, guesses[index])
        for column, pixels in enumerate(shown):
            x = margin + column * (across + gap)
            part = Image.fromarray(pixels).resize((across, tall), Image.Resampling.NEAREST)
            sheet.paste(part, (x, y))
            frame = (x - SCALE, y - SCALE, x + across, y + tall)
            draw.rectangle(frame, outline=LINE, width=SCALE)
        score = f"{100 * float(right[index]):.1f}% of the labelled pixels correct"
        at = (margin + 2 * (across + gap), y + tall + 3 * SCALE)
        draw.text(at, score, fill=FAINT, font=font(11))
    sheet.paste(legend, (margin, below))
    return sheet


def _over(image: NDArray[np.uint8], mask: Tensor) -> NDArray[np.uint8]:
    """The colours of the classes, with the image shining through."""
    mixed = _OPAQUE * _coloured(mask) + (1 - _OPAQUE) * image
    return mixed.round().astype(np.uint8)


def _legend(class_names: Sequence[str], wide: int) -> Image.Image:
    """The colour of each class, in columns."""
    named = [*class_names[:_MAX_NAMED], "without a label"]
    colours = [*_palette()[: len(named) - 1].tolist(), list(_BARE)]
    column, line, box = 160 * SCALE, 20 * SCALE, 12 * SCALE
    columns = max(1, wide // column)
    sheet = Image.new("RGB", (wide, line * -(-len(named) // columns)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (name, colour) in enumerate(zip(named, colours, strict=True)):
        x, y = place % columns * column, place // columns * line
        draw.rectangle((x, y, x + box, y + box), fill=tuple(colour), outline=LINE)
        text = shortened(name, column - box - 12 * SCALE, 12)
        draw.text((x + box + 6 * SCALE, y - SCALE), text, fill=INK, font=font(12))
    return sheet


def _palette() -> NDArray[np.uint8]:
    """(256, 3): a colour for each class number, and for pixels without a label at 255."""
    table = np.zeros((256, 3), dtype=np.uint8)
    count = len(_COLOURS)
    for number in range(256):
        dark = 0.75 ** (number // count % 4)
        table[number] = [round(dark * value) for value in _COLOURS[number % count]]
    table[UNLABELLED] = _BARE
    return table


def _coloured(mask: Tensor) -> NDArray[np.uint8]:
    colours: NDArray[np.uint8] = _palette()[mask.cpu().numpy()]
    return colours


def _rgb(pixels: Tensor) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = pixels.cpu().numpy()
    array = array[:3] if len(array) >= 3 else np.repeat(array[:1], 3, axis=0)
    return np.ascontiguousarray(array.transpose(1, 2, 0))
