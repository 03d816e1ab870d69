"""The two spaces of TransNAS-Bench-101."""

import random
from collections import defaultdict

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.transnas import (
    Cell,
    ShiftedReduction,
    Zero,
    canonical,
    features,
    from_macro,
    from_micro,
    to_macro,
    to_micro,
    transnas_macro,
    transnas_micro,
)

MICRO = Space(transnas_micro, channels=2, classes=4, width=4)
MACRO = Space(transnas_macro, channels=2, classes=4, width=4)


@pytest.mark.slow
class TestMicro(SpaceContract):
    space, shape = MICRO, (1, 2, 64, 64)


@pytest.mark.slow
class TestMacro(SpaceContract):
    space, shape = MACRO, (1, 2, 64, 64)


@pytest.mark.slow
def test_there_are_4096_cells_and_3256_networks():
    cells, networks = set(MICRO.enumerate()), set(MACRO.enumerate())
    assert MICRO.size().count == len(cells) == 4096
    assert MACRO.size().count == len(networks) == 3256
    assert {from_micro(to_micro(a)) for a in cells} == cells
    assert {from_macro(to_macro(a)) for a in networks} == networks


@pytest.mark.slow
def test_equal_graphs_have_equal_features_and_operations_count():
    classes = defaultdict(list)
    for architecture in MICRO.enumerate():
        classes[MICRO.canonical(architecture)].append(architecture)
    assert len(classes) == 1376
    for architectures in classes.values():
        assert all(features(a) == features(architectures[0]) for a in architectures)


def test_paths_are_counted():
    # 0>1 conv3, 0>2 skip, 1>2 skip, 0>3 none, 1>3 conv1, 2>3 skip
    assert features(from_micro((3, 1, 1, 0, 2, 1))) == {
        "path:nor_conv_3x3>nor_conv_1x1": 1.0,
        "path:skip_connect": 1.0,
        "path:nor_conv_3x3": 1.0,
        "depth:longest": 2.0,
        "depth:shortest": 1.0,
        "depth:convolutions": 2.0,
        "depth:paths": 3.0,
    }
    assert features(from_micro((3, 3, 3, 0, 0, 0)))["depth:paths"] == 0.0


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ((3, 0, 1, 0, 0, 1), (3, 0, 0, 0, 1, 0), True),  # by way of node 2, or straight
        ((3, 0, 0, 0, 2, 0), (0, 3, 0, 0, 0, 2), True),  # through node 1, or node 2
        ((3, 3, 3, 0, 0, 0), (0, 0, 2, 0, 1, 3), True),  # nothing comes out
        ((3, 3, 0, 0, 2, 2), (3, 0, 1, 0, 2, 2), False),  # two convolutions, or one for both
        ((1, 0, 0, 0, 3, 0), (0, 0, 0, 3, 0, 0), False),  # a skip from the input changes the shape
        ((3, 0, 0, 0, 2, 0), (2, 0, 0, 0, 3, 0), False),
    ],
)
def test_which_cells_are_one_graph(one, two, same):
    assert (canonical(from_micro(one)) == canonical(from_micro(two))) is same


def test_equal_graphs_compute_the_same():
    one, two = (
        MICRO.build(from_micro(d), seed=0).eval() for d in ((3, 0, 1, 0, 0, 1), (3, 0, 0, 0, 1, 0))
    )
    two.load_state_dict(one.state_dict())
    images = torch.randn(2, 2, 64, 64)
    assert torch.equal(one(images), two(images))


def test_operations_sit_on_their_edges():
    model = MICRO.build(from_micro((1, 0, 1, 2, 0, 3)))
    cell = next(m for m in model.modules() if isinstance(m, Cell))
    kinds = [type(edge).__name__ for edge in cell.edges]
    assert kinds == ["ShiftedReduction", "Zero", "Identity", "ReLUConvBN", "Zero", "ReLUConvBN"]
    assert [e[1].kernel_size for e in cell.edges if isinstance(e, nn.Sequential)] == [
        (1, 1),
        (3, 3),
    ]
    assert cell(torch.randn(2, 4, 9, 6)).shape == (2, 8, 5, 3)


def test_networks_change_shape_where_the_digits_say():
    model = MACRO.build(from_macro((1, 4, 2, 3, 1)), device="meta")
    x = torch.zeros(1, 2, 64, 64, device="meta")
    shapes = []
    for layer in model[:-3]:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes[2:] == [(4, 16, 16), (4, 16, 16), (8, 8, 8), (16, 8, 8), (16, 4, 4), (16, 4, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("space", [MICRO, MACRO], ids=["micro", "macro"])
@pytest.mark.parametrize("side", [8, 28, 45])
def test_small_and_odd_images_fit(space, side):
    rng = random.Random(0)
    for _ in range(3):
        model = space.build(space.sample(rng), device="meta")
        assert model(torch.zeros(2, 2, side, side, device="meta")).shape == (2, 4)


def test_a_skip_that_changes_the_shape_sees_both_diagonals():
    skip = ShiftedReduction(1, 2).eval()
    for convolution in (skip.here, skip.shifted):
        nn.init.ones_(convolution.weight)
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    out = skip(image) * (1 + skip.norm.eps) ** 0.5
    assert out[0].flatten(1).round().tolist() == [[1.0, 3.0, 7.0, 9.0], [5.0, 0.0, 0.0, 0.0]]


def test_zeros_have_the_shape_of_what_they_stand_for():
    assert Zero(6, 2)(torch.ones(2, 3, 5, 4)).shape == (2, 6, 3, 2)
    assert not Zero(6, 2)(torch.ones(2, 3, 5, 4)).any()


@pytest.mark.parametrize("digits", [(), (0, 1, 2, 3, 0), (0, 1, 2, 3, 0, 4), (0,) * 7])
def test_other_cells_are_refused(digits):
    with pytest.raises(SpaceError, match="6 digits from 0 to 3"):
        from_micro(digits)


@pytest.mark.parametrize(
    ("digits", "part"),
    [
        ((1, 2, 3), "four to six digits from 1 to 4"),
        ((1, 2, 3, 0), "four to six digits from 1 to 4"),
        ((1, 1, 3, 1), "one to three digits 2 or 4"),
        ((2, 2, 4, 4), "one to three digits 2 or 4"),
        ((1, 2, 1, 2), "one to four digits 3 or 4"),
        ((3, 3, 3, 3, 4), "one to four digits 3 or 4"),
    ],
)
def test_other_networks_are_refused(digits, part):
    with pytest.raises(SpaceError, match=part):
        from_macro(digits)


def test_incomplete_architectures_are_refused():
    with pytest.raises(SpaceError, match=r"2>3: expected one of none.*no answer"):
        canonical({k: v for k, v in MICRO.default().items() if k != "2>3"})
    with pytest.raises(SpaceError, match="modules, wider and smaller"):
        to_macro({"modules": 4})


@pytest.mark.parametrize("space", [MICRO, MACRO], ids=["micro", "macro"])
def test_random_ones_train_a_step(space):
    random_ones_train_a_step(space, (1, 2, 32, 32))
