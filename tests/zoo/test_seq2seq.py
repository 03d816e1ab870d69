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


@pytest.mark.slow
def test_how_many_there_are():
    layers = 4 + 4**2  # two of heads and two ratios in each of one or two
    assert SMALL.size().count == 2 * layers * layers


def test_the_matrix_is_one():
    model = SMALL.build(SMALL.default(), seed=0)
    assert model.logits.weight is model.embedding.weight
    assert "logits.weight" not in dict(model.named_parameters())


def test_a_place_sees_earlier_ones_and_the_whole_source():
    model = SMALL.build(SMALL.default(), seed=0).eval()
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
    model = SMALL.build(SMALL.default(), seed=0).eval()
    one = torch.randint(1, 11, (2, source), generator=generator)
    two = torch.randint(1, 11, (2, target), generator=generator)
    filled = [
        torch.nn.functional.pad(tokens, (0, more))
        for tokens, more in ((one, more_source), (two, more_target))
    ]
    with torch.no_grad():
        assert torch.allclose(model(one, two), model(*filled)[:, :target], atol=1e-5)


@pytest.mark.parametrize("name", ["default", "smallest"])
def test_going_on_with_a_translation_is_the_same_as_seeing_all_of_it(name):
    answers = {"width": 8, "encoder": 1, "decoder": 1} if name == "smallest" else {}
    model = SMALL.build(SMALL.complete(answers), seed=0).eval()
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
