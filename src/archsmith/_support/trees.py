"""Batches as trees: a tensor, or tuples, lists and mappings of trees, examples in the first
dimension of each tensor.

What a model takes, what it gives and what a loss compares it with are such trees. Ragged parts
(boxes of an image, tokens of a sentence) are padded tensors beside a tensor of their lengths.
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
    """The tree with each of its tensors changed; what is no tensor stays.

    Lists and named tuples become tuples, mappings become dictionaries.
    """
    return _mapped(change, tree, Tensor)


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


def arguments(inputs: Tree) -> tuple[tuple[Tree, ...], dict[str, Tree]]:
    """What a model is called with: a tuple or list by position, a mapping by keyword."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def call(model: nn.Module, inputs: Tree) -> Any:
    """The model's output for its :func:`arguments`."""
    by_position, by_keyword = arguments(inputs)
    return model(*by_position, **by_keyword)


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor is like.

    Attributes:
        shape: with a batch of 1 first.
        dtype: name of its torch type.

    Raises:
        InputError: a shape or a type that no tensor has.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        sizes = self.shape
        if not sizes or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise InputError("shape", "positive sizes, the batch first", repr(sizes))
        if not isinstance(getattr(torch, self.dtype, None), torch.dtype):
            raise InputError(
                "dtype", "the name of a torch type", repr(self.dtype), "for example float32"
            )

    def zeros(self, batch: int, device: str | torch.device | None = None) -> Tensor:
        """So many examples of nothing."""
        dtype = getattr(torch, self.dtype)
        return torch.zeros((batch, *self.shape[1:]), dtype=dtype, device=device)


def shapes(tree: Tree) -> str:
    """The shapes of a tree's tensors, for messages."""
    told = [f"of shape {tuple(tensor.shape)}" for tensor in leaves(tree)]
    return " and ".join(told) or "without a tensor"


#: What a batch is like: the same tree, with a :class:`TensorSpec` for each tensor.
Spec = Any


def spec_of(tree: Tree) -> Spec:
    """What a batch is like, whatever its number of examples."""
    return map_tensors(
        lambda t: TensorSpec((1, *t.shape[1:]), str(t.dtype).removeprefix("torch.")), tree
    )


def specs(spec: Spec) -> Iterator[TensorSpec]:
    """The parts of a spec, in order."""
    found: list[TensorSpec] = []
    _mapped(found.append, spec, TensorSpec)
    return iter(found)


def filled(spec: Spec, tensors: Iterable[Tensor]) -> Tree:
    """The inverse of :func:`leaves`: a batch like this of tensors in its order."""
    given = iter(tensors)
    return _mapped(lambda _: next(given), spec, TensorSpec)


def as_spec(given: Spec | Sequence[int], dtype: str = "float32") -> Spec:
    """A spec as it is, or that of a single tensor by its shape, the batch first.

    Raises:
        InputError: a shape or a type that no tensor has.
    """
    if isinstance(given, Sequence) and all(isinstance(size, int) for size in given):
        TensorSpec(tuple(given), dtype)  # checks the size of the batch, too
        return TensorSpec((1, *given[1:]), dtype)
    return given


def zeros(spec: Spec, batch: int, device: str | torch.device | None = None) -> Tree:
    """A batch of zeros, on torch's current device if none is named."""
    return _mapped(lambda each: each.zeros(batch, device), spec, TensorSpec)


def example_of(spec: Spec, batch: int, device: str = "cpu") -> Tree:
    """A batch of examples.

    Floating-point tensors are normally distributed, the same every time; others are zeros, which
    every embedding can look up.
    """

    def make(each: TensorSpec) -> Tensor:
        empty = each.zeros(batch, device)
        if device == "meta" or not empty.is_floating_point():
            return empty
        generator = torch.Generator().manual_seed(0)
        return torch.randn(empty.shape, generator=generator).to(empty)

    return _mapped(make, spec, TensorSpec)


def spec_to_json(spec: Spec) -> Any:
    """A spec as JSON values, for :func:`spec_from_json`."""
    if isinstance(spec, TensorSpec):
        return {"shape": list(spec.shape), "dtype": spec.dtype}
    if isinstance(spec, Mapping):
        return {"named": {name: spec_to_json(each) for name, each in spec.items()}}
    return [spec_to_json(each) for each in spec]


def spec_from_json(values: Any) -> Spec:
    """The inverse of :func:`spec_to_json`."""
    if isinstance(values, list):
        return tuple(spec_from_json(each) for each in values)
    if "named" in values:
        return {name: spec_from_json(each) for name, each in values["named"].items()}
    return TensorSpec(tuple(values["shape"]), values["dtype"])


def _mapped(change: Callable[[Any], Any], tree: Any, kind: type) -> Any:
    if isinstance(tree, kind):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: _mapped(change, value, kind) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(_mapped(change, value, kind) for value in tree)
    return tree
