"""Compact descriptions of layers."""

from __future__ import annotations

import pytest
from torch import nn

from archsmith.report.describe import describe


@pytest.mark.parametrize(
    ("module", "kind", "text"),
    [
        (nn.Conv2d(16, 32, 3, 2, 1), "conv", "Conv 3×3, 16→32, /2"),
        (nn.Conv2d(16, 32, (3, 1), (2, 1)), "conv", "Conv 3×1, 16→32, /2×1"),
        (nn.Conv2d(16, 16, 5, groups=16), "conv", "Depthwise 5×5, 16"),
        (
            nn.Conv2d(16, 32, 3, groups=4, dilation=2),
            "conv",
            "Conv 3×3, 16→32, 4 groups, dilation 2",
        ),
        (nn.Conv1d(1, 4, 7), "conv", "Conv 7, 1→4"),
        (nn.ConvTranspose2d(8, 4, 2, 2), "conv", "Transposed conv 2×2, 8→4, ×2"),
        (nn.Linear(128, 10), "linear", "Linear 128→10"),
        (nn.BatchNorm2d(4), "norm", "BatchNorm"),
        (nn.GroupNorm(2, 4), "norm", "GroupNorm 2"),
        (nn.LayerNorm(4), "norm", "LayerNorm"),
        (nn.GELU(), "activation", "GELU"),
        (nn.Dropout(0.25), "dropout", "Dropout 0.25"),
        (nn.MaxPool2d(2), "pool", "Max pool 2×2, /2"),
        (nn.AvgPool2d(3, 1, 1), "pool", "Average pool 3×3"),
        (nn.AdaptiveAvgPool2d(1), "pool", "Global average pool"),
        (nn.AdaptiveMaxPool2d((4, 2)), "pool", "Adaptive max pool 4×2"),
        (nn.GRU(8, 16), "recurrent", "GRU 8→16"),
        (nn.MultiheadAttention(16, 4), "attention", "Attention 16, 4 heads"),
        (nn.PixelShuffle(2), "other", "Pixel Shuffle"),
    ],
)
def test_descriptions(module: nn.Module, kind: str, text: str) -> None:
    assert describe(module) == (kind, text)
