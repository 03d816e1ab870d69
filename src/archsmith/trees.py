"""Batches as trees: a tensor, or tuples, lists and mappings of trees, examples in the first
dimension of each tensor.

What a model takes, what it gives and what a loss compares it with are such trees. Ragged parts
(boxes of an image, tokens of a sentence) are padded tensors beside a tensor of their lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: A tensor, or tuples, lists and mappings of trees. A model takes a tuple or list by position, and
#: a mapping by keyword.
Tree = Any


def map_tensors(change: Callable[[Tensor], Any], tree: Tree) -> Tree:
    """The tree with each of its tensors changed; what is no tensor stays.

    Lists and named tuples become tuples, mappings become dictionaries.
    """
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: map_tensors(change, value) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(map_tensors(change, value) for value in tree)
    return tree


def leaves(tree: object) -> Iterator[Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple | list):
        for value in tree:
            yield from leaves(value)
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from leaves(value)


def first_tensor(tree: object) -> Tensor | None:
    """The first tensor of a tree: of what a recurrent layer gives, its outputs."""
    return next(leaves(tree), None)


def count_examples(tree: Tree) -> int:
    """How many examples a batch has, by its first tensor; 0 without one."""
    first = first_tensor(tree)
    return len(first) if first is not None and first.dim() else 0


def take(tree: Tree, index: Tensor | slice) -> Tree:
    """Some examples of a batch."""
    return map_tensors(lambda tensor: tensor[index], tree)


def clone(tree: Tree) -> Tree:
    """A copy: a model may write into what it is given."""
    return map_tensors(torch.clone, tree)


def move(tree: Tree, device: str | torch.device) -> Tree:
    """The tree on a device."""
    return map_tensors(lambda tensor: tensor.to(device), tree)


def join(trees: Sequence[Tree]) -> Tree:
    """Batches of one kind, one after the other, as a single one."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(list(trees))
    if isinstance(first, Mapping):
        return {name: join([tree[name] for tree in trees]) for name in first}
    return tuple(join(parts) for parts in zip(*trees, strict=True))


def call(model: nn.Module, inputs: Tree) -> Any:
    """The model's output: a tuple or list is passed by position, a mapping by keyword."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)
