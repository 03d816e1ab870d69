"""Names of earlier versions, which still work."""

from __future__ import annotations

import warnings


def warn_renamed(old: str, new: str, stacklevel: int = 3) -> None:
    """Say that a name has become another one, at the place that used it."""
    told = f"{old} is {new} now"
    warnings.warn(told, DeprecationWarning, stacklevel=stacklevel)
