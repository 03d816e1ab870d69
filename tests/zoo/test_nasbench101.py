"""The cells of NAS-Bench-101: pruning, counting graphs, channels, and the network around them."""

import itertools
import random
from math import comb

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.nasbench101 import Cell, nasbench101, vertex_channels
from archsmith.zoo.nasbench101_graph import (
    INNER,
    OUTPUT,
    PAIRS,
    canonical,
    features,
    from_matrix,
    graph_of,
    pruned,
    to_architecture,
)

SMALL = Space(nasbench101, channels=2, classes=4, width=4, stacks=2, cells=1)

#: The paper's best cell, its Figure 1: five inner vertices and nine edges.
MATRIX = [
    [0, 1, 0, 0, 1, 1, 0],
    [0, 0, 1, 0, 0, 0, 0],
    [0, 0, 0, 1, 0, 0, 1],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
OPS = ["input", "conv1x1", "conv3x3", "maxpool3x3", "conv3x3", "conv3x3", "output"]


class TestNasBench101(SpaceContract):
    space, shape = SMALL, (1, 2, 8, 8)


def cells_of(inner):
    """All sets of edges in which every vertex lies on a way, by brute force."""
    pairs = [(s, t) for t in range(1, inner + 2) for s in range(t)]
    # One bit for each vertex that has an edge out of it, and one for each with an edge into it.
    bits = [1 << s | 1 << (t + inner + 1) for s, t in pairs]
    everything = (1 << 2 * (inner + 1) + 1) - (1 << inner + 2) | (1 << inner + 1) - 1
    for count in range(inner + 1, 10):
        for chosen in itertools.combinations(range(len(pairs)), count):
            union = 0
            for index in chosen:
                union |= bits[index]
            if union == everything:
                number = [*range(inner + 1), OUTPUT]
                yield tuple((number[pairs[i][0]], number[pairs[i][1]]) for i in chosen)


def colourings(inner, edges):
    """In how many different ways three operations can be given to a graph (Burnside's lemma)."""
    there, kept, fixed = set(edges), 0, 0
    for order in itertools.permutations(range(1, inner + 1)):
        image = {0: 0, OUTPUT: OUTPUT} | dict(enumerate(order, start=1))
        if {(image[s], image[t]) for s, t in edges} == there:
            kept += 1
            fixed += 3 ** cycles(image, inner)
    return fixed // kept


def cycles(image, inner):
    seen, count = set(), 0
    for vertex in range(1, inner + 1):
        count += vertex not in seen
        while vertex not in seen:
            seen.add(vertex)
            vertex = image[vertex]
    return count


@pytest.mark.slow
def test_there_are_423624_graphs():
    # As the paper counts them; for cells of up to five vertices by trying all operations too.
    total = 0
    for inner in range(6):
        plain = dict.fromkeys(range(1, inner + 1), "conv3x3")
        graphs = {canonical(to_architecture(plain, e)): e for e in cells_of(inner)}
        count = sum(colourings(inner, edges) for edges in graphs.values())
        total += count
        if inner <= 3:
            labels = itertools.product(("conv3x3", "conv1x1", "maxpool3x3"), repeat=inner)
            spelled = itertools.product(labels, cells_of(inner))
            different = {
                canonical(to_architecture(dict(enumerate(ops, start=1)), edges))
                for ops, edges in spelled
            }
            assert len(different) == count
    assert total == 423_624


def test_the_size_is_that_of_the_flat_encoding():
    size = SMALL.size()
    assert size.exact
    assert size.count == sum(comb(21, k) for k in range(1, 10)) * 3**5


def test_isomorphic_graphs_are_one_and_others_are_not():
    rng = random.Random(0)
    for _ in range(200):
        ops, edges = graph_of(SMALL.sample(rng))
        order = list(ops)
        rng.shuffle(order)
        image = {0: 0, OUTPUT: OUTPUT} | dict(zip(ops, order, strict=True))
        moved = [(image[s], image[t]) for s, t in edges]
        if any(source >= target for source, target in moved):
            continue
        other = to_architecture({image[v]: op for v, op in ops.items()}, moved)
        same = to_architecture(ops, edges)
        assert canonical(other) == canonical(same)
        assert features(other) == features(same)
    one, two = (
        to_architecture({1: a, 2: b}, [(0, 1), (1, 2), (2, 6)])
        for a, b in (("conv3x3", "conv1x1"), ("conv1x1", "conv3x3"))
    )
    assert canonical(one) != canonical(two)


def test_what_is_pruned_makes_no_difference():
    answers = dict.fromkeys((f"op{v}" for v in INNER), "conv1x1")
    one = SMALL.complete({**answers, "edges": ("0>1", "1>6")})
    two = SMALL.complete({**answers, "edges": ("0>1", "1>2", "3>4", "1>6"), "op2": "maxpool3x3"})
    assert canonical(one) == canonical(two) == "conv1x1: 0>1 1>2"
    models = [SMALL.build(a, seed=0) for a in (one, two)]
    assert models[0].state_dict().keys() == models[1].state_dict().keys()
    none = SMALL.complete({"edges": ("0>1", "2>6")})
    assert graph_of(none) == ({}, ((0, OUTPUT),))


def test_paths_are_counted():
    architecture = from_matrix(MATRIX, OPS)
    told = features(architecture)
    assert {name: n for name, n in told.items() if name.startswith("path:")} == {
        "path:conv1x1>conv3x3": 1.0,
        "path:conv1x1>conv3x3>maxpool3x3>conv3x3": 1.0,
        "path:conv3x3>conv3x3": 1.0,
        "path:conv3x3": 1.0,
    }
    assert (told["depth:longest"], told["depth:edges"], told["op:maxpool3x3"]) == (4.0, 9.0, 1.0)


def test_matrices_become_architectures_of_the_space():
    architecture = from_matrix(MATRIX, OPS)
    SMALL.validate(architecture)
    assert len(architecture["edges"]) == 9
    # A vertex that nothing comes from is left out, and the ones behind it move up.
    matrix = [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    small = from_matrix(matrix, ["input", "conv1x1", "maxpool3x3", "output"])
    assert graph_of(small) == ({1: "maxpool3x3"}, ((0, 1), (1, OUTPUT)))


@pytest.mark.parametrize(
    ("matrix", "ops", "part"),
    [
        ([[0, 0], [0, 0]], ["input", "output"], "a path from input to output"),
        ([[0, 1], [1, 0]], ["input", "output"], "upper triangular"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "conv9x9", "output"], "op1.*conv9x9"),
        ([[0, 1, 0]], ["input", "conv1x1", "output"], "3 rows and columns"),
        ([[0] * 8] * 8, ["conv1x1"] * 8, "2 to 7 vertices, got 8"),
        ([[int(t > s) for t in range(5)] for s in range(5)], ["conv1x1"] * 5, "at most 9 edges"),
    ],
)
def test_other_matrices_are_refused(matrix, ops, part):
    with pytest.raises(SpaceError, match=part):
        from_matrix(matrix, ops)


def test_incomplete_architectures_are_refused():
    with pytest.raises(SpaceError, match="op1"):
        canonical({"edges": ("0>1", "1>6")})
    with pytest.raises(SpaceError, match="5>0"):
        canonical({"edges": ("5>0",)})


def test_channels_are_divided_by_the_papers_rule():
    # Three vertices lead to the output; 1 is as wide as the wider of those that it leads to.
    edges = pruned([(0, 1), (1, 2), (1, 4), (2, 6), (0, 3), (3, 6), (4, 6)])
    assert vertex_channels(128, edges) == {1: 43, 2: 43, 3: 43, 4: 42, OUTPUT: 128}
    assert vertex_channels(128, ((0, OUTPUT),)) == {OUTPUT: 128}


def test_a_cell_adds_joins_and_projects():
    # Vertices 1 and 2 work on the input alone and are joined; the input is added to both.
    architecture = to_architecture(
        {1: "maxpool3x3", 2: "maxpool3x3"}, [(0, 1), (0, 2), (1, 6), (2, 6), (0, 6)]
    )
    model = SMALL.build(architecture, seed=0).eval()
    cell = next(m for m in model if isinstance(m, Cell))
    x = torch.randn(2, 4, 5, 5)
    pool = nn.MaxPool2d(3, 1, 1)
    p = cell.projections
    expected = torch.cat([pool(p["1"](x)), pool(p["2"](x))], dim=1) + p["6"](x)
    assert torch.equal(cell(x), expected)


def test_uneven_channels_are_cut():
    # 4 channels for three vertices: 2, 1, 1; vertex 1 hands one of its two on to vertex 2.
    edges = [(0, 1), (1, 2), (1, 6), (2, 6), (0, 3), (3, 6)]
    architecture = to_architecture(dict.fromkeys((1, 2, 3), "conv3x3"), edges)
    assert SMALL.build(architecture)(torch.randn(2, 2, 8, 8)).shape == (2, 4)


def test_every_edge_has_a_label():
    assert len(PAIRS) == 21
    assert all(source < target for source, target in PAIRS.values())


def test_random_ones_train_a_step():
    random_ones_train_a_step(SMALL, (1, 2, 8, 8))
