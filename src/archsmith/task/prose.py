"""A picture of texts whose class was mistaken, with the words that moved the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from .occlusion import Effect
from .picture import FAINT, INK, LINE, MARGIN, RIGHT, SCALE, TOP, WRONG, font, headed, shortened

_WIDTH, _LINE, _GAP = 860 * SCALE, 20 * SCALE, 14 * SCALE
#: Lines of a text that are shown.
_MOST = 4


class Shown(NamedTuple):
    """A text, by the effects of its words, with its predicted class and its true one."""

    words: Sequence[Effect]
    guess: str
    chance: float
    truth: str


def mistaken_texts(shown: Sequence[Shown], wrong: int, count: int) -> Image.Image:
    """Texts with their classes; a word is green if it speaks for the predicted class and red if it
    speaks against it, the stronger the darker.

    Args:
        shown: the texts, the surest mistakes first.
        wrong, count: how many are mistakes, and among how many.
    """
    title = f"{wrong:,} mistakes among {count:,}"
    legend = "the surest first; words in green speak for the prediction, in red against it"
    wrapped = [_wrapped(text.words) for text in shown]
    highs = [(len(lines) + 1) * _LINE + _GAP for lines in wrapped]
    sheet, draw = headed(_WIDTH + 2 * MARGIN, TOP + sum(highs), title, legend)
    top = TOP
    for text, lines, high in zip(shown, wrapped, highs, strict=True):
        right = text.guess == text.truth
        told = f"{text.guess}, {text.chance:.0%}" + ("" if right else f", is {text.truth}")
        colour = RIGHT if right else WRONG
        draw.text((MARGIN, top), shortened(told, _WIDTH, 13), fill=colour, font=font(13))
        strongest = max((abs(effect) for _, effect in text.words), default=0.0)
        for number, line in enumerate(lines, start=1):
            x = float(MARGIN)
            for word, effect in line:
                place = (x, top + number * _LINE)
                draw.text(place, word, fill=_ink(effect, strongest), font=font(13))
                x += _room(f"{word} ")
        top += high
        bottom = top - _GAP // 2
        draw.line((MARGIN, bottom, MARGIN + _WIDTH, bottom), fill=LINE, width=SCALE)
    return sheet


def _wrapped(words: Sequence[Effect]) -> list[list[Effect]]:
    """The words in lines, up to the most that are shown."""
    lines: list[list[Effect]] = []
    left = 0.0
    for word, effect in words:
        word = shortened(word, _WIDTH, 13)
        left -= _room(f"{word} ")
        if left < 0:
            lines.append([])
            left = _WIDTH - _room(f"{word} ")
        lines[-1].append(Effect(word, effect))
    return lines[:_MOST]


def _room(text: str) -> float:
    return float(font(13).getlength(text))


def _ink(effect: float, strongest: float) -> str:
    """The colour of a word: that of its sign if its effect is at least a third of the largest."""
    if strongest < 0.01 or abs(effect) < strongest / 10:
        return FAINT
    if abs(effect) < strongest / 3:
        return INK
    return RIGHT if effect > 0 else WRONG
