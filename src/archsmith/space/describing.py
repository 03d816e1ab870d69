"""A space with additional features of each architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from .architecture import Architecture
from .forms import GraphForm
from .space import Space

S = TypeVar("S", bound=Space)


def described(space: S, features: Callable[[Architecture], Mapping[str, float]]) -> S:
    """The same space with additional features of each architecture, for surrogates.

    It shares everything learned about the given space. Architectures, graphs and the fingerprint
    are the same; features of the same name replace those of the graph form.

    Args:
        features: returns finite numbers by name, the same for equal graphs. The part of a name
            before a colon is its family: Gaussian processes use one length scale per family.

    Example:
        >>> def depth(architecture):
        ...     return {"size:depth": float(architecture["depth"])}
        >>> space = nas.described(space, depth)
    """
    form = space._form

    def all_features(architecture: Architecture) -> dict[str, float]:
        own_features = form.features_of(space.name, architecture) if form else {}
        return {**own_features, **features(architecture)}

    canonical = form.canonical if form else _id_of
    copy = object.__new__(type(space))
    vars(copy).update(vars(space))
    copy._form = GraphForm(canonical, all_features)
    return copy


def _id_of(architecture: Architecture) -> str:
    return architecture.id
