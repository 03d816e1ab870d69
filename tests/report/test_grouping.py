"""Grouping layers into boxes and repeated blocks."""

from __future__ import annotations

import torch
from torch import nn

from archsmith.report.diagram import trace_graph
from archsmith.report.graph import Graph
from archsmith.report.grouping import group
from archsmith.report.picture import Block, Box, Picture

from .models import CellNet, Residual, ResNet


def titles(picture: Picture) -> list[str]:
    return [
        f"{item.title} ×{item.count}" if isinstance(item, Block) else item.title
        for item in picture.items
    ]


def resnet() -> Graph:
    return trace_graph(ResNet(16, 3), torch.zeros(1, 1, 28, 28))


def test_chains_become_one_box_and_equal_blocks_one_frame() -> None:
    picture = group(resnet())
    assert titles(picture) == [
        "Input",
        "Conv 3×3, 1→16",
        "Residual ×3",
        "Conv 3×3, 16→32, /2",
        "Conv 3×3, 32→32",
        "Conv 1×1, 16→32, /2",
        "+",
        "Residual ×2",
        "Conv 3×3, 32→64, /2",
        "Conv 3×3, 64→64",
        "Conv 1×1, 32→64, /2",
        "+",
        "Residual ×2",
        "Global average pool",
        "Linear 64→10",
        "Output",
    ]
    stem = picture.items[1]
    assert isinstance(stem, Box)
    assert (stem.detail, stem.params) == ("BatchNorm · ReLU", 16 * 9 + 32)
    assert stem.paths == ("stem.0", "stem.1", "stem.2")


def test_edges_of_the_picture_are_those_of_the_model() -> None:
    picture = group(resnet())
    chain = {(i, i + 1) for i in range(15)} - {(4, 5), (9, 10)}
    assert set(picture.edges) == chain | {(2, 5), (5, 6), (4, 6), (7, 10), (10, 11), (9, 11)}
    block = picture.items[2]
    assert isinstance(block, Block)
    # Two convolutions in a row, and the sum that also takes what comes in.
    assert block.picture.edges == ((0, 1), (1, 2))
    assert block.picture.entries == (0, 2)
    assert block.picture.exits == (2,)


def test_parameters_are_neither_lost_nor_counted_twice() -> None:
    for model, example in (
        (ResNet(8, 2), torch.zeros(1, 1, 16, 16)),
        (CellNet(3, 8), torch.zeros(1, 3, 16, 16)),
    ):
        for most in (60, 8):
            picture = group(trace_graph(model, example), most)
            assert sum(item.params for item in picture.items) == sum(
                p.numel() for p in model.parameters()
            )


def test_a_nasbench_cell_is_drawn_once_with_sums_of_edges() -> None:
    picture = group(trace_graph(CellNet(5, 8), torch.zeros(1, 3, 16, 16)))
    cells = [item for item in picture.items if isinstance(item, Block)]
    assert [(c.title, c.count) for c in cells] == [("Cell", 5)] * 3
    inner = cells[0].picture
    assert titles(inner) == [
        "Conv 3×3, 8→8",
        "Conv 1×1, 8→8",
        "Average pool 3×3",
        "+",
        "Conv 3×3, 8→8",
        "Conv 1×1, 8→8",
        "+",
    ]
    # The last sum joins three edges in one, and the skip comes from outside.
    assert {a for a, b in inner.edges if b == 6} == {4, 5}
    assert inner.entries == (0, 1, 6)
    first = inner.items[0]
    assert isinstance(first, Box)
    assert first.detail == "ReLU · Conv · BatchNorm"


def test_layers_after_the_last_block_do_not_make_it_unlike_the_others() -> None:
    class Tail(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Residual(4, 4) for _ in range(4))
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = block(x)
            return self.norm(x).relu()

    picture = group(trace_graph(Tail(), torch.zeros(1, 4, 6, 6)))
    assert titles(picture) == ["Input", "Residual ×4", "BatchNorm", "Output"]


def test_equal_layers_in_a_row_are_counted() -> None:
    layers: list[nn.Module] = [nn.Linear(8, 16), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Linear(16, 16), nn.ReLU()]
    picture = group(trace_graph(nn.Sequential(*layers, nn.Linear(16, 3)), torch.zeros(1, 8)))
    boxes = [item for item in picture.items if isinstance(item, Box)]
    assert [(b.title, b.count) for b in boxes] == [
        ("Input", 1),
        ("Linear 8→16", 1),
        ("Linear 16→16", 4),
        ("Linear 16→3", 1),
        ("Output", 1),
    ]
    assert picture.edges == ((0, 1), (1, 2), (2, 3), (3, 4))


def test_a_block_whose_output_is_used_elsewhere_stays_out_of_the_frame() -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(
                nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(3)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a = self.blocks[0](x)
            b = self.blocks[1](a)
            return self.blocks[2](b) + a

    picture = group(trace_graph(Dense(), torch.zeros(1, 4)))
    assert titles(picture) == ["Input", "Linear 4→4", "Sequential ×2", "+", "Output"]
    assert set(picture.edges) == {(0, 1), (1, 2), (2, 3), (1, 3), (3, 4)}


def test_large_models_collapse_by_module_and_stay_acyclic() -> None:
    picture = group(resnet(), 14)
    assert picture.boxes <= 14
    assert "Residual" in titles(picture)
    assert all(a < b for a, b in picture.edges)
