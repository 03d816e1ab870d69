"""A picture of texts whose class was mistaken, with the words that moved the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from .occlusion import Effect
from .picture import FAINT, INK, LINE, MARGIN, RIGHT, SCALE, TOP, WRONG, font, headed, shortened

_WIDTH, _LINE, _LINES = 860 * SCALE, 20 * SCALE, 3


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
    high = (_LINES + 1) * _LINE + 14 * SCALE
    title = f"{wrong:,} mistakes among {count:,}"
    legend = "the surest first; words in green speak for the prediction, in red against it"
    sheet, draw = headed(_WIDTH + 2 * MARGIN, TOP + high * len(shown), title, legend)
    for place, text in enumerate(shown):
        top = TOP + place * high
        right = text.guess == text.truth
        told = f"{text.guess}, {text.chance:.0%}" + ("" if right else f", is {text.truth}")
        colour = RIGHT if right else WRONG
        draw.text((MARGIN, top), shortened(told, _WIDTH, 13), fill=colour, font=font(13))
        strongest = max((abs(effect) for _, effect in text.words), default=0.0)
        x, y = float(MARGIN), top + _LINE
        for word, effect in text.words:
            wide = float(font(13).getlength(word))
            if x > MARGIN and x + wide > MARGIN + _WIDTH:
                x, y = float(MARGIN), y + _LINE
            if y > top + _LINES * _LINE:
                break
            ink = _ink(effect, strongest)
            draw.text((x, y), shortened(word, _WIDTH, 13), fill=ink, font=font(13))
            x += wide + float(font(13).getlength(" "))
        bottom = top + high - 8 * SCALE
        draw.line((MARGIN, bottom, MARGIN + _WIDTH, bottom), fill=LINE, width=SCALE)
    return sheet


def _ink(effect: float, strongest: float) -> str:
    """The colour of a word: that of its sign if its effect is at least a third of the largest."""
    if strongest < 0.01 or abs(effect) < strongest / 10:
        return FAINT
    if abs(effect) < strongest / 3:
        return INK
    return RIGHT if effect > 0 else WRONG
