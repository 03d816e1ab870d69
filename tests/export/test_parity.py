"""The comparison itself, with known differences."""

import json
import math

import pytest
import torch

from archsmith.export.parity import compare

INPUTS = [torch.eye(3) * 5, torch.eye(3)[:1]]


def test_the_largest_difference_of_all_batches_counts():
    check = compare("x", lambda x: x, lambda x: x + (x > 4) * 0.25, INPUTS)
    assert check.max_abs_difference == 0.25
    assert (check.examples, check.batches, check.scale) == (4, (3, 1), 5.0)
    assert not check.ok


def test_the_tolerance_grows_with_the_outputs():
    offset = 3e-4
    small = compare("x", lambda x: x / 5, lambda x: x / 5 + offset, INPUTS)
    large = compare("x", lambda x: x * 10, lambda x: x * 10 + offset, INPUTS)
    assert not small.ok
    assert large.ok


def test_top1_is_the_share_of_examples():
    flipped = compare("x", lambda x: x, lambda x: torch.where(x > 4, -x, x), INPUTS)
    assert flipped.same_top1 == 0.25
    assert compare("x", lambda x: x, lambda x: x, INPUTS).same_top1 == 1.0
    assert compare("x", lambda x: x[:, 0], lambda x: x[:, 0], INPUTS).same_top1 is None


def test_nan_and_another_shape_never_pass():
    for wrong in (lambda x: x * math.nan, lambda x: x[:, :2]):
        check = compare("x", lambda x: x, wrong, INPUTS)
        assert not check.ok
        assert json.loads(json.dumps(check.to_json(), allow_nan=False))["ok"] is False
    late = compare("x", lambda x: x, lambda x: x + (math.nan if len(x) == 1 else 0), INPUTS)
    assert not late.ok
    early = compare("x", lambda x: x, lambda x: x + (math.nan if len(x) == 3 else 0), INPUTS)
    assert not early.ok


def test_small_outputs_are_compared_at_their_own_size():
    wrong = compare("x", lambda x: x * 1e-6, lambda x: x * 1.01e-6, INPUTS)
    assert wrong.scale == pytest.approx(5e-6)
    assert not wrong.ok
    assert compare("x", lambda x: x * 1e-6, lambda x: x * 1.00001e-6, INPUTS).ok
    values = compare("x", lambda x: x[:, 0] * 1e-6, lambda x: x[:, 1] * 1e-6, INPUTS)
    assert not values.ok
    zeros = [compare("x", lambda x: x * 0, lambda x, d=d: x * 0 + d, INPUTS).ok for d in (0, 1e-9)]
    assert zeros == [True, False]


def test_probabilities_are_compared_on_a_scale_of_one():
    check = compare("x", lambda x: x.softmax(1), lambda x: x.softmax(1) + 5e-5, INPUTS)
    assert (check.scale, check.ok) == (1.0, True)
    share = torch.full((4, 1), 0.25)  # one column is no distribution
    assert compare("x", lambda x: x, lambda x: x, [share]).scale == 0.25
    unlike = torch.tensor([[1.5, -0.5]])  # the sum alone does not make one
    assert compare("x", lambda x: x, lambda x: x, [unlike]).scale == 1.5
    rows = torch.tensor([[0.25, 0.25], [0.5, 0.5]])  # nor does one row of two
    assert compare("x", lambda x: x, lambda x: x, [rows]).scale == 0.5


def test_each_of_several_outputs_is_held_against_its_own_size():
    def pair(pixels: float = 0.0, scores: float = 0.0):
        return lambda x: {"boxes": x * 100 + pixels, "scores": x / 100 - 1 + scores, "none": x * 0}

    assert compare("x", pair(), pair(), INPUTS).ok
    assert compare("x", pair(), pair(pixels=1e-3), INPUTS).ok
    wrong = compare("x", pair(), pair(scores=1e-3), INPUTS)
    assert not wrong.ok
    assert wrong.max_abs_difference == pytest.approx(1e-3, rel=1e-3)
    assert wrong.scale < 2
    assert not compare("x", pair(), lambda x: pair()(x) | {"none": x * 0 + 1e-9}, INPUTS).ok
    assert not compare("x", pair(), lambda x: x, INPUTS).ok
