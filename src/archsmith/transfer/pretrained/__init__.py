"""Weights from elsewhere: files, packages, hubs, and what of them fits a model."""

from __future__ import annotations

from typing import Any

from ..._support.registry import Registry, load
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


#: Beginnings of names that lead elsewhere.
_ELSEWHERE = {
    "timm:": "archsmith.transfer.pretrained.elsewhere:timm_backbone",
    "hub:": "archsmith.transfer.pretrained.elsewhere:hub_backbone",
}


def backbone(name: str, **options: Any) -> Backbone:
    """A network with weights from elsewhere, by name.

    Args:
        name: of :data:`backbones`, or ``timm:NAME``, or ``hub:OWNER/NAME``.
        options: of the function behind it.

    Raises:
        UnknownNameError: with the nearest name.
        MissingExtraError: its extra is not installed.
        InputError: weights cannot be had.
    """
    for beginning, place in _ELSEWHERE.items():
        if name.startswith(beginning):
            found: Backbone = load(place)(name.removeprefix(beginning), **options)
            return found
    made: Backbone = backbones.get(name)(**options)
    return made


__all__ = ["Backbone", "ImageInput", "backbone", "backbones"]
