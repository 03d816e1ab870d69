"""Residual links are left out however they are spelled, and nothing else is."""

import operator
from functools import reduce

import pytest
import torch
from torch import nn

from archsmith.proxy.links import WithoutLinks
from archsmith.proxy.zen import Zen

from .toys import pictures, seeded


def in_place(x, y):
    y += x
    return y


def into_the_input(x, y):
    x += y
    return x


SPELLINGS = {
    "x + y": operator.add,
    "y + x": lambda x, y: y + x,
    "torch.add": torch.add,
    "x.add(y)": torch.Tensor.add,
    "y += x": in_place,
    "x += y": into_the_input,
    "y.add_(x)": lambda x, y: y.add_(x),
    "0 + x + y": lambda x, y: sum([x, y]),
}


class Block(nn.Module):
    def __init__(self, join, body):
        super().__init__()
        self.join, self.body = join, body

    def forward(self, x):
        x = x.clone()
        return self.join(x, self.body(x))


def body():
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 3, 3, padding=1))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_way_around_a_block_is_left_out(spelling):
    block, x = Block(SPELLINGS[spelling], body()), torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        with WithoutLinks():
            found = block(x)
        torch.testing.assert_close(found, block.body(x))


def test_links_around_links_are_left_out():
    first, second, x = body(), body(), torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        expected = second(first(x))
        with WithoutLinks():
            between = x + first(x)
            found = x + (between + second(between))
    torch.testing.assert_close(found, expected)


def test_of_a_cell_that_joins_many_nodes_the_last_ones_stay():
    """As in NAS-Bench-201: node 3 joins nodes 0 and 2 as they are, and a way of its own."""
    one, two, x = body(), body(), torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        expected = one(x) + two(x)
        with WithoutLinks():
            node1 = x * 1
            node2 = one(node1)
            found = reduce(torch.add, [two(x), node1, node2])
    torch.testing.assert_close(found, expected)


OTHERS = {
    "parallel branches": lambda a, b, x: a(x) + b(x),
    "a shortcut with weights": lambda a, b, x: a(x) + b(a(x) * 1),
    "a number": lambda a, b, x: a(x) + 1,
    "a bias of each channel": lambda a, b, x: a(x) + a(x).mean((2, 3), keepdim=True),
    "a factor": lambda a, b, x: torch.add(x, a(x), alpha=2),
    "a product": lambda a, b, x: x * a(x),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_sums_stay(name):
    one, two, x = body(), body(), torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        expected = OTHERS[name](one, two, x)
        with WithoutLinks():
            found = OTHERS[name](one, two, x)
    torch.testing.assert_close(found, expected)


def test_the_zen_score_of_a_residual_network_is_that_of_the_plain_one():
    def net(join):
        return seeded(
            lambda: nn.Sequential(
                nn.Conv2d(2, 3, 3),
                nn.BatchNorm2d(3),
                nn.ReLU(),
                Block(join, body()),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(3, 3),
            )
        )

    linked, plain = (Zen().score(net(join), pictures(4)) for join in (torch.add, lambda x, y: y))
    assert linked == pytest.approx(plain, rel=1e-9)
