"""Channels sorted by their importance, so that a narrow architecture keeps the best.

A layer's output channels may have any order, as long as the layers that read them use the same one.
Which layers these are is traced with an example; and since not everything can be traced, the
largest architecture has to compute the same before and after, or its channels are left alone.
Importance is the L1 norm of the weights that read a channel (Cai et al. 2020, arXiv:1908.09791,
section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .._support.trees import Tree, call, first_tensor, move
from ..space.building import parameter_keys
from .alignment import noisy
from .channels import joined_runs, keeps_channels
from .lending import Place, distinct

if TYPE_CHECKING:
    from .supernet import Supernet

#: Reorders a stored tensor along a dimension by an index, in place.
Reorder = Callable[[Tensor, int, Tensor], None]


@dataclass(frozen=True, slots=True)
class _Use:
    """Where a source's channels lie in a stored tensor.

    Attributes:
        start: of the first one; each has ``times`` entries in a row.
        mixes: whether a layer makes new channels from them.
    """

    key: str
    dim: int
    start: int = 0
    times: int = 1
    mixes: bool = False


def sort_channels(supernet: Supernet, example: Tree, reorder: Reorder) -> list[str]:
    """Sort the channels whose number is chosen, as the largest architecture has them.

    Args:
        example: a model input, on the CPU; only its shape and type matter if it is of floats.
        reorder: called for each stored tensor that is reordered, with the new order.

    Returns:
        Keys of the weights whose output channels have another order now.
    """
    largest = supernet.survey.largest
    example = noisy(example, torch.Generator().manual_seed(0))
    done = []
    for source, uses in _groups(supernet, example).items():
        order = _order(supernet, uses)
        if order is None:
            continue
        before = _output(supernet.extract(largest), move(example, supernet.device))
        _apply(supernet, uses, order, reorder)
        after = _output(supernet.extract(largest), move(example, supernet.device))
        if _near(before, after):
            done.append(source)
        else:  # a layer that was not traced reads them
            _apply(supernet, uses, torch.argsort(order), reorder)
    return done


def _groups(supernet: Supernet, example: Tree) -> dict[str, list[_Use]]:
    """For each weight with a chosen number of output channels, all places where these lie."""
    survey = supernet.survey
    run, model = supernet.space.read(survey.largest, seed=0)
    keys = parameter_keys(run, model)
    places = dict(distinct(model, keys))
    makers = {id(place.layer): key for key, place in places.items() if place.role == "weight"}
    groups: dict[str, list[_Use]] = {}
    for key, (dim, runs) in joined_runs(model, keys, example).items():
        start = 0
        for one in runs or ():
            if one.source and _elastic(supernet, one.source, one.dim):
                mixes = not keeps_channels(places[key].layer)
                uses = groups.setdefault(one.source, [_Use(one.source, one.dim)])
                uses.append(_Use(key, dim, start, one.times, mixes))
            start += one.size
    for key, place in places.items():
        source = makers.get(id(place.layer))
        if source in groups and place.role == "bias" and not keeps_channels(place.layer):
            groups[source].append(_Use(key, 0))
    shapes = {key: place.tensor.shape for key, place in places.items()}
    return {s: uses for s, uses in groups.items() if _is_sortable(supernet, uses, places, shapes)}


def _elastic(supernet: Supernet, key: str, dim: int) -> bool:
    shapes = (seen.shapes[key] for seen in supernet.survey.seen.values() if key in seen.shapes)
    return len({shape[dim] for shape in shapes}) > 1


def _is_sortable(
    supernet: Supernet,
    uses: list[_Use],
    places: Mapping[str, Place],
    shapes: Mapping[str, torch.Size],
) -> bool:
    """Whether the stored tensors are those of the largest, without parts that must stay apart."""
    for use in uses:
        stored = supernet.get(use.key)
        if stored is None or stored.shape != shapes[use.key]:
            return False
        rule = supernet.survey.rule(use.key, places[use.key], shapes)
        if isinstance(dict(rule.parts).get(use.dim), int) or rule.groups:
            return False
    return any(use.mixes for use in uses)


def _order(supernet: Supernet, uses: list[_Use]) -> Tensor | None:
    """Channels by falling importance; ``None`` if they are in this order already."""
    maker = supernet.get(uses[0].key)
    assert maker is not None
    count = maker.shape[uses[0].dim]
    importance = torch.zeros(count, device=maker.device)
    for use in uses:
        stored = supernet.get(use.key)
        if use.mixes and stored is not None:
            read = stored.detach().abs().movedim(use.dim, 0).flatten(1).sum(1)
            importance += read[use.start : use.start + count * use.times].view(count, -1).sum(1)
    order = importance.argsort(descending=True, stable=True)
    return None if torch.equal(order, torch.arange(count, device=order.device)) else order


def _apply(supernet: Supernet, uses: list[_Use], order: Tensor, reorder: Reorder) -> None:
    for use in uses:
        stored = supernet.get(use.key)
        assert stored is not None
        index = torch.arange(stored.shape[use.dim], device=stored.device)
        inside = index[use.start : use.start + len(order) * use.times].view(len(order), use.times)
        index = index.clone()
        index[use.start : use.start + len(order) * use.times] = inside[order].flatten()
        reorder(stored, use.dim, index)


def _output(model: nn.Module, example: Tree) -> Tensor | None:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return first_tensor(call(model.eval(), example))


def _near(one: Tensor | None, two: Tensor | None) -> bool:
    if one is None or two is None:
        return False
    return torch.allclose(one, two, rtol=1e-3, atol=1e-4 * float(one.abs().max()))
