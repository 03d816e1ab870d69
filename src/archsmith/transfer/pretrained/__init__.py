"""Pretrained weights: from files, packages and hubs, and matching them to a model."""

from __future__ import annotations

from typing import Any

from ..._support.registry import Registry, load
from .base import Backbone, ImageInput

#: Backbones by name; each is a function that returns a :class:`Backbone`. Plug-ins register in the
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


#: Prefixes of names that are looked up outside the registry.
_ELSEWHERE = {
    "timm:": "archsmith.transfer.pretrained.elsewhere:timm_backbone",
    "hub:": "archsmith.transfer.pretrained.elsewhere:hub_backbone",
}


def backbone(name: str, **options: Any) -> Backbone:
    """A network with pretrained weights, by name.

    Args:
        name: one of :data:`backbones`, or ``timm:NAME``, or ``hub:OWNER/NAME``.
        options: keyword arguments of the function registered for it.

    Raises:
        UnknownNameError: an unknown name, with the nearest one.
        MissingExtraError: its extra is not installed.
        InputError: the weights cannot be obtained.

    Example:
        >>> network = backbone("efficientnet-lite0")
        >>> features = network.embed(images)       # uint8 (n, 3, h, w) to float32 (n, 1280)
    """
    for beginning, place in _ELSEWHERE.items():
        if name.startswith(beginning):
            loaded: Backbone = load(place)(name.removeprefix(beginning), **options)
            return loaded
    registered: Backbone = backbones.get(name)(**options)
    return registered


__all__ = ["Backbone", "ImageInput", "backbone", "backbones"]
