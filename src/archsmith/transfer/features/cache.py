"""Features on disk, each under the digest of the model and inputs that they came from."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import Tensor

from ..._support import weights
from ..._support.errors import InputError, StoreError

#: Incremented when features of the same key would be computed differently.
_FORMAT = "1"


class Cache:
    """A folder of features.

    Files are written completely or not at all. A file that is damaged or does not match its name is
    treated as absent. A full disk causes a warning, and the features are not cached.

    Raises:
        InputError: the folder cannot be created.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError("cache", "a folder", str(folder), str(error.strerror)) from None

    def read(self, key: str) -> tuple[Tensor, str] | None:
        """Features (n, ...) and the name of their layer, ``None`` if there are none."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            tensors, meta = weights.read(path)
        except (InputError, OSError):
            return None
        features = tensors.get("features")
        expected = {"format": _FORMAT, "key": key}
        if features is None or any(meta.get(name) != value for name, value in expected.items()):
            return None
        return features, meta.get("layer", "")

    def write(self, key: str, features: Tensor, layer: str) -> None:
        """Store the features of a layer under a key."""
        meta = {"format": _FORMAT, "key": key, "layer": layer}
        try:
            weights.write(self._path(key), {"features": features}, meta)
        except StoreError as error:
            warnings.warn(f"features are not kept: {error}", stacklevel=4)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"
