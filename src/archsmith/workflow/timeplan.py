"""How the time of a search is divided: looking, trials, the last training, the report."""

from __future__ import annotations

import math
import random
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .._support.errors import ArchsmithError, SpaceError
from ..evaluate import Evaluator, Trainer
from ..history.trial import Fidelity
from ..space import Architecture
from ..strategy import Strategy
from ..strategy.auto import Auto
from ..study import SqliteStore
from ..task.base import Data
from ..task.contracts import AsLongAsTheRecipe
from ..task.fidelity import TRIAL_STEPS, steps_of
from ..task.problem import Problem
from .oneshot import TRAINING, epochs_of
from .sizing import Loss, affordable
from .times import LAST_ROUNDS, TimePlan

if TYPE_CHECKING:
    from pathlib import Path

    from .plan import SearchPlan

#: Share of the time that trials get, at most; the rest is the last training. A winner that is
#: trained for a fraction of the time loses more than a longer search finds. In as much time as the
#: recipe's training of the default takes, its accuracy still rises by several points with each
#: doubling, so that trials on rungs get nothing; with each doubling they get ``PER_DOUBLING`` more.
SEARCH, PER_DOUBLING = 0.4, 0.1
#: Share of the time that is kept for the report, and its bounds in seconds; the test part is added,
#: which takes no more than ``MOST_TEST`` of the time in the plan.
RESERVE, LEAST_RESERVE, MOST_RESERVE, MOST_TEST = 0.03, 3.0, 120.0, 0.25
#: A trial takes this part of the last training's time, unless fewer trials than ``TRIALS`` would
#: fit into the search then, or the trial would have fewer than ``TRIAL_STEPS`` steps.
PART = 1 / 8
TRIALS = 24
#: Even where a trial cannot have enough steps, this many fit into the search.
LEAST_TRIALS = 4
#: Where trials rise on rungs, a third of them to three times the length, the highest takes at most
#: this part of the last training's time, and so many reach the one below it.
TOP, ETA, MOST_RISES, RISING = 1 / 4, 3, 4, 6
#: Factor of the side of the images of a trial, and how many random architectures are tried on them.
TRIAL_SIDE, _SAMPLED = 0.5, 8
#: Most rounds of a trial, each of which ends with scoring the validation part, and the part of a
#: trial that scoring may take.
ROUNDS, SCORING = 4, 0.1
#: With fewer steps of the default a trial's score is noise, and searching by it only costs time:
#: the default has the first trial, no other one follows, and the last training has the rest.
FEW_STEPS = 150
#: The last training takes at most as long as this many of the recipe's trainings of the default,
#: unless longer ones learn their examples by heart.
LONGEST = 8
#: Part of the usual steps from which shared weights are not called hurried.
_ENOUGH = 0.5


def divide(
    plan: SearchPlan,
    seconds: float,
    problem: Problem,
    began: float,
    judge: Evaluator | None,
    chosen: Strategy,
    first: Architecture,
    loss: Loss | None,
) -> tuple[TimePlan, Strategy]:
    """The plan for the time, and the strategy, which follows rungs if trials rise on them."""
    rising = isinstance(chosen, Auto)
    times = plan_time(plan, seconds, problem, began, judge, first, rising, chosen.promotes, loss)
    return times, Auto(rungs=True) if times.rises and isinstance(chosen, Auto) else chosen


