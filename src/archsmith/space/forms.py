"""Graph forms: which architectures build the same graph, and features of that graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from .._support.errors import SpaceError
from .architecture import Answer, Architecture

B = TypeVar("B", bound=Callable[..., Any])

#: Attribute of a builder that holds its form.
_MARK = "__archsmith_graph_form__"


@dataclass(frozen=True, slots=True)
class GraphForm:
    """How a space distinguishes graphs.

    Attributes:
        canonical: a string that is the same for architectures that build the same graph.
        features: named numbers of the graph, such as counts of paths; the same for the same graph.
    """

    canonical: Callable[[Architecture], str]
    features: Callable[[Architecture], dict[str, float]] | None = None

    def name_of(self, builder: str, architecture: Architecture) -> str:
        """The architecture's canonical string.

        Raises:
            SpaceError: the user's function raised, or returned something other than a string.
        """
        name = _call(builder, "canonical", self.canonical, architecture)
        if not isinstance(name, str):
            raise _form_error(builder, "canonical", "a string", repr(name), architecture)
        return name

    def features_of(self, builder: str, architecture: Architecture) -> dict[str, float]:
        """The graph's features; empty where there are none.

        Raises:
            SpaceError: the user's function raised, or did not return finite numbers by name.
        """
        if self.features is None:
            return {}
        features = _call(builder, "features", self.features, architecture)
        if not isinstance(features, Mapping):
            raise _form_error(builder, "features", "numbers by name", repr(features), architecture)
        for name, value in features.items():
            if not isinstance(name, str) or not _is_finite(value):
                got = f"{value!r} for {name!r}"
                raise _form_error(builder, "features", "finite numbers by name", got, architecture)
        return dict(features)


def graph_form(
    canonical: Callable[[Mapping[str, Answer]], str],
    features: Callable[[Mapping[str, Answer]], dict[str, float]] | None = None,
) -> Callable[[B], B]:
    """Declare which architectures of a builder are the same graph.

    Searches try one architecture per graph, and surrogates learn from ``features`` in addition to
    the answers themselves. Without a form, every architecture counts as a graph of its own.

    Args:
        canonical: maps an architecture to a string that is the same for equal graphs.
        features: maps an architecture to named numbers, the same for equal graphs (for example
            the paths of White et al. 2021, arXiv:1910.11858). A missing name counts as 0.

    Example:
        >>> @nas.graph_form(canonical)
        ... def cell(channels: int) -> nn.Module: ...
    """

    def mark(builder: B) -> B:
        setattr(builder, _MARK, GraphForm(canonical, features))
        return builder

    return mark


def form_of(builder: Callable[..., Any]) -> GraphForm | None:
    """The graph form of a builder, ``None`` if it has none."""
    form = getattr(builder, _MARK, None)
    return form if isinstance(form, GraphForm) else None


def _call(
    builder: str, what: str, function: Callable[[Architecture], Any], architecture: Architecture
) -> Any:
    try:
        return function(architecture)
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise _form_error(builder, what, "no exception", got, architecture) from error


def _form_error(
    builder: str, what: str, expected: str, got: str, architecture: Architecture
) -> SpaceError:
    shown = repr(dict(architecture))
    shown = shown if len(shown) < 200 else f"{shown[:197]}..."
    return SpaceError(
        f"{builder}, {what} of its graph form", expected, got, f"it was called with {shown}"
    )


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False
