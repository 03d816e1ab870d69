"""A model's picture as SVG. Colours come from the page's CSS classes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from markupsafe import Markup

from ..history.numbers import short
from .graph import shape_text
from .layout import Extent, Layout, layered
from .picture import Block, Box, Picture
from .svg import joined, px, tag, text_width

_TITLE, _SMALL = 12.5, 10.5  # font sizes
_PAD = 12.0  # inside a box
_FRAME = 16.0  # inside the frame of a repeated block
_HEAD = 32.0  # for the title of such a frame
_FOOT = 12.0  # below its last point
_COMMON = 280.0  # widest width that boxes share
_MARGIN = 8.0  # around the picture


def draw(picture: Picture, title: str) -> Markup:
    """One SVG element of the picture, at its natural size in pixels."""
    placed = _Placed(picture)
    width, height = placed.layout.width + 2 * _MARGIN, placed.layout.height + 2 * _MARGIN
    arrow = tag(
        "marker",
        tag("path", d="M1 1.5L7 5L1 8.5", class_="head"),
        id="arrow",
        viewBox="0 0 8 10",
        refX="7",
        refY="5",
        markerWidth="8",
        markerHeight="8",
        orient="auto",
    )
    return tag(
        "svg",
        tag("title", title),
        tag("defs", arrow),
        placed.draw(_MARGIN, _MARGIN),
        viewBox=f"0 0 {px(width)} {px(height)}",
        width=px(width),
        height=px(height),
        class_="net",
        role="img",
        style=f"min-width:{px(min(width, max(280, 0.78 * width)))}px",
    )


@dataclass(frozen=True, slots=True)
class _Texts:
    """What stands in a box: two lines on the left, two on the right."""

    title: str
    detail: str
    shape: str
    params: str

    @property
    def size(self) -> tuple[float, float]:
        left = max(text_width(self.title, _TITLE, bold=True), text_width(self.detail, _SMALL))
        right = max(text_width(self.shape, _SMALL), text_width(self.params, _SMALL))
        two = bool(self.detail) or bool(self.params)
        return left + right + 2 * _PAD + (18 if right else 0), 42.0 if two else 28.0


def _texts(box: Box) -> _Texts:
    times = f" ×{box.count}" if box.count > 1 else ""
    params = f"{short(box.params)} params" if box.params else ""
    return _Texts(box.title + times, box.detail, shape_text(box.shape), params)


class _Placed:
    """A picture with a place for everything in it."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.inner = [
            _Placed(item.picture) if isinstance(item, Block) else None for item in picture.items
        ]
        natural = [
            _texts(item).size[0]
            for item in picture.items
            if isinstance(item, Box) and not _is_pill(item)
        ]
        # Boxes of one width look calm; a very long text widens its own box only.
        self.common = min(_COMMON, max(natural, default=0.0))
        extents = [
            self._extent(item, inner) for item, inner in zip(picture.items, self.inner, strict=True)
        ]
        # A block's own ends: points that its inputs come from and its outputs go to.
        self.start, self.end = len(extents), len(extents) + 1
        self.ported = bool(picture.entries)
        edges = list(picture.edges)
        if self.ported:
            extents += [Extent(0, 0, 0), Extent(0, 0, 0)]
            edges += [(self.start, entry) for entry in picture.entries]
            edges += [(leaving, self.end) for leaving in picture.exits]
        self.edges, self.extents = edges, extents
        self.layout: Layout = layered(extents, edges)

    @property
    def port(self) -> float:
        """x where data comes in."""
        return self.layout.anchors[self.start][0]

    def _extent(self, item: Box | Block, inner: _Placed | None) -> Extent:
        if isinstance(item, Box):
            if _is_pill(item):
                half = max(13.0, text_width(_pill_text(item), _SMALL) / 2 + 10)
                return Extent(half, half, 26.0)
            width, height = _texts(item).size
            width = max(width, self.common)
            return Extent(width / 2, width / 2, height)
        assert inner is not None
        head = text_width(_block_title(item), _SMALL, bold=True) + 2 * _FRAME
        left = inner.port + _FRAME
        right = max(inner.layout.width - inner.port + _FRAME, head - left)
        return Extent(left, right, inner.layout.height + _HEAD + _FOOT)

    def draw(self, x: float, y: float) -> Markup:
        """Everything, moved by (x, y)."""
        parts = [self._edge(i, x, y) for i in range(len(self.edges))]
        for index, item in enumerate(self.picture.items):
            ax, ay = self.layout.anchors[index]
            inner = self.inner[index]
            if isinstance(item, Block) and inner is not None:
                parts.append(self._block(item, inner, self.extents[index], x + ax, y + ay))
            elif isinstance(item, Box):
                parts.append(_draw_box(item, self.extents[index], x + ax, y + ay))
        if self.ported:
            for index in (self.start, self.end):
                at, down = self.layout.anchors[index]
                parts.append(tag("circle", cx=x + at, cy=y + down, r="2.5", class_="port"))
        return joined(parts)

    def _block(self, block: Block, inner: _Placed, size: Extent, x: float, y: float) -> Markup:
        left = x - size.left
        frame = tag(
            "rect",
            x=left,
            y=y,
            width=size.left + size.right,
            height=size.height,
            rx="10",
            class_="frame",
        )
        title = tag("text", _block_title(block), x=left + _FRAME, y=y + 18, class_="times")
        return joined([frame, title, inner.draw(left + _FRAME, y + _HEAD)])

    def _edge(self, index: int, x: float, y: float) -> Markup:
        source, target = self.edges[index]
        (sx, sy), (tx, ty) = self.layout.anchors[source], self.layout.anchors[target]
        inner = self.inner[source] if source < len(self.inner) else None
        if inner is not None:
            sx += inner.layout.anchors[inner.end][0] - inner.port
        sy += self.extents[source].height
        points = [(sx, sy), *self.layout.routes[index], (tx, ty)]
        last = target == self.end and self.ported
        head = None if last else "url(#arrow)"
        return tag("path", d=_curve(points, x, y), class_="edge", marker_end=head)


