"""A small space for one-shot searches that other processes can import."""

from __future__ import annotations

from torch import nn

import archsmith as nas


def small(channels: int, classes: int) -> nn.Module:
    """Two operations at two places; nothing but modules to choose from."""

    def conv(size: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(8, 8, size, padding="same"), nn.BatchNorm2d(8), nn.ReLU())

    def place(name: str) -> nn.Module:
        return nas.one_of(
            name, {"conv3": lambda: conv(3), "conv1": lambda: conv(1), "skip": nn.Identity}
        )

    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        place("first"),
        place("second"),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )


def drawn(channels: int, classes: int) -> nn.Module:
    """A builder that draws by itself."""
    import random

    width = random.choice([4, 5, 6, 7, 8, 9, 10, 11])
    kernel = nas.choose("kernel", [1, 3])
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding="same"),
        nn.Flatten(),
        nn.Linear(64 * width, classes),
    )


def values(channels: int, classes: int) -> nn.Module:
    """Nothing that could be mixed."""
    width = nas.choose("width", [4, 8])
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.Flatten(), nn.Linear(64 * width, classes)
    )


def unlike(channels: int, classes: int) -> nn.Module:
    """Two options of different shapes, which one path at a time takes and a mixture does not."""
    option = nas.one_of(
        "op", {"same": lambda: nn.Conv2d(4, 4, 3, padding=1), "less": lambda: nn.Conv2d(4, 4, 3)}
    )
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        option,
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )
