"""Small spaces of which everything is known."""

from __future__ import annotations

from torch import Tensor, nn

import archsmith as nas


def known(features: int = 4, outputs: int = 3) -> nn.Module:
    """36 architectures and 12 networks of their own: ``label`` and one of the kinds do nothing.

    2 (label) x 3 (kind) x (1 + 2 + 3 widths, by depth) = 36; two kinds are the same.
    """
    nas.choose("label", ["a", "b"])
    kind = nas.choose("kind", ["relu", "also-relu", "tanh"])
    depth = nas.choose("depth", [1, 2, 3])
    width = 8
    if depth > 1:
        with nas.scope("deep"):
            width = nas.choose("width", [8, 16] if depth == 2 else [8, 16, 32])
    layers: list[nn.Module] = []
    size = features
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.Tanh() if kind == "tanh" else nn.ReLU()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, outputs))


class Asking(nn.Module):
    """A block that asks for itself."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(size, size)
        self.act = nas.choose("act", {"relu": nn.ReLU, "tanh": nn.Tanh})()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.inner(x))


def repeated(features: int = 4, outputs: int = 3) -> nn.Module:
    """Three blocks, one name."""
    return nn.Sequential(*(Asking(features) for _ in range(3)), nn.Linear(features, outputs))


def planted(features: int = 4, outputs: int = 3) -> nn.Module:
    """Breaks at ``deep.norm=group`` with ``deep.width=12`` alone, two decisions down; and where
    ``head=wrong`` is taken, whatever the rest."""
    width = 8
    layers: list[nn.Module] = [nn.Linear(features, 8), nn.ReLU()]
    if nas.choose("deep", [False, True]):
        with nas.scope("inner"):
            width = nas.choose("width", [8, 12, 16])
            layers.append(nn.Linear(8, width))
            if nas.choose("norm", ["none", "group", "layer"]) == "group":
                layers.append(nn.Linear(8 if width == 12 else width, width))
    nas.choose("unused", [1, 2, 3, 4, 5, 6, 7, 8])
    head = nas.choose("head", ["right", "wrong"])
    layers.append(nn.Linear(width if head == "right" else 99, outputs))
    return nn.Sequential(*layers)


def refusing(features: int = 4, outputs: int = 3) -> nn.Module:
    """The builder itself raises at two answers together."""
    size = nas.choose("size", [4, 6, 8])
    groups = nas.choose("groups", [1, 2, 4])
    if size % groups:
        raise ValueError(f"{size} does not go by {groups}")
    return nn.Sequential(nn.Linear(features, size), nn.Linear(size, outputs))


def broken_default(features: int = 4, outputs: int = 3) -> nn.Module:
    """The default does not run, the other options do."""
    width = nas.choose("width", [7, 8, 16])
    depth = nas.choose("depth", [1, 2])
    last = 8 if width == 7 else width
    return nn.Sequential(
        nn.Linear(features, width),
        *(nn.Linear(width, width) for _ in range(depth)),
        nn.Linear(last, outputs),
    )


def hidden_values(features: int = 4, outputs: int = 3) -> nn.Module:
    """Choices that the graph of a forward pass does not show: dropout and first weights."""
    rate = nas.choose("rate", [0.0, 0.2])
    start = nas.choose("start", [0.0, 1.0])
    layer = nn.Linear(features, 8)
    nn.init.constant_(layer.bias, start)
    return nn.Sequential(layer, nn.Dropout(rate), nn.Linear(8, outputs))


def forms(features: int = 4, outputs: int = 3) -> nn.Module:
    """Two layers in either order around a sum: the same graph."""
    first = nas.choose("first", [8, 16])
    swapped = nas.choose("swapped", [False, True])
    return Sum(features, outputs, first, swapped)


class Sum(nn.Module):
    """A sum of two branches."""

    def __init__(self, features: int, outputs: int, width: int, swapped: bool) -> None:
        super().__init__()
        one = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, outputs))
        two = nn.Linear(features, outputs)
        self.branches = nn.ModuleList([two, one] if swapped else [one, two])

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.branches[0](x) + self.branches[1](x)
