"""Shared weights for a residual network: one store trains all widths, depths and kinds of block.

The network is written as one writes it: blocks, ``_make_layer``, attributes. Four questions are
asked on the way; nothing else is made for sharing.
"""

import random

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import archsmith as nas


def conv(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(inside, outside, 3, stride), nn.BatchNorm2d(outside)
        self.conv2, self.bn2 = conv(outside, outside, 3), nn.BatchNorm2d(outside)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))


class Bottleneck(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        narrow = outside // 2
        self.conv1, self.bn1 = conv(inside, narrow, 1), nn.BatchNorm2d(narrow)
        self.conv2, self.bn2 = conv(narrow, narrow, 3, stride), nn.BatchNorm2d(narrow)
        self.conv3, self.bn3 = conv(narrow, outside, 1), nn.BatchNorm2d(outside)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


class Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.body = nas.one_of(
            "block",
            {
                "basic": lambda: BasicBlock(inside, outside, stride),
                "bottleneck": lambda: Bottleneck(inside, outside, stride),
            },
        )
        self.shortcut = None
        if stride != 1 or inside != outside:
            projection = conv(inside, outside, 1, stride)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nn.Module):
    """Images (n, channels, height, width) to logits (n, classes)."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.width = nas.choose("stem", [8, 16])
        self.stem = nn.Sequential(conv(channels, self.width, 3), nn.BatchNorm2d(self.width))
        self.layer1 = self._make_layer("layer1", [8, 12, 16], 1)
        self.layer2 = self._make_layer("layer2", [16, 24, 32], 2)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(self.width, classes)

    def _make_layer(self, name: str, widths: list[int], stride: int) -> nn.Sequential:
        layers = []
        with nas.scope(name):
            width = nas.choose("width", widths)
            for i in range(nas.choose("depth", [1, 2, 3])):
                with nas.scope(f"block{i}"):
                    layers.append(Residual(self.width, width, stride if i == 0 else 1))
                self.width = width
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(torch.relu(self.stem(x))))
        return self.fc(self.pool(x).flatten(1))


if __name__ == "__main__":
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    targets = torch.tensor(digits.target)

    space = nas.Space(ResNet, channels=1, classes=10)
    net = nas.Supernet(space)
    rng, losses = random.Random(0), []
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    for _ in range(150):
        batch = rng.sample(range(len(images)), 64)
        model = net.subnet(space.sample(rng))  # a plain ResNet over its part of the weights
        loss = nn.functional.cross_entropy(model(images[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    first, last = sum(losses[:10]) / 10, sum(losses[-10:]) / 10
    print(f"{space.size().count} architectures; loss of the paths {first:.2f}, then {last:.2f}")
    assert last < 0.8 * first

    architecture = space.sample(rng)
    plain = net.extract(architecture).eval()  # a ResNet with weights of its own
    assert torch.equal(plain(images), net.subnet(architecture).eval()(images))
    print("extracted:", sum(p.numel() for p in plain.parameters()), "parameters, the same outputs")
