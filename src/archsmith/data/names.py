"""Names of files as text that can be shown, stored and written."""

from __future__ import annotations

import os


def shown(name: str) -> str:
    """A file's name with bytes that are no UTF-8 escaped, ``b\\xe4r``; others as they are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
