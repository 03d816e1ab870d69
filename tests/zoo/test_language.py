"""Language models: what a position sees, going on from a state, shared weights, published cells."""

from __future__ import annotations

import random

import pytest
import torch

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.language import MIXERS, language
from archsmith.zoo.mixers import Attention, Recurrent
from archsmith.zoo.rnn_trees import (
    DARTS_V2,
    ENAS,
    TreeCell,
    TreeLayer,
    darts_rnn,
    enas_rnn,
    from_genotype,
)

TINY = {"vocabulary": 11, "length": 12, "widths": (8, 16), "depths": (1, 2), "head_size": 4}
SMALL = Space(language, **TINY, windows=(0, 3), dropouts=(0.0,))
TREES = {
    "enas": Space(enas_rnn, vocabulary=11, widths=(4, 8), nodes=4, dropout=0.0),
    "darts": Space(darts_rnn, vocabulary=11, widths=(4, 8), nodes=3, dropout=0.0),
}


@pytest.mark.slow
class TestLanguage(SpaceContract):
    space, shape, dtype = SMALL, (1, 7), "int64"


@pytest.mark.slow
class TestENAS(SpaceContract):
    space, shape, dtype = TREES["enas"], (1, 5), "int64"


@pytest.mark.slow
class TestDARTS(SpaceContract):
    space, shape, dtype = TREES["darts"], (1, 5), "int64"


@pytest.mark.slow
class TestSharedLanguage(SupernetContract):
    space, shape, dtype, samples = SMALL, (1, 7), "int64", 4


@pytest.mark.slow
class TestSharedENAS(SupernetContract):
    space, shape, dtype, samples = TREES["enas"], (1, 5), "int64", 2


@pytest.mark.slow
class TestSharedDARTS(SupernetContract):
    space, shape, dtype, samples = TREES["darts"], (1, 5), "int64", 2


def drawn():
    """One architecture for each mixer and place of a choice, and of each tree."""
    rng = random.Random(0)
    fixed = [{"layers": 1, "layers.0.mixer": mixer, "layers.0.ratio": 2} for mixer in MIXERS]
    rotary = {"layers.0.mixer": "attention", "layers.0.window": 3}
    fixed += [rotary | {"positions": name, "layers.0.shared": 2} for name in ("alibi", "learned")]
    made = [(SMALL, SMALL.complete(answers)) for answers in fixed]
    made += [(SMALL, SMALL.sample(rng)) for _ in range(6)]
    return made + [(space, space.default()) for space in TREES.values()]


@pytest.mark.parametrize(("space", "architecture"), drawn())
def test_a_place_sees_earlier_ones_alone_and_a_state_stands_for_them(space, architecture):
    model = space.build(architecture, seed=0).eval()
    tokens = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(0))
    later = tokens.clone()
    later[:, 5:] = (later[:, 5:] + 1) % 11
    with torch.no_grad():
        whole, other = model(tokens), model(later)
        assert torch.allclose(whole[:, :5], other[:, :5], atol=1e-5)
        assert not torch.allclose(whole[:, 5], other[:, 5], atol=1e-5)
        for prompt in (0, 4):
            state = model.begin(tokens[:, :prompt])
            for place in range(prompt, 9):
                logits, state = model.advance(state, tokens[:, place])
                assert torch.allclose(logits, whole[:, place], atol=1e-5)


def test_attention_is_the_formula_with_alibi_window_and_shared_keys():
    torch.manual_seed(0)
    layer, x = Attention(8, 4, 4, 2, "alibi", 3), torch.randn(1, 5, 8)
    out, (key, value) = layer(x)
    query = layer.query(x)[0].view(5, 4, 4)
    expected = torch.zeros(5, 16)
    for head in range(4):
        for place in range(5):
            seen = range(max(0, place - 2), place + 1)
            scores = [
                float(query[place, head] @ key[0, head // 2, s]) / 2
                - 2.0 ** (-8 * (head + 1) / 4) * (place - s)
                for s in seen
            ]
            shares = torch.tensor(scores).softmax(0)
            mixed = sum(share * value[0, head // 2, s] for share, s in zip(shares, seen))
            expected[place, 4 * head : 4 * head + 4] = mixed
    assert torch.allclose(out[0], layer.output(expected), atol=1e-5)


def test_a_recurrent_layer_carries_its_state():
    layer, x = Recurrent(4, "lstm"), torch.randn(2, 6, 4)
    whole, state = layer.lstm(x)
    first, middle = layer(x[:, :2])
    second, end = layer(x[:, 2:], middle)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-6)
    assert torch.allclose(end[0], state[0], atol=1e-6)


def test_the_cell_of_darts_is_the_published_formula():
    torch.manual_seed(0)
    cell, x = TreeCell(3, "tanh", DARTS_V2, loose=False), torch.randn(2, 4, 3)
    layer = TreeLayer(3, cell)
    hidden = torch.zeros(2, 3)
    for place in range(4):
        both = torch.cat([x[:, place], hidden], 1)
        weight = torch.cat([layer.input.weight, cell.hidden.weight], 1)
        c0, h0 = (both @ weight.T).split(3, 1)
        s = [hidden + c0.sigmoid() * (h0.tanh() - hidden)]
        for number, (name, source) in enumerate(DARTS_V2, start=1):
            c, h = (s[source] @ cell.nodes[str(number)].both.weight.T).split(3, 1)
            h = h if name == "identity" else getattr(h, name)()
            s.append(s[source] + c.sigmoid() * (h - s[source]))
        hidden = sum(s[1:]) / 8
    assert torch.allclose(layer(x)[0][:, -1], hidden, atol=1e-6)


def test_published_cells_are_in_their_spaces_and_their_defaults():
    darts, enas = Space(darts_rnn, vocabulary=5), Space(enas_rnn, vocabulary=5)
    assert from_genotype(DARTS_V2, 192) == darts.default()
    assert from_genotype(ENAS, 192, "tanh") == enas.default()
    assert enas.build(enas.default(), device="meta").layers[0].cell.ends == [2, 5, 6, 9, 10, 11]
    assert darts.size().count == 3 * 4**8 * 40320
    assert enas.size().count == 3 * 4**12 * 39916800


def test_mixers_are_chosen_by_name():
    only = Space(language, **TINY, mixers=("attention",))
    names = {type(m).__name__ for m in only.build(only.sample(random.Random(0))).modules()}
    assert "Attention" in names
    assert not names & {"Recurrent", "Convolution"}
    with pytest.raises(SpaceError, match=r"mixers.*some of gru"):
        Space(language, **TINY, mixers=("mamba",)).default()
