"""GPT-like decoders with separate choices in every layer.

The space of HW-GPT-Bench (Sukthanker et al. 2024, arXiv:2405.10299), in its three scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space import Answer, Architecture, choose, repeat

#: Builder arguments of the benchmark's scales.
SCALES: dict[str, dict[str, tuple[int, ...]]] = {
    "s": {"widths": (192, 384, 768), "depths": (10, 11, 12), "heads": (4, 8, 12)},
    "m": {"widths": (256, 512, 1024), "depths": (22, 23, 24), "heads": (8, 12, 16)},
    "l": {"widths": (320, 640, 1280), "depths": (34, 35, 36), "heads": (8, 16, 20)},
}
#: Rows of the benchmark's embedding.
VOCABULARY = 50254
#: Ratios of an MLP's hidden width to the embedding's, in all scales.
RATIOS = (2, 3, 4)
_ROTATED = 0.5  # share of a head that rotary embedding rotates
_BASE = 10_000.0


def gpt(
    vocabulary: int,
    widths: Sequence[int] = SCALES["s"]["widths"],
    depths: Sequence[int] = SCALES["s"]["depths"],
    heads: Sequence[int] = SCALES["s"]["heads"],
    ratios: Sequence[int] = RATIOS,
    head_size: int = 64,
    dropout: float = 0.0,
    tied: bool = False,
    causal: bool = True,
) -> nn.Module:
    """Tokens int64 (n, length) to logits (n, length, vocabulary); each position sees earlier ones.

    As in the benchmark: rotary embedding on half of every head (Su et al. 2021, arXiv:2104.09864),
    attention and MLP in parallel, and a gated MLP of three matrices (Shazeer 2020,
    arXiv:2002.05202), as the recorded parameters show. All heads have the same size at any width.
    The number of heads and the MLP's ratio are asked in every layer, width and bias once.

    Args:
        vocabulary: number of tokens.
        widths: of the embedding.
        depths: numbers of layers.
        heads: numbers of attention heads of a layer.
        ratios: of the MLP's hidden width to the embedding's.
        head_size: of an attention head, a multiple of 4.
        dropout: dropout rate of each layer's output.
        tied: use one matrix for the embedding and the logits. The benchmark trained such a network
            and counts the matrix twice, so its parameters are those of ``tied=False``.
        causal: if false, each position sees all others, for masked prediction.
    """
    width: int = choose("embed", widths, default=widths[-1])
    bias: bool = choose("bias", [True, False])

    def layer(_: int) -> nn.Module:
        attention = Attention(width, choose("heads", heads, heads[-1]), head_size, bias, causal)
        mlp = GatedMLP(width, width * choose("mlp_ratio", ratios, ratios[-1]), bias)
        return Layer(width, attention, mlp, dropout)

    layers = repeat("layers", depths, layer, default=depths[-1])
    return Decoder(vocabulary, width, layers, tied)


class Attention(nn.Module):
    """Self-attention, only to earlier positions if it is causal; the heads together may be narrower
    or wider than the embedding."""

    def __init__(self, width: int, heads: int, size: int, bias: bool, causal: bool = True) -> None:
        super().__init__()
        self.heads, self.size, self.causal = heads, size, causal
        self.query_key_value = nn.Linear(width, 3 * heads * size, bias)
        self.output = nn.Linear(heads * size, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        split = self.query_key_value(x).unflatten(-1, (3, self.heads, self.size))
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (n, heads, length, size) each
        mixed = nn.functional.scaled_dot_product_attention(
            rotate(query), rotate(key), value, is_causal=self.causal
        )
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out


class GatedMLP(nn.Module):
    """``output(activation(gate(x)) * inner(x))``."""

    def __init__(
        self,
        width: int,
        hidden: int,
        bias: bool,
        activation: Callable[[Tensor], Tensor] = nn.functional.silu,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.gate = nn.Linear(width, hidden, bias)
        self.inner = nn.Linear(width, hidden, bias)
        self.output = nn.Linear(hidden, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.output(self.activation(self.gate(x)) * self.inner(x))
        return out


class Layer(nn.Module):
    """``x + attention(norm(x)) + mlp(norm(x))``, with a separate norm for each."""

    def __init__(self, width: int, attention: nn.Module, mlp: nn.Module, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp, self.dropout = attention, mlp, nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        added = self.attention(self.attention_norm(x)) + self.mlp(self.mlp_norm(x))
        out: Tensor = x + self.dropout(added)
        return out


class Decoder(nn.Module):
    """Embedding, layers, norm and logits."""

    def __init__(self, vocabulary: int, width: int, layers: nn.Module, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers, self.norm = layers, nn.LayerNorm(width)
        self.logits = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.logits.weight = self.embedding.weight
        for module in self.modules():
            # On meta there is nothing to initialise, and each call takes about a millisecond.
            if isinstance(module, nn.Linear | nn.Embedding) and not module.weight.is_meta:
                nn.init.normal_(module.weight, std=0.02)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.logits(self.norm(self.layers(self.embedding(tokens))))
        return logits


def rotate(x: Tensor, start: int = 0) -> Tensor:
    """Rotary embedding: rotates pairs in the first half of each head by position-dependent angles.

    Args:
        x: queries or keys (n, heads, length, size).
        start: position of the first of them.
    """
    half = int(x.shape[-1] * _ROTATED) // 2
    steps = torch.arange(half, device=x.device, dtype=torch.float32)
    places = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32) + start
    angles = torch.outer(places, _BASE ** (-steps / half))
    sine, cosine = angles.sin().to(x.dtype), angles.cos().to(x.dtype)
    one, two, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([one * cosine - two * sine, two * cosine + one * sine, rest], dim=-1)


def from_arch(arch: Sequence[Any], scale: str) -> Architecture:
    """An architecture from the benchmark's ``[embed, layers, heads, mlp ratios, bias]``.

    Raises:
        SpaceError: another format, or a value that the scale does not have.
    """
    shape = "[embed, layers, [heads of each layer], [MLP ratio of each layer], bias]"
    if len(arch) != 5 or not isinstance(arch[2], list) or not isinstance(arch[3], list):
        raise SpaceError("arch", shape, repr(arch))
    width, depth, heads, ratios, bias = arch
    options = SCALES[scale]
    _check("embed", width, options["widths"])
    _check("layers", depth, options["depths"])
    _check("bias", bias, (True, False))
    answers: dict[str, Answer] = {"embed": width, "bias": bias, "layers": depth}
    if not len(heads) == len(ratios) == depth:
        raise SpaceError("arch", f"{shape} with {depth} heads and ratios", repr(arch))
    for layer, (head, ratio) in enumerate(zip(heads, ratios, strict=True)):
        _check(f"layers.{layer}.heads", head, options["heads"])
        _check(f"layers.{layer}.mlp_ratio", ratio, RATIOS)
        answers[f"layers.{layer}.heads"] = head
        answers[f"layers.{layer}.mlp_ratio"] = ratio
    return Architecture(answers)


def _check(name: str, value: Any, options: Sequence[int]) -> None:
    if value not in options or type(value) is not type(options[0]):
        raise SpaceError(f"arch, {name}", f"one of {', '.join(map(str, options))}", repr(value))


def to_arch(architecture: Mapping[str, Answer]) -> list[Any]:
    """The inverse of :func:`from_arch`."""
    depth = architecture["layers"]
    assert isinstance(depth, int)
    heads = [architecture[f"layers.{layer}.heads"] for layer in range(depth)]
    ratios = [architecture[f"layers.{layer}.mlp_ratio"] for layer in range(depth)]
    return [architecture["embed"], depth, heads, ratios, architecture["bias"]]
