"""Vision transformers for image classification: the spaces of AutoFormer, with DeiT and ViT.

Chen et al. 2021, arXiv:2107.00651; Touvron et al. 2020, arXiv:2012.12877; Dosovitskiy et al. 2020,
arXiv:2010.11929.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import Answer, choose, one_of, repeat
from .attention import Attention, Offsets, middle, mlp, small, started
from .named import Named

#: Builder arguments of AutoFormer's three supernets (the published configuration of the
#: tiny network has a ratio of 3 as well), and of the networks of DeiT and ViT.
SCALES: dict[str, dict[str, Any]] = {
    "tiny": {"widths": (192, 216, 240), "depths": (12, 13, 14), "heads": (3, 4)},
    "small": {"widths": (320, 384, 448), "depths": (12, 13, 14), "heads": (5, 6, 7)},
    "base": {"widths": (528, 576, 624), "depths": (14, 15, 16), "heads": (8, 9, 10)},
    "plain": {"widths": (192, 384, 768, 1024), "depths": (12, 24), "heads": (3, 6, 12, 16)},
}
for _scale in SCALES.values():
    _scale |= {"ratios": (3.0, 3.5, 4.0), "head_size": 64}
_LEAST_TOKENS = 7  # on a side, with the usual patches of images that allow it
_PIXELS = 2, 16  # least and most on a side of the usual patches


def vit(
    channels: int,
    classes: int,
    height: int = 32,
    width: int = 32,
    *,
    widths: Sequence[int] = (96, 128, 192),
    depths: Sequence[int] = (4, 5, 6),
    heads: Sequence[int] = (2, 4, 6),
    ratios: Sequence[float] = (1.0, 2.0, 4.0),
    head_size: int = 32,
    patches: Sequence[int] | None = None,
) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes).

    The images are cut into patches, each of which becomes a token by one linear map; layers of
    attention and an MLP follow, each after a norm and with a shortcut. All heads have the same size
    at any width of the embedding, so that queries, keys and values are as wide as the layer's heads
    together. Searched are the size of the patches, the width of the embedding, the number of layers
    and in each its heads and its MLP, what the logits are computed from, and the positions: about
    10^7 architectures with the default arguments, 10^12 to 10^17 with those of AutoFormer.

    The logits are computed from a class token, from the mean of the patches, or, as AutoFormer was
    published, from the mean of the patches with a class token beside them. Positions are learned
    and added to the tokens, or relative ones, added to keys and values, or both as in AutoFormer.

    Args:
        channels: of the images.
        classes: outputs.
        height, width: of the images, in pixels; sides that are no multiple of the patch are padded.
        widths: of the embedding; of these, heads and ratios the middle one is the default.
        depths: numbers of layers, the default first.
        heads: numbers of attention heads of a layer.
        ratios: of the MLP's hidden width to the embedding's.
        head_size: of an attention head.
        patches: sides of a patch in pixels, the default first. If not given, the largest power of
            two that leaves 7 tokens on a side, but 2 to 16, and twice that: for images of 28 and
            32 pixels 4 and 8, for 224 pixels 16 and 32.
    """
    wide: int = choose("embed", widths, middle(widths))
    pool: str = choose("pool", ("mean", "class", "patches"))
    positions: str = choose("positions", ("learned", "relative", "both"))
    sizes = patches or fitted_patches(max(height, width))
    extra, learned = int(pool != "mean"), positions != "relative"

    def cut(size: int) -> nn.Module:
        return Tokens(channels, wide, size, _grid(height, width, size), extra, learned)

    tokens: Tokens = one_of("patch", {str(size): partial(cut, size) for size in sizes})
    reach = max(_grid(height, width, min(sizes)))

    def layer(_: int) -> nn.Module:
        count: int = choose("heads", heads, middle(heads))
        hidden = int(wide * choose("mlp_ratio", ratios, middle(ratios)))
        offsets = None if positions == "learned" else Offsets(tokens.grid, extra, head_size, reach)
        return Layer(wide, Attention(wide, wide, count, head_size, offsets), hidden)

    layers = repeat("layers", depths, layer, depths[0])
    parts = OrderedDict(tokens=tokens, layers=layers, norm=nn.LayerNorm(wide), pool=Pool(pool))
    return started(nn.Sequential(parts | {"head": nn.Linear(wide, classes)}))


