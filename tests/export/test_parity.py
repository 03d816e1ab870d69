"""The comparison itself, with known differences."""

import json
import math

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
