"""Transformers over patches of series."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..space import choose, repeat
from .gpt import Attention, GatedMLP, Layer
from .series_parts import POOLS, Features, with_head


def patch_transformer(
    channels: int,
    outputs: int,
    length: int,
    pools: Sequence[str] = POOLS,
    widths: Sequence[int] = (32, 64, 96),
    depths: Sequence[int] = (1, 2, 3, 4),
    heads: Sequence[int] = (2, 4),
    head_size: int = 16,
) -> nn.Module:
    """Series (n, channels, length) to logits or values (n, outputs).

    Each patch of neighbouring steps, all channels together, is a token (Nie et al. 2022,
    arXiv:2211.14730, have a sequence for each channel). The layers are those of
    :func:`~archsmith.zoo.gpt.gpt`, which encode positions by rotation, without a mask. Searched are
    the size of the patches, width, depth, and the heads and the ratio of the MLP in each layer.

    Args:
        channels, length: of the series.
        outputs: number of classes, or of values to predict.
        pools: what the head may see of the tokens, the default first.
        widths: of a token.
        depths: numbers of layers.
        heads: numbers of attention heads of a layer.
        head_size: of an attention head, a multiple of 4.
    """
    features = patch_features(channels, length, widths, depths, heads, head_size)
    return with_head(features, outputs, pools)


def patch_features(
    channels: int,
    length: int,
    widths: Sequence[int] = (32, 64, 96),
    depths: Sequence[int] = (1, 2, 3, 4),
    heads: Sequence[int] = (2, 4),
    head_size: int = 16,
) -> Features:
    """The layers of :func:`patch_transformer`, without a head."""
    sizes = [size for size in (2, 4, 8, 16, 32) if size == 2 or length // size >= 4]
    size: int = choose("patch", sizes, default=max(s for s in sizes if s == 2 or s**2 <= length))
    width: int = choose("width", widths, default=64 if 64 in widths else widths[-1])

    def layer(_: int) -> nn.Module:
        attention = Attention(width, choose("heads", heads, heads[-1]), head_size, True, False)
        return Layer(width, attention, GatedMLP(width, width * choose("ratio", [2, 4]), True), 0.1)

    layers = repeat("depth", depths, layer, default=min(3, depths[-1]))
    return Features(Tokens(channels, width, min(size, length), layers), width, length // size)


class Tokens(nn.Module):
    """Patches as tokens, layers and a norm; the first steps that fill no patch are left out."""

    def __init__(self, channels: int, width: int, size: int, layers: nn.Module) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Conv1d(channels, width, size, stride=size)
        self.layers, self.norm = layers, nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        spare = x.shape[-1] % self.size
        tokens: Tensor = self.embedding(x[..., spare:]).transpose(1, 2)
        return self.norm(self.layers(tokens)).transpose(1, 2)  # type: ignore[no-any-return]
