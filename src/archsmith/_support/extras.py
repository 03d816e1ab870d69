"""Packages that only some installations have."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import MissingExtraError


def require(module: str, extra: str, where: str, package: str | None = None) -> Any:
    """Import an optional module.

    Args:
        package: its name in the package index, if that differs.

    Raises:
        MissingExtraError: it is not installed; with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        name = package or module
        raise MissingExtraError(
            where, f"the package {name}", "none installed", f"pip install 'archsmith[{extra}]'"
        ) from None
