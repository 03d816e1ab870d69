"""Channels are put in the order of their importance; the largest architecture computes the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas
from archsmith.supernet.progressive import OFA
from archsmith.supernet.session import Session
from archsmith.supernet.sorting import sort_channels
from archsmith.supernet.supernet import Supernet

from . import training_toys as toys

WIDTH = 6


def bottleneck(channels: int = 1, classes: int = 10) -> nn.Module:
    """Widen, filter each channel, narrow: all that stands between reads the same channels."""
    width = nas.choose("width", [2, 4, WIDTH])
    kernel = nas.choose("kernel", [1, 3])
    return nn.Sequential(
        nn.Conv2d(channels, width, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width),
        nn.PReLU(width),
        nn.Conv2d(width, 3, 1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, classes),
    )


class Skipping(nn.Module):
    """Two layers' channels are added up: neither can be sorted alone."""

    def __init__(self) -> None:
        super().__init__()
        width = nas.choose("width", [2, WIDTH])
        self.first, self.second = nn.Conv2d(1, width, 1), nn.Conv2d(width, width, 1)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.head((x + self.second(x)).mean((2, 3)))


class Hidden(nn.Module):
    """Somebody reads the channels whom no layer tells of."""

    def __init__(self) -> None:
        super().__init__()
        width = nas.choose("width", [2, WIDTH])
        self.first, self.head = nn.Conv2d(1, width, 1), nn.Linear(width, 10)
        self.scale = nn.Parameter(torch.arange(1.0, width + 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.first(x) * self.scale.view(-1, 1, 1)).mean((2, 3)))


class Joining(nn.Module):
    """Flat pixels of one layer beside the other layer's channels."""

    def __init__(self) -> None:
        super().__init__()
        width = nas.choose("width", [2, WIDTH])
        self.left, self.right = nn.Conv2d(1, width, 2, 2), nn.Linear(64, 3)
        self.head = nn.Linear(16 * width + 3, 10)

    def forward(self, x: Tensor) -> Tensor:
        right = self.right(x.flatten(1))
        return self.head(torch.cat([right, F.relu(self.left(x)).flatten(1)], 1))


def supernet(builder: Callable[..., nn.Module]) -> Supernet:
    net = Supernet(nas.Space(builder), example=torch.zeros(2, 1, 8, 8))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, tensor in net.stored():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return net


def move(stored: Tensor, dim: int, index: Tensor) -> None:
    stored.data.copy_(stored.data.index_select(dim, index))


@pytest.mark.parametrize(
    ("builder", "source", "reader", "sorted_"),
    [
        (bottleneck, "0.weight", "5.weight", ["0.weight"]),
        (Joining, "left.weight", "head.weight", ["left.weight"]),
        (Skipping, "first.weight", "second.weight", []),
        (Hidden, "first.weight", "head.weight", []),
    ],
)
def test_the_most_important_channels_come_first_where_that_changes_nothing(
    builder, source, reader, sorted_
):
    net = supernet(builder)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = {key: tensor.detach().clone() for key, tensor in net.stored()}
    expected = net.extract(net.survey.largest).eval()(x)
    assert sort_channels(net, torch.zeros(2, 1, 8, 8), move) == sorted_
    assert torch.allclose(net.extract(net.survey.largest).eval()(x), expected, rtol=1e-4)
    if not sorted_:
        assert all(torch.equal(tensor, before[key]) for key, tensor in net.stored())
        return
    read = net.get(reader).detach().abs().flatten(1).sum(0)
    if builder is Joining:
        assert torch.equal(net.get(reader)[:, :3], before[reader][:, :3])
        read = read[3:].view(WIDTH, -1).sum(1)
    assert torch.equal(read, read.sort(descending=True).values)
    moved = [net.get(source)[i] for i in range(WIDTH)]
    assert {t.sum().item() for t in moved} == {t.sum().item() for t in before[source]}
    assert sort_channels(net, torch.zeros(2, 1, 8, 8), move) == []  # they are in order now


def trained(sort: bool, steps: int) -> tuple[Session, OFA]:
    session, method = toys.session_of(bottleneck, epochs=4), OFA(alone=0.3, sort=sort)
    method.begin(session)
    batches = [batch for number in range(1, 5) for batch in session.epoch(number)]
    for batch in batches[:steps]:
        method.step(session, batch)
        session.step += 1
    return session, method


@pytest.mark.slow
def test_ofa_sorts_once_when_widths_are_freed_with_what_the_optimiser_keeps():
    edge = 13  # of 20 steps, 6 for the largest alone, half of the others for kernels
    (plain, _), (sorted_, method) = (trained(sort, edge) for sort in (False, True))
    for (key, one), (_, two) in zip(
        plain.supernet.stored(), sorted_.supernet.stored(), strict=True
    ):
        assert torch.equal(one, two), key
    assert method.state()["sort_at"] == pytest.approx(0.65)
    net = sorted_.supernet
    read = net.get("5.weight").detach().abs().flatten(1).sum(0)
    order = read.argsort(descending=True, stable=True)
    assert not torch.equal(order, torch.arange(WIDTH))
    weight = net.get("5.weight")
    moments = sorted_.optimizer.state[weight]["exp_avg"].clone()
    sort_channels(net, torch.zeros(2, 1, 8, 8), sorted_.reorder)
    assert torch.equal(sorted_.optimizer.state[weight]["exp_avg"], moments[:, order])
    session, method = trained(True, edge + 1)
    assert method.state()["sort_at"] is None
    again = OFA(alone=0.3)
    again.begin(session)
    again.load_state(method.state())
    assert again.state()["sort_at"] is None
