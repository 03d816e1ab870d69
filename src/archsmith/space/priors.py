"""What an expert believes about the options of a choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._support.errors import SpaceError
from .architecture import Answer, Architecture
from .plain import plain

if TYPE_CHECKING:
    from .space import Space

#: Weights in the order of the options, by option, or as a function of the option.
Prior = Sequence[float] | Mapping[Any, float] | Callable[[Any], float]


def shares(name: str, labels: tuple[Answer, ...], prior: Prior | None) -> tuple[float, ...] | None:
    """Probabilities of the options, in their order; ``None`` if all are alike.

    Raises:
        SpaceError: the prior is not a positive number for each option.
    """
    if prior is None:
        return None
    weights = _weights(name, labels, prior)
    if not all(0 < weight < math.inf for weight in weights):
        raise SpaceError(
            name,
            "a prior of positive numbers",
            repr(weights),
            "leave out the options that should never be drawn",
        )
    if len(set(weights)) == 1:
        return None
    whole = sum(weights)
    return tuple(weight / whole for weight in weights)


def log_prior(space: Space, architecture: Architecture) -> float:
    """Logarithm of how much likelier than by uniform draws the priors make an architecture.

    Decisions without a prior count as 0, so architectures with different decisions are comparable.
    """
    decisions = space.decisions(architecture)
    return sum(decision.log_prior(architecture[decision.name]) for decision in decisions)


def _weights(name: str, labels: tuple[Answer, ...], prior: Prior) -> list[float]:
    if isinstance(prior, Mapping):
        by_label = {plain(label): weight for label, weight in prior.items()}
        if set(by_label) != set(labels):
            raise SpaceError(name, f"a prior with a weight for each of {labels!r}", repr(prior))
        weights = [by_label[label] for label in labels]
    else:
        weights = [prior(label) for label in labels] if callable(prior) else list(prior)
    if len(weights) != len(labels):
        raise SpaceError(name, f"a prior of {len(labels)} weights", f"{len(weights)}: {weights!r}")
    try:
        return [float(weight) for weight in weights]
    except (TypeError, ValueError):
        raise SpaceError(name, "a prior of positive numbers", repr(weights)) from None
