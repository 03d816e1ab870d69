"""A chart as an SVG file of its own, with page, heading and colours."""

from __future__ import annotations

from markupsafe import Markup

from .svg import px, tag

MARGIN = 18.0
#: Height of title and subtitle.
HEAD = 56.0
#: archsmith's own colours first; no two neighbours are alike in both hue and lightness.
HUES = (
    "#2458c5",
    "#c2410c",
    "#0b7d6f",
    "#8a3fa0",
    "#c99700",
    "#be185d",
    "#5d9414",
    "#38a3dd",
    "#6b7280",
    "#7c3a17",
    "#17181c",
    "#e17a9c",
)
_STYLE = """
svg { --ink: #17181c; --soft: #5d616b; --line: #e5e5e2; --grey: #9a9da6; --page: #ffffff;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans",
  sans-serif; }
text { fill: var(--soft); font-size: 12px; } .small { font-size: 11px; } .cell { font-size: 10px; }
.title { font-size: 15px; font-weight: 650; fill: var(--ink); } .ink { fill: var(--ink); }
.end { text-anchor: end; } .mid { text-anchor: middle; } .paper { fill: var(--page); }
.frame { fill: none; stroke: var(--line); } .axis { stroke: var(--grey); fill: none; }
.said { font-size: 12px; font-weight: 600; fill: var(--ink); paint-order: stroke;
  stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
"""


def sheet(
    width: float, height: float, title: str, caption: str, *inside: Markup, style: str = ""
) -> str:
    """The text of an SVG file with a heading above the drawing; ``style`` adds to the styles."""
    return str(
        tag(
            "svg",
            tag("title", title),
            tag("style", Markup(_STYLE + style)),
            tag("rect", width=width, height=height, class_="paper"),
            tag("text", title, x=MARGIN, y=24.0, class_="title"),
            tag("text", caption, x=MARGIN, y=42.0),
            *inside,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {px(width)} {px(height)}",
            width=width,
            height=height,
            role="img",
        )
    )
