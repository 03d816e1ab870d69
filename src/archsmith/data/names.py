"""File names as text that can be displayed and stored."""

from __future__ import annotations

import os


def shown(name: str) -> str:
    """A file name with bytes that are not UTF-8 escaped, ``b\\xe4r``; others are unchanged."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
