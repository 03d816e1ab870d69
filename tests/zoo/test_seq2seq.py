"""The encoder-decoder space, and what its parts must not see."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith._support.trees import TensorSpec
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.seq2seq import seq2seq

TINY = {
    "widths": (8, 16),
    "encoder_depths": (1, 2),
    "decoder_depths": (1, 2),
    "heads": (1, 2),
    "head_size": 8,
    "ratios": (1, 2),
}
#: Both sides at their largest, which differ, and a decoder that sees all of the encoder.
WIDE = {
    "encoder_width": 16,
    "encoder": 2,
    "decoder": 2,
    "decoder.0.sees": 2,
    "decoder.1.source_heads": 2,
}
ALL = {
    "default": {},
    "wide": WIDE,
    "post": WIDE | {"norm": "post", "gated": True, "activation": "gelu"},
    "narrow encoder": {"decoder_width": 16},
}
SMALL = Space(seq2seq, vocabulary=11, **TINY)
#: Whose zeros, as the suites give them, are a token and no padding.
TOKENS = Space(seq2seq, vocabulary=11, padding=10, **TINY)
SPEC = (TensorSpec((1, 7), "int64"), TensorSpec((1, 5), "int64"))


@pytest.mark.slow
class TestSeq2Seq(SpaceContract):
    space, shape = TOKENS, SPEC


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TOKENS, SPEC, 2


def test_how_many_there_are():
    # Two norms, three activations, with a gate or not, three rates, two widths of each side; heads
    # and ratio of each encoder layer, and of each decoder layer the heads for the source as well.
    whole = 2 * 3 * 2 * 3 * 2 * 2
    few = 4 * (8 + 8**2)  # one encoder layer, which all decoder layers see
    many = 4**2 * (16 + 16**2)
    assert SMALL.size().count == whole * (few + many)


def test_the_default_is_small_and_the_largest_is_not_large():
    space = Space(seq2seq, vocabulary=8000)
    sides = {f"{side}_width": 192 for side in ("encoder", "decoder")}
    layers = {"encoder": 6, "decoder": 6} | {
        f"{side}.{layer}.{name}": most
        for side in ("encoder", "decoder")
        for layer in range(6)
        for name, most in (("heads", 6), ("ratio", 4), ("source_heads", 6))
        if side == "decoder" or name != "source_heads"
    }
    counts = [
        sum(p.numel() for p in space.build(space.complete(answers), seed=0).parameters())
        for answers in ({}, sides | layers | {"gated": True})
    ]
    assert counts[0] < 4_000_000
    assert counts[1] < 10_000_000


def test_the_matrix_is_one_and_a_narrower_side_uses_its_first_columns():
    model = SMALL.build(SMALL.complete({"decoder_width": 16}), seed=0).eval()
    assert [name for name, p in model.named_parameters() if len(p) == 11] == ["embedding.weight"]
    source, target = torch.randint(1, 11, (2, 7)), torch.randint(1, 11, (2, 5))
    before_keys = model.begin(source)[1][0][0][0]
    with torch.no_grad():
        before = model(source, target)
        model.embedding.weight[:, 8:] += 1.0
    assert torch.equal(model.begin(source)[1][0][0][0], before_keys)
    assert not torch.allclose(model(source, target), before)


def test_layers_of_the_encoder_that_are_seen_are_one_longer_source():
    answers = {"encoder": 2, "decoder": 1, "decoder.0.sees": 2}
    model = SMALL.build(SMALL.complete(answers), seed=0).eval()
    one = SMALL.build(SMALL.complete(answers | {"decoder.0.sees": 1}), seed=0).eval()
    one.load_state_dict(model.state_dict())
    source, target = torch.randint(1, 11, (2, 7)), torch.randint(1, 11, (2, 5))
    (keys, _), (last, _) = (m.begin(source)[1][0][0] for m in (model, one))
    assert keys.shape[2] == 14
    assert torch.equal(keys[:, :, 7:], last)
    first = model.encoder[0](*[model._embed(source, 8), torch.zeros(2, 1, 1, 7)])
    layer = model.decoder[0].source
    assert torch.allclose(keys[:, :, :7], layer.keys(model.encoder_norm(first))[0], atol=1e-5)
    assert not torch.allclose(model(source, target), one(source, target), atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_a_place_sees_earlier_ones_and_the_whole_source(name):
    model = SMALL.build(SMALL.complete(ALL[name]), seed=0).eval()
    source, target = torch.randint(1, 11, (2, 7)), torch.randint(1, 11, (2, 5))
    before, later = model(source, target), target.clone()
    later[:, 3:] = later[:, 3:] % 10 + 1
    after = model(source, later)
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-6)
    source[:, -1] = source[:, -1] % 10 + 1
    assert not torch.allclose(model(source, target)[:, 0], before[:, 0], atol=1e-6)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 4), st.integers(0, 4), st.integers(0))
def test_nothing_sees_padding(source, target, more_source, more_target, seed):
    generator = torch.Generator().manual_seed(seed % 2**32)
    model = SMALL.build(SMALL.complete(WIDE), seed=0).eval()
    one = torch.randint(1, 11, (2, source), generator=generator)
    two = torch.randint(1, 11, (2, target), generator=generator)
    filled = [
        torch.nn.functional.pad(tokens, (0, more))
        for tokens, more in ((one, more_source), (two, more_target))
    ]
    with torch.no_grad():
        assert torch.allclose(model(one, two), model(*filled)[:, :target], atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_going_on_with_a_translation_is_the_same_as_seeing_all_of_it(name):
    model = SMALL.build(SMALL.complete(ALL[name]), seed=0).eval()
    source, target = torch.randint(1, 11, (3, 7)), torch.randint(1, 11, (3, 5))
    source[1, 4:] = 0
    with torch.no_grad():
        whole, state = model(source, target), model.begin(source)
        for place in range(5):
            logits, state = model.advance(state, target[:, place])
            assert torch.allclose(logits, whole[:, place], atol=1e-5)


def test_all_padding_is_no_nan():
    model = SMALL.build(SMALL.default(), seed=0).eval()
    empty = torch.zeros(2, 4, dtype=torch.int64)
    assert model(empty, empty).isfinite().all()
