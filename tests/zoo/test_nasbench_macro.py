"""The NAS-Bench-Macro space: its sizes, its notation, and which spellings are one graph."""

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.nasbench_macro import (
    BLOCKS,
    LAYERS,
    canonical,
    from_digits,
    nasbench_macro,
    to_digits,
)

SMALL = Space(nasbench_macro, channels=2, classes=4, width=2)


@pytest.mark.slow
class TestNasBenchMacro(SpaceContract):
    space, shape = SMALL, (1, 2, 16, 16)


def test_there_are_6561_architectures_of_3969_graphs():
    # Three ways in the first stage's head times three after it; 1 + 2 + 4 rests in the others.
    architectures = list(SMALL.enumerate())
    assert SMALL.size().count == len(set(architectures)) == 6561
    assert len({SMALL.canonical(a) for a in architectures}) == 9 * 21 * 21
    assert all(from_digits(to_digits(a)) == a for a in architectures)


def test_identities_that_keep_the_shape_are_no_layers():
    assert canonical(from_digits("01201210")) == "01-21-21"
    same = ("01201201", "01210210", "01210201")
    assert {canonical(from_digits(digits)) for digits in same} == {"01-21-21"}
    # The first of a stage changes the shape: as an identity it is a convolution.
    assert canonical(from_digits("01021021")) == "01-021-021"


def test_equal_graphs_compute_the_same():
    one, two = (SMALL.build(from_digits(d), seed=0).eval() for d in ("11120211", "11102211"))
    weights = [p.detach() for p in one.state_dict().values()]
    two.load_state_dict(dict(zip(two.state_dict(), weights, strict=True)))
    images = torch.randn(2, 2, 16, 16)
    assert torch.equal(one(images), two(images))


def test_layers_are_what_the_digits_say():
    model = SMALL.build(from_digits("00120210"), device="meta")
    body = [m for m in model if isinstance(m, nn.Sequential | nn.Identity) or hasattr(m, "body")]
    kinds = [type(m).__name__ for m in body]
    assert kinds == [
        "Sequential",
        "Identity",
        "InvertedBottleneck",
        "InvertedBottleneck",
        "Identity",
        "InvertedBottleneck",
        "InvertedBottleneck",
        "Identity",
    ]
    kernels = [m.body[3].kernel_size[0] for m in body if hasattr(m, "body")]
    assert kernels == [3, 5, 5, 3]
    assert [m.residual for m in body if hasattr(m, "body")] == [False, True, False, True]


@pytest.mark.parametrize("text", ["", "0120121", "012012102", "01201213", "0120121x"])
def test_other_digits_are_refused(text):
    with pytest.raises(SpaceError, match="8 digits from 0 to 2"):
        from_digits(text)


def test_incomplete_architectures_are_refused():
    with pytest.raises(SpaceError, match=r"layer8: expected one of identity.*got no answer"):
        canonical(dict.fromkeys(LAYERS[:-1], BLOCKS[0]))
    with pytest.raises(SpaceError, match=r"layer1.*'wide'"):
        to_digits({**from_digits("00000000"), "layer1": "wide"})


def test_random_ones_train_a_step():
    random_ones_train_a_step(SMALL, (1, 2, 16, 16))
