"""What a training gains from only if it is long."""

from __future__ import annotations

from dataclasses import replace

from ..task.base import Data, Recipe, Task
from ..task.contracts import Mixing

#: Share of the batches that are mixed in a training of at least so many passes over the data; see
#: ``docs/benchmarks.md``.
MIX, LONG = 0.5, 25


def for_steps(recipe: Recipe, task: Task, data: Data, steps: float) -> Recipe:
    """The recipe for a training of about so many steps, as far as its task can say.

    After many passes over the same images a network knows them by heart, and mixing them (CutMix)
    brings more than it costs; in a short training it only slows learning. A recipe that mixes
    already, or does not augment, stays as it is.
    """
    passes = steps * recipe.batch_size / len(data.train)
    if recipe.mix or not recipe.augment or passes < LONG or not isinstance(task, Mixing):
        return recipe
    return replace(recipe, mix=MIX)
