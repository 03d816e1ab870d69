"""Spaces for tables: contracts, embeddings with known answers, and sharing."""

import math
import random

import pytest
import torch

from archsmith.space import Space
from archsmith.supernet.supernet import Supernet
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo import spaces
from archsmith.zoo.table_columns import Categories, Columns, EachColumn, Piecewise, Stem
from archsmith.zoo.tabular import ft_transformer, table_resnet, tabular

#: Two numbers with bins, three categories, an indicator.
COLUMNS = [[-1.0, 0.0, 2.0], 3, [-2.0, -1.0, 0.0, 1.0], ()]
SPACES = {
    builder.__name__: Space(builder, features=6, outputs=2, columns=COLUMNS)
    for builder in (tabular, table_resnet, ft_transformer)
}


class TestTabular(SpaceContract):
    space, shape = SPACES["tabular"], (1, 6)


class TestTableResNet(SpaceContract):
    space, shape = SPACES["table_resnet"], (1, 6)


class TestFTTransformer(SpaceContract):
    space, shape, samples = SPACES["ft_transformer"], (1, 6), 4


@pytest.mark.slow
class TestSharedTabular(SupernetContract):
    space, shape = SPACES["tabular"], (1, 6)


@pytest.mark.slow
class TestSharedTableResNet(SupernetContract):
    space, shape, samples = SPACES["table_resnet"], (1, 6), 2


@pytest.mark.slow
class TestSharedFTTransformer(SupernetContract):
    space, shape, samples = SPACES["ft_transformer"], (1, 6), 3


def test_columns_are_told_apart():
    columns = Columns.of(6, COLUMNS)
    assert columns.numbers == (0, 4, 5)
    assert columns.groups == ((1, 2, 3),)
    assert Columns.of(3, None).numbers == (0, 1, 2)
    with pytest.raises(ValueError, match="6 features, but there are 5"):
        Columns.of(5, COLUMNS)


def test_a_number_fills_the_bins_below_it():
    bins = Piecewise([[-1.0, 0.0, 2.0], []])
    at = torch.tensor([[-1.5, 7.0], [-0.25, 0.0], [1.0, -3.0], [4.0, 0.5]])
    first, second = bins(at)[:, 0], bins(at)[:, 1]
    assert first.tolist() == [[-0.5, 0.0], [0.75, 0.0], [1.0, 0.5], [1.0, 2.0]]
    assert second.tolist() == [[7.0, 0.0], [0.0, 0.0], [-3.0, 0.0], [0.5, 0.0]]


def test_each_column_has_its_own_linear_layer():
    torch.manual_seed(0)
    each = EachColumn(3, 2, 4)
    x = torch.randn(5, 3, 2)
    for column in range(3):
        expected = x[:, column] @ each.weight[column] + each.bias[column]
        assert torch.allclose(each(x)[:, column], expected, atol=1e-6)


def test_an_embedding_is_looked_up_and_none_is_the_bias():
    embedding = Categories(((0, 1), (2, 3, 4)), 8)
    onehot = torch.tensor([[0.0, 1, 0, 0, 1], [1, 0, 0, 0, 0]])
    out = embedding(onehot)
    assert torch.allclose(out[0, 0], embedding.weight[1] + embedding.bias[0])
    assert torch.allclose(out[0, 1], embedding.weight[4] + embedding.bias[1])
    assert torch.allclose(out[1, 1], embedding.bias[1])


def test_plain_columns_are_one_linear_layer():
    space = Space(lambda: Stem(Columns.of(6, COLUMNS), 5))
    stem = space.build(space.default(), seed=0)
    rows = torch.randn(4, 6)
    numbers, onehot = rows[:, [0, 4, 5]], rows[:, [1, 2, 3]]
    expected = numbers @ stem.numbers.weight.T + onehot @ stem.categories.weight.T
    expected = expected + stem.numbers.bias + stem.categories.bias
    assert torch.allclose(stem(rows), expected, atol=1e-5)


def test_the_order_of_the_columns_does_not_matter_to_attention():
    """The last token gathers; with equal embeddings, exchanged columns give the same output."""
    space = Space(ft_transformer, features=3, outputs=2)
    model = space.build(space.default(), seed=0).eval()
    each = model[0].numbers[1]
    with torch.no_grad():
        each.weight.copy_(each.weight[:1].expand_as(each.weight))
        each.bias.copy_(each.bias[:1].expand_as(each.bias))
        rows = torch.randn(4, 3)
        assert torch.allclose(model(rows), model(rows[:, [2, 0, 1]]), atol=1e-5)


def test_gates_shrink_each_by_themselves():
    net = Supernet(SPACES["ft_transformer"], example=torch.zeros(2, 6))
    narrow = SPACES["ft_transformer"].complete({"width": 32, "layers.0.ratio": 1.0})
    taken = net.extract(narrow)[1][0][1][1].inside.weight
    stored = net.get("1.0.1.1.inside.weight")
    half = len(stored) // 2
    assert torch.equal(taken[:32], stored[:32, :32])
    assert torch.equal(taken[32:], stored[half : half + 32, :32])


def test_wide_tables_have_no_transformer():
    wide = Space(tabular, features=300, outputs=2)
    drawn = {wide.sample(random.Random(seed))["family"] for seed in range(40)}
    assert drawn == {"mlp", "resnet"}


def test_the_spaces_are_large_and_registered():
    for name, space in SPACES.items():
        assert spaces.get(name) is space.builder.function
        assert math.log10(space.size().count) > 3


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mlp", "resnet", "transformer"])
@pytest.mark.parametrize("numbers", ["plain", "piecewise", "periodic"])
def test_exported_networks_take_any_batch(family, numbers):
    answers = {"family": family, f"family.{family}.numbers": numbers}
    model = SPACES["tabular"].build(SPACES["tabular"].complete(answers), seed=0).eval()
    sizes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (torch.randn(2, 6),), dynamic_shapes=sizes)
    rows = torch.randn(7, 6)
    assert torch.allclose(program.module()(rows), model(rows), atol=1e-5)
