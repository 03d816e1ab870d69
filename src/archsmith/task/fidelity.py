"""How little a trial may train: fewer steps than this tell nothing about architectures."""

from __future__ import annotations

import math
from dataclasses import replace

from ..history.trial import Fidelity
from .base import Recipe

#: Steps of the optimiser in a trial, by default and on the lowest rung of a ladder. Measured by
#: ``benchmarks/short_trials.py``; the figures are in ``docs/decisions.md``.
LEAST_STEPS = 128


def steps_of(examples: int, batch: int) -> int:
    """Steps of an epoch: a last batch of one joins the one before."""
    whole, left = divmod(examples, batch)
    return max(1, whole + (left > 1 or (left == 1 and whole == 0)))


def enough(fidelity: Fidelity, examples: int, recipe: Recipe) -> Fidelity:
    """The fidelity with more of the data, and then more epochs, where its steps are too few.

    Never more epochs than the recipe has.
    """
    epochs = fidelity.epochs or recipe.epochs
    each = math.ceil(LEAST_STEPS / epochs)  # steps of an epoch that would do
    share = max(fidelity.share, min(1.0, each * recipe.batch_size / examples))
    wanted = min(recipe.epochs, least_epochs(share, examples, recipe))
    return replace(fidelity, epochs=max(epochs, wanted), share=share)


def least_epochs(share: float, examples: int, recipe: Recipe) -> int:
    """The fewest epochs on a share of the examples that are enough steps."""
    return math.ceil(LEAST_STEPS / steps_of(round(share * examples), recipe.batch_size))
