"""New heads: on a backbone, or replacing a classifier's old one."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from ..pretrained.base import Backbone, ImageInput
from ..pretrained.fit import head_name


class TaskInput(nn.Module):
    """From a task's prepared inputs to a backbone's: size, channels, normalisation.

    Args:
        mean, std: of the task's data, of values in [0, 1], each (channels,).
        wanted: the input of the backbone.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Any, std: Any, wanted: ImageInput) -> None:
        super().__init__()
        if len(mean) not in (1, wanted.channels):
            raise InputError(
                "images",
                f"1 or {wanted.channels} channels, as the backbone takes",
                f"{len(mean)} channels",
                "a backbone that was trained on such images",
            )
        self.wanted = wanted
        shape = (1, -1, 1, 1)
        for name, values in (("mean", mean), ("std", std)):
            numbers = torch.tensor([float(v) for v in values]).view(shape)
            self.register_buffer(name, numbers, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.wanted.normalise((inputs * self.std + self.mean) * 255)


def make_head(dim: int, outputs: int, hidden: int = 0, dropout: float = 0.0) -> nn.Module:
    """Embeddings (n, dim) to (n, outputs): linear, or with a hidden layer of ``hidden`` ReLUs."""
    layers: list[nn.Module] = [nn.Dropout(dropout)] if dropout else []
    if hidden:
        layers += [nn.Linear(dim, hidden), nn.ReLU()]
    layers.append(nn.Linear(hidden or dim, outputs))
    return nn.Sequential(*layers) if len(layers) > 1 else layers[0]


def with_head(
    backbone: Backbone,
    outputs: int,
    facts: Mapping[str, Any],
    *,
    hidden: int = 0,
    dropout: float = 0.0,
) -> nn.Sequential:
    """A model for a task on a backbone: ``inputs``, ``backbone`` and ``head``, a plain module.

    Args:
        backbone: of images; its module is used itself, not copied.
        outputs: of the head.
        facts: of the data, with the task's normalisation (``mean``, ``std``).
        hidden: width of a hidden layer in the head; 0 has none.

    Raises:
        InputError: a backbone that reads no images, or images that it does not take.
    """
    if backbone.kind != "images" or not isinstance(backbone.prepare, ImageInput):
        raise InputError(f"backbone {backbone.name}", "one that reads images", backbone.kind)
    inputs = TaskInput(facts["mean"], facts["std"], backbone.prepare)
    head = make_head(backbone.dim, outputs, hidden, dropout)
    return nn.Sequential(OrderedDict(inputs=inputs, backbone=backbone.model, head=head))


def new_head(
    model: nn.Module, outputs: int, *, hidden: int = 0, dropout: float = 0.0
) -> tuple[nn.Module, str]:
    """A copy of a classifier with a new head instead of its last layer; and the head's name.

    Raises:
        InputError: its last layer with weights is not linear.
    """
    name, old = _head_of(model)
    fresh = make_head(old.in_features, outputs, hidden, dropout).to(old.weight.device)
    if not name:
        return fresh, ""
    copied = copy.deepcopy(model)
    copied.set_submodule(name, fresh)
    return copied, name


def as_backbone(model: nn.Module, prepare: ImageInput, name: str = "own") -> Backbone:
    """A trained image classifier as a backbone: a copy without its last layer.

    Args:
        prepare: its input; ``ImageInput.of(data.facts)`` for a model trained by archsmith.

    Raises:
        InputError: its last layer with weights is not linear.
    """
    place, old = _head_of(model)
    if not place:
        raise InputError("model", "layers before its head", "a single linear layer")
    copied = copy.deepcopy(model)
    copied.set_submodule(place, nn.Identity())
    return Backbone(name, copied.eval(), old.in_features, prepare)


def _head_of(model: nn.Module) -> tuple[str, nn.Linear]:
    name = head_name(model)
    old = model.get_submodule(name)
    if not isinstance(old, nn.Linear):
        kind = type(old).__name__ if name else "no layer with weights"
        raise InputError(
            f"head {name}",
            "a linear layer as the last one with weights",
            kind,
            "give the model its new head by hand, and tune it with head='keep'",
        )
    return name, old
