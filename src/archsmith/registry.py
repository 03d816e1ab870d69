"""Names to things, loaded when first used; plug-ins come through entry points by the same door."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from .errors import InputError, unknown


class Registry:
    """What is available under a name.

    Args:
        kind: what is registered, for messages (``"strategy"``).
        group: entry-point group that plug-ins register in (``"archsmith.strategies"``).
        builtin: name to ``"module:attribute"``; nothing is imported before :meth:`get`.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group = kind, group
        self._places: dict[str, str | Callable[[], Any]] = dict(builtin)
        self._searched = False

    def register(self, name: str, place: str) -> None:
        """Add a name by hand: ``place`` is ``"module:attribute"``."""
        if name in self._places:
            raise InputError(f"{self.kind} {name!r}", "a name that is not taken", "a taken one")
        self._places[name] = place

    def names(self) -> list[str]:
        """All names, sorted."""
        self._search()
        return sorted(self._places)

    def get(self, name: str) -> Any:
        """The thing itself, imported now.

        Raises:
            UnknownNameError: with the nearest name.
        """
        if name not in self._places:
            self._search()
        if name not in self._places:
            raise unknown(self.kind, name, self._places)
        place = self._places[name]
        return load(place) if isinstance(place, str) else place()

    def _search(self) -> None:
        if self._searched:
            return
        self._searched = True
        for point in entry_points(group=self.group):
            self._places.setdefault(point.name, point.load)


def load(place: str) -> Any:
    """Import ``"module:attribute"``.

    Raises:
        InputError: the module or the attribute is not there.
    """
    module, colon, attribute = place.partition(":")
    if not (module and colon and attribute):
        raise InputError(place, "module:attribute")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise InputError(place, "a module that Python can import", str(error)) from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(place, f"{module} to have {attribute!r}", "no such attribute")
        found = getattr(found, part)
    return found
