"""Running a network without its residual links, as some proxies require."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .._support.trees import leaves

_SUMS = frozenset((torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__))
_SUMS_IN_PLACE = frozenset((Tensor.add_, Tensor.__iadd__))


class WithoutLinks(TorchFunctionMode):
    """A ``with`` block around one forward pass, in which x + f(x) becomes f(x).

    Terms of a sum from which another term was computed are left out. A shortcut through a
    convolution of its own is kept, and so is a sum of parallel branches. Sums are detected however
    a module writes them, and the calls of the pass show which tensors were computed from which.
    """

    def __init__(self) -> None:
        super().__init__()
        #: For the id of each tensor the ids that it was computed from. The tensors are kept, so
        #: that their ids are not reused.
        self._sources: dict[int, frozenset[int]] = {}
        self._terms: dict[int, tuple[Tensor, ...]] = {}
        self._kept: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = list(leaves((*args, *kwargs.values())))
        # A link adds two operands of the same shape, without a factor.
        linked = (
            len(args) == len(tensors) == 2 and not kwargs and tensors[0].shape == tensors[1].shape
        )
        terms: tuple[Tensor, ...] = ()
        if linked and func in _SUMS:
            terms = tuple(
                t for operand in tensors for t in self._terms.get(id(operand), (operand,))
            )
            result, terms = self._add_terms(terms, lambda: func(*args))
        elif linked and func in _SUMS_IN_PLACE:
            result, _ = self._add_terms(tuple(tensors), lambda: func(*args))
            if result is not tensors[0]:
                result = tensors[0].copy_(result)
        else:
            result = func(*args, **kwargs)
            if func in _SUMS and len(tensors) == 1 and len(args) == 2 and _is_zero(args):
                terms = self._terms.get(id(tensors[0]), (tensors[0],))  # sum() starts with 0 + x
        self._record_sources(result, tensors, terms)
        return result

    def _add_terms(
        self, terms: tuple[Tensor, ...], whole: Callable[[], Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        ancestors = [self._sources.get(id(term), frozenset()) for term in terms]
        remaining = tuple(
            term for term in terms if not any(id(term) in sources for sources in ancestors)
        )
        if len(remaining) == len(terms):
            return whole(), remaining
        # A copy, since the result may be changed in place.
        total = remaining[0].clone()
        for term in remaining[1:]:
            total = total + term
        return total, remaining

    def _record_sources(
        self, result: Any, operands: list[Tensor], terms: tuple[Tensor, ...]
    ) -> None:
        sources = frozenset(map(id, operands)).union(
            *(self._sources.get(id(tensor), frozenset()) for tensor in operands)
        )
        for tensor in leaves((result,)):
            self._kept.append(tensor)
            self._sources[id(tensor)] = sources - {id(tensor)}
            if terms:
                self._terms[id(tensor)] = terms
            else:
                self._terms.pop(id(tensor), None)  # it was changed in place


def _is_zero(operands: Any) -> bool:
    return any(isinstance(one, int | float) and one == 0 for one in operands)