def plan_time(
    plan: SearchPlan,
    total: float,
    problem: Problem,
    began: float,
    judge: Evaluator | None,
    first: Architecture,
    rising: bool = False,
    rungs: bool = False,
    loss: Loss | None = None,
) -> TimePlan:
    """Divide the time, by the measured pace of the architecture that the search begins with, or as
    the study in the run folder did.

    Args:
        total: seconds since ``began`` (``time.monotonic()``) in which everything is to be done.
        judge: replaces training in the search.
        first: the default, or one that keeps the limits.
        rising: whether trials rise on rungs where the time allows it; then the share of the search
            follows the time, too.
        rungs: whether the strategy needs rungs, however short the time.
        loss: how far an architecture is from keeping the limits, if the search may begin with a
            larger network than ``first``.
    """
    given = plan.recipe is not None or plan.final_epochs is not None
    in_rounds = not given and judge is None and plan.epochs is None and plan.share is None
    pace = partial(_pace, problem, problem.data, plan.seed, total, in_rounds)
    start, begun = first, _begun(plan.folder)
    step, example, work = pace(start)
    reserve = min(MOST_RESERVE, max(LEAST_RESERVE, RESERVE * total))
    if plan.final_count:
        reserve += min(example * len(problem.data.test) * plan.final_seeds, MOST_TEST * total)

    def left() -> float:
        return max(total - (time.monotonic() - began) - reserve, total / 4)

    score = example * len(problem.data.validation)
    epoch = step * steps_of(len(problem.data.train), problem.recipe.batch_size) + score
    whole, search, longest = problem.recipe.epochs * epoch, SEARCH, float(LONGEST)
    full = in_rounds and isinstance(problem.task, AsLongAsTheRecipe)
    if full:  # and so are trials; the last training has more examples
        rising, longest = False, 1 + len(problem.data.validation) / len(problem.data.train)
    if (rising or full) and in_rounds:
        search = min(SEARCH, PER_DOUBLING * math.log2(max(1.0, left() / whole)))
    if begun is not None:
        start = begun.start or start
    elif rising and in_rounds and loss and plan.final_count:
        last = (1 - search) * left()
        start = affordable(problem, last, lambda larger: pace(larger)[0], first, loss)
    if start != first:
        step, example, _ = pace(start)
        score = example * len(problem.data.validation)
    last = _last(plan, judge, given, whole, search, left(), longest)
    fixed = given or isinstance(judge, Trainer)
    made = TimePlan(
        total,
        time.monotonic() - began,
        left() - last,
        last,
        reserve,
        start=start if start != problem.space.default() else None,
        step=step,
        work=work,
        fixed=fixed,
        bounded=full,
        began=began,
    )
    if fixed or not last:
        return made
    if not in_rounds:
        return replace(made, round=last / LAST_ROUNDS, last_rounds=LAST_ROUNDS)
    if rising or rungs:
        made = _for_rungs(plan, problem, made, score, rungs)
    else:
        made = _for_trials(made, score, whole if full else 0.0)
    return _as_begun(made, begun)


def _last(
    plan: SearchPlan,
    judge: Evaluator | None,
    given: bool,
    whole: float,
    search: float,
    left: float,
    longest: float,
) -> float:
    """Seconds of the last training.

    Args:
        given: whether the user chose its length.
        whole: seconds of the recipe's training of the default.
        search: share of the search.
        longest: the last training takes at most as long as so many of these trainings.
    """
    if plan.final_count == 0:
        return 0.0
    if isinstance(judge, Trainer):  # how long trainers of the user's own take is not known
        return (1 - search) * left
    if given:
        trainings = (plan.final_count + 1) * plan.final_seeds
        return min(trainings * whole, (1 - search / 2) * left)
    return min((1 - search) * left, longest * whole)


def _for_rungs(
    plan: SearchPlan, problem: Problem, made: TimePlan, score: float, needed: bool
) -> TimePlan:
    """The plan with trials that rise on rungs, on smaller images if the models run on them."""
    side, smaller = _trial_side(problem, plan.seed)
    if smaller is not None:
        first = made.start or problem.space.default()
        step, example, _ = _pace(problem, smaller, plan.seed, made.total, True, first)
        score = example * len(smaller.validation)
        made = replace(made, step=step, side=side)
    return _on_rungs(made, score, needed)


def _trial_side(problem: Problem, seed: int) -> tuple[float, Data | None]:
    """The factor of the side of the images of a trial, and the data with such images; 1 and
    ``None`` if not all architectures run on smaller ones, by the default and some random ones."""
    from ..train import runs, shrunk

    space, rng = problem.space, random.Random(seed)
    smaller = shrunk(problem.task, problem.data, TRIAL_SIDE)
    if smaller is None:
        return 1.0, None
    some = [space.default()]
    for _ in range(_SAMPLED):
        with suppress(SpaceError):  # the builder rejects it
            some.append(space.sample(rng))
    try:
        fit = all(runs(space.build(a, seed=seed), problem.task, smaller) for a in some)
    except Exception:  # the builder is the user's code; a trial will tell what is wrong
        fit = False
    return (TRIAL_SIDE, smaller) if fit else (1.0, None)


