"""A space with more features of each architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from .architecture import Architecture
from .forms import GraphForm
from .space import Space

S = TypeVar("S", bound=Space)


def described(space: S, features: Callable[[Architecture], Mapping[str, float]]) -> S:
    """The same space with more features of each architecture, for surrogates to learn from.

    It shares with the given space all that is known of it. Architectures, graphs and the
    fingerprint are the same; features of the same name replace those of the graph form.

    Args:
        features: finite numbers by name, the same for equal graphs. What stands before a colon in
            a name is its family: Gaussian processes give each family a length scale of its own.
    """
    own = space._form

    def both(architecture: Architecture) -> dict[str, float]:
        known = own.features_of(space.name, architecture) if own else {}
        return {**known, **features(architecture)}

    canonical = own.canonical if own else _spelling
    found = object.__new__(type(space))
    vars(found).update(vars(space))
    found._form = GraphForm(canonical, both)
    return found


def _spelling(architecture: Architecture) -> str:
    return architecture.id
