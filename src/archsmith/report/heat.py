"""Similarities of layers as a picture: a square for each pair, darker where they are alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from ..history.numbers import fixed
from .plane import shortened
from .sheet import HEAD, MARGIN, sheet
from .svg import joined, px, tag, text_width

if TYPE_CHECKING:
    from ..transfer.features import Similarity

_ROOM = 620.0  # for all cells of a row
_LARGEST, _SMALLEST = 52.0, 12.0  # side of a cell
_WRITTEN = 26.0  # cells of at least this side show their value
_LONGEST = 170.0  # of a layer's name
_BAR = 14.0  # width of the scale
#: From 0 to 1, light to dark; lightness falls evenly, so it reads in grey as well.
_SHADES = ((247, 249, 252), (190, 212, 240), (102, 152, 218), (36, 88, 197), (16, 34, 92))
_ABSENT = "#eeeeea"


def similarity_picture(
    found: Similarity,
    title: str = "",
    path: str | Path | None = None,
    *,
    names: tuple[str, str] = ("first model", "second model"),
) -> str:
    """A matrix of similarities as the text of an SVG file.

    Args:
        found: what :func:`archsmith.similarity` returned.
        title: of the picture.
        path: file to write the text to.
        names: of the two models, if there are two.
    """
    wide = max(len(found.columns), len(found.rows))
    cell = float(int(max(_SMALLEST, min(_LARGEST, _ROOM / wide))))  # whole pixels have no seams
    rows = [shortened(name or "(model)", _LONGEST) for name in found.rows]
    columns = [shortened(name or "(model)", _LONGEST) for name in found.columns]
    size = min(12.0, max(9.0, cell * 0.8))
    left = MARGIN + max(text_width(name, size) for name in rows) + 10
    top = HEAD + 8
    right, bottom = left + cell * len(columns), top + cell * len(rows)
    below = max(text_width(name, size) for name in columns) * 0.75 + 22
    parts = [_cells(found, left, top, cell)]
    for place, name in enumerate(rows):
        y = top + (place + 0.5) * cell + size * 0.35
        parts.append(
            tag("text", name, x=left - 8, y=y, class_="end ink", style=f"font-size:{size}px")
        )
    for place, name in enumerate(columns):
        x, y = left + (place + 0.5) * cell + size * 0.35, bottom + 12
        turn = f"rotate(-48 {px(x)} {px(y)})"
        parts.append(
            tag(
                "text",
                name,
                x=x,
                y=y,
                transform=turn,
                class_="end ink",
                style=f"font-size:{size}px",
            )
        )
    parts.append(_scale(right + 24, top, min(bottom - top, 220.0)))
    caption = f"linear CKA over {found.examples:,} examples; 1: equal up to rotation and scale"
    if not found.own:
        caption += f"; down: {names[0]}, across: {names[1]}"
    # Turned names of the first columns reach further left than their cells.
    width = max(right + 24 + _BAR + 40, MARGIN * 2 + text_width(caption, 12))
    text = sheet(width, bottom + below + 8, title or "Similarity of layers", caption, *parts)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def shade(value: float) -> str:
    """The colour of a similarity; values below 0 count as 0, NaN is grey."""
    if value != value:
        return _ABSENT
    at = min(max(value, 0.0), 1.0) * (len(_SHADES) - 1)
    low = min(int(at), len(_SHADES) - 2)
    mixed = (
        round(a + (b - a) * (at - low)) for a, b in zip(_SHADES[low], _SHADES[low + 1], strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _cells(similarity: Similarity, left: float, top: float, cell: float) -> Markup:
    parts = []
    gap = 1.0 if cell >= _WRITTEN else 0.0
    for i, row in enumerate(similarity.rows):
        for j, column in enumerate(similarity.columns):
            value = float(similarity.values[i, j])
            x, y = left + j * cell, top + i * cell
            title = tag("title", f"{row or '(model)'} and {column or '(model)'}: {fixed(value, 3)}")
            square = tag(
                "rect", title, x=x, y=y, width=cell - gap, height=cell - gap, fill=shade(value)
            )
            parts.append(square)
            if cell >= _WRITTEN:
                ink = "#ffffff" if value > 0.55 else "#17181c"
                parts.append(
                    tag(
                        "text",
                        fixed(value),
                        x=x + cell / 2,
                        y=y + cell / 2 + 3.6,
                        class_="mid cell",
                        style=f"fill:{ink}",
                    )
                )
    return joined(parts)


def _scale(x: float, top: float, height: float) -> Markup:
    last = len(_SHADES) - 1
    stops = [
        tag("stop", offset=f"{1 - i / last:g}", stop_color=shade(i / last))
        for i in range(last, -1, -1)
    ]
    parts = [
        tag("linearGradient", *stops, id="scale", x1="0", x2="0", y1="0", y2="1"),
        tag("rect", x=x, y=top, width=_BAR, height=height, fill="url(#scale)"),
    ]
    for value in (0.0, 0.5, 1.0):
        y = top + height * (1 - value)
        parts.append(tag("text", f"{value:g}", x=x + _BAR + 6, y=y + 4, class_="small"))
    return joined(parts)