def _on_rungs(plan: TimePlan, score: float, needed: bool) -> TimePlan:
    """The plan with trials of one round on the lowest rung; or, where too few of them fit to choose
    among, with one of the default, unless rungs are ``needed``."""
    least = TRIAL_STEPS * plan.step + score
    length, rises = least, 0
    for more in range(1, MOST_RISES + 1):
        # What rises to each further rung takes two thirds of the time of the lowest.
        enough = RISING * ETA ** (more - 1) * (1 + more * (ETA - 1) / ETA)
        if plan.search >= enough * least and ETA**more * least <= TOP * plan.last:
            most = min(TOP * plan.last / ETA**more, plan.search / (4 * enough))
            length, rises = max(least, most), more
    if needed and not rises:
        length, rises = min(least, plan.search / (2 * ETA)), 1
    elif not rises:
        length = min(least, (plan.search + plan.last) / 10)
        plan = replace(plan, search=length, last=plan.last + plan.search - length)
    last = max(ETA**rises + 1, round(plan.last / length))
    return replace(plan, round=length, rounds=ETA**rises, rises=rises, last_rounds=last)


def _for_trials(plan: TimePlan, score: float, wanted: float) -> TimePlan:
    """The plan with the length of a trial.

    Args:
        score: seconds of scoring the validation part.
        wanted: seconds of a trial where enough of them fit.
    """
    trial = max(
        TRIAL_STEPS * plan.step + score, wanted or min(PART * plan.last, plan.search / TRIALS)
    )
    trial = min(trial, plan.search / LEAST_TRIALS, plan.last)
    if trial < FEW_STEPS * plan.step:
        more = 0.0 if plan.bounded else plan.search - trial
        plan = replace(plan, search=trial, last=plan.last + more)
    rounds = max(1, min(ROUNDS, int(SCORING * trial / score)))
    length = trial / rounds
    last = max(rounds, round(plan.last / length))
    return replace(plan, round=length, rounds=rounds, last_rounds=last)


def _begun(folder: Path | None) -> TimePlan | None:
    """The plan of the study in the folder, if its trials are counted in rounds."""
    if folder is None:
        return None
    # Errors of the folder are raised when it is opened for the study.
    with suppress(ArchsmithError), SqliteStore(folder, read=True) as store:
        values = store.meta().get("plan")
        if values and values["round"]:
            return TimePlan.from_json(values)
    return None


def _as_begun(plan: TimePlan, begun: TimePlan | None) -> TimePlan:
    """The plan with the trials of the study that was begun, so that new ones compare with them."""
    if begun is None:
        return plan
    return replace(
        plan,
        round=begun.round,
        rounds=begun.rounds,
        last_rounds=begun.last_rounds,
        work=begun.work,
        rises=begun.rises,
        side=begun.side,
    )


def in_rounds(problem: Problem, plan: TimePlan) -> Problem:
    """The problem whose trials and last training are counted in rounds of equal time."""
    if not plan.round:
        return problem
    recipe = replace(problem.recipe, epochs=plan.last_rounds, schedule="wsd")
    fidelity = Fidelity(plan.rounds) if plan.rounds else problem.fidelity
    return replace(
        problem, recipe=recipe, fidelity=fidelity, round=plan.round * plan.work, side=plan.side
    )


def hurried(problem: Problem, times: TimePlan) -> str:
    """A warning if a limited time is too short for shared weights to rank well; else empty.

    With a part of the usual steps a supernet ranks worse than as many separate short trainings; see
    docs/benchmarks.md.
    """
    batches = steps_of(len(problem.data.train), problem.recipe.batch_size)
    usual = epochs_of(problem, None, False) * batches
    steps = round(TRAINING * times.search / times.step) if times.step else usual
    if steps >= _ENOUGH * usual:
        return ""
    return (
        f"the shared weights are trained for about {steps:,} steps, where "
        f"{usual:,} are usual: trials that are trained (--strategy auto) are expected "
        "to find more in this time"
    )


def _pace(
    problem: Problem, data: Data, seed: int, total: float, half: bool, architecture: Architecture
) -> tuple[float, float, float]:
    """Seconds of a step of the architecture and of scoring it on a validation example, and the work
    (see :func:`~archsmith.train.work_clock`) that is done in a second.

    Args:
        data: the problem's, or smaller.
        half: whether it may be trained in bfloat16 on a CPU.
    """
    from ..train import faster, work_clock

    model = problem.space.build(architecture, seed=seed)
    task, device = problem.task, problem.device
    exact = device == "cpu" and not half
    recipe = replace(problem.recipe, amp=False) if exact else problem.recipe
    clock = work_clock(device)
    began, worked = time.perf_counter(), clock()
    _, step, example = faster(
        model, task, data, recipe, seed=seed, device=device, seconds=min(1.0, total / 50)
    )
    work = (clock() - worked) / (time.perf_counter() - began)
    return step, example, work
