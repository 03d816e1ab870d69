"""Graph features of NAS-Bench-201's cells."""

from __future__ import annotations

import random

import pytest

from archsmith.space import Space
from archsmith.zoo.nasbench201 import canonical, features, from_arch_str, nasbench201


def test_features_of_a_cell():
    """Input to output: 3x3 then pool, 3x3 alone (twice the same result), and a skip."""
    cell = from_arch_str(
        "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    )
    assert features(cell) == {
        "path:nor_conv_3x3>avg_pool_3x3": 1.0,
        "path:nor_conv_3x3": 1.0,
        "path:skip": 1.0,
        "term:nor_conv_3x3": 1.0,
        "term:avg_pool_3x3": 1.0,
        "depth:longest": 2.0,
        "depth:shortest": 0.0,
        "depth:convolutions": 1.0,
        "depth:paths": 3.0,
    }


def test_a_cell_that_passes_nothing_on():
    cell = from_arch_str("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|")
    found = features(cell)
    assert set(found.values()) == {0.0}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_equal_graphs_have_equal_features(seed):
    space = Space(nasbench201, channels=3, classes=10)
    rng = random.Random(seed)
    by_graph = {}
    for _ in range(1500):
        cell = space.sample(rng)
        found = space.graph_features(cell)
        assert by_graph.setdefault(canonical(cell), found) == found
    assert len(by_graph) < 1400  # spellings did meet
