"""Networks with weights that were learned before, as layers for a :mod:`~.backbone`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .._support.errors import InputError
from ..space import Architecture
from ..space.building import architecture_policy
from ..space.reading import Reading, reading
from . import spaces
from .efficientnet_lite import VARIANTS, efficientnet_lite
from .hrnet import Branches, MultiResolution
from .vit import Tokens

#: How a pretrained backbone is trained: with a learning rate that falls from its last layer to its
#: first, with the learning rate of the rest, or not at all.
TRAININGS = ("layerwise", "tuned", "frozen")
#: Factor from the learning rate of a layer to that of the layer before it (He et al. 2021,
#: arXiv:2111.06377, table 9).
LAYER_DECAY = 0.75


class Pretrained(dict[str, Any]):
    """An image classifier, and how a space uses it as a backbone; JSON values, so that an export of
    a model on it can be rebuilt without its weights.

    Its items are ``space``, ``arguments`` and ``answers``, which build it (``space`` may also be
    one of :data:`~.efficientnet_lite.VARIANTS`); ``mean`` and ``std``, by channel, of its images
    for values in [0, 1], and ``seen``, those of the task's; ``training``, the options of
    :data:`TRAININGS`; ``checksum`` of its weights.

    Attributes:
        state: its weights, without those of a head that is left out; ``None`` for new ones.
    """

    def __init__(
        self, description: Mapping[str, Any], state: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__(description)
        self.state = state

    def having(self, **items: Any) -> Pretrained:
        """The same with other items."""
        return Pretrained({**self, **items}, self.state)


def classifier_of(given: Mapping[str, Any]) -> nn.Sequential:
    """The network, head included, with its weights; see :class:`Pretrained`.

    Raises:
        InputError: its layers do not follow one another.
    """
    if given["space"] in VARIANTS:
        model: nn.Module = efficientnet_lite(*VARIANTS[given["space"]])
    else:
        answers = Architecture.from_json(given["answers"])
        run = Reading(architecture_policy(answers))
        with reading(run):
            model = spaces.get(given["space"])(**given["arguments"])
            run.settle(model)
    layers = _as_maps(model)
    if not isinstance(layers, nn.Sequential):
        raise InputError(
            "backbone",
            "a network whose layers follow one another",
            f"{type(model).__name__}, of the space {given['space']}",
        )
    state = getattr(given, "state", None)
    if state is not None and not next(model.parameters()).is_meta:
        model.load_state_dict(state, strict=False)
    return layers


def _as_maps(model: nn.Module) -> nn.Module:
    """A vision transformer with its tokens as a map, branches of several resolutions as one layer;
    other networks unchanged."""
    if isinstance(model, MultiResolution):
        return nn.Sequential(Branches(model))
    tokens = model[0] if isinstance(model, nn.Sequential) else None
    if not isinstance(tokens, Tokens):
        return model
    named = dict(model.named_children())
    kept = OrderedDict((name, named[name]) for name in ("tokens", "layers", "norm"))
    kept["map"] = Grid(*tokens.grid)
    return nn.Sequential(OrderedDict(tokens=nn.Sequential(kept)))


class Grid(nn.Module):
    """Tokens (n, tokens, wide), the patches first, to a map (n, wide, height, width)."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.size = height, width

    def forward(self, tokens: Tensor) -> Tensor:
        high, wide = self.size
        patches = tokens[:, : high * wide].transpose(1, 2)
        return patches.reshape(patches.shape[0], patches.shape[1], high, wide)


class Renormalised(nn.Module):
    """A task's images (n, channels, h, w), normalised by its own data, to the images that a network
    was trained on. A grey channel is repeated; of colours it is the mean.

    Args:
        seen: mean and standard deviation of each of the task's channels.
        wanted: the same of the network's.

    Raises:
        InputError: other numbers of channels, neither of them 1.
    """

    def __init__(
        self,
        seen: tuple[Sequence[float], Sequence[float]],
        wanted: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        super().__init__()
        given, channels = len(seen[0]), len(wanted[0])
        if given != channels and 1 not in (given, channels):
            raise InputError(
                "backbone",
                f"images of {channels} channels, as it was trained on, or grey ones",
                f"{given} channels",
                "give it images with those channels, or a backbone trained on grey ones",
            )
        self.seen, self.wanted = seen, wanted

    def forward(self, images: Tensor) -> Tensor:
        mean, std = (_by_channel(images, values) for values in self.seen)
        pixels = images * std + mean
        if len(self.wanted[0]) == 1:
            pixels = pixels.mean(1, keepdim=True)
        mean, std = (_by_channel(images, values) for values in self.wanted)
        return (pixels - mean) / std


def _by_channel(like: Tensor, values: Sequence[float]) -> Tensor:
    return like.new_tensor([*values]).view(1, -1, 1, 1)
