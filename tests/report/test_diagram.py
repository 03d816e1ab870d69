"""Tracing data flow: edges of known models exactly, and nothing that a model does breaks it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from archsmith.report.diagram import module_tree, trace_graph
from archsmith.report.graph import Graph

from .models import EDGES, Cell, Reader, Residual, ResNet


def wires(graph: Graph) -> set[tuple[str, str]]:
    """Edges by module path, or by function and number where there is none."""
    names = {n.number: n.path or f"{n.type}{n.number}" for n in graph.nodes}
    return {(names[a], names[b]) for a, b in graph.edges}


def test_a_residual_block_has_exactly_these_edges() -> None:
    graph = trace_graph(Residual(8, 8), torch.zeros(1, 8, 6, 6))
    assert wires(graph) == {
        ("input0", "conv1"),
        ("conv1", "bn1"),
        ("bn1", "relu3"),
        ("relu3", "conv2"),
        ("conv2", "bn2"),
        ("input0", "shortcut"),
        ("bn2", "add_7"),
        ("shortcut", "add_7"),
        ("add_7", "relu8"),
        ("relu8", "output9"),
    }
    assert not graph.note


def test_nodes_know_what_they_are() -> None:
    graph = trace_graph(Residual(8, 16, 2), torch.zeros(3, 8, 6, 6))
    conv = next(n for n in graph.nodes if n.path == "conv1")
    assert (conv.type, conv.text) == ("Conv2d", "Conv 3×3, 8→16, /2")
    assert conv.shape == (16, 3, 3)
    assert conv.params == 8 * 16 * 9
    assert sum(n.params for n in graph.nodes) == graph.params
    assert graph.params == sum(p.numel() for p in Residual(8, 16, 2).parameters())


def test_a_cell_is_sums_of_edges() -> None:
    graph = trace_graph(Cell(4, EDGES), torch.zeros(1, 4, 6, 6))
    found = wires(graph)
    assert ("edges.0to2.2", "add8") in found
    assert ("edges.1to2", "add8") in found
    assert {a for a, b in found if b == "add16"} == {"edges.0to3", "edges.1to3.2"}
    assert {a for a, b in found if b == "add17"} == {"add16", "edges.2to3.2"}
    assert {b for a, b in found if a == "input0"} == {"edges.0to1.0", "edges.0to2.0", "edges.0to3"}


def test_recurrent_and_compound_layers_are_one_node() -> None:
    graph = trace_graph(Reader(), torch.zeros(1, 7, dtype=torch.long))
    assert [n.text for n in graph.nodes[1:4]] == [
        "Embedding 100→24",
        "LSTM 24→32, 2 layers, bidirectional",
        "Linear 64→3",
    ]
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    graph = trace_graph(nn.Sequential(layer, nn.Linear(16, 2)), torch.zeros(1, 5, 16))
    assert [n.kind for n in graph.nodes] == ["input", "attention", "linear", "output"]
    assert graph.nodes[1].params == sum(p.numel() for p in layer.parameters())


class Concat(nn.Module):
    """Branches through chunk, dict, in-place activation and item assignment."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)
        self.act = nn.ReLU(inplace=True)
        self.unused = nn.Linear(9, 9)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        left = self.left(a)
        self.act(left)
        right = self.right(b)
        both = torch.cat([left, right], dim=-1)
        both[..., 0] = right[..., 0]
        return both


def test_in_place_changes_and_concatenation_are_followed() -> None:
    graph = trace_graph(Concat(), torch.zeros(1, 8))
    found = wires(graph)
    assert ("left", "act") in found
    assert {a for a, b in found if b == "cat4"} == {"act", "right"}
    assert ("left", "cat4") not in found
    assert graph.note == "Not used for the output: unused."


def test_an_identity_that_runs_first_is_not_mistaken_for_its_input() -> None:
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.skip, self.conv = nn.Identity(), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            kept = self.skip(x)
            return kept + self.conv(x)

    found = wires(trace_graph(First(), torch.zeros(1, 4)))
    assert ("input0", "conv") in found
    assert ("skip", "conv") not in found


def test_a_module_that_runs_twice_is_two_nodes_and_counts_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.block(self.block(x))

    graph = trace_graph(Twice(), torch.zeros(1, 4))
    layers = [n for n in graph.nodes if n.path == "block.0"]
    assert [n.params for n in layers] == [20, 0]
    assert [n.scope for n in layers] == [("block",), ("block@2",)]


class Unregistered(nn.Module):
    """Holds a tensor that does not follow it to meta."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.ones(4)
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x * self.scale)


def test_a_model_that_cannot_run_on_meta_runs_where_it_is() -> None:
    graph = trace_graph(Unregistered(), torch.zeros(1, 4))
    assert [n.kind for n in graph.nodes] == ["input", "linear", "output"]


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no")


class Hidden(nn.Module):
    """Goes through numpy, where no tensor can be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.layer(x).numpy())


@pytest.mark.parametrize("model", [Broken(), Hidden()])
def test_what_cannot_be_followed_gives_the_module_tree(model: nn.Module) -> None:
    graph = trace_graph(model, torch.zeros(1, 4))
    assert not graph.nodes
    assert "could not be followed" in graph.note
    assert [line.text for line in graph.tree] == [type(model).__name__, "Linear 4→2"]
    assert graph.params == 10


def test_the_model_is_left_as_it_was() -> None:
    model = ResNet(4, 2).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace_graph(model, torch.zeros(1, 1, 8, 8))
    assert model.training
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_the_tree_has_depths_and_names() -> None:
    lines = list(module_tree(nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.ReLU()))))
    assert [(line.depth, line.name, line.text, line.params) for line in lines] == [
        (0, "", "Sequential", 8),
        (1, "0", "Linear 3→2", 8),
        (1, "1", "Sequential", 0),
        (2, "0", "ReLU", 0),
    ]
