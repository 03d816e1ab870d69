"""The console that writes to terminals; ``output.say`` is for plain lines.

Names of classes, files and options, and the texts of failures come from data and other people's
code. Nothing in them moves the cursor, colours a line or renames the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from .visible import visible


class PlainConsole(Console):
    """A rich console for texts of any origin: no markup is read in them, no control obeyed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)  # measured as it will be shown

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:  # of rich's own making
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)
