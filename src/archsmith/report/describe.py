"""What a layer is, in a few words. Imports torch; used only while a model is traced."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import singledispatch

from torch import nn

from .graph import Kind

#: Functions that are drawn although they join nothing, with their family and text.
FUNCTIONS: dict[str, tuple[Kind, str]] = {
    "relu": ("activation", "ReLU"),
    "relu_": ("activation", "ReLU"),
    "relu6": ("activation", "ReLU6"),
    "gelu": ("activation", "GELU"),
    "silu": ("activation", "SiLU"),
    "elu": ("activation", "ELU"),
    "leaky_relu": ("activation", "LeakyReLU"),
    "hardswish": ("activation", "Hardswish"),
    "sigmoid": ("activation", "Sigmoid"),
    "tanh": ("activation", "Tanh"),
    "softmax": ("activation", "Softmax"),
    "log_softmax": ("activation", "LogSoftmax"),
    "max_pool1d": ("pool", "Max pool"),
    "max_pool2d": ("pool", "Max pool"),
    "avg_pool1d": ("pool", "Average pool"),
    "avg_pool2d": ("pool", "Average pool"),
    "adaptive_avg_pool1d": ("pool", "Adaptive average pool"),
    "adaptive_avg_pool2d": ("pool", "Adaptive average pool"),
    "adaptive_max_pool2d": ("pool", "Adaptive max pool"),
    "mean": ("pool", "Mean"),
    "amax": ("pool", "Max"),
    "flatten": ("reshape", "Flatten"),
    "interpolate": ("pool", "Resize"),
    "conv1d": ("conv", "Conv"),
    "conv2d": ("conv", "Conv"),
    "linear": ("linear", "Linear"),
    "layer_norm": ("norm", "LayerNorm"),
    "batch_norm": ("norm", "BatchNorm"),
}

#: Signs for functions that join several sources.
JOINS = {
    "add": "+",
    "add_": "+",
    "sub": "−",
    "sub_": "−",
    "mul": "×",
    "mul_": "×",
    "div": "÷",
    "div_": "÷",
    "cat": "concat",
    "concat": "concat",
    "matmul": "matmul",
    "bmm": "matmul",
    "maximum": "max",
    "scaled_dot_product_attention": "attention",
}

_NORMS = (
    nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.InstanceNorm1d | nn.InstanceNorm2d
) | (nn.LayerNorm | nn.LocalResponseNorm | nn.RMSNorm)
_ACTIVATIONS = (
    nn.ReLU | nn.ReLU6 | nn.GELU | nn.SiLU | nn.ELU | nn.SELU | nn.LeakyReLU | nn.PReLU | nn.Mish
) | (nn.Hardswish | nn.Hardsigmoid | nn.Hardtanh | nn.Sigmoid | nn.Tanh | nn.Softmax | nn.Softplus)
_DROPOUTS = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.AlphaDropout
_CONVS = nn.Conv1d | nn.Conv2d | nn.Conv3d
_TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
_MAX_POOLS = nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d
_AVERAGE_POOLS = nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d
_ADAPTIVE_AVERAGE = nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d
_ADAPTIVE_MAX = nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d | nn.AdaptiveMaxPool3d


def _sizes(value: object, dimensions: int = 1) -> str:
    """A kernel size as ``3×3``."""
    sizes = list(value) if isinstance(value, Sequence) else [value] * dimensions
    return "×".join(map(str, sizes))


def _stride(value: object) -> str:
    """A stride as ``, /2``; empty if it is one."""
    sizes = list(value) if isinstance(value, Sequence) else [value]
    if all(size == 1 for size in sizes):
        return ""
    same = all(size == sizes[0] for size in sizes)
    return f", /{sizes[0]}" if same else f", /{_sizes(sizes)}"


def _dimensions(module: nn.Module) -> int:
    """1, 2 or 3, as the class name ends."""
    last = type(module).__name__[-2:-1]
    return int(last) if last.isdigit() else 1


@singledispatch
def describe(module: nn.Module) -> tuple[Kind, str]:
    """The family of a leaf module and a compact description, such as ``Conv 3×3, 16→32, /2``."""
    name = type(module).__name__
    return "other", re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name)


@describe.register
def _(module: _CONVS) -> tuple[Kind, str]:
    kernel = _sizes(module.kernel_size)
    depthwise = module.groups == module.in_channels == module.out_channels != 1
    channels = f"{module.in_channels}→{module.out_channels}"
    text = (
        f"Depthwise {kernel}, {module.in_channels}" if depthwise else f"Conv {kernel}, {channels}"
    )
    if module.groups > 1 and not depthwise:
        text += f", {module.groups} groups"
    text += _stride(module.stride)
    if any(size != 1 for size in module.dilation):
        text += f", dilation {module.dilation[0]}"
    return "conv", text


@describe.register
def _(module: _TRANSPOSED) -> tuple[Kind, str]:
    channels = f"{module.in_channels}→{module.out_channels}"
    up = _stride(module.stride).replace("/", "×")
    return "conv", f"Transposed conv {_sizes(module.kernel_size)}, {channels}{up}"


@describe.register
def _(module: nn.Linear) -> tuple[Kind, str]:
    return "linear", f"Linear {module.in_features}→{module.out_features}"


@describe.register
def _(module: nn.Embedding) -> tuple[Kind, str]:
    return "embedding", f"Embedding {module.num_embeddings}→{module.embedding_dim}"


@describe.register
def _(module: _NORMS) -> tuple[Kind, str]:
    return "norm", type(module).__name__.rstrip("123d")


@describe.register
def _(module: nn.GroupNorm) -> tuple[Kind, str]:
    return "norm", f"GroupNorm {module.num_groups}"


@describe.register
def _(module: _ACTIVATIONS) -> tuple[Kind, str]:
    return "activation", type(module).__name__


@describe.register
def _(module: _DROPOUTS) -> tuple[Kind, str]:
    return "dropout", f"Dropout {module.p:g}"


@describe.register
def _(module: nn.Identity) -> tuple[Kind, str]:
    return "identity", "Identity"


@describe.register
def _(module: nn.Flatten | nn.Unflatten) -> tuple[Kind, str]:
    return "reshape", type(module).__name__


@describe.register
def _(module: _MAX_POOLS) -> tuple[Kind, str]:
    kernel = _sizes(module.kernel_size, _dimensions(module))
    return "pool", f"Max pool {kernel}{_stride(module.stride)}"


@describe.register
def _(module: _AVERAGE_POOLS) -> tuple[Kind, str]:
    kernel = _sizes(module.kernel_size, _dimensions(module))
    return "pool", f"Average pool {kernel}{_stride(module.stride)}"


def _adaptive(size: object, word: str) -> str:
    sizes = list(size) if isinstance(size, Sequence) else [size]
    if all(value == 1 for value in sizes):
        return f"Global {word} pool"
    return f"Adaptive {word} pool {_sizes(sizes)}"


@describe.register
def _(module: _ADAPTIVE_AVERAGE) -> tuple[Kind, str]:
    return "pool", _adaptive(module.output_size, "average")


@describe.register
def _(module: _ADAPTIVE_MAX) -> tuple[Kind, str]:
    return "pool", _adaptive(module.output_size, "max")


@describe.register
def _(module: nn.RNNBase) -> tuple[Kind, str]:
    text = f"{type(module).__name__} {module.input_size}→{module.hidden_size}"
    if module.num_layers > 1:
        text += f", {module.num_layers} layers"
    return "recurrent", text + (", bidirectional" if module.bidirectional else "")


@describe.register
def _(module: nn.MultiheadAttention) -> tuple[Kind, str]:
    return "attention", f"Attention {module.embed_dim}, {module.num_heads} heads"


@describe.register
def _(module: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer) -> tuple[Kind, str]:
    attention = module.self_attn
    return "attention", f"Transformer layer {attention.embed_dim}, {attention.num_heads} heads"
