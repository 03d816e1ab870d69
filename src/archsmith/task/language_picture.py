"""A picture of a language model: how surprising each character was, bits by position, and a text
that it wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from ..data.coding import Coding
from .picture import FAINT, INK, LINE, MARGIN, PAPER, SCALE, font

_LINES, _COLUMNS = 6, 84
_WIDE, _HIGH = 10 * SCALE, 22 * SCALE
#: Bits at which a character is shown in the darkest shade.
_MOST = 8.0


def surprises(inputs: Tensor, outputs: Tensor, coding: Coding, text: str = "") -> Image.Image:
    """Windows with a shade for the bits of each character, the mean bits by position, and a text.

    Args:
        inputs: int64 (n, length).
        outputs: logits (n, length, vocabulary).
        text: written by the model.
    """
    chances = outputs[:, :-1].float().log_softmax(-1)
    bits = -chances.gather(2, inputs[:, 1:, None])[..., 0] / math.log(2)
    rows = [*_wrapped(text)] if text else []
    plot, head = 120 * SCALE, 34 * SCALE
    windows = range(len(inputs))[::2][:_LINES]  # neighbours overlap by half
    high = 2 * head + len(windows) * _HIGH + plot + (head + len(rows) * _HIGH if rows else 0)
    sheet = Image.new("RGB", (2 * MARGIN + _COLUMNS * _WIDE, 2 * MARGIN + high), PAPER)
    draw, y = ImageDraw.Draw(sheet), MARGIN

    def title(words: str) -> None:
        nonlocal y
        draw.text((MARGIN, y), words, fill=FAINT, font=font(13))
        y += head

    title("The darker a character, the more bits it took")
    for line in windows:
        place = 0
        for token, surprise in zip(inputs[line].tolist(), [0.0, *bits[line].tolist()], strict=True):
            shown = coding.decode([token])
            for character in shown[: _COLUMNS - place]:
                _character(draw, place, y, character, surprise / len(shown))
                place += 1
        y += _HIGH
    title("Bits of a token by its position in the window, mean of the windows")
    _curve(draw, bits.mean(0).tolist(), y, plot)
    y += plot
    if rows:
        title("Written by the winner")
        for row in rows:
            draw.text((MARGIN, y), row, fill=INK, font=font(13))
            y += _HIGH
    return sheet


def _character(draw: ImageDraw.ImageDraw, place: int, y: float, text: str, bits: float) -> None:
    x, share = MARGIN + place * _WIDE, min(1.0, bits / _MOST)
    if share > 0:
        shade = tuple(round(255 - share * (255 - part)) for part in (240, 150, 90))
        draw.rectangle((x, y - 2 * SCALE, x + _WIDE - 1, y + 16 * SCALE), fill=shade)
    shown = text if text.isprintable() else "·"
    faint = FAINT if shown != text else INK
    draw.text((x + _WIDE // 2, y + 7 * SCALE), shown, fill=faint, font=font(13), anchor="mm")


def _curve(draw: ImageDraw.ImageDraw, means: Sequence[float], top: int, high: int) -> None:
    """The means as a line, with a scale of bits."""
    left, right = MARGIN + 40 * SCALE, MARGIN + _COLUMNS * _WIDE
    floor, most = top + high - 24 * SCALE, max(1, math.ceil(max(means)))
    for bits in range(0, most + 1, max(1, most // 4)):
        y = floor - (floor - top) * bits / most
        draw.line((left, y, right, y), fill=LINE, width=SCALE)
        draw.text((left - 8 * SCALE, y), f"{bits}", fill=FAINT, font=font(11), anchor="rm")
    step = (right - left) / max(1, len(means) - 1)
    points = [(left + step * n, floor - (floor - top) * m / most) for n, m in enumerate(means)]
    draw.line(points, fill=INK, width=SCALE)
    for place in (1, len(means)):
        x = left + step * (place - 1)
        draw.text((x, floor + 10 * SCALE), f"{place}", fill=FAINT, font=font(11), anchor="mm")


def _wrapped(text: str) -> list[str]:
    """Lines of the picture's width."""
    rows = []
    for line in text.split("\n"):
        rows += [line[n : n + _COLUMNS] for n in range(0, max(1, len(line)), _COLUMNS)]
    return rows
