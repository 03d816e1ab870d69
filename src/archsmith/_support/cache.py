"""Where this user's caches are: what is there may be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """``archsmith`` in the user's cache folder; ``None`` if the user has no home folder."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if not Path(named).is_absolute():  # the XDG standard says to ignore relative paths
        named = os.environ.get("LOCALAPPDATA", "") if os.name == "nt" else ""
    try:
        return (Path(named) if named else Path.home() / ".cache") / "archsmith"
    except RuntimeError:
        return None
