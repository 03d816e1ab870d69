"""What takes long to look at, and so is looked at before the time of a search is divided."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..evaluate.training import joined
from ..history.objective import Objective
from ..study import MemoryStore
from ..task.contracts import StopsEarly
from ..task.goals import seconds_of
from ..task.references import Reference
from .baseline import Baseline
from .baselines import Baselines, seconds_of_each
from .oneshot import OnSharedWeights, untrained_net, weights_path

if TYPE_CHECKING:
    from ..supernet.supernet import Supernet
    from ..task.problem import Problem
    from .plan import SearchPlan


def _fitted(
    references: Iterable[Reference], plan: SearchPlan, problem: Problem, goal: Objective
) -> Mapping[str, Baseline]:
    """The references that are fitted in seconds, by key, before the time of a search is divided:
    what they take is part of it. One that fails is left out, and tried again at the end, which
    tells why."""
    if plan.baseline != "quick":  # one that was asked for by name has its own time
        return {}
    own = plan.recipe is not None or plan.final_epochs is not None
    together = not own and plan.final_count == 1 and not isinstance(problem.task, StopsEarly)
    baselines = Baselines(
        problem,
        MemoryStore(),
        plan.seed,
        goal,
        seconds_of_each(plan.baseline, seconds_of(plan.time)),
        together=together and joined(problem.data, problem.task) is not None,
        mixes=not own,
    )
    for reference in references:
        with contextlib.suppress(Exception):
            baselines.train(reference)
    return baselines.trained


def look(
    plan: SearchPlan,
    problem: Problem,
    sharing: OnSharedWeights | None,
    references: Sequence[Reference],
    plain: Problem,
    goal: Objective,
) -> tuple[Supernet | None, Mapping[str, Baseline]]:
    """What is only known after looking long, before the time is divided: the size of the space,
    quick references, and the supernet, unless the run folder has its weights."""
    problem.space.size()
    fitted = _fitted(references, plan, plain, goal)
    if sharing is None or (plan.folder and weights_path(plan.folder).exists()):
        return None, fitted
    return untrained_net(problem, sharing.method, plan.seed), fitted