def _curve(points: list[tuple[float, float]], x: float, y: float) -> str:
    """A path through the points that leaves and arrives vertically everywhere."""
    start = points[0]
    path = f"M{px(start[0] + x)} {px(start[1] + y)}"
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        end = f"{px(bx + x)} {px(by + y)}"
        if abs(ax - bx) < 0.05:
            path += f"L{end}"
        else:
            middle = px((ay + by) / 2 + y)
            path += f"C{px(ax + x)} {middle} {px(bx + x)} {middle} {end}"
    return path


def _is_pill(box: Box) -> bool:
    return box.kind in ("join", "input", "output")


def _pill_text(box: Box) -> str:
    text = f"{box.title} · {box.detail}" if box.detail else box.title
    shape = shape_text(box.shape)
    return f"{text} {shape}" if box.kind != "join" and shape else text


def _block_title(block: Block) -> str:
    return f"{block.title} ×{block.count} · {short(block.params)} params"


def _hover(box: Box) -> Markup:
    paths = ", ".join(box.paths[:6]) + (", …" if len(box.paths) > 6 else "")
    return tag("title", f"{box.title} — {paths}") if paths else Markup("")


def _draw_box(box: Box, size: Extent, x: float, y: float) -> Markup:
    width = size.left + size.right
    left = x - size.left
    if _is_pill(box):
        shape = tag("rect", x=left, y=y, width=width, height=size.height, rx="13")
        style = "sign" if box.title in "+−×÷" and not box.detail else "small"
        label = tag("text", _pill_text(box), x=x, y=y + 17.0, text_anchor="middle", class_=style)
        return tag("g", shape, label, class_=f"box pill {box.kind}")
    texts = _texts(box)
    two = size.height > 30
    rect = tag("rect", x=left, y=y, width=width, height=size.height, rx="7")
    bar = tag("path", d=f"M{px(left + 1.5)} {px(y + 8)}v{px(size.height - 16)}", class_="bar")
    base, second = y + (18.0 if two else 18.5), y + 33.0
    right = left + width - _PAD
    lines = [
        tag("text", texts.title, x=left + _PAD, y=base, class_="title"),
        tag("text", texts.shape, x=right, y=base, text_anchor="end", class_="small"),
        tag("text", texts.detail, x=left + _PAD, y=second, class_="small"),
        tag("text", texts.params, x=right, y=second, text_anchor="end", class_="small"),
    ]
    written = [line for line in lines if not line.endswith("/>")]
    return tag("g", _hover(box), rect, bar, *written, class_=f"box {box.kind}")