class Tokens(nn.Module):
    """Images to tokens (n, tokens, wide): the patches row by row, and the class token if there is
    one. It comes last, so that the positions of patches are the same without it.

    Args:
        grid: patches in a column and in a row.
        extra: number of class tokens.
        learned: add positions that are learned.
    """

    def __init__(
        self, channels: int, wide: int, size: int, grid: tuple[int, int], extra: int, learned: bool
    ) -> None:
        super().__init__()
        self.size, self.grid = size, grid
        self.patches = nn.Conv2d(channels, wide, size, stride=size)
        self.token = small(1, extra, wide) if extra else None
        # Positions start about as large as what they are added to: with the usual 0.02 a small
        # network first learns without them. After 120 steps on digits it had 61 % instead of 94 %;
        # after 160 on CIFAR-10 there was no difference.
        places = grid[0] * grid[1] + extra
        self.positions = small(1, places, wide, std=0.5) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.size, 0, -height % self.size))
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([x, self.token.expand(x.shape[0], -1, -1)], dim=1)
        return x if self.positions is None else x + self.positions


class Layer(nn.Module):
    """``x + attention(norm(x))``, and the same with an MLP."""

    def __init__(self, wide: int, attention: nn.Module, hidden: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(wide), attention
        self.mlp_norm, self.mlp = nn.LayerNorm(wide), mlp(wide, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class Pool(nn.Module):
    """Tokens (n, length, wide) to (n, wide): the class token, or the mean of the patches.

    Args:
        how: ``"class"``, ``"patches"``, or ``"mean"`` if there is no class token.
    """

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "class":
            return x[:, -1]
        return (x if self.how == "mean" else x[:, :-1]).mean(1)


def fitted_patches(side: int) -> tuple[int, int]:
    """Sides of the patches for images of this side, the usual one first."""
    size = _PIXELS[0]
    while size < _PIXELS[1] and side // (2 * size) >= _LEAST_TOKENS:
        size *= 2
    return size, 2 * size


def _grid(height: int, width: int, size: int) -> tuple[int, int]:
    return -(-height // size), -(-width // size)


def _layers(heads: Sequence[int], ratios: Sequence[float]) -> dict[str, Answer]:
    answers: dict[str, Answer] = {"layers": len(heads)}
    for number, (count, ratio) in enumerate(zip(heads, ratios, strict=True)):
        answers |= {f"layers.{number}.heads": count, f"layers.{number}.mlp_ratio": ratio}
    return answers


def _plain(wide: int, depth: int, parameters: int, source: str, **more: Answer) -> Named:
    """A network of DeiT or ViT."""
    answers = _layers([wide // 64] * depth, [4.0] * depth)
    answers |= {"embed": wide, "pool": "class", "positions": "learned", **more}
    return Named("vit", answers, parameters, source, SCALES["plain"])


def _autoformer(
    scale: str, wide: int, heads: Sequence[int], halves: Sequence[int], parameters: int
) -> Named:
    """A searched network, by the heads of its layers and the doubled ratios of their MLPs."""
    answers = _layers(heads, [half / 2 for half in halves])
    answers |= {"embed": wide, "pool": "patches", "positions": "both"}
    source = "Chen et al. 2021, arXiv:2107.00651"
    return Named("vit", answers, parameters, source, SCALES[scale])


_DEIT = "Touvron et al. 2020, arXiv:2012.12877"
_VIT = "Dosovitskiy et al. 2020, arXiv:2010.11929"
DEIT_TINY = _plain(192, 12, 5_717_416, _DEIT)
DEIT_SMALL = _plain(384, 12, 22_050_664, _DEIT)
DEIT_BASE = _plain(768, 12, 86_567_656, _DEIT)
VIT_B_16 = _plain(768, 12, 86_567_656, _VIT)
VIT_B_32 = _plain(768, 12, 88_224_232, _VIT, patch="32")
VIT_L_16 = _plain(1024, 24, 304_326_632, _VIT)

# The three configurations that were published with the code. The tiny one is not that of the paper
# (5.7 million): the authors replaced it by one of 5.87 million that was more accurate.
AUTOFORMER_TINY = _autoformer(
    "tiny",
    192,
    (3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3),
    (7, 7, 6, 7, 6, 6, 8, 8, 7, 8, 7, 8, 7),
    5_867_944,
)
AUTOFORMER_SMALL = _autoformer(
    "small",
    384,
    (6, 6, 5, 7, 5, 5, 5, 6, 6, 7, 7, 6, 7),
    (6, 7, 6, 7, 8, 8, 8, 8, 8, 8, 8, 7, 8),
    22_891_432,
)
AUTOFORMER_BASE = _autoformer(
    "base",
    576,
    (9, 9, 9, 9, 9, 10, 9, 9, 10, 9, 10, 9, 9, 10),
    (7, 7, 8, 7, 8, 7, 7, 6, 8, 8, 6, 8, 6, 7),
    53_691_688,
)
