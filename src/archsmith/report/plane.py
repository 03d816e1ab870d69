"""A map of features as a picture: points of a plane, a colour and a name for each class."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from ..history.numbers import short
from .sheet import HEAD, HUES, MARGIN, sheet
from .svg import joined, px, tag, text_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..transfer.features import FeatureMap

_SIDE = 600.0  # of the square that the points are in
_ROW = 19.0  # of the legend
_ROWS = 30  # of a column of the legend
_NAMED = 24  # with more classes than this, the map itself names none
_LEGEND = 60  # classes that the legend names at most
_LAYERS = 6  # classes take turns, so that the last one does not lie over all others
_LONGEST = 150.0  # of a name in the legend
_METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
_SHAPES = ("circle", "triangle", "square", "diamond", "cross")


def map_picture(made: FeatureMap, title: str = "", path: str | Path | None = None) -> str:
    """A map as the text of an SVG file.

    Each class has a colour, beyond twelve classes also a shape; if there are few enough, its name
    is written at the middle of its points.

    Args:
        made: what :func:`archsmith.feature_map` returned.
        title: of the picture.
        path: file to write the text to.
    """
    count = len(made.points)
    labels = np.zeros(count, np.int64) if made.labels is None else made.labels
    there = np.unique(labels)
    pixels = _pixels(made.points)
    radius = min(4.0, max(1.6, 80 / count**0.5))
    points = _points(pixels, labels, there, radius)
    named = made.labels is not None
    inside = [tag("rect", x=MARGIN, y=HEAD, width=_SIDE, height=_SIDE, rx="6", class_="frame")]
    inside += [points, _axes(made)]
    width = MARGIN + _SIDE + MARGIN
    if named and len(there) <= _NAMED:
        inside.append(_names(pixels, labels, there, made.names))
    if named:
        legend, wide = _legend(labels, there, made.names, width)
        inside.append(legend)
        width += wide + MARGIN
    method = _METHODS[made.method]
    classes = f" of {len(there)} classes" if named else ""
    caption = f"{method} of {count:,} examples{classes}"
    text = sheet(width, HEAD + _SIDE + 34, title or "Map of features", caption, *inside)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions in the square, with one scale for both axes and the second one upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = _SIDE - 36
    scale = room / max(float((high - low).max()), 1e-12)
    middle = np.array([MARGIN + _SIDE / 2, HEAD + _SIDE / 2])
    placed: NDArray[np.float64] = middle + (points - (low + high) / 2) * (scale, -scale)
    return placed


def _points(
    pixels: NDArray[np.float64],
    labels: NDArray[np.int64],
    there: NDArray[np.int64],
    radius: float,
) -> Markup:
    turn = np.arange(len(labels)) % _LAYERS
    parts = []
    for layer in range(_LAYERS):
        for label in there:
            own = pixels[(labels == label) & (turn == layer)]
            if len(own):
                parts.append(_mark(int(label), own, radius))
    return tag("g", *parts, opacity="0.75")


def _mark(label: int, places: NDArray[np.float64], radius: float) -> Markup:
    """The points of a class as one path."""
    hue, shape = HUES[label % len(HUES)], _SHAPES[label // len(HUES) % len(_SHAPES)]
    r = radius * 1.15
    if shape == "circle":
        dots = "".join(f"M{px(x)} {px(y)}h0" for x, y in places)
        return tag("path", d=dots, stroke=hue, stroke_width=2 * radius, stroke_linecap="round")
    if shape == "cross":
        form = f"m{px(-r)} {px(-r)}l{px(2 * r)} {px(2 * r)}m{px(-2 * r)} 0l{px(2 * r)} {px(-2 * r)}"
        crosses = "".join(f"M{px(x)} {px(y)}{form}" for x, y in places)
        return tag("path", d=crosses, stroke=hue, stroke_width=radius * 0.8, fill="none")
    form = {
        "triangle": f"m0 {px(-1.2 * r)}l{px(1.2 * r)} {px(2.1 * r)}h{px(-2.4 * r)}z",
        "square": f"m{px(-r)} {px(-r)}h{px(2 * r)}v{px(2 * r)}h{px(-2 * r)}z",
        "diamond": f"m0 {px(-1.4 * r)}l{px(1.4 * r)} {px(1.4 * r)}l{px(-1.4 * r)} {px(1.4 * r)}"
        f"l{px(-1.4 * r)} {px(-1.4 * r)}z",
    }[shape]
    return tag("path", d="".join(f"M{px(x)} {px(y)}{form}" for x, y in places), fill=hue)


def _axes(features: FeatureMap) -> Markup:
    """A caption for the axes: shares of variance for PCA; other axes have no meaning."""
    y = HEAD + _SIDE + 20
    if not features.explained:
        text = "axes have no unit; only the distances between near points have a meaning"
        return tag("text", text, x=MARGIN, y=y, class_="small")
    first, second = (f"{100 * share:.0f}%" for share in features.explained)
    text = f"across: {first} of the variance; upwards: {second}"
    return tag("text", text, x=MARGIN, y=y, class_="small")


def _names(
    pixels: NDArray[np.float64],
    labels: NDArray[np.int64],
    there: NDArray[np.int64],
    names: tuple[str, ...],
) -> Markup:
    """Names at the middles of their classes, moved apart if they would overlap."""
    boxes = []
    for label in there:
        text = shortened(names[label], _LONGEST)
        x, y = np.median(pixels[labels == label], axis=0)
        half = text_width(text, 12, bold=True) / 2
        x = min(max(x, MARGIN + half + 4), MARGIN + _SIDE - half - 4)
        boxes.append((float(y), float(x), half, text))
    boxes.sort()
    placed: list[tuple[float, float, float]] = []
    parts = []
    for y, x, half, text in boxes:
        while any(abs(y - py) < 15 and abs(x - px_) < half + other for py, px_, other in placed):
            y += 3
        placed.append((y, x, half))
        parts.append(tag("text", text, x=x, y=y + 4, class_="said mid"))
    return joined(parts)


def _legend(
    labels: NDArray[np.int64], there: NDArray[np.int64], names: tuple[str, ...], left: float
) -> tuple[Markup, float]:
    """Marks, names and numbers of examples in columns; and the width of the legend."""
    shown = there[:_LEGEND]
    texts = [shortened(names[label], _LONGEST) for label in shown]
    counts = [short(float((labels == label).sum())) for label in shown]
    wide = max(text_width(f"{t}  {c}", 12) for t, c in zip(texts, counts, strict=True)) + 34
    parts = []
    for place, (label, text, number) in enumerate(zip(shown, texts, counts, strict=True)):
        column, row = divmod(place, _ROWS)
        x, y = left + column * wide, HEAD + 8 + row * _ROW
        mark = _mark(int(label), np.array([[x + 7, y + 4]]), 4.0)
        label_text = tag(
            "text", tag("tspan", text, class_="ink"), tag("tspan", number, dx=6), x=x + 20, y=y + 8
        )
        parts.append(tag("g", mark, label_text))
    columns = math.ceil(len(shown) / _ROWS)
    if len(there) > len(shown):
        more = f"and {len(there) - len(shown)} more"
        y = HEAD + 8 + _ROWS * _ROW
        parts.append(tag("text", more, x=left, y=y + 8))
    return joined(parts), columns * wide


def shortened(text: str, width: float, size: float = 12.0) -> str:
    """A text cut at its start if it is too wide, since the ends of names tell them apart."""
    if text_width(text, size) <= width:
        return text
    while text and text_width("…" + text, size) > width:
        text = text[1:]
    return "…" + text
