"""Pictures of predictions: confusions of classes, the worst mistakes, a scatter plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER, INK, FAINT, LINE = "#ffffff", "#1f2733", "#6b7684", "#e3e7ec"
RIGHT, WRONG = "#1a7f4b", "#c2352b"
BLUE = (32, 92, 168)
#: Pictures are drawn at twice the size, so that they are sharp on high-resolution screens.
SCALE = 2
MARGIN, TOP = 20 * SCALE, 66 * SCALE
#: Highest number of classes in a confusion matrix, and of pairs in a list of confusions.
SHOWN = 20


def mistakes(
    images: Tensor, targets: Tensor, outputs: Tensor, class_names: Sequence[str], most: int = 18
) -> Image.Image:
    """The mistakes with the highest probability, with the true class and its own probability; if
    there are few, also the right predictions with the lowest.

    Args:
        images: uint8 (n, channels, height, width).
        targets: int64 (n,).
        outputs: probabilities (n, classes).
    """
    order, guesses, wrong = surest_mistakes(targets, outputs, most)
    captions = []
    for index in order.tolist():
        named = {"": int(guesses[index])} | ({"is ": int(targets[index])} if wrong[index] else {})
        lines = [(f"{w}{class_names[n]}", f", {outputs[index, n]:.0%}") for w, n in named.items()]
        captions.append(lines)
    title = f"{int(wrong.sum()):,} mistakes among {len(wrong):,}"
    return sheet_of(images[order], captions, title, "the surest first; right and unsure in green")


def surest_mistakes(targets: Tensor, outputs: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the mistakes with the highest probability first, then of right predictions with
    the lowest, up to ``most``; all predictions, and whether each is wrong."""
    sure, guesses = outputs.max(1)
    wrong = guesses != targets
    order = torch.where(wrong, 1 + sure, 1 - sure).argsort(descending=True, stable=True)[:most]
    return order, guesses, wrong


def sheet_of(
    images: Tensor, captions: Sequence[Sequence[tuple[str, str]]], title: str, legend: str
) -> Image.Image:
    """Images in rows of six, with a line below each if it is right, two if it is wrong.

    Args:
        images: uint8 (n, channels, height, width).
        captions: lines, each a text, of which the end may be cut, and what follows it.
    """
    side, caption, gap, columns = 112 * SCALE, 44 * SCALE, 14 * SCALE, 6
    rows = math.ceil(len(images) / columns)
    width, height = columns * (side + gap) - gap, rows * (side + caption + gap)
    sheet, draw = headed(width + 2 * MARGIN, TOP + height, title, legend)
    for place, (image, lines) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(place, columns)
        x, y = MARGIN + column * (side + gap), TOP + row * (side + caption + gap)
        sheet.paste(thumbnail(image, side), (x, y))
        frame, colour = (x - SCALE, y - SCALE, x + side, y + side), WRONG if lines[1:] else RIGHT
        draw.rectangle(frame, outline=WRONG if lines[1:] else LINE, width=SCALE)
        for line, (text, after) in enumerate(lines):
            size, ink = (12, FAINT) if line else (13, colour)
            text = shortened(text, side - _width(after, size), size) + after
            draw.text((x, y + side + (5 + 18 * line) * SCALE), text, fill=ink, font=font(size))
    return sheet


