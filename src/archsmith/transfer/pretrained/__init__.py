"""Weights from elsewhere: files, packages, hubs, and what of them fits a model."""

from __future__ import annotations

from typing import Any

from ...registry import Registry
from .base import Backbone, ImageInput

#: Backbones by name; each is a function that gives a :class:`Backbone`. Plug-ins register in the
#: entry-point group ``archsmith.backbones``.
backbones = Registry(
    "backbone",
    "archsmith.backbones",
    {
        "efficientnet-lite0": "archsmith.transfer.pretrained.efficientnet:lite0",
        "efficientnet-lite1": "archsmith.transfer.pretrained.efficientnet:lite1",
        "efficientnet-lite2": "archsmith.transfer.pretrained.efficientnet:lite2",
        "minilm": "archsmith.transfer.pretrained.minilm:minilm",
    },
)


def backbone(name: str, **options: Any) -> Backbone:
    """A network with weights from elsewhere, by name.

    Raises:
        UnknownNameError: with the nearest name.
        MissingExtraError: its extra is not installed.
    """
    found: Backbone = backbones.get(name)(**options)
    return found


__all__ = ["Backbone", "ImageInput", "backbone", "backbones"]
