"""A profile of a space: what is known before a search, as values, JSON and an HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .._support.errors import InputError
from .facts import ProfileFacts
from .page import render_profile


@dataclass(frozen=True)
class Profile(ProfileFacts):
    """What is known of a space before a search, and the page that shows it."""

    def write(self, path: str | Path) -> None:
        """Write one self-contained HTML page.

        Raises:
            InputError: the file cannot be written.
        """
        try:
            Path(path).write_text(render_profile(self), encoding="utf-8")
        except OSError as error:
            raise InputError(str(path), "a file that can be written", error.strerror) from None
