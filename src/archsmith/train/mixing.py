"""Mixed examples in trainings that see each example many times."""

from __future__ import annotations

from dataclasses import replace

from ..task.base import Recipe, Task
from ..task.contracts import Mixing

#: Share of the batches that are mixed in a training of at least ``PASSES`` passes over the
#: examples: shorter ones have nothing to regularise, see ``docs/benchmarks.md``.
SHARE, PASSES = 0.5, 40


def mixing(recipe: Recipe, task: Task, passes: float) -> Recipe:
    """The recipe of a training of so many passes, with mixed examples if that is many and the task
    can mix what it augments."""
    wanted = recipe.augment and not recipe.mix and passes >= PASSES
    return replace(recipe, mix=SHARE) if wanted and isinstance(task, Mixing) else recipe
