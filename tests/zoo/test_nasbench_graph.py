"""The graph network space against the published table, and its layers against known answers."""

import itertools
import os
import random
from pathlib import Path

import pytest
import torch

from archsmith._support.errors import InputError, SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.graph_layers import Arma, Cheb, Edges, Gat, Gcn, Gin, KGnn, Sage
from archsmith.zoo.nasbench_graph import (
    GRAPHS,
    LINKS,
    NODES,
    OPS,
    canonical,
    features_of,
    from_row,
    nasbench_graph,
    pack,
    to_row,
)

SMALL = Space(nasbench_graph, features=5, classes=3, width=8, dropout=0.0)


class TestNASBenchGraph(SpaceContract):
    space, shape = SMALL, (1, 6, 6 + 5)


class TestWithLayersAround(SpaceContract):
    space = Space(nasbench_graph, features=5, classes=3, width=8, pre=True, post=True)
    shape = (1, 6, 6 + 5)


@pytest.fixture(scope="module")
def table():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip("ARCHSMITH_DATA does not name a folder with nas_bench_graph.parquet")
    pandas = pytest.importorskip("pandas")
    return pandas.read_parquet(Path(folder) / "nas_bench_graph.parquet")


@pytest.mark.slow
def test_59049_spellings_of_26207_networks():
    spellings = itertools.product(LINKS, *[OPS] * 4)
    forms = {canonical({"link": s[0], **dict(zip(NODES, s[1:]))}) for s in spellings}
    assert SMALL.size().count == 59_049
    assert len(forms) == 26_207
    assert canonical(from_row("0-1-2-3", "skip-skip-skip-skip")) == ""


def test_the_recorded_networks_are_all_but_the_one_of_skips(table):
    rows = [from_row(link, ops) for link, ops in zip(table.link, table.ops)]
    assert len({canonical(row) for row in rows} - {""}) == len(rows) == 26_206
    assert [to_row(row) for row in rows] == list(zip(table.link, table.ops))


def test_params_are_the_recorded_ones(table):
    for graph, arguments in GRAPHS.items():
        space, width = Space(nasbench_graph, **arguments), arguments["width"]
        for row in random.Random(0).sample(range(len(table)), 8):
            ops = table.ops[row].split("-")
            model = space.build(from_row(table.link[row], table.ops[row]), device="meta")
            params = sum(p.numel() for p in model.parameters())
            # Recorded are a batch norm for skips too, and a matrix that one ARMA step leaves idle.
            idle = 2 * width * ops.count("skip") + width**2 * ops.count("arma")
            assert params + idle == round(table[f"{graph}/para"][row] * 1e6)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("0-0-0-1", "gcn-gat-fc-gin"), ("0-0-0-1", "gcn-fc-gat-gin")),
        (("0-1-2-3", "gcn-skip-gat-skip"), ("0-1-2-3", "skip-skip-gcn-gat")),
        (("0-0-1-2", "gcn-gat-fc-gin"), ("0-0-1-2", "gat-gcn-gin-fc")),
        (("0-0-0-0", "gcn-skip-gat-skip"), ("0-0-0-0", "skip-skip-gat-gcn")),
    ],
)
def test_equal_graphs_compute_the_same(one, two):
    a, b = from_row(*one), from_row(*two)
    assert canonical(a) == canonical(b)
    x = torch.randn(2, 4, 5)
    adjacency = (torch.rand(2, 4, 4) > 0.5).float()
    sums = []
    for architecture in (a, b):
        model = SMALL.build(architecture, seed=0).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.1)
        sums.append(model(x, adjacency))
    assert torch.allclose(*sums, atol=1e-5)


def test_two_skips_beside_each_other_count():
    assert canonical(from_row("0-1-1-1", "gcn-skip-skip-fc")) == "gcn(fc,skip,skip)"
    assert canonical(from_row("0-1-1-2", "gcn-skip-fc-gat")) == "gcn(fc,gat)"
    assert features_of(from_row("0-1-1-2", "gcn-skip-fc-gat")) == {
        "op:gcn": 1.0,
        "op:fc": 1.0,
        "op:gat": 1.0,
        "pair:>gcn": 1.0,
        "pair:gcn>fc": 1.0,
        "pair:gcn>gat": 1.0,
        "depth:longest": 2.0,
        "depth:ends": 2.0,
    }


