"""Pictures of detections: images with their true and their predicted boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from .picture import FAINT, INK, PAPER, SCALE, font, shortened

#: Colours of the classes, in turn; distinguishable with red-green colour blindness, too.
COLOURS = ("#d55e00", "#0072b2", "#8a3ffc", "#e69f00", "#56b4e9", "#cc79a7", "#009e73")

#: Boxes (k, 4) as shares of width and height, and their classes (k,).
Boxes = tuple[Tensor, Tensor]


def box_grid(
    images: Tensor,
    sizes: Tensor,
    true: Sequence[Boxes],
    given: Sequence[Boxes],
    class_names: Sequence[str],
    most: int = 6,
) -> Image.Image:
    """Images in their original proportions, each twice: with the true boxes on the left, and with
    the predicted ones on the right, in the colours of their classes.

    Args:
        images: uint8 (n, 3, size, size).
        sizes: int64 (n, 2), width and height.
        true, given: true and predicted boxes of each image.
        most: how many images are shown, starting with the first.
    """
    side, gap, margin, top = 230 * SCALE, 10 * SCALE, 20 * SCALE, 66 * SCALE
    drawn = [
        [_draw_boxes(images[n], sizes[n].tolist(), boxes[n], side) for boxes in (true, given)]
        for n in range(min(most, len(images)))
    ]
    columns = 2 * min(2, max(1, len(drawn)))
    lines = -(-2 * len(drawn) // columns) or 1
    high = max((pair[0].height for pair in drawn), default=side)
    width = 2 * margin + columns * (side + gap) - gap
    sheet = Image.new("RGB", (width, top + lines * (high + gap) + margin), PAPER)
    _legend(sheet, margin, class_names)
    draw = ImageDraw.Draw(sheet)
    for column in range(columns):
        title = ("truth", "prediction")[column % 2]
        place = (margin + column * (side + gap), top - 22 * SCALE)
        draw.text(place, title, fill=FAINT, font=font(12))
    for n, picture in enumerate(picture for pair in drawn for picture in pair):
        line, column = divmod(n, columns)
        x, y = margin + column * (side + gap), top + line * (high + gap)
        sheet.paste(picture, (x + (side - picture.width) // 2, y + (high - picture.height) // 2))
    return sheet


def _draw_boxes(pixels: Tensor, size: list[int], boxes: Boxes, side: int) -> Image.Image:
    scale = side / max(size)
    shown_size = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    array = np.ascontiguousarray(pixels.cpu().numpy().transpose(1, 2, 0))
    image = Image.fromarray(array).resize(shown_size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    ends = np.array([*shown_size, *shown_size]) - 1
    for box, number in zip(boxes[0].tolist(), boxes[1].tolist(), strict=True):
        low, high = np.array(box[:2]) * ends[:2], np.array(box[2:]) * ends[2:]
        if (high >= low).all():
            # A white line around the coloured one keeps it visible on any background.
            draw.rectangle((*(low - 1), *(high + 1)), outline=PAPER)
            draw.rectangle((*low, *high), outline=COLOURS[number % len(COLOURS)], width=SCALE)
    return image


def _legend(sheet: Image.Image, margin: int, class_names: Sequence[str]) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y, side = margin, 17 * SCALE, 13 * SCALE
    for number, name in enumerate(class_names):
        text = shortened(name, 120 * SCALE, 13)
        wide = side + 6 * SCALE + round(font(13).getlength(text))
        if x + wide > sheet.width - margin:
            break
        colour = COLOURS[number % len(COLOURS)]
        draw.rectangle((x, y, x + side, y + side), outline=colour, width=2 * SCALE)
        draw.text((x + side + 6 * SCALE, y + side // 2), text, fill=INK, font=font(13), anchor="lm")
        x += wide + 18 * SCALE
