"""The cell space of NASNet: NASNet-A and AmoebaNet-A, all sizes of image."""

import pytest
import torch
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.nasnet import OPS, nasnet

SMALL = {"filters": 4, "cells": 1, "nodes": 2}
TINY = Space(nasnet, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestNasnet(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    # Two cells only: there are many options, each of which is built.
    space = Space(nasnet, channels=2, classes=3, height=8, width=8, **{**SMALL, "cells": 0})
    shape, samples = (1, 2, 8, 8), 2


@pytest.mark.parametrize(
    ("name", "parameters", "published"),
    [
        ("nasnet_a_cifar", 3_346_538, "3.3"),
        ("nasnet_a_mobile", 5_289_978, "5.3"),
        ("nasnet_a_large", 88_753_150, None),  # 88.9M in the paper, this in timm
        ("amoebanet_a_cifar", 3_218_266, "3.2"),
        ("amoebanet_a_cifar_small", 2_567_754, "2.6"),
        ("amoebanet_a_mobile", 5_086_930, "5.1"),
        ("amoebanet_a_large", 86_718_797, "86.7"),
    ],
)
def test_published_networks(name, parameters, published):
    is_published(name, parameters)
    assert published in (None, f"{parameters / 1e6:.1f}")


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 224), (2, 5, 3)])
def test_every_image_size_fits(shape):
    channels, height, width = shape
    small = {**SMALL, "filters": 8}  # a quarter of which the stem cells have
    space = Space(nasnet, channels=channels, classes=3, height=height, width=width, **small)
    runs(space, shape, count=1)


def test_the_default_is_small():
    space = Space(nasnet, channels=3, classes=10)
    assert 1e5 < size(space.build(space.default(), device="meta")) < 6e5


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
@pytest.mark.parametrize(("inside", "stride", "side"), [(4, 1, 7), (4, 2, 4), (6, 1, 7), (6, 2, 4)])
def test_operations_keep_the_size_up_to_the_stride(op, inside, stride, side):
    assert op(inside, 4, stride)(torch.zeros(2, inside, 7, 7)).shape == (2, 4, side, side)


def test_asymmetric_kernels_halve_each_side_once():
    first, second = (
        m
        for m in OPS["conv_1x7_7x1"](8, 8, 2)
        if getattr(m, "groups", 0) and max(m.kernel_size) == 7
    )
    assert (first.kernel_size, first.stride) == ((1, 7), (1, 2))
    assert (second.kernel_size, second.stride) == ((7, 1), (2, 1))


def test_outputs_keep_states_that_are_read_and_reduce_inputs():
    answers = {"reduce.node3.left": ("2",), "reduce.kept": (0, 2)}
    cells = TINY.build(TINY.complete(answers))[0].cells
    assert list(cells[1].ends) == ["3", "0", "2"]
    assert cells[1](torch.zeros(2, 12, 8, 8), torch.zeros(2, 8, 8, 8)).shape == (2, 24, 4, 4)


@pytest.mark.parametrize(("skips", "place"), [(False, 1), (True, 0)])
def test_the_cell_after_a_reduction_may_skip_what_that_reads(skips, place):
    space = Space(nasnet, channels=2, classes=3, skips=skips, **{**SMALL, "cells": 2})
    cells = space.build(space.default(), device="meta")[0]
    made, read = [], []
    for cell in cells.cells:
        cell.register_forward_hook(lambda _, inputs, output: made.append(output))
    cells.cells[3].register_forward_hook(lambda _, inputs, output: read.extend(inputs))
    cells(torch.zeros(1, 2, 8, 8, device="meta"))
    assert read[0] is made[place]
    assert read[1] is made[2]


@pytest.mark.slow
def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(nasnet, filters=8, cells=1)
