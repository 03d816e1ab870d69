"""A space that is generated while the search runs: each level asks whether to go deeper.

There is no bound on the depth, so the space has no size; sampling, mutation and the search work all
the same. A limit on parameters keeps the networks small.
"""

from torch import nn

import archsmith as nas


def grow(width: int, level: int) -> nn.Module:
    """A block, and behind it another one if the architecture says so."""
    out = nas.choose("width", [8, 12, 16])
    block = nn.Sequential(nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())
    if level < 1 or nas.choose("deeper", [False, True]):
        with nas.scope("next"):
            return nn.Sequential(block, grow(out, level + 1))
    return nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(out, 10))


def net(channels: int) -> nn.Module:
    return grow(channels, 0)


if __name__ == "__main__":
    result = nas.search(
        net, "digits", limits={"params": 30_000}, trials=4, epochs=1, final_epochs=1, finalists=1
    )
    assert result.best is not None
    print("size of the space:", nas.Space(net, channels=1).size())
    print("depth found:", sum(name.endswith("width") for name in result.best.architecture))
    print("test:", result.best.test)
