"""The multi-resolution space against the published table."""

import json
import os
import random
from pathlib import Path

import pytest
import torch

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.hrnet import code_names, from_code, hrnet, to_code

#: The example in the paper's repository, but for the stem.
CODE = [
    16,
    64,
    1,
    3,
    128,
    3,
    3,
    3,
    32,
    48,
    2,
    2,
    3,
    2,
    16,
    32,
    16,
    1,
    2,
    4,
    1,
    1,
    96,
    112,
    48,
    80,
    112,
]
SMALLEST = [8 if "width" in name else 1 for name in code_names()]


WHOLE = Space(hrnet, channels=3, classes=4)
SMALL = {"channels": 3, "classes": 4, "widths": (8, 16), "counts": (1, 2)}


@pytest.mark.slow
class TestHRNet(SpaceContract):
    space, shape, samples = Space(hrnet, **SMALL), (1, 3, 32, 32), 2


@pytest.fixture(scope="module")
def table():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip("ARCHSMITH_DATA does not name a folder with nas_bench_mr.parquet")
    pandas = pytest.importorskip("pandas")
    return pandas.read_parquet(Path(folder) / "nas_bench_mr.parquet")


def test_the_code_is_read_as_the_paper_has_it():
    architecture = from_code(CODE)
    assert to_code(architecture) == CODE
    assert architecture["stem.width2"] == 64
    assert architecture["stage2.modules"] == 3
    assert [architecture[f"stage3.blocks{k}"] for k in (1, 2, 3)] == [2, 3, 2]
    assert [architecture[f"stage4.width{k}"] for k in (1, 2, 3, 4)] == [96, 112, 48, 80]
    model = WHOLE.build(architecture, device="meta")
    assert [len(stage) for stage in model.stages] == [1, 3, 2, 1]
    assert [len(branch) for branch in model.stages[3][0].branches] == [2, 4, 1, 1]


def test_all_recorded_codes_there_and_back(table):
    for text in table.embedding:
        assert to_code(from_code(json.loads(text))) == json.loads(text)


@pytest.mark.slow
def test_params_are_exactly_the_recorded_ones(table):
    space = Space(hrnet, channels=3, classes=50)  # whatever the task, as the numbers tell
    for row in random.Random(0).sample(range(len(table)), 5):
        architecture = from_code(json.loads(table.embedding[row]))
        space.validate(architecture)
        params = sum(p.numel() for p in space.build(architecture, device="meta").parameters())
        assert params == round(table.params_M[row] * 1e6)


@pytest.mark.slow
def test_outputs_of_both_kinds():
    images = torch.zeros(2, 3, 64, 96, device="meta")
    dense = Space(hrnet, channels=3, classes=4, dense=True)
    for space, shape in ((WHOLE, (2, 4)), (dense, (2, 4, 16, 24))):
        assert space.build(from_code(CODE), device="meta")(images).shape == shape
    model = dense.build(from_code(SMALLEST), seed=0)
    model(torch.randn(2, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("side", [28, 33, 50])
def test_odd_sizes_fit(side):
    model = WHOLE.build(from_code(CODE), device="meta")
    assert model(torch.zeros(2, 3, side, side + 5, device="meta")).shape == (2, 4)


def test_branches_hear_of_their_neighbours_alone():
    model = WHOLE.build(from_code(CODE), device="meta")
    assert model.stages[3][0].fusion.sources == [[0, 1], [0, 1, 2], [1, 2]]
    assert len(model.stages[3][0].fusion.new) == 1


@pytest.mark.slow
def test_it_learns():
    torch.manual_seed(0)
    images = torch.randn(16, 3, 32, 32)
    target = torch.arange(16) % 4
    images += target.view(-1, 1, 1, 1).float()
    model = WHOLE.build(from_code(SMALLEST), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("code", "part"),
    [
        (CODE[:-1], "27 integers, got 26"),
        ([*CODE[:2], 5, *CODE[3:]], "number 2.*stage1.modules.*got 5"),
        ([*CODE[:-1], 100], "number 26.*head.width.*got 100"),
        ([*CODE[:2], True, *CODE[3:]], "number 2.*True"),
    ],
)
def test_broken_codes_say_where(code, part):
    with pytest.raises(SpaceError, match=part):
        from_code(code)
