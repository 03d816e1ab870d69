"""Batches as trees: a tensor, or tuples, lists and mappings of trees, with examples in the first
dimension of each tensor.

A model's inputs and outputs and the targets of a loss are such trees. Ragged parts (boxes of an
image, tokens of a sentence) are padded tensors, together with a tensor of their lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .errors import InputError

#: A tensor, or tuples, lists and mappings of trees. A model takes a tuple or list by position, and
#: a mapping by keyword.
Tree = Any


def map_tensors(change: Callable[[Tensor], Any], tree: Tree) -> Tree:
    """The tree with a function applied to each tensor; other values stay.

    Lists and named tuples become tuples, mappings become dictionaries.
    """
    return _map_leaves(change, tree, Tensor)


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
    """The first tensor of a tree: for the result of a recurrent layer, its outputs."""
    return next(leaves(tree), None)


def count_examples(tree: Tree) -> int:
    """The number of examples in a batch, by its first tensor; 0 without one."""
    first = first_tensor(tree)
    return len(first) if first is not None and first.dim() else 0


def take(tree: Tree, index: Tensor | slice) -> Tree:
    """The examples of a batch with these indices."""
    return map_tensors(lambda tensor: tensor[index], tree)


def clone(tree: Tree) -> Tree:
    """A copy: a model may modify its inputs."""
    return map_tensors(torch.clone, tree)


def move(tree: Tree, device: str | torch.device) -> Tree:
    """The tree on a device."""
    return map_tensors(lambda tensor: tensor.to(device), tree)


def join(trees: Sequence[Tree]) -> Tree:
    """Concatenate batches of the same structure."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(list(trees))
    if isinstance(first, Mapping):
        return {name: join([tree[name] for tree in trees]) for name in first}
    return tuple(join(parts) for parts in zip(*trees, strict=True))


def arguments(inputs: Tree) -> tuple[tuple[Tree, ...], dict[str, Tree]]:
    """Arguments for a model: a tuple or list by position, a mapping by keyword."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def call(model: nn.Module, inputs: Tree) -> Any:
    """The model's output for its :func:`arguments`."""
    by_position, by_keyword = arguments(inputs)
    return model(*by_position, **by_keyword)


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a tensor.

    Attributes:
        shape: with a batch dimension of 1 first.
        dtype: name of its torch dtype.

    Raises:
        InputError: an invalid shape or dtype.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        sizes = self.shape
        if not sizes or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise InputError("shape", "positive sizes, the batch first", repr(sizes))
        if not isinstance(getattr(torch, self.dtype, None), torch.dtype):
            raise InputError(
                "dtype", "the name of a torch dtype", repr(self.dtype), "for example float32"
            )

    def zeros(self, batch: int, device: str | torch.device | None = None) -> Tensor:
        """A tensor of zeros, (batch, ...)."""
        dtype = getattr(torch, self.dtype)
        return torch.zeros((batch, *self.shape[1:]), dtype=dtype, device=device)


def shapes(tree: Tree) -> str:
    """The shapes of a tree's tensors, for messages."""
    texts = [f"of shape {tuple(tensor.shape)}" for tensor in leaves(tree)]
    return " and ".join(texts) or "without a tensor"


#: The structure of a batch: the same tree, with a :class:`TensorSpec` for each tensor.
Spec = Any


def spec_of(tree: Tree) -> Spec:
    """The spec of a batch, independent of its number of examples."""
    return map_tensors(
        lambda t: TensorSpec((1, *t.shape[1:]), str(t.dtype).removeprefix("torch.")), tree
    )


def specs(spec: Spec) -> Iterator[TensorSpec]:
    """The parts of a spec, in order."""
    tensors: list[TensorSpec] = []
    _map_leaves(tensors.append, spec, TensorSpec)
    return iter(tensors)


def filled(spec: Spec, tensors: Iterable[Tensor]) -> Tree:
    """The inverse of :func:`leaves`: a batch of this structure from tensors in its order."""
    remaining = iter(tensors)
    return _map_leaves(lambda _: next(remaining), spec, TensorSpec)


def as_spec(given: Spec | Sequence[int], dtype: str = "float32") -> Spec:
    """A spec unchanged, or the spec of a single tensor from its shape, the batch first.

    Raises:
        InputError: an invalid shape or dtype.
    """
    if isinstance(given, Sequence) and all(isinstance(size, int) for size in given):
        TensorSpec(tuple(given), dtype)  # checks the size of the batch, too
        return TensorSpec((1, *given[1:]), dtype)
    return given


def zeros(spec: Spec, batch: int, device: str | torch.device | None = None) -> Tree:
    """A batch of zeros, on torch's current device if none is given."""
    return _map_leaves(lambda part: part.zeros(batch, device), spec, TensorSpec)


def example_of(spec: Spec, batch: int, device: str = "cpu") -> Tree:
    """A batch of examples.

    Floating-point tensors are normally distributed with a fixed seed; others are zeros, a valid
    index of every embedding.
    """

    def make(part: TensorSpec) -> Tensor:
        empty = part.zeros(batch, device)
        if device == "meta" or not empty.is_floating_point():
            return empty
        generator = torch.Generator().manual_seed(0)
        return torch.randn(empty.shape, generator=generator).to(empty)

    return _map_leaves(make, spec, TensorSpec)


def spec_to_json(spec: Spec) -> Any:
    """A spec as JSON values, for :func:`spec_from_json`."""
    if isinstance(spec, TensorSpec):
        return {"shape": list(spec.shape), "dtype": spec.dtype}
    if isinstance(spec, Mapping):
        return {"named": {name: spec_to_json(part) for name, part in spec.items()}}
    return [spec_to_json(part) for part in spec]


def spec_from_json(values: Any) -> Spec:
    """The inverse of :func:`spec_to_json`."""
    if isinstance(values, list):
        return tuple(spec_from_json(part) for part in values)
    if "named" in values:
        return {name: spec_from_json(part) for name, part in values["named"].items()}
    return TensorSpec(tuple(values["shape"]), values["dtype"])


def _map_leaves(change: Callable[[Any], Any], tree: Any, kind: type) -> Any:
    if isinstance(tree, kind):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: _map_leaves(change, value, kind) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(_map_leaves(change, value, kind) for value in tree)
    return tree
