"""Networks for texts: padding changes nothing, weights are shared exactly, published ones."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from archsmith._support.trees import TensorSpec
from archsmith.export.pt2 import PT2
from archsmith.space import Architecture, Space
from archsmith.task.base import Signature
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.looped import looped
from archsmith.zoo.ngrams import NGrams
from archsmith.zoo.seq2seq import Attention
from archsmith.zoo.text import text
from archsmith.zoo.text_cnn import kim_cnn, text_cnn
from archsmith.zoo.text_encoder import text_encoder
from archsmith.zoo.text_parts import Head, Recurrence
from archsmith.zoo.text_rnn import text_rnn

TINY = {"vocabulary": 11, "classes": 3, "padding": 10, "embeddings": (8, 16)}
CNN = Space(text_cnn, **TINY, widths=(4, 8))
RNN = Space(text_rnn, **TINY, widths=(4, 8))
ENCODER = Space(text_encoder, **TINY, length=8, depths=(1, 2), head_size=4)
ALL = Space(text, **TINY, length=8, widths=(4, 8), depths=(1, 2), head_size=4)
SPEC = TensorSpec((1, 7), "int64")


@pytest.mark.slow
class TestCNN(SpaceContract):
    space, shape, samples = CNN, SPEC, 4


@pytest.mark.slow
class TestRNN(SpaceContract):
    space, shape, samples = RNN, SPEC, 4


@pytest.mark.slow
class TestEncoder(SpaceContract):
    space, shape, samples = ENCODER, SPEC, 4


@pytest.mark.slow
class TestText(SpaceContract):
    space, shape, samples = ALL, SPEC, 6


@pytest.mark.slow
class TestSharedCNN(SupernetContract):
    space, shape, samples = CNN, SPEC, 3


@pytest.mark.slow
class TestSharedRNN(SupernetContract):
    space, shape, samples = RNN, SPEC, 3


@pytest.mark.slow
class TestSharedEncoder(SupernetContract):
    space, shape, samples = ENCODER, SPEC, 3


@pytest.mark.slow
class TestSharedText(SupernetContract):
    space, shape, samples = ALL, SPEC, 4


@pytest.mark.parametrize("space", [CNN, RNN, ENCODER, ALL], ids=lambda space: space.name)
def test_padding_changes_no_logits(space: Space):
    """Nor do the other texts of a batch, which a text is padded for."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 10, (3, 6), generator=generator)
    tokens[1, 4:] = tokens[2, 1:] = 10
    for seed in range(12):
        model = space.build(space.sample(random.Random(seed)), seed=seed).eval()
        with torch.no_grad():
            found = model(tokens)
            wide = model(nn.functional.pad(tokens, (0, 5), value=10))
            alone = torch.cat([model(tokens[:1]), model(tokens[1:2, :4]), model(tokens[2:, :1])])
        assert torch.allclose(found, wide, atol=1e-5)
        assert torch.allclose(found, alone, atol=1e-5)
        assert bool(torch.isfinite(model(torch.full((2, 3), 10))).all())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_both_directions_are_those_of_torch(cell: str):
    layer = Recurrence(cell, 5, 8, both=True)
    kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    torchs = kind(5, 4, batch_first=True, bidirectional=True)
    state = layer.forwards.state_dict()
    state |= {f"{name}_reverse": w for name, w in layer.backwards.state_dict().items()}
    torchs.load_state_dict(state)
    lengths = torch.tensor([6, 3, 1])
    x, there = torch.randn(3, 6, 5), torch.arange(6) < lengths[:, None]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    wanted = nn.utils.rnn.pad_packed_sequence(torchs(packed)[0], batch_first=True)[0]
    found = layer(x, there)
    assert torch.allclose(found[there], wanted[there], atol=1e-6)
    # Its last states are the last one forwards and the first one backwards.
    head = Head("last", 8, 8, 0.0, both=True)
    nn.init.eye_(head.logits.weight)
    nn.init.zeros_(head.logits.bias)
    states = torchs(packed)[1]
    last = torch.cat(list(states[0] if cell == "lstm" else states), 1)
    assert torch.allclose(head(found, there), last, atol=1e-6)


