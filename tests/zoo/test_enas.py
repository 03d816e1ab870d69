"""The micro space of ENAS: the published cells, all sizes of image."""

import pytest
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.enas import ENAS, enas_micro

SMALL = {"filters": 4, "cells": 1, "nodes": 2}
TINY = Space(enas_micro, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestEnas(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 2


def test_the_published_cells():
    is_published("enas", 4_587_372)  # 4.6M in the paper


def test_the_script_of_the_authors_has_five_cells_in_each_stage():
    space = Space(enas_micro, channels=3, classes=10, filters=36, cells=5)
    model = space.build(space.complete(ENAS.answers), device="meta")
    assert size(model) == 3_894_372  # as their code counts


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 224), (2, 5, 3)])
def test_every_image_size_fits(shape):
    channels, height, width = shape
    space = Space(enas_micro, channels=channels, classes=3, height=height, width=width, **SMALL)
    runs(space, shape, count=1)


def test_the_default_is_small():
    space = Space(enas_micro, channels=3, classes=10)
    assert 1e5 < size(space.build(space.default(), device="meta")) < 6e5


@pytest.mark.parametrize(
    ("answers", "ends"),
    [
        ({}, ["3", "2"]),  # nobody reads a node
        ({"normal.node3.left": ("2",)}, ["3"]),
        ({"normal.node2.left": ("0",), "normal.node3.left": ("0",)}, ["3", "2", "1"]),
    ],
)
def test_states_that_no_node_reads_are_concatenated(answers, ends):
    cells = TINY.build(TINY.complete(answers), device="meta")[0].cells
    assert list(cells[0].ends) == ends
    assert list(cells[1].ends) == ["3", "2"]


@pytest.mark.slow
def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(enas_micro, filters=8, cells=1)
