"""Pictures of generated images: a sheet with a row for each class."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from .generative import as_grey_levels
from .picture import FAINT, PAPER, SCALE, font, shortened, thumbnail

#: Images in a row, and classes of a picture that does not show all.
_COLUMNS, _CLASSES = 10, 20


def sheet(
    images: Tensor, labels: Tensor | None, class_names: Sequence[str], most: int | None = None
) -> Image.Image:
    """Images by class, at most ten in a row, each class from a row of its own.

    Args:
        images: (n, channels, height, width), from 0 to 1.
        labels: int64 (n,); ``None`` for images without a class.
        most: how many of a class are shown, and 20 classes; ``None`` shows all.
    """
    pixels = as_grey_levels(images.detach().cpu())
    if labels is None:
        groups = {"": list(range(len(pixels)))}
    else:
        numbers = sorted(set(labels.tolist()))[: None if most is None else _CLASSES]
        groups = {class_names[n]: (labels == n).nonzero()[:, 0].tolist() for n in numbers}
    rows = [
        (name if not start else "", places[start : start + _COLUMNS])
        for name, places in groups.items()
        for start in range(0, len(places[:most]), _COLUMNS)
    ]
    # Small images are enlarged, by a whole number so that their pixels stay square.
    side = max(pixels.shape[2:])
    side *= max(1, round(48 * SCALE / side))
    gap, margin, left = 3 * SCALE, 16 * SCALE, (90 * SCALE if labels is not None else 0)
    columns = max(len(places) for _, places in rows)
    size = (left + columns * (side + gap) - gap, len(rows) * (side + gap) - gap)
    picture = Image.new("RGB", (size[0] + 2 * margin, size[1] + 2 * margin), PAPER)
    draw = ImageDraw.Draw(picture)
    for line, (name, places) in enumerate(rows):
        y = margin + line * (side + gap)
        text = shortened(name, left - 8 * SCALE, 12)
        draw.text((margin, y + side // 2), text, fill=FAINT, font=font(12), anchor="lm")
        for column, place in enumerate(places):
            picture.paste(
                thumbnail(pixels[place], side), (margin + left + column * (side + gap), y)
            )
    return picture
