"""Shared weights for a mobile network: kernels, expansions, depths and squeeze-and-excitation."""

import random

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import archsmith as nas


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(scale))


class InvertedResidual(nn.Module):
    """Expand, filter each channel on its own, weigh the channels, project."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        kernel = nas.choose("kernel", [3, 5, 7])
        hidden = inside * nas.choose("expansion", [2, 4, 6])
        self.residual = stride == 1 and inside == outside
        self.expand = nn.Sequential(
            nn.Conv2d(inside, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish()
        )
        depthwise = nn.Conv2d(
            hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False
        )
        self.filter = nn.Sequential(depthwise, nn.BatchNorm2d(hidden), nn.Hardswish())
        weigh = {"none": nn.Identity, "se": lambda: SqueezeExcite(hidden)}
        self.weigh = nas.one_of("excite", weigh)
        self.project = nn.Sequential(
            nn.Conv2d(hidden, outside, 1, bias=False), nn.BatchNorm2d(outside)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.project(self.weigh(self.filter(self.expand(x))))
        return x + out if self.residual else out


def stage(name: str, inside: int, outside: int, stride: int) -> nn.Sequential:
    """A stage is a container of its own, so its depth moves nothing in the next one."""

    def block(i: int) -> nn.Module:
        first = i == 0
        return InvertedResidual(inside if first else outside, outside, stride if first else 1)

    return nas.repeat(name, [1, 2, 3], block)


def mobilenet(channels: int, classes: int) -> nn.Module:
    """Images (n, channels, height, width) to logits (n, classes)."""
    scale = nas.choose("scale", [0.5, 0.75, 1.0])
    first, second, last = (round(width * scale) for width in (16, 24, 64))
    return nn.Sequential(
        nn.Conv2d(channels, first, 3, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.Hardswish(),
        stage("stage1", first, first, 1),
        stage("stage2", first, second, 2),
        nn.Conv2d(second, last, 1),
        nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(last, classes),
    )


if __name__ == "__main__":
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    targets = torch.tensor(digits.target)

    space = nas.Space(mobilenet, channels=1, classes=10)
    net = nas.Supernet(space)
    rng, losses = random.Random(0), []
    optimizer = torch.optim.AdamW(net.parameters(), 5e-3)
    for _ in range(30):
        batch = rng.sample(range(len(images)), 64)
        optimizer.zero_grad()
        # The sandwich rule: the largest, the smallest and one between them share a step.
        for path in (net.survey.largest, net.survey.smallest, space.sample(rng)):
            loss = nn.functional.cross_entropy(net.subnet(path)(images[batch]), targets[batch])
            loss.backward()
            losses.append(loss.item())
        optimizer.step()
    first, last = sum(losses[:30]) / 30, sum(losses[-30:]) / 30
    print(f"{space.size().count} architectures; loss of the paths {first:.2f}, then {last:.2f}")
    assert last < 0.8 * first

    for architecture in (net.survey.smallest, space.sample(rng)):
        plain = net.extract(architecture).eval()
        assert torch.equal(plain(images), net.subnet(architecture).eval()(images))
        print(sum(p.numel() for p in plain.parameters()), "parameters, extracted, the same outputs")
