"""Names to things, loaded when first used; plug-ins come through entry points by the same door."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from .errors import InputError, SpaceError, unknown


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
        # Another name is of something that the module itself imports.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise InputError(place, "a module that Python can import", str(error)) from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(place, f"{module} to have {attribute!r}", "no such attribute")
        found = getattr(found, part)
    return found


def load_from(name: str) -> Any:
    """What a user's own ``module:attribute`` or ``file.py:attribute`` names.

    Raises:
        SpaceError: no such file, one that does not import, or another module of its name.
        InputError: the module or the attribute is not there.
    """
    place, _, attribute = name.rpartition(":")
    path = _file(place)
    if path is not None:
        place = _module_of(name, path)
    elif "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return load(f"{place}:{attribute}")
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise SpaceError(name, "a file that imports", _import_failure(error, path)) from error


def absolute(name: str) -> str:
    """The name with a file by its absolute path: it must do from another folder."""
    place, _, attribute = name.rpartition(":")
    path = _file(place)
    return name if path is None else f"{path}:{attribute}"


def _file(place: str) -> Path | None:
    return Path(place).expanduser().resolve() if place.endswith(".py") else None


def _module_of(name: str, path: Path) -> str:
    """The name under which Python, worker processes included, imports this very file."""
    if not path.is_file():
        raise SpaceError(name, "a Python file", f"nothing at {path}")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    importlib.invalidate_caches()
    module = sys.modules.get(path.stem)
    if module is not None:
        origin = getattr(module, "__file__", None)
    else:
        spec = importlib.util.find_spec(path.stem) if "." not in path.stem else None
        origin = spec.origin if spec else None
    if origin is None or Path(origin).resolve() != path:
        raise SpaceError(
            name,
            f"the module {path.stem!r} to be {path}",
            origin or "a module of Python itself, or none",
            "give the file a name that no other module has",
        )
    return path.stem


def _import_failure(error: BaseException, path: Path | None) -> str:
    """``Type: message (file:line)``; the line is in the user's file where one is known."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "<frozen" not in f.filename]
    own = [f for f in frames if path is not None and Path(f.filename).resolve() == path] or frames
    return f"{type(error).__name__}: {error} ({own[-1].filename}:{own[-1].lineno})"
