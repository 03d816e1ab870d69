"""The shortest training of a trial: with fewer steps its score says nothing about the model."""

from __future__ import annotations

import math
from dataclasses import replace

from ..history.trial import Fidelity
from .base import Recipe

#: Fewest optimiser steps on the lowest rung of successive halving. Measured by
#: ``benchmarks/short_trials.py``; the figures are in ``docs/decisions.md``.
LEAST_STEPS = 128
#: Fewest optimiser steps of a whole trial, unless the recipe's training is shorter.
TRIAL_STEPS = 500


def steps_of(examples: int, batch: int) -> int:
    """Steps of an epoch: a last batch of a single example is merged into the one before."""
    whole, left = divmod(examples, batch)
    return max(1, whole + (left > 1 or (left == 1 and whole == 0)))


def enough(fidelity: Fidelity, examples: int, recipe: Recipe) -> Fidelity:
    """The fidelity, with more of the data and then more epochs if its steps are too few.

    Never more epochs than the recipe has.
    """
    epochs = fidelity.epochs or recipe.epochs
    steps = math.ceil(TRIAL_STEPS / epochs)  # steps needed in each epoch
    share = max(fidelity.share, min(1.0, steps * recipe.batch_size / examples))
    enough_epochs = min(recipe.epochs, least_epochs(share, examples, recipe, TRIAL_STEPS))
    return replace(fidelity, epochs=max(epochs, enough_epochs), share=share)


def least_epochs(share: float, examples: int, recipe: Recipe, steps: int = LEAST_STEPS) -> int:
    """The fewest epochs on a share of the examples that are so many steps."""
    return math.ceil(steps / steps_of(round(share * examples), recipe.batch_size))