def confusion(targets: Tensor, guesses: Tensor, class_names: Sequence[str]) -> Image.Image:
    """A matrix of counts: one row per true class, one column per predicted class, shaded by row; of
    more than 20 classes, the 20 most frequent confusions.

    Args:
        targets, guesses: int64 (n,).
    """
    count = len(class_names)
    pairs = (targets * count + guesses).cpu().numpy()
    matrix = np.bincount(pairs, minlength=count**2).reshape(count, count)
    total, right = int(matrix.sum()), int(np.trace(matrix))
    title = f"{100 * right / max(1, total):.1f}% of {total:,} correct"
    if count > SHOWN:
        return _confused(matrix, class_names, title)
    cell = SCALE * max(28, min(56, 560 // count))
    text = 13 if count <= 12 else 10
    longest = min(150 * SCALE, max(_width(name, text) for name in class_names))
    left = longest + 44 * SCALE
    level = max(_width(name, text) for name in class_names) <= cell - 6 * SCALE
    below = (40 * SCALE) if level else longest + 16 * SCALE
    size = left + count * cell + MARGIN, TOP + count * cell + below
    sheet, draw = headed(*size, title, "rows: true, columns: predicted")
    for i in range(count):
        name = shortened(class_names[i], longest, text)
        middle = TOP + i * cell + cell // 2
        draw.text((left - 8 * SCALE, middle), name, fill=INK, font=font(text), anchor="rm")
        for j in range(count):
            _cell(draw, left + j * cell, TOP + i * cell, cell, matrix[i], j, i == j)
    for j in range(count):
        place = (left + j * cell + cell // 2, TOP + count * cell + 6 * SCALE)
        if level:
            draw.text(place, class_names[j], fill=INK, font=font(text), anchor="ma")
        else:
            _upright(sheet, place, shortened(class_names[j], longest, text), text)
    return sheet


def _confused(matrix: NDArray[np.int64], names: Sequence[str], title: str) -> Image.Image:
    """The most frequent confusions of a matrix of counts, as shares of the true class."""
    wrong = matrix - np.diag(matrix.diagonal())
    first = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN]
    rows = [divmod(int(place), len(names)) for place in first if wrong.flat[place]]
    line, left, bar = 24 * SCALE, 440 * SCALE, 200 * SCALE
    size = left + bar + 120 * SCALE, TOP + max(1, len(rows)) * line + MARGIN
    legend = f"true class, as what it is predicted, and how often; {len(names)} classes"
    sheet, draw = headed(*size, title, legend)
    for place, (true, guess) in enumerate(rows):
        own, other = (shortened(names[index], 190 * SCALE, 13) for index in (true, guess))
        count, total, y = int(matrix[true, guess]), int(matrix[true].sum()), TOP + place * line
        draw.text((left - 8 * SCALE, y), f"{own} as {other}", INK, font(13), anchor="ra")
        long = left + bar * count // total
        draw.rectangle((left, y, long, y + 15 * SCALE), fill=WRONG)
        draw.text((long + 8 * SCALE, y), f"{count} of {total}", FAINT, font(12))
    return sheet


def stacked(one: Image.Image, other: Image.Image) -> Image.Image:
    """One picture above another."""
    sheet = Image.new("RGB", (max(one.width, other.width), one.height + other.height), PAPER)
    sheet.paste(one, (0, 0))
    sheet.paste(other, (0, one.height))
    return sheet


def headed(width: int, height: int, title: str, legend: str) -> tuple[Image.Image, Any]:
    """An empty sheet with a title and a line below it."""
    width = max(width, *(_width(*line) + 2 * MARGIN for line in ((title, 16), (legend, 12))))
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 16 * SCALE), title, fill=INK, font=font(16))
    draw.text((MARGIN, 40 * SCALE), legend, fill=FAINT, font=font(12))
    return sheet, draw


def scatter(targets: Tensor, values: Tensor, name: str) -> Image.Image:
    """Predicted against true values; perfect predictions lie on the diagonal.

    Args:
        targets, values: (n,) in the user's units.
    """
    true, guess = (t.detach().cpu().double().numpy().reshape(-1) for t in (targets, values))
    ticks = _ticks(min(true.min(), guess.min()), max(true.max(), guess.max()))
    low, high = ticks[0], ticks[-1]
    side, left, top, right, below = (SCALE * v for v in (420, 84, 66, 24, 60))
    width = left + side + right
    rmse = float(np.sqrt(np.mean((true - guess) ** 2)))
    caption = f"{name}: predicted (up) against true (right)"
    legend = shortened(caption, width - 2 * MARGIN, 12)
    sheet, draw = headed(width, top + side + below, f"RMSE {rmse:.4g}", legend)

    def place(value: float) -> float:
        return (value - low) / (high - low) * side

    for tick in ticks:
        x, y = left + place(tick), top + side - place(tick)
        draw.line((left, y, left + side, y), fill=LINE, width=SCALE)
        draw.line((x, top, x, top + side), fill=LINE, width=SCALE)
        text = f"{tick:g}"
        draw.text((left - 8 * SCALE, y), text, fill=FAINT, font=font(12), anchor="rm")
        draw.text((x, top + side + 8 * SCALE), text, fill=FAINT, font=font(12), anchor="ma")
    draw.line((left, top + side, left + side, top), fill=FAINT, width=SCALE)
    dots = Image.new("RGBA", sheet.size, (255, 255, 255, 0))
    for t, g in zip(true[:2000], guess[:2000], strict=True):
        dot = Image.new("RGBA", (9 * SCALE, 9 * SCALE), (255, 255, 255, 0))
        edge = 9 * SCALE - 1
        ImageDraw.Draw(dot).ellipse((0, 0, edge, edge), fill=(*BLUE, 120))
        corner = (left + place(t) - edge / 2, top + side - place(g) - edge / 2)
        dots.alpha_composite(dot, (max(0, round(corner[0])), max(0, round(corner[1]))))
    sheet.paste(dots, (0, 0), dots)
    return sheet


