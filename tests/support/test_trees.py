"""Batches of any shape: what is done to one tensor is done to each."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from archsmith._support.trees import (
    call,
    clone,
    count_examples,
    filled,
    first_tensor,
    join,
    leaves,
    map_tensors,
    move,
    spec_from_json,
    spec_of,
    spec_to_json,
    take,
)

TREES = st.recursive(
    st.builds(lambda width: torch.arange(6 * width).reshape(6, width), st.integers(1, 3)),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3)
    ),
    max_leaves=5,
)
Pair = namedtuple("Pair", "one two")


@given(TREES)
def test_each_tensor_is_changed_once_and_in_its_place(tree):
    changed = map_tensors(lambda tensor: tensor + 1, tree)
    assert [t.shape for t in leaves(changed)] == [t.shape for t in leaves(tree)]
    for one, two in zip(leaves(tree), leaves(changed), strict=True):
        assert torch.equal(one + 1, two)
    assert count_examples(tree) == 6


@pytest.mark.slow
@given(TREES, st.permutations(range(6)))
def test_parts_of_a_batch_join_to_the_whole(tree, order):
    index = torch.tensor(order)
    joined = join([take(tree, index[:2]), take(tree, index[2:])])
    for one, two in zip(leaves(joined), leaves(tree), strict=True):
        assert torch.equal(one, two[index])


@given(TREES)
def test_a_copy_is_the_same_and_not_the_same_memory(tree):
    copied = clone(tree)
    for one, two in zip(leaves(copied), leaves(tree), strict=True):
        assert torch.equal(one, two)
        assert one.data_ptr() != two.data_ptr()
    assert all(tensor.device.type == "meta" for tensor in leaves(move(tree, "meta")))


@given(TREES)
def test_a_tree_is_made_again_of_its_tensors_and_what_it_is_like(tree):
    spec = spec_from_json(spec_to_json(spec_of(tree)))
    again = filled(spec, leaves(tree))
    assert spec_of(again) == spec_of(tree)
    for one, two in zip(leaves(tree), leaves(again), strict=True):
        assert one is two


def test_what_is_no_tensor_stays():
    tree = {"x": torch.ones(2), "name": "a", "none": None, "both": Pair(torch.ones(2), 3)}
    changed = map_tensors(torch.neg, tree)
    assert changed["name"] == "a"
    assert changed["none"] is None
    assert changed["both"][1] == 3
    assert len(list(leaves(tree))) == 2
    assert first_tensor(("a", [])) is None
    assert count_examples({}) == 0


class Two(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first - second


@pytest.mark.parametrize("given", [tuple, list, dict])
def test_models_are_called_by_position_and_by_keyword(given):
    one, two = torch.ones(3), torch.full((3,), 4.0)
    inputs = {"second": two, "first": one} if given is dict else given((one, two))
    assert torch.equal(call(Two(), inputs), one - two)
    assert torch.equal(call(nn.Identity(), one), one)
