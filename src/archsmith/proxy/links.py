"""A network without its residual links, as some proxies want to see it."""

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
    """A ``with`` block around one forward pass, in which x + f(x) is f(x).

    Of the terms of a sum those are left out that another term was computed from. So a shortcut
    through a convolution of its own stays, and so does a sum of parallel branches. Sums are found
    however a module spells them; what follows from what is known by the calls that it goes through.
    """

    def __init__(self) -> None:
        super().__init__()
        #: By the id of a tensor what it was computed from; the tensors are kept, ids are not used
        #: for others meanwhile.
        self._sources: dict[int, frozenset[int]] = {}
        self._terms: dict[int, tuple[Tensor, ...]] = {}
        self._kept: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = list(leaves((*args, *kwargs.values())))
        # Both operands, of one shape, and no factor: anything else is no link.
        linked = len(args) == len(given) == 2 and not kwargs and given[0].shape == given[1].shape
        terms: tuple[Tensor, ...] = ()
        if linked and func in _SUMS:
            terms = tuple(t for operand in given for t in self._terms.get(id(operand), (operand,)))
            made, terms = self._sum(terms, lambda: func(*args))
        elif linked and func in _SUMS_IN_PLACE:
            made, _ = self._sum(tuple(given), lambda: func(*args))
            if made is not given[0]:
                made = given[0].copy_(made)
        else:
            made = func(*args, **kwargs)
            if func in _SUMS and len(given) == 1 and len(args) == 2 and _is_zero(args):
                terms = self._terms.get(id(given[0]), (given[0],))  # sum() begins with 0 + x
        self._note(made, given, terms)
        return made

    def _sum(
        self, terms: tuple[Tensor, ...], whole: Callable[[], Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        known = [self._sources.get(id(term), frozenset()) for term in terms]
        left = tuple(term for term in terms if not any(id(term) in sources for sources in known))
        if len(left) == len(terms):
            return whole(), left
        # A tensor of its own, which may be changed in place.
        made = left[0].clone()
        for term in left[1:]:
            made = made + term
        return made, left

    def _note(self, made: Any, given: list[Tensor], terms: tuple[Tensor, ...]) -> None:
        sources = frozenset(map(id, given)).union(
            *(self._sources.get(id(tensor), frozenset()) for tensor in given)
        )
        for tensor in leaves((made,)):
            self._kept.append(tensor)
            self._sources[id(tensor)] = sources - {id(tensor)}
            if terms:
                self._terms[id(tensor)] = terms
            else:
                self._terms.pop(id(tensor), None)  # it was changed in place


def _is_zero(operands: Any) -> bool:
    return any(isinstance(one, int | float) and one == 0 for one in operands)
