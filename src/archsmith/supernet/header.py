"""The header of a supernet's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .._support.errors import InputError

if TYPE_CHECKING:
    from ..space import Space

FORMAT = 1


def check_header(meta: Mapping[str, str], space: Space, source: str) -> None:
    """Check that a file belongs to this space and format.

    Raises:
        InputError: the file is of another space, or of another format.
    """
    if meta.get("fingerprint") != space.fingerprint:
        raise InputError(
            source,
            f"a supernet of the space {space.name} with these arguments",
            f"one of {meta.get('space', 'another kind')}, {meta.get('arguments', '')}",
            "open it with the space it was trained for",
        )
    if meta.get("format") != str(FORMAT):
        raise InputError(
            source,
            f"a supernet file of format {FORMAT}",
            f"format {meta.get('format')}",
            "open it with the archsmith version that wrote it",
        )
