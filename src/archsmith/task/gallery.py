"""Pictures of embeddings, masked texts and translations: neighbours side by side, lines with filled
gaps, sentences one above the other."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor, cdist

from .picture import (
    FAINT,
    INK,
    LINE,
    PAPER,
    RIGHT,
    SCALE,
    WRONG,
    chosen_of,
    font,
    shortened,
    thumbnail,
)


def neighbour_grid(
    inputs: Tensor,
    targets: Tensor,
    embeddings: Tensor,
    class_names: Sequence[str],
    most: int = 12,
) -> Image.Image:
    """Examples, each next to its nearest neighbour; red if the neighbour is of another class.

    Args:
        inputs: uint8 (n, channels, height, width), n of 2 or more.
        targets: int64 (n,).
        embeddings: (n, d).
        most: how many are shown; if there are more, up to a third of those shown are wrong.
    """
    distances = cdist(embeddings.double(), embeddings.double())
    distances.fill_diagonal_(float("inf"))
    nearest = distances.argmin(1)
    # A class with a single example is left out: no neighbour could be right. Every class is shown
    # once before any is shown twice.
    seen: Counter[int] = Counter()
    turns = []
    for index, target in enumerate(targets.tolist()):
        seen[target] += 1
        turns.append((seen[target], index, target))
    paired = [index for _, index, target in sorted(turns) if seen[target] > 1]
    wrong = (targets[nearest] != targets)[paired].tolist()
    chosen = [paired[place] for place in chosen_of(wrong, most)]
    columns = min(4, max(1, len(chosen)))
    lines = math.ceil(len(chosen) / columns) or 1
    side, caption, gap, margin = 84 * SCALE, 40 * SCALE, 22 * SCALE, 20 * SCALE
    pair = 2 * side + 4 * SCALE
    sheet = Image.new(
        "RGB",
        (2 * margin + columns * (pair + gap) - gap, 2 * margin + lines * (side + caption + gap)),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(chosen):
        line, column = divmod(place, columns)
        x, y = margin + column * (pair + gap), margin + line * (side + caption + gap)
        other = int(nearest[index])
        right = int(targets[other]) == int(targets[index])
        for number, shown in enumerate((index, other)):
            left = x + number * (side + 4 * SCALE)
            sheet.paste(thumbnail(inputs[shown], side), (left, y))
            frame = (left - SCALE, y - SCALE, left + side, y + side)
            draw.rectangle(frame, outline=LINE if right else WRONG, width=SCALE)
        own, nearest_name = (class_names[int(targets[i])] for i in (index, other))
        group, _, last = nearest_name.rpartition("/")
        nearest_name = last if own.startswith(f"{group}/") else nearest_name
        first = shortened(own, pair, 13)
        draw.text((x, y + side + 5 * SCALE), first, fill=RIGHT if right else INK, font=font(13))
        if not right:
            second = shortened(f"nearest is {nearest_name}", pair, 12)
            draw.text((x, y + side + 22 * SCALE), second, fill=WRONG, font=font(12))
    return sheet


def masked_lines(
    inputs: Tensor, targets: Tensor, guesses: Tensor, alphabet: Sequence[str], most: int = 10
) -> Image.Image:
    """Lines of text with predicted characters in boxes: green if they are right.

    A wrong one is red, with the true character below it.

    Args:
        inputs, targets, guesses: int64 (n, length); targets are negative where nothing was masked.
    """
    lines, length = min(most, len(inputs)), inputs.shape[1]
    wide, high, margin = 11 * SCALE, 40 * SCALE, 20 * SCALE
    sheet = Image.new("RGB", (2 * margin + length * wide, 2 * margin + lines * high), PAPER)
    draw = ImageDraw.Draw(sheet)

    def shown(code: int) -> str:
        character = alphabet[code]
        return character if character.isprintable() else "·"

    for line in range(lines):
        y = margin + line * high
        for place in range(length):
            x, truth = margin + place * wide, int(targets[line, place])
            middle = (x + wide // 2, y + 10 * SCALE)
            if truth < 0:
                text = shown(int(inputs[line, place]))
                draw.text(middle, text, fill=FAINT, font=font(13), anchor="mm")
                continue
            guess = int(guesses[line, place])
            colour = RIGHT if guess == truth else WRONG
            draw.rectangle((x, y, x + wide - SCALE, y + 20 * SCALE), outline=colour, width=SCALE)
            draw.text(middle, shown(guess), fill=colour, font=font(13), anchor="mm")
            if guess != truth:
                below = (middle[0], y + 28 * SCALE)
                draw.text(below, shown(truth), fill=INK, font=font(11), anchor="mm")
    return sheet


def translated_lines(
    sources: Sequence[str],
    references: Sequence[str],
    translations: Sequence[str],
    names: tuple[str, str],
    most: int = 10,
) -> Image.Image:
    """Sentences, each above its reference and its translation; a word of the translation is green
    if it occurs in the reference, and red otherwise.

    Args:
        names: of the source and the target language.
    """
    sources, references, translations = (
        [_plain(text) for text in texts[:most]] for texts in (sources, references, translations)
    )
    lines = len(sources)
    left, step, margin, width = 90 * SCALE, 22 * SCALE, 20 * SCALE, 980 * SCALE
    high = 3 * step + 18 * SCALE
    sheet = Image.new("RGB", (width, 2 * margin + lines * high), PAPER)
    draw = ImageDraw.Draw(sheet)
    labels = (names[0], f"{names[1]}, true", f"{names[1]}, predicted")
    room = width - left - 2 * margin
    for line in range(lines):
        top = margin + line * high
        rows = (sources[line], references[line], translations[line])
        for place, (label, text) in enumerate(zip(labels, rows, strict=True)):
            y = top + place * step
            draw.text((margin, y), shortened(label, left, 12), fill=FAINT, font=font(12))
            if place < 2:
                fill = (FAINT, INK)[place]
                draw.text((margin + left, y), shortened(text, room, 13), fill=fill, font=font(13))
                continue
            reference_words = Counter(map(_bare, references[line].split()))
            x = float(margin + left)
            for word in shortened(text, room, 13).split():
                colour = RIGHT if reference_words[_bare(word)] > 0 else WRONG
                reference_words[_bare(word)] -= 1
                draw.text((x, y), word, fill=colour, font=font(13))
                x += float(font(13).getlength(f"{word} "))
        bottom = top + 3 * step + 4 * SCALE
        draw.line((margin, bottom, width - margin, bottom), fill=LINE, width=SCALE)
    return sheet


def _bare(word: str) -> str:
    """A word without the punctuation around it; punctuation alone is kept."""
    return word.strip('.,;:!?"()') or word


def _plain(text: str) -> str:
    """Letters without their accents, which the font that comes with Pillow lacks."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
