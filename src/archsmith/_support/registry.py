"""Registries of lazily loaded objects by name; plug-ins register through entry points."""

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
    """Objects by name, imported on first use.

    Args:
        kind: what it registers, for messages (``"strategy"``).
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
            raise InputError(
                f"{self.kind} {name!r}", "a name that is free", "one already registered"
            )
        self._places[name] = place

    def names(self) -> list[str]:
        """All names, sorted."""
        self._search()
        return sorted(self._places)

    def get(self, name: str) -> Any:
        """The registered object, imported now.

        Raises:
            UnknownNameError: no such name; the message suggests the nearest one.
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
        InputError: the module or the attribute does not exist.
    """
    module, colon, attribute = place.partition(":")
    if not (module and colon and attribute):
        raise InputError(place, "module:attribute")
    try:
        target: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        # With another name, it is an import inside the module that fails.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise InputError(place, "a module that Python can import", str(error)) from None
    for part in attribute.split("."):
        if not hasattr(target, part):
            raise InputError(place, f"{module} to have {attribute!r}", "no such attribute")
        target = getattr(target, part)
    return target


def load_from(name: str) -> Any:
    """Load a user's ``module:attribute`` or ``file.py:attribute``.

    Raises:
        SpaceError: no such file, a file that fails to import, or another module with its name.
        InputError: the module or the attribute does not exist.
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
    """The name with the absolute path of its file, so that it works from any folder."""
    place, _, attribute = name.rpartition(":")
    path = _file(place)
    return name if path is None else f"{path}:{attribute}"


def _file(place: str) -> Path | None:
    return Path(place).expanduser().resolve() if place.endswith(".py") else None


def _module_of(name: str, path: Path) -> str:
    """The module name under which Python, including worker processes, imports this file."""
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
            origin or "a built-in module, or none",
            "give the file a name that no other module has",
        )
    return path.stem


def _import_failure(error: BaseException, path: Path | None) -> str:
    """``Type: message (file:line)``; the line is in the user's file if it is known."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "<frozen" not in f.filename]
    own = [f for f in frames if path is not None and Path(f.filename).resolve() == path] or frames
    return f"{type(error).__name__}: {error} ({own[-1].filename}:{own[-1].lineno})"
