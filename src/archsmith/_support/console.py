"""The console that writes to terminals; ``output.say`` is for plain lines.

Names of classes, files and options, and error texts come from data and third-party code. Nothing in
them can move the cursor, colour a line or rename the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from .visible import visible


class PlainConsole(Console):
    """A rich console for untrusted text: markup and control characters have no effect."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)  # its width is measured as shown

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:  # produced by rich itself
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)
