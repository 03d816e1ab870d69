"""Linear layers that are cut in forward: found by following an example, sliced part by part."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas
from archsmith.supernet.fused import fused_parts
from archsmith.supernet.supernet import Supernet
from archsmith.testing import supernet as promise

from . import families

HEADS, SIZE = 2, 4
CUTS = {
    "split": lambda y, w: y.split(w, dim=2),
    "chunk": lambda y, w: torch.chunk(y, 3, -1),
    "tensor_split": lambda y, w: y.tensor_split(3, dim=-1),
    "slices": lambda y, w: (y[..., :w], y[..., w : 2 * w], y[:, :, 2 * w :]),
    "unpacked": lambda y, w: y.reshape(*y.shape[:2], 3, w).permute(2, 0, 1, 3),
    "unbound": lambda y, w: y.unflatten(-1, (3, w)).unbind(2),
    "picked": lambda y, w: [y.view(*y.shape[:2], 3, w).movedim(2, 0)[i] for i in range(3)],
    "dropped": lambda y, w: F.dropout(y, 0.1, False).float().contiguous().chunk(3, -1),
    "heads": lambda y, w: [
        part.view(*y.shape[:2], HEADS, -1).transpose(1, 2).flatten(1, 2) for part in y.chunk(3, -1)
    ],
}


class Cut(nn.Module):
    def __init__(self, width: int, how: str) -> None:
        super().__init__()
        self.qkv, self.how = nn.Linear(8, 3 * width), how
        self.out = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = CUTS[self.how](self.qkv(x), self.qkv.out_features // 3)
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v


def parts(model: nn.Module, example: Tensor) -> dict[str, int]:
    return fused_parts(model, {name: name for name, _ in model.named_parameters()}, example)


@pytest.mark.parametrize("how", CUTS)
def test_three_parts_are_found_however_they_are_cut(how):
    found = parts(Cut(8, how), torch.randn(2, 5, 8))
    assert found == {"qkv.weight": 3, "qkv.bias": 3, "out.weight": 1, "out.bias": 1}


class Others(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gated, self.glu, self.whole = (nn.Linear(8, 12) for _ in range(3))
        self.each, self.unequal, self.first = (nn.Linear(8, 12) for _ in range(3))
        self.pixels = nn.Conv2d(2, 9, 1)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.gated(x).chunk(2, -1)
        q, k, v = self.pixels(x.view(-1, 2, 2, 2)).flatten(2).chunk(3, dim=1)
        heads = self.each(x).view(-1, HEADS, 3, 2)  # of each head, three parts
        a, b, c = heads[:, :, 0], heads[:, :, 1], heads[:, :, 2]
        query, rest = self.unequal(x).split([8, 4], -1)
        normed = F.layer_norm(self.whole(x), [12])
        outs = [
            value * gate.sigmoid(),
            F.glu(self.glu(x)),
            q * k * v,
            a * b * c,
            query.relu(),
            rest.exp(),
            normed.chunk(2, -1)[0],
            self.first(x)[:, 0],
        ]
        return torch.stack([out.sum() for out in outs])


def test_gates_convolutions_and_what_is_not_cut():
    found = parts(Others(), torch.randn(3, 8))
    expected = {"gated": 2, "glu": 2, "whole": 1, "each": 6, "unequal": 1, "first": 1, "pixels": 3}
    assert {name.partition(".")[0]: count for name, count in found.items()} == expected


@pytest.mark.slow
def test_a_narrow_model_takes_its_part_of_queries_keys_and_values(tmp_path):
    tokens = torch.arange(8)[None]
    net = Supernet(families.GPT, example=tokens)
    assert net.survey.fused == {
        f"blocks.{i}.attention.qkv.{name}": 3 for i in range(3) for name in ("weight", "bias")
    }
    narrow = families.GPT.complete({"width": 16})
    net.save(tmp_path / "net.safetensors")
    back = Supernet.load(tmp_path / "net.safetensors", families.GPT)  # without the example
    for supernet in (net, back):
        stored = supernet.get("blocks.0.attention.qkv.weight")
        taken = supernet.extract(narrow).blocks[0].attention.qkv.weight
        for part in range(3):
            here, there = slice(16 * part, 16 * part + 16), slice(32 * part, 32 * part + 16)
            assert torch.equal(taken[here], stored[there, :16])

    def run(model: nn.Module) -> Tensor:
        return model(tokens)

    promise.only_the_path_moves(net, [narrow, net.survey.smallest], run, promise.OPTIMIZERS[1])
    promise.same_outputs_and_gradients(net, narrow, run, train=True)
    promise.gradients_inside(net, narrow, run)


@pytest.mark.slow
def test_without_an_example_a_fused_layer_is_a_prefix():
    net = Supernet(families.GPT)
    stored = net.get("blocks.0.attention.qkv.weight")
    narrow = net.extract(families.GPT.complete({"width": 16})).blocks[0].attention.qkv.weight
    assert torch.equal(narrow, stored[:48, :16])


def test_a_rule_of_the_user_comes_first():
    class Mine(nn.Linear):
        pass

    nas.slice_rule(Mine)(lambda layer, name: nas.SlicingRule(parts=((0, 6),)))

    class Net(Cut):
        def __init__(self) -> None:
            super().__init__(8, "chunk")
            self.qkv = Mine(8, 3 * nas.choose("width", [4, 8]))

    net = Supernet(nas.Space(Net), example=torch.randn(1, 5, 8))
    assert net.survey.fused == {}
    narrow, stored = net.extract(net.survey.smallest).qkv.weight, net.get("qkv.weight")
    assert torch.equal(narrow[2:4], stored[4:6])


@pytest.mark.slow
def test_an_example_that_does_not_fit_is_refused():
    with pytest.raises(nas.InputError, match="example: expected an input for all architectures"):
        Supernet(families.GPT, example=torch.zeros(1, 3))
