"""Graph forms: which architectures build the same graph, and what the graph looks like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from .._support.errors import SpaceError
from .architecture import Answer, Architecture

B = TypeVar("B", bound=Callable[..., Any])

#: Under which a builder carries its form.
_MARK = "__archsmith_graph_form__"


@dataclass(frozen=True, slots=True)
class GraphForm:
    """How a space tells graphs apart.

    Attributes:
        canonical: a string that is the same for architectures that build the same graph.
        features: named numbers of the graph, such as counts of paths; the same for the same graph.
    """

    canonical: Callable[[Architecture], str]
    features: Callable[[Architecture], dict[str, float]] | None = None

    def name_of(self, builder: str, architecture: Architecture) -> str:
        """The architecture's canonical string.

        Raises:
            SpaceError: the user's function raised, or gave something else.
        """
        found = _called(builder, "canonical", self.canonical, architecture)
        if not isinstance(found, str):
            raise _refused(builder, "canonical", "a string", repr(found), architecture)
        return found

    def features_of(self, builder: str, architecture: Architecture) -> dict[str, float]:
        """The graph's features; empty where there are none.

        Raises:
            SpaceError: the user's function raised, or gave other than finite numbers by name.
        """
        if self.features is None:
            return {}
        found = _called(builder, "features", self.features, architecture)
        if not isinstance(found, Mapping):
            raise _refused(builder, "features", "numbers by name", repr(found), architecture)
        for name, value in found.items():
            if not isinstance(name, str) or not _finite(value):
                got = f"{value!r} for {name!r}"
                raise _refused(builder, "features", "finite numbers by name", got, architecture)
        return dict(found)


def graph_form(
    canonical: Callable[[Mapping[str, Answer]], str],
    features: Callable[[Mapping[str, Answer]], dict[str, float]] | None = None,
) -> Callable[[B], B]:
    """Tell which architectures of a builder are one and the same graph.

    Searches try one spelling of each graph, and surrogates learn from ``features`` beside the
    answers themselves. A builder without a form is searched as it is spelled.

    Args:
        canonical: from an architecture to a string that is the same for equal graphs.
        features: from an architecture to named numbers, the same for equal graphs (for example
            the paths of White et al. 2021, arXiv:1910.11858). A name that is missing counts as 0.

    Example:
        >>> @nas.graph_form(canonical)
        ... def cell(channels: int) -> nn.Module: ...
    """

    def mark(builder: B) -> B:
        setattr(builder, _MARK, GraphForm(canonical, features))
        return builder

    return mark


def form_of(builder: Callable[..., Any]) -> GraphForm | None:
    """The form that a builder carries, if it does."""
    found = getattr(builder, _MARK, None)
    return found if isinstance(found, GraphForm) else None


def _called(
    builder: str, what: str, function: Callable[[Architecture], Any], given: Architecture
) -> Any:
    try:
        return function(given)
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise _refused(builder, what, "no exception", got, given) from error


def _refused(
    builder: str, what: str, expected: str, got: str, architecture: Architecture
) -> SpaceError:
    told = repr(dict(architecture))
    told = told if len(told) < 200 else f"{told[:197]}..."
    return SpaceError(
        f"{builder}, {what} of its graph form", expected, got, f"it was called with {told}"
    )


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False
