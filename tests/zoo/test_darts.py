"""The cell space of DARTS: published cells, all sizes of image."""

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.cells import Node
from archsmith.zoo.darts import DARTS_V2, OPS, canonical, darts, features
from archsmith.zoo.transnas import ShiftedReduction

SMALL = {"filters": 4, "cells": 1, "nodes": 2}
TINY = Space(darts, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestDarts(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 2


@pytest.mark.parametrize(
    ("name", "parameters", "published"),
    [
        ("darts_v1", 3_169_414, None),  # the paper's first-order cell has 3.3M; it is another one
        ("darts_v2", 3_349_342, "3.3"),
        ("darts_v2_imagenet", 4_718_752, "4.7"),
        ("pc_darts", 3_634_678, "3.6"),
        ("pc_darts_imagenet", 5_342_464, "5.3"),
        ("drnas", 4_099_294, "4.1"),
        ("drnas_imagenet", 5_726_368, "5.7"),
        ("gdas", 3_368_782, "3.4"),
        ("gdas_imagenet", 5_345_075, "5.3"),
    ],
)
def test_published_cells(name, parameters, published):
    is_published(name, parameters)
    assert published in (None, f"{parameters / 1e6:.1f}")


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 224), (2, 5, 3)])
def test_every_image_size_fits(shape):
    channels, height, width = shape
    space = Space(darts, channels=channels, classes=3, height=height, width=width, **SMALL)
    runs(space, shape, count=1)


def test_the_default_is_small():
    space = Space(darts, channels=3, classes=10)
    assert 1e5 < size(space.build(space.default(), device="meta")) < 6e5


def test_published_networks_have_twenty_cells_and_halve_twice():
    space, architecture = DARTS_V2.within()
    cells = space.build(architecture, device="meta")[0]
    sides = []
    for cell in cells.cells:
        cell.register_forward_hook(lambda _, inputs, output: sides.append(output.shape[1:3]))
    cells(torch.zeros(1, 3, 32, 32, device="meta"))
    assert sides == [(144, 32)] * 6 + [(288, 16)] * 7 + [(576, 8)] * 7


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 4)])
def test_operations_keep_the_size_up_to_the_stride(op, stride, side):
    assert op(4, 4, stride)(torch.zeros(2, 4, 7, 7)).shape == (2, 4, side, side)


def test_only_reductions_change_what_is_skipped():
    assert isinstance(OPS["skip_connect"](4, 4, 1), nn.Identity)
    assert isinstance(OPS["skip_connect"](4, 4, 2), ShiftedReduction)


def test_a_node_adds_its_edges():
    node = Node([nn.ModuleDict({"0": nn.Identity(), "2": nn.Softplus()})])
    states = [torch.ones(1), torch.full((1,), 5.0), torch.zeros(1)]
    assert node(states).item() == pytest.approx(1 + 0.693147)


def test_weights_are_named_by_edge_and_operation():
    inputs = "normal.node3.inputs"
    before, after = ({inputs: ("0", "2")}, {inputs: ("1", "2")})
    keys = [
        set(TINY.parameter_keys(TINY.complete(answers)).values()) for answers in (before, after)
    ]
    key = "0.cells.0.nodes.1.slots.0.{0}={0}=sep_conv_3x3.1.weight"
    assert key.format(2) in keys[0] & keys[1]
    assert key.format(1) in keys[1] - keys[0]


def test_operations_of_edges_that_are_not_chosen_make_no_difference():
    plain = TINY.default()
    inert = TINY.complete({"normal.node3.inputs.2.op": "max_pool_3x3"})
    other = TINY.complete({"normal.node3.inputs.1.op": "max_pool_3x3"})
    assert plain != inert
    assert canonical(plain) == canonical(inert) != canonical(other)
    assert features(plain) == features(inert) != features(other)


def test_paths_are_counted():
    found = features(TINY.complete({"normal.node3.inputs": ("1", "2")}))
    assert {name: found[name] for name in found if name.startswith("normal")} == {
        "normal:path:skip_connect~0": 1.0,
        "normal:path:sep_conv_3x3~1": 2.0,
        "normal:path:skip_connect~0>sep_conv_3x3": 1.0,
        "normal:path:sep_conv_3x3~1>sep_conv_3x3": 1.0,
        "normal:depth:longest": 2.0,
        "normal:depth:shortest": 1.0,
        "normal:depth:convolutions": 2.0,
        "normal:depth:paths": 5.0,
    }


@pytest.mark.slow
def test_there_are_ten_to_the_twenty_eight_spellings():
    count = Space(darts, channels=1, classes=2, cells=1, filters=4).size().count
    assert count == (3 * 6 * 10 * 7**14) ** 2


@pytest.mark.slow
def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(darts, filters=8, cells=1)
