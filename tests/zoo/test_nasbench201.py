"""The NAS-Bench-201 space against the published tables."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from archsmith._support.errors import SpaceError
from archsmith.evaluate import Watch
from archsmith.evaluate.cost import CostEvaluator
from archsmith.history.trial import Fidelity
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo import spaces
from archsmith.zoo.nasbench201 import (
    EDGES,
    OPS,
    canonical,
    edge_names,
    from_arch_str,
    nasbench201,
    to_arch_str,
)

ALL_CONV = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
SMALL = Space(nasbench201, channels=3, classes=4, width=4, cells=1)


@pytest.mark.slow
class TestNasBench201(SpaceContract):
    space, shape = SMALL, (1, 3, 8, 8)


@pytest.fixture(scope="module")
def table():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip("ARCHSMITH_DATA does not name a folder with nb201.npz")
    with np.load(Path(folder) / "nb201.npz", allow_pickle=False) as data:
        return {name: data[name] for name in data}


@pytest.mark.slow
def test_there_are_5_to_the_6th_architectures():
    assert SMALL.size().count == 5**6
    assert SMALL.size().exact
    architectures = set(SMALL.enumerate())
    assert len(architectures) == 5**6
    assert len({canonical(a) for a in architectures}) == 6466
    assert {from_arch_str(to_arch_str(a)) for a in architectures} == architectures


def test_the_default_in_both_notations():
    assert to_arch_str(SMALL.default()) == ALL_CONV
    assert from_arch_str(ALL_CONV) == SMALL.default()
    assert from_arch_str(f" {ALL_CONV}\n") == SMALL.default()


def test_all_strings_of_the_table_there_and_back_in_its_order(table):
    for text, ops in zip(table["arch_str"].tolist(), table["ops"].tolist(), strict=True):
        architecture = from_arch_str(text)
        assert to_arch_str(architecture) == text
        names = [table["op_names"][op] for op in ops]
        assert [architecture[name] for name in edge_names()] == names
    assert tuple(table["op_names"].tolist()) == OPS


def test_canonical_strings_are_those_of_the_table(table):
    strings = [canonical(from_arch_str(text)) for text in table["arch_str"].tolist()]
    assert strings == table["unique_str"].tolist()


@pytest.mark.slow
def test_params_and_flops_are_those_of_the_table(table):
    space = Space(nasbench201, channels=3, classes=10)
    evaluator = CostEvaluator(space, (1, 3, 32, 32))
    for row in random.Random(0).sample(range(15_625), 200):
        architecture = from_arch_str(str(table["arch_str"][row]))
        metrics = evaluator.evaluate(architecture, Fidelity(), 0, Watch())
        assert metrics["params"] == round(table["cifar10_params_M"][row] * 1e6)
        assert metrics["flops"] == 2 * round(table["cifar10_flops_M"][row] * 1e6)


def test_equal_graphs_compute_the_same():
    # The output node adds node 1 either by its own edge or by way of node 2.
    one = from_arch_str("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    two = from_arch_str("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
    assert "(0)@nor_conv_3x3" in canonical(one)
    models = [SMALL.build(a, seed=0).eval() for a in (one, two)]
    models[1].load_state_dict(models[0].state_dict())
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(models[0](images), models[1](images))


def test_an_edge_carries_its_operation_in_every_cell():
    space = Space(nasbench201, channels=3, classes=4, width=4, cells=2)
    architecture = SMALL.complete({"0>3": "avg_pool_3x3", "1>2": "none"})
    model = space.build(architecture)
    cells = [m for m in model.modules() if type(m).__name__ == "Cell"]
    assert len(cells) == 6
    for cell in cells:
        kinds = dict(zip(EDGES, (type(edge).__name__ for edge in cell.edges), strict=True))
        assert kinds.pop((0, 3)) == "AvgPool2d"
        assert kinds.pop((1, 2)) == "Zero"
        assert set(kinds.values()) == {"ReLUConvBN"}


@pytest.mark.parametrize("side", [5, 7, 28])
def test_odd_sizes_fit(side):
    model = SMALL.build(SMALL.default(), device="meta")
    assert model(torch.zeros(2, 3, side, side, device="meta")).shape == (2, 4)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "three nodes"),
        (ALL_CONV.replace("nor_conv_3x3~2", "nor_conv_7x7~2"), "nor_conv_7x7"),
        (ALL_CONV.replace("~2", "~1"), "node 3.*op~2"),
        (ALL_CONV.replace("|nor_conv_3x3~0|+", "nor_conv_3x3~0+", 1), "node 1"),
        (ALL_CONV.replace("|nor_conv_3x3~2|", "|"), "node 3"),
    ],
)
def test_broken_strings_say_where(text, part):
    with pytest.raises(SpaceError, match=part):
        from_arch_str(text)


def test_incomplete_architectures_are_refused():
    with pytest.raises(SpaceError, match="0>2"):
        to_arch_str({"0>1": "none"})
    with pytest.raises(SpaceError, match="bad"):
        canonical({**SMALL.default(), "2>3": "bad"})


def test_it_is_registered():
    assert spaces.get("nasbench201") is nasbench201
