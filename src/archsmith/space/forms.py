"""Graph forms: which architectures build the same graph, and what the graph looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from .architecture import Answer

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

    canonical: Callable[[Mapping[str, Answer]], str]
    features: Callable[[Mapping[str, Answer]], dict[str, float]] | None = None


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
