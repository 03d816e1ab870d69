"""Pictures of predictions: a grid of images, a confusion matrix, a scatter plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER, INK, FAINT, LINE = "#ffffff", "#1f2733", "#6b7684", "#e3e7ec"
RIGHT, WRONG = "#1a7f4b", "#c2352b"
BLUE = (32, 92, 168)
#: Pictures are drawn at twice the size, so that they are sharp on high-resolution screens.
SCALE = 2
#: Highest number of classes in a confusion matrix: with more its cells are too small to read.
SHOWN = 40


def image_grid(
    inputs: Tensor, targets: Tensor, outputs: Tensor, class_names: Sequence[str], most: int = 24
) -> Image.Image:
    """Examples with their predicted class; a wrong one is red, with its true class below.

    Args:
        inputs: uint8 (n, channels, height, width).
        targets: int64 (n,).
        outputs: probabilities (n, classes).
        most: how many are shown; if there are more, up to a third of those shown are wrong.
    """
    guesses = outputs.argmax(1)
    chosen = chosen_of((guesses != targets).tolist(), most)
    columns = min(6, max(1, len(chosen)))
    lines = math.ceil(len(chosen) / columns) or 1
    side, caption, gap, margin = 112 * SCALE, 44 * SCALE, 14 * SCALE, 20 * SCALE
    size = (
        2 * margin + columns * (side + gap) - gap,
        2 * margin + lines * (side + caption + gap) - gap,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(chosen):
        line, column = divmod(place, columns)
        x, y = margin + column * (side + gap), margin + line * (side + caption + gap)
        sheet.paste(thumbnail(inputs[index], side), (x, y))
        guess, truth = int(guesses[index]), int(targets[index])
        colour = RIGHT if guess == truth else WRONG
        frame = (x - SCALE, y - SCALE, x + side, y + side)
        draw.rectangle(frame, outline=LINE if guess == truth else WRONG, width=SCALE)
        chance = f" {100 * float(outputs[index, guess]):.0f}%"
        first = shortened(class_names[guess], side - _width(chance, 13), 13) + chance
        draw.text((x, y + side + 5 * SCALE), first, fill=colour, font=font(13))
        if guess != truth:
            second = shortened(f"is {class_names[truth]}", side, 12)
            draw.text((x, y + side + 23 * SCALE), second, fill=FAINT, font=font(12))
    return sheet


def confusion(targets: Tensor, guesses: Tensor, class_names: Sequence[str]) -> Image.Image:
    """A matrix of counts: one row per true class, one column per predicted class, shaded by row.

    Of more than 40 classes it shows the 40 with the most errors, of both kinds (the class was
    missed, or predicted wrongly).

    Args:
        targets, guesses: int64 (n,).
    """
    count = len(class_names)
    pairs = (targets * count + guesses).cpu().numpy()
    matrix = np.bincount(pairs, minlength=count**2).reshape(count, count)
    total, right = int(matrix.sum()), int(np.trace(matrix))
    legend = "rows: true, columns: predicted"
    if count > SHOWN:
        legend += f"; the {SHOWN} of {count} classes with the most errors"
        kept = _worst(matrix, SHOWN)
        matrix, class_names = matrix[np.ix_(kept, kept)], [class_names[i] for i in kept]
        count = SHOWN
    cell = SCALE * max(16, min(56, 560 // count))
    text = 13 if count <= 12 else 10
    longest = min(150 * SCALE, max(_width(name, text) for name in class_names))
    left, top, margin = longest + 44 * SCALE, 66 * SCALE, 20 * SCALE
    level = max(_width(name, text) for name in class_names) <= cell - 6 * SCALE
    below = (40 * SCALE) if level else longest + 16 * SCALE
    sheet = Image.new("RGB", (left + count * cell + margin, top + count * cell + below), PAPER)
    draw = ImageDraw.Draw(sheet)
    title = f"{100 * right / max(1, total):.1f}% of {total:,} correct"
    draw.text((margin, 16 * SCALE), title, fill=INK, font=font(16))
    draw.text((margin, 40 * SCALE), legend, fill=FAINT, font=font(12))
    for i in range(count):
        name = shortened(class_names[i], longest, text)
        middle = top + i * cell + cell // 2
        draw.text((left - 8 * SCALE, middle), name, fill=INK, font=font(text), anchor="rm")
        for j in range(count):
            _cell(draw, left + j * cell, top + i * cell, cell, matrix[i], j, i == j)
    for j in range(count):
        place = (left + j * cell + cell // 2, top + count * cell + 6 * SCALE)
        if level:
            draw.text(place, class_names[j], fill=INK, font=font(text), anchor="ma")
        else:
            _upright(sheet, place, shortened(class_names[j], longest, text), text)
    return sheet


def scatter(targets: Tensor, values: Tensor, name: str) -> Image.Image:
    """Predicted against true values; perfect predictions lie on the diagonal.

    Args:
        targets, values: (n,) in the user's units.
    """
    true, guess = (t.detach().cpu().double().numpy().reshape(-1) for t in (targets, values))
    ticks = _ticks(min(true.min(), guess.min()), max(true.max(), guess.max()))
    low, high = ticks[0], ticks[-1]
    side, left, top, right, below = (SCALE * v for v in (420, 84, 66, 24, 60))
    sheet = Image.new("RGB", (left + side + right, top + side + below), PAPER)
    draw = ImageDraw.Draw(sheet)

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
    rmse = float(np.sqrt(np.mean((true - guess) ** 2)))
    margin = 20 * SCALE
    draw.text((margin, 16 * SCALE), f"RMSE {rmse:.4g}", fill=INK, font=font(16))
    caption = f"{name}: predicted (up) against true (right)"
    caption = shortened(caption, sheet.width - 2 * margin, 12)
    draw.text((margin, 40 * SCALE), caption, fill=FAINT, font=font(12))
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


def _worst(matrix: NDArray[np.int64], most: int) -> list[int]:
    """Ascending indices of the classes with the most errors; ties go to the first."""
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    return sorted(np.argsort(-errors, kind="stable")[:most].tolist())


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
