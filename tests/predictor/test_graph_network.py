"""The graph network: what it sees of a model, order of nodes, messages, counting."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas
from archsmith.predictor.graph import GraphNetwork
from archsmith.predictor.neighbourhoods import Neighbourhoods
from archsmith.predictor.network import Batch, MessageNetwork
from archsmith.predictor.operations import Operation, OperationGraph, operation_graph


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x)) + x


class Stubborn(nn.Module):
    """Cannot be traced without values."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if x.sum() > 0 else x


def test_a_model_is_seen_as_it_computes():
    graph = operation_graph(Residual())
    assert [n.kind for n in graph.nodes] == ["placeholder", "Conv2d", "relu", "add", "output"]
    assert set(graph.edges) == {(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)}
    sizes = dict(graph.nodes[1].sizes)
    assert sizes["out_channels"] == np.log1p(3)
    assert sizes["params"] == np.log1p(3 * 3 * 9 + 3)


def test_a_model_that_cannot_be_traced_is_seen_as_its_tree():
    graph = operation_graph(Stubborn())
    assert [n.kind for n in graph.nodes] == ["Stubborn", "Sequential", "Linear", "ReLU"]
    assert set(graph.edges) == {(0, 1), (1, 2), (1, 3), (2, 3)}


def random_graph(rng: random.Random, nodes: int = 12) -> OperationGraph:
    kinds = [
        Operation(rng.choice("abc"), (("width", float(rng.randrange(3))),)) for _ in range(nodes)
    ]
    edges = [(i, j) for j in range(nodes) for i in range(j) if rng.random() < 0.25]
    return OperationGraph(tuple(kinds), tuple(edges))


def shuffled(graph: OperationGraph, rng: random.Random) -> OperationGraph:
    order = rng.sample(range(len(graph.nodes)), len(graph.nodes))
    to = {old: new for new, old in enumerate(order)}
    edges = [(to[a], to[b]) for a, b in graph.edges]
    rng.shuffle(edges)
    return OperationGraph(tuple(graph.nodes[old] for old in order), tuple(edges))


def network_for(batch: Batch, radius: int) -> MessageNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MessageNetwork(len(batch.vocabulary), 8, radius, 10.0)
        network(batch)  # the statistics by which what is read is scaled
        return network.eval()


def test_the_order_of_nodes_makes_no_difference():
    rng = random.Random(0)
    graphs = [random_graph(rng) for _ in range(5)]
    batch = Batch(graphs, 3)
    other = Batch([shuffled(graph, rng) for graph in graphs], 3, batch.vocabulary)
    network = network_for(batch, 3)
    assert torch.allclose(network(batch), network(other), atol=1e-5)


def test_neighbourhoods_give_what_plain_messages_between_all_nodes_give():
    """The same network, node by node with matrices, without putting equal ones together."""
    rng = random.Random(1)
    graphs = [random_graph(rng) for _ in range(4)]
    batch = Batch(graphs, 2)
    network = network_for(batch, 2)
    wanted = []
    for graph in graphs:
        state = F.relu(network.enter(batch.vocabulary.rows(graph.nodes)))
        matrix = torch.zeros(len(graph.nodes), len(graph.nodes))
        for giver, taker in graph.edges:
            matrix[taker, giver] += 1
        read = [state.mean(0), state.sum(0) / network.size]
        for own, giving, taking in zip(network.own, network.giving, network.taking):
            state = F.relu(own(state) + matrix @ giving(state) + matrix.T @ taking(state))
            read += [state.mean(0), state.sum(0) / network.size]
        wanted.append(network.read(network.scale(torch.cat(read)[None]))[0])
    assert torch.allclose(network(batch), torch.cat(wanted), atol=1e-5)


def test_equal_neighbourhoods_are_computed_once():
    chain = OperationGraph(
        tuple(Operation("a") for _ in range(50)), tuple((i, i + 1) for i in range(49))
    )
    found = Neighbourhoods([chain, chain], 2)
    assert len(found.operations) == 1
    assert [len(level.own) for level in found.levels] == [3, 5]  # ends, next to them, inside
    assert found.counts[0][2].most_common(1)[0][1] == 46


@pytest.mark.slow
def test_it_counts_operations():
    """The value is the number of wide layers, wherever they stand; 30 are known of 4,096."""

    def stack() -> nn.Module:
        options = {
            "wide": lambda: nn.Conv2d(4, 4, 5, padding=2),
            "narrow": lambda: nn.Conv2d(4, 4, 1),
            "relu": nn.ReLU,
            "none": nn.Identity,
        }
        return nn.Sequential(*(nas.one_of(f"op{i}", options) for i in range(6)))

    space, rng = nas.Space(stack), random.Random(0)
    architectures = list({space.sample(rng): None for _ in range(60)})
    values = [float(sum(v == "wide" for v in a.values())) for a in architectures]
    predictor = GraphNetwork(members=2, hidden=16, steps=100)
    predictor.fit(space, architectures[:30], values[:30])
    found = predictor.predict(architectures[30:]).mean
    assert np.corrcoef(found, values[30:])[0, 1] > 0.9
