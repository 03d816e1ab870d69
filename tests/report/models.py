"""Small real models with known data flow."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions beside a shortcut, which is a 1×1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)


class ResNet(nn.Module):
    """A stem, three stages of residual blocks and a classifier, for images of one channel."""

    def __init__(self, width: int = 16, depth: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        stages, inputs = [], width
        for stage in range(3):
            outputs = width * 2**stage
            blocks = [Residual(inputs, outputs, 1 if stage == 0 else 2)]
            blocks += [Residual(outputs, outputs) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(inputs, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x)))


def relu_conv_bn(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


class Cell(nn.Module):
    """A cell of four nodes; each node is the sum of an edge from every earlier one."""

    def __init__(self, channels: int, edges: dict[tuple[int, int], str]) -> None:
        super().__init__()
        makers = {
            "conv1": lambda: relu_conv_bn(channels, 1),
            "conv3": lambda: relu_conv_bn(channels, 3),
            "pool": lambda: nn.AvgPool2d(3, 1, 1),
            "skip": nn.Identity,
        }
        self.edges = nn.ModuleDict(
            {f"{i}to{j}": makers[op]() for (i, j), op in edges.items() if op != "none"}
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for j in range(1, 4):
            found = [
                self.edges[f"{i}to{j}"](nodes[i]) for i in range(j) if f"{i}to{j}" in self.edges
            ]
            nodes.append(sum(found[1:], found[0]))
        return nodes[3]


EDGES = {
    (0, 1): "conv3",
    (0, 2): "conv1",
    (1, 2): "pool",
    (0, 3): "skip",
    (1, 3): "conv3",
    (2, 3): "conv1",
}


class CellNet(nn.Module):
    """Stacked cells with a reduction between, like the skeleton of NAS-Bench-201."""

    def __init__(self, cells: int = 5, channels: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels))
        layers: list[nn.Module] = []
        for stage in range(3):
            if stage:
                layers.append(Residual(channels, channels * 2, 2))
                channels *= 2
            layers += [Cell(channels, EDGES) for _ in range(cells)]
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Reader(nn.Module):
    """Token ids to a class through an embedding and an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 24)
        self.lstm = nn.LSTM(24, 32, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(self.embed(x))
        return self.head(out[:, -1])
