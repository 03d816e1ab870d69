"""A variational autoencoder that knows the digit it draws: own data, own loss, two inputs.

    python examples/own_data.py

No task of archsmith reads or scores this. Data, loss and metric are given as they are; the search
trains one supernet, finds the best network within a limit, trains it to the end and exports it.
"""

from __future__ import annotations

import tempfile

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas


class Conditional(nn.Module):
    """Takes pictures and their digits; gives pictures, and mean and log variance of the code."""

    def __init__(self, inner: nn.Module, width: int, code: int) -> None:
        super().__init__()
        self.digits = nn.Embedding(10, 8)
        self.encode = nn.Sequential(nn.Linear(72, width), inner, nn.Linear(width, 2 * code))
        self.decode = nn.Sequential(nn.Linear(code + 8, width), nn.ReLU(), nn.Linear(width, 64))

    def forward(self, pixels: Tensor, digit: Tensor) -> dict[str, Tensor]:
        known = self.digits(digit)
        mean, log = self.encode(torch.cat([pixels, known], 1)).chunk(2, 1)
        code = mean + torch.randn_like(mean) * (log / 2).exp() if self.training else mean
        return {"pixels": self.decode(torch.cat([code, known], 1)), "mean": mean, "log": log}


def net() -> nn.Module:
    inner = nas.one_of(
        "inner",
        {
            "relu": nn.ReLU,
            "deep": lambda: nn.Sequential(nn.ReLU(), nn.Linear(32, 32), nn.GELU()),
            "tanh": nn.Tanh,
        },
    )
    return Conditional(inner, 32, nas.choose("code", [2, 4, 8]))


def loss(outputs: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """The negative evidence lower bound."""
    near = F.mse_loss(outputs["pixels"], pixels, reduction="none").sum(1)
    mean, log = outputs["mean"], outputs["log"]
    return (near - 0.05 * (1 + log - mean**2 - log.exp()).sum(1)).mean()


def distance(outputs: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Mean squared error of each picture."""
    return (outputs["pixels"] - pixels).square().mean(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    pixels, digits = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    found = nas.search(
        net,
        data=({"pixels": pixels, "digit": digits}, pixels),
        loss=loss,
        metrics={"distance": (distance, "minimize")},
        limits={"params": 12_000},
        strategy="spos",
        epochs=6,
        trials=9,
        final_epochs=6,
        finalists=1,
    )
    assert found.best is not None
    print(found.best.architecture, found.best.test)
    with tempfile.TemporaryDirectory() as folder:
        print(found.best.export(folder).ok)
