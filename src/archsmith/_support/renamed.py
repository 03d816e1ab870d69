"""Deprecated names of earlier versions."""

from __future__ import annotations

import warnings


def warn_renamed(old: str, new: str, stacklevel: int = 3) -> None:
    """Warn that a name was renamed, at the place that uses the old one."""
    message = f"{old} is now {new}"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)
