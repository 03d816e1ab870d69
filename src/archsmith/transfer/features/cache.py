"""Features on disk, each under the digest of what they were computed from."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import Tensor

from ..._support import weights
from ..._support.errors import InputError, StoreError

#: Changes when features of one key would come out otherwise.
_FORMAT = "1"


class Cache:
    """A folder of features.

    Files are written whole or not at all. One that is damaged, or is not what its name says, is
    as good as none. A folder that is full costs a warning, not the features.

    Raises:
        InputError: there can be no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError("cache", "a folder", str(folder), str(error.strerror)) from None

    def read(self, key: str) -> tuple[Tensor, str] | None:
        """Features (n, ...) and the name of their layer, ``None`` where there are none."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            tensors, meta = weights.read(path)
        except (InputError, OSError):
            return None
        found = tensors.get("features")
        wanted = {"format": _FORMAT, "key": key}
        if found is None or any(meta.get(name) != value for name, value in wanted.items()):
            return None
        return found, meta.get("layer", "")

    def write(self, key: str, features: Tensor, layer: str) -> None:
        """Keep the features of a layer under a key."""
        meta = {"format": _FORMAT, "key": key, "layer": layer}
        try:
            weights.write(self._path(key), {"features": features}, meta)
        except StoreError as error:
            warnings.warn(f"features are not kept: {error}", stacklevel=4)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"