def test_a_pair_and_a_packed_tensor_are_one():
    model = SMALL.build(SMALL.default(), seed=0).eval()
    x, adjacency = torch.randn(2, 4, 5), (torch.rand(2, 4, 4) > 0.5).float()
    assert torch.equal(model(x, adjacency), model(pack(x, adjacency)))
    assert torch.allclose(model(x, adjacency[0])[0], model(x, adjacency)[0], atol=1e-6)
    with pytest.raises(InputError, match="nodes \\+ 5"):
        model(torch.randn(2, 4, 8))


def test_layers_on_a_path_of_three_nodes():
    """Weights of one, biases of zero: what is left is the aggregation."""
    edges = Edges(torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    x = torch.tensor([[[1.0], [2.0], [4.0]]])
    expected = {
        Gcn: [1 / 2 + 2 / 6**0.5, 1 / 6**0.5 + 2 / 3 + 4 / 6**0.5, 2 / 6**0.5 + 4 / 2],
        Sage: [2 + 1, 2.5 + 2, 2 + 4],
        Gin: [1 + 2, 2 + 5, 4 + 2],
        KGnn: [2 + 1, 5 + 2, 2 + 4],
        Cheb: [1 - 2 / 2**0.5, 2 - 5 / 2**0.5, 4 - 2 / 2**0.5],
        Arma: [2 / 2**0.5 + 1, 5 / 2**0.5 + 2, 2 / 2**0.5 + 4],
    }
    for kind, values in expected.items():
        layer = kind(1, 1)
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        assert torch.allclose(
            layer(x, edges).flatten(), torch.tensor(values, dtype=torch.float32)
        ), kind


def test_attention_reads_neighbours_and_itself_alone():
    layer = Gat(2, 4)
    edges = Edges(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 0, 0]]))
    x = torch.randn(1, 3, 2)
    alone = layer.linear(x) + layer.bias
    out = layer(x, edges)
    assert torch.allclose(out[0, [0, 2]], alone[0, [0, 2]], atol=1e-6)
    assert not torch.allclose(out[0, 1], alone[0, 1])


def test_it_learns_what_neighbours_tell():
    """The class of a node is that of its only neighbour's feature: no dense layer can know."""
    torch.manual_seed(0)
    x = torch.zeros(32, 6, 5)
    marks = torch.randint(3, (32, 6))
    x.scatter_(2, marks.unsqueeze(2), 1.0)
    ring = torch.roll(torch.eye(6), 1, dims=1)  # node i hears of node i + 1
    target = torch.roll(marks, -1, dims=1)
    accuracy = {}
    for op in ("sage", "fc"):
        model = SMALL.build(from_row("0-1-2-3", f"skip-skip-fc-{op}"), seed=0)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
        for _ in range(60):
            loss = torch.nn.functional.cross_entropy(model(x, ring).flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracy[op] = (model(x, ring).argmax(-1) == target).float().mean().item()
    assert accuracy["sage"] > 0.95
    assert accuracy["fc"] < 0.7


@pytest.mark.parametrize(
    ("link", "ops", "part"),
    [
        ("0-0-2-1", "gcn-gcn-gcn-gcn", "link: expected one of 0-0-0-0"),
        ("0-0-0-0", "gcn-gcn-gcn", "four operations"),
        ("0-0-0-0", "gcn-gcm-gcn-gcn", "node2.*gcm"),
    ],
)
def test_broken_rows_say_where(link, ops, part):
    with pytest.raises(SpaceError, match=part):
        from_row(link, ops)


def test_incomplete_architectures_are_refused():
    with pytest.raises(SpaceError, match="node1"):
        canonical({"link": "0-0-0-0"})
    with pytest.raises(SpaceError, match="link"):
        to_row({})
