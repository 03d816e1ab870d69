"""Options on a part of the channels, as in PC-DARTS (Xu et al. 2020, arXiv:1907.05737)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..._support.errors import SpaceError
from .mixture import MixingWeights, Mixture

_CHANNELS_FIRST = (_ConvNd, _NormBase, nn.GroupNorm)
_CHANNELS_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm)
_MEND = "or use a method that mixes all channels, such as darts or gdas"


class PartialMixture(Mixture):
    """The options see one channel in ``parts``; the others bypass them, and all are shuffled.

    Input and output have the same number of channels: in dimension 1, or in the last one where the
    options hold linear layers and neither convolutions nor batch norms. Where the options make a
    picture smaller, the channels that bypass them are max-pooled to its size.
    """

    hint = f"write options that take their sizes from layers or from their input, {_MEND}"

    def __init__(
        self, decision: str, options: Mapping[str, nn.Module], source: MixingWeights, parts: int
    ) -> None:
        super().__init__(decision, options, source)
        self.parts, self.dim = parts, -1 if _last(options.values()) else 1

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The mixture of a part, joined with the rest: (n, c, ...) to (n, c, ...).

        Raises:
            SpaceError: channels that do not divide evenly, inputs other than one tensor, or options
                that change the number of channels.
        """
        if len(inputs) != 1 or named or not isinstance(inputs[0], Tensor):
            raise SpaceError(
                self.decision,
                "options of one tensor, of which they see a part of the channels",
                f"{len(inputs) + len(named)} inputs",
                f"take one tensor, {_MEND}",
            )
        x = inputs[0]
        channels = x.shape[self.dim]
        _divide(channels, self.parts, self.decision, "channels")
        mix = self.source[self.decision]
        first, *rest = x.chunk(self.parts, self.dim)
        out = self._sum(mix, (first.contiguous(),), {})
        if not isinstance(out, Tensor) or out.shape[self.dim] * self.parts != channels:
            got = out.shape[self.dim] * self.parts if isinstance(out, Tensor) else "no tensor"
            raise SpaceError(
                self.decision,
                f"options that keep the {channels} input channels",
                str(got),
                f"change the number of channels outside of the choice, {_MEND}",
            )
        if mix.bypass and out.shape == first.shape:
            out = out + mix.bypass * first
        if out.shape[2:] != first.shape[2:] and self.dim == 1 and x.ndim == 4:
            rest = [functional.adaptive_max_pool2d(part, out.shape[2:]) for part in rest]
        # One copy joins the parts and shuffles them: channel c of part k to c * parts + k.
        after = 2 if self.dim == 1 else -1
        shuffled = torch.stack([out, *rest], after)
        joined = shuffled.flatten(1, 2) if self.dim == 1 else shuffled.flatten(-2)
        return joined if mix.scale is None else joined * mix.scale


def narrow(option: nn.Module, parts: int, where: str) -> None:
    """Make the layers of an option narrower, in place: 1/``parts`` of their channels.

    Their tensors are replaced by empty ones, to be lent. Convolutions, linear layers and
    normalisations can be made narrower; sizes of 1 stay.

    Args:
        where: decision and label, for messages.

    Raises:
        SpaceError: a layer with other parameters, or channels that do not divide evenly.
    """
    if parts == 1:
        return
    for module in option.modules():
        tensors = [n for n, p in module._parameters.items() if p is not None]
        for kind, shrink in _SHRINK.items():
            if isinstance(module, kind) and set(tensors) <= {"weight", "bias"}:
                shrink(module, lambda size, what: _divide(size, parts, where, what))
                break
        else:
            if tensors:
                raise SpaceError(
                    where,
                    "layers that can be made narrower (Conv, Linear, normalisations)",
                    f"{type(module).__name__} with {', '.join(tensors)}",
                    f"write it with those layers, {_MEND}",
                )


#: Divides a size by the number of parts: the size, and its name for messages.
Divide = Callable[[int, str], int]


def _conv(layer: Any, divide: Divide) -> None:
    inside = divide(layer.in_channels, "input channels")
    outside = divide(layer.out_channels, "output channels")
    if layer.groups == layer.in_channels:  # depthwise: a group for each channel
        layer.groups = inside
    elif inside % layer.groups or outside % layer.groups:
        # As many groups as before, or the tensors would not be parts of the lent ones.
        divide(-layer.groups, "groups of channels")
    layer.in_channels, layer.out_channels = inside, outside
    rows, columns = (
        (inside, outside // layer.groups)
        if isinstance(layer, _ConvTransposeNd)
        else (outside, inside // layer.groups)
    )
    _empty(layer, "weight", (rows, columns, *layer.weight.shape[2:]))
    _empty(layer, "bias", (outside,))


def _linear(layer: Any, divide: Divide) -> None:
    layer.in_features = divide(layer.in_features, "input features")
    layer.out_features = divide(layer.out_features, "output features")
    _empty(layer, "weight", (layer.out_features, layer.in_features))
    _empty(layer, "bias", (layer.out_features,))


def _norm(layer: Any, divide: Divide) -> None:
    layer.num_features = divide(layer.num_features, "channels")
    for name in ("weight", "bias", "running_mean", "running_var"):
        _empty(layer, name, (layer.num_features,))


def _group_norm(layer: Any, divide: Divide) -> None:
    channels = divide(layer.num_channels, "channels")
    if channels % layer.num_groups:
        layer.num_groups = divide(layer.num_groups, "groups of channels")
    layer.num_channels = channels
    _empty(layer, "weight", (channels,))
    _empty(layer, "bias", (channels,))


def _layer_norm(layer: Any, divide: Divide) -> None:
    first, *others = layer.normalized_shape
    layer.normalized_shape = (divide(first, "features"), *others)
    _empty(layer, "weight", layer.normalized_shape)
    if isinstance(layer, nn.LayerNorm):
        _empty(layer, "bias", layer.normalized_shape)


def _prelu(layer: Any, divide: Divide) -> None:
    layer.num_parameters = divide(layer.num_parameters, "channels")
    _empty(layer, "weight", (layer.num_parameters,))


_SHRINK: dict[Any, Callable[[Any, Divide], None]] = {
    _ConvNd: _conv,
    nn.Linear: _linear,
    _NormBase: _norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _layer_norm,
    nn.PReLU: _prelu,
}


def _empty(layer: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    """Give a tensor another shape; one that the layer does not have is skipped."""
    parameter = layer._parameters.get(name)
    buffer = layer._buffers.get(name)
    if parameter is not None:
        layer._parameters[name] = nn.Parameter(parameter.new_empty(shape))
    elif buffer is not None:
        # Filled with its initial value: a buffer that is not lent keeps it.
        layer._buffers[name] = buffer.new_full(shape, 1.0 if name == "running_var" else 0.0)


def _divide(size: int, parts: int, where: str, what: str) -> int:
    if size == 1:
        return 1
    if size < 0 or size % parts:
        raise SpaceError(
            where,
            f"{what} that divide into {parts} parts",
            str(abs(size)),
            f"choose widths that are multiples of {parts}, {_MEND}",
        )
    return size // parts


def _last(options: Iterable[nn.Module]) -> bool:
    """Whether the channels are the last dimension."""
    inside = [module for option in options for module in option.modules()]
    if any(isinstance(module, _CHANNELS_FIRST) for module in inside):
        return False
    return any(isinstance(module, _CHANNELS_LAST) for module in inside)
