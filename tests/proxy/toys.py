"""Tiny networks and batches that scores can be computed for by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsmith.proxy import Batch


def seeded(build, seed=0):
    """A module with weights of a seed, in double precision."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().double()


def mlp() -> nn.Module:
    """Five numbers to three logits, 7 activations."""
    return seeded(lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)))


def convnet() -> nn.Module:
    """Images (n, 2, 5, 5) to three logits, with BatchNorm."""
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        )
    )


def numbers(count=6, shape=(5,), classes=3, seed=1) -> Batch:
    """Normal inputs in double precision, every class in turn."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    return Batch(inputs, torch.arange(count) % classes, F.cross_entropy)


def pictures(count=6, seed=1) -> Batch:
    return numbers(count, (2, 5, 5), seed=seed)


def tokens(count=6, length=7, classes=3, seed=1) -> Batch:
    """Indices below 20."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(20, (count, length), generator=generator)
    return Batch(inputs, torch.arange(count) % classes, F.cross_entropy)


class Transformer(nn.Module):
    """Tokens to three logits."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.encoder(self.table(x)).mean(1))
        return found


class Recurrent(nn.Module):
    """Tokens to three logits."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.layer = kind(8, 8, batch_first=True, num_layers=2, dropout=0.5)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.layer(self.table(x))[0][:, -1])
        return found