def test_ngrams_add_the_rows_of_their_hashes():
    layer = NGrams(3, 2, buckets=64).eval()
    nn.init.normal_(layer.table.weight)
    tokens = torch.tensor([[5, 7, 9, 0], [8, 0, 0, 0]])
    there = torch.tensor([[True, True, True, False], [True, False, False, False]])
    single, pair = layer.table.weight[:64], layer.table.weight[64:]

    def paired(first: int, second: int) -> torch.Tensor:
        return pair[(first * 1_000_003 + second) % 64]

    wanted = single[5] + single[7] + single[9] + paired(5, 7) + paired(7, 9)
    found = layer(tokens, there)
    assert torch.allclose(found[0], 2 * wanted / 6**0.5, atol=1e-5)
    assert torch.allclose(found[1], 2 * single[8] / 2**0.5, atol=1e-5)


def test_pairs_of_words_are_told_from_the_words():
    """``not bad`` and ``bad not``: no sum over words tells them apart."""
    first, second = torch.tensor([[3, 4]]), torch.tensor([[4, 3]])
    there = torch.ones(1, 2, dtype=torch.bool)
    for longest, told in ((1, False), (2, True)):
        layer = NGrams(2, longest).eval()
        nn.init.normal_(layer.table.weight)
        assert torch.allclose(layer(first, there), layer(second, there)) is not told


def test_heads_that_share_keys_are_heads_with_equal_keys():
    shared, plain = Attention(6, 4, 8, key_heads=2), Attention(6, 4, 8)
    with torch.no_grad():
        for name in ("query", "output"):
            getattr(plain, name).load_state_dict(getattr(shared, name).state_dict())
        for name in ("key", "value"):
            for part in ("weight", "bias"):
                few = getattr(getattr(shared, name), part)
                many = few.unflatten(0, (2, 8)).repeat_interleave(2, 0).flatten(0, 1)
                getattr(getattr(plain, name), part).copy_(many)
    x = torch.randn(2, 5, 6)
    bias = torch.zeros(2, 1, 1, 5)
    assert torch.allclose(
        shared(x, *shared.keys(x, 0), bias, 0), plain(x, *plain.keys(x, 0), bias, 0), atol=1e-6
    )


def test_without_positions_the_order_of_words_does_not_matter():
    tokens = torch.tensor([[1, 2, 3, 4]])
    default = dict(ENCODER.default())
    for positions, matters in (("none", False), ("learned", True), ("rotary", True)):
        model = ENCODER.build(Architecture(default | {"positions": positions}), seed=0).eval()
        assert torch.allclose(model(tokens), model(tokens.flip(1)), atol=1e-6) is not matters


def test_the_published_network():
    """CNN-rand of Kim 2014, with 100 kernels of each size on embeddings of 300."""
    model = kim_cnn(vocabulary=20, classes=2)
    kernels = 100 * (3 + 4 + 5) * 300 + 300
    assert sum(p.numel() for p in model.parameters()) == 20 * 300 + kernels + 300 * 2 + 2
    assert sum(p.numel() for p in kim_cnn(20, 2, scale=0.5).parameters()) < kernels / 3


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_loop_of_an_export_is_the_layer(kind: type[nn.RNNBase]):
    layer, x = kind(3, 4, batch_first=True), torch.randn(2, 5, 3)
    with torch.no_grad():
        assert torch.allclose(looped(layer, x), layer(x)[0], atol=1e-6)


@pytest.mark.slow
def test_exported_recurrence_takes_any_length(tmp_path: Path):
    model = RNN.build(RNN.default(), seed=0).eval()
    tokens = torch.randint(0, 10, (2, 6))
    signature = Signature(tokens, "tokens", "logits", "", {1: "length"})
    PT2().write(model, signature, tmp_path / "model.pt2")
    longer = torch.randint(0, 10, (3, 9))
    with torch.no_grad():
        found = PT2().read(tmp_path / "model.pt2")(longer)
        assert torch.allclose(found, model(longer), atol=1e-6)