@cache
def font(size: int) -> Any:
    return ImageFont.load_default(size * SCALE)


def _width(text: str, size: int) -> int:
    return math.ceil(float(font(size).getlength(text)))


def shortened(text: str, width: int, size: int) -> str:
    if _width(text, size) <= width:
        return text
    while text and _width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def chosen_of(wrong: Sequence[bool], most: int) -> list[int]:
    """Ascending indices of up to ``most`` examples; if there are more, up to a third are wrong."""
    if len(wrong) <= most:
        return list(range(len(wrong)))
    bad = [i for i, is_wrong in enumerate(wrong) if is_wrong][: most // 3]
    good = [i for i, is_wrong in enumerate(wrong) if not is_wrong][: most - len(bad)]
    return sorted(bad + good)


def thumbnail(pixels: Tensor, side: int) -> Image.Image:
    channels = pixels.shape[0]
    array: NDArray[np.uint8] = pixels.cpu().numpy()
    array = array[:3].transpose(1, 2, 0) if channels >= 3 else array[0]
    image = Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    # Pixels of small images stay visible: interpolation would show what the model never saw.
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.NEAREST)
    frame = Image.new("RGB", (side, side), LINE)
    frame.paste(image, ((side - size[0]) // 2, (side - size[1]) // 2))
    return frame


def _cell(
    draw: ImageDraw.ImageDraw,
    x: int,
    y: int,
    side: int,
    row: NDArray[np.int64],
    column: int,
    diagonal: bool,
) -> None:
    count = int(row[column])
    share = count / max(1, int(row.sum()))
    tint = BLUE if diagonal else (194, 53, 43)
    # The square root keeps single mistakes visible next to a full diagonal.
    strength = 0.0 if count == 0 else 0.12 + 0.88 * share**0.5
    colour = tuple(round(255 + (c - 255) * strength) for c in tint)
    draw.rectangle((x, y, x + side - SCALE, y + side - SCALE), fill=colour if count else "#f5f7f9")
    size = 13 if side >= 40 * SCALE else 9
    if count and _width(str(count), size) < side - 4 * SCALE:
        fill = "#ffffff" if strength > 0.55 else INK
        middle = (x + side / 2, y + side / 2)
        draw.text(middle, str(count), fill=fill, font=font(size), anchor="mm")


def _upright(sheet: Image.Image, place: tuple[int, int], text: str, size: int) -> None:
    """Draw text that reads upwards, with its end at ``place``, centred."""
    strip = Image.new("RGB", (_width(text, size) + SCALE, (size + 6) * SCALE), PAPER)
    end = (strip.width, strip.height // 2)
    ImageDraw.Draw(strip).text(end, text, fill=INK, font=font(size), anchor="rm")
    turned = strip.rotate(90, expand=True)
    sheet.paste(turned, (place[0] - turned.width // 2, place[1]))


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers whose range includes ``low`` and ``high``."""
    span, size = high - low, max(abs(low), abs(high))
    if span <= 1e-9 * size or span == 0:
        span = size or 1.0
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * f for f in (1, 2, 5, 10) if span / (unit * f) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    # Rounded to twelve significant digits, not decimals: 3 * 0.1 is 0.3, and 1e-12 is not 0.
    return [float(f"{i * step:.12g}") for i in range(first, max(last, first + 1) + 1)]
