"""The decoder space against the published table, and its parts against known answers."""

import json
import os
import random
from pathlib import Path

import pytest
import torch

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.gpt import SCALES, VOCABULARY, from_arch, gpt, rotate, to_arch

TINY = {"widths": (8, 16), "depths": (1, 2, 3), "heads": (1, 2), "head_size": 8}
SMALL = Space(gpt, vocabulary=11, **TINY)


class TestGPT(SpaceContract):
    space, shape, dtype = SMALL, (1, 7), "int64"


@pytest.fixture(scope="module")
def table():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip("ARCHSMITH_DATA does not name a folder with hw_gpt_bench.parquet")
    pandas = pytest.importorskip("pandas")
    columns = ["arch", "scale", "params", "macs"]
    return pandas.read_parquet(Path(folder) / "hw_gpt_bench.parquet", columns=columns)


def test_how_many_there_are():
    # Width and bias, and in each layer two of heads and three ratios.
    assert SMALL.size().count == 2 * 2 * (6 + 6**2 + 6**3)


def test_recorded_architectures_there_and_back(table):
    for text, scale in zip(table.arch, table.scale):
        assert to_arch(from_arch(json.loads(text), scale)) == json.loads(text)


@pytest.mark.slow
def test_params_and_macs_are_exactly_the_recorded_ones(table):
    tokens = {"s": 8 * 1024, "m": 4 * 1024, "l": 1024}
    for row in random.Random(0).sample(range(len(table)), 10):
        scale = table.scale[row]
        space = Space(gpt, vocabulary=VOCABULARY, **SCALES[scale])
        architecture = from_arch(json.loads(table.arch[row]), scale)
        space.validate(architecture)
        model = space.build(architecture, device="meta")
        assert sum(p.numel() for p in model.parameters()) == table.params[row]
        linear = [m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear)]
        assert tokens[scale] * sum(linear) == table.macs[row]


def test_a_place_sees_earlier_ones_alone():
    model = SMALL.build(SMALL.default(), seed=0).eval()
    one = torch.randint(11, (2, 7))
    two = one.clone()
    two[:, 4:] = (two[:, 4:] + 1) % 11
    before, after = model(one), model(two)
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-6)
    assert not torch.allclose(before[:, 4], after[:, 4], atol=1e-6)


def test_rotation_leaves_lengths_and_makes_scores_depend_on_distance():
    torch.manual_seed(0)
    query = torch.randn(8).expand(1, 1, 10, 8)
    key = torch.randn(8).expand(1, 1, 10, 8)
    turned, other = rotate(query)[0, 0], rotate(key)[0, 0]
    assert torch.allclose(turned.norm(dim=-1), query[0, 0].norm(dim=-1), atol=1e-5)
    scores = turned @ other.T
    assert torch.allclose(scores[2, 0], scores[9, 7], atol=1e-4)
    assert not torch.allclose(scores[2, 0], scores[9, 0], atol=1e-4)
    assert torch.equal(turned[:, 4:], query[0, 0, :, 4:])


def test_a_tied_matrix_is_counted_once():
    tied = Space(gpt, vocabulary=11, tied=True, **TINY)
    free, shared = (
        sum(p.numel() for p in s.build(s.default(), device="meta").parameters())
        for s in (SMALL, tied)
    )
    assert free - shared == 11 * 16


@pytest.mark.slow
def test_it_learns_to_repeat():
    torch.manual_seed(0)
    model = SMALL.build(SMALL.complete({"layers": 2}), seed=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(120):
        half = torch.randint(11, (32, 4))
        tokens = torch.cat([half, half], dim=1)
        logits = model(tokens[:, :-1])[:, 3:]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 4:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1.0  # guessing gives log(11) = 2.4


@pytest.mark.parametrize(
    ("arch", "part"),
    [
        ([192, 10], "heads of each layer"),
        ([100, 10, [4] * 10, [2] * 10, True], "embed.*100"),
        ([192, 10, [4] * 9, [2] * 10, True], "with 10 heads"),
        ([192, 10, [4] * 9 + [16], [2] * 10, True], "layers.9.heads.*16"),
        ([192, 10, [4] * 10, [2] * 9 + [5], True], "layers.9.mlp_ratio.*5"),
        ([192, 10, [4] * 10, [2] * 10, 1], "bias"),
        ([192, True, [4], [2], True], "layers"),
    ],
)
def test_broken_archs_say_where(arch, part):
    with pytest.raises(SpaceError, match=part):
        from_arch(arch, "s")
