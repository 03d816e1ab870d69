"""Profiling a space: what can be measured before any search is run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._support.errors import InputError, SpaceError
from .._support.plans import flat
from .._support.trees import call
from ..history.objective import Limit, Objective
from ..space.counting import Size
from ..space.ordinary import ordinary
from ..study.faults import Visit
from ..task.goals import limits_of, objectives_of, seconds_of
from ..task.problem import Problem
from ..task.reading import flags
from .advice import advise
from .decisions import decision_facts, walked
from .facts import Likeness, LimitFacts, Sharing, Spread, Times
from .plan import OnStep, ProfilePlan
from .result import Profile
from .sample import Sample, draw, limit_facts, spreads

if TYPE_CHECKING:
    from ..space import Architecture
    from .inspector import Inspector

#: Spaces up to this size are enumerated to count their distinct networks.
_LISTED = 20_000

#: Sampled architectures in which options are counted, and the seconds they may take.
_WALKS, _WALKING = 500, 2.0


@ordinary()
def run_plan(plan: ProfilePlan) -> Profile:
    """Profile a space before a search: size, costs, limits, faults, duplicates, times, advice.

    Every reachable option of every decision is built and run at least once, and so is a random
    sample; on torch's ``meta`` device where the models allow it. A few training steps are timed.

    Raises:
        InputError: an argument is invalid.
        SpaceError: the builder rejects its own defaults, so that it has no decisions to profile,
            or the default architecture's outputs do not fit the task.
    """
    seconds = seconds_of(plan.time)
    if plan.samples < 1:
        raise InputError("samples", "1 or more", str(plan.samples))
    if seconds is None or not seconds > 0:
        raise InputError("time", "more than 0 seconds", str(plan.time))
    problem = plan.open()
    objectives = objectives_of(problem.task, plan.maximize, plan.minimize)
    bounds = limits_of(problem.task, plan.limits)
    tell = plan.on_step or (lambda _: None)
    work = _Work(
        problem, _search(plan, problem), objectives, bounds, plan.samples, seconds, plan.seed, tell
    )
    return work.profile()


profile = flat(ProfilePlan, "profile")(run_plan)


def _search(plan: ProfilePlan, problem: Problem) -> list[str]:
    """The words of the command that searches the space; empty for data without a path or name."""
    if not isinstance(plan.data, str | Path):
        return []
    # As it was typed: an absolute path would only be harder to read.
    space_name = plan.space if isinstance(plan.space, str) else problem.reference
    words = ["archsmith", "search", str(plan.data), "--space", space_name]
    given: dict[str, object] = {"--task": plan.task} if plan.task is not None else {}
    if plan.read is not None:
        given |= flags(plan.read)
    for name, value in given.items():
        words += [name, str(value)]
    return words


class _Work:
    """The state of one profile. Each part must end before a given share of the time has passed."""

    def __init__(
        self,
        problem: Problem,
        search: Sequence[str],
        objectives: tuple[Objective, ...],
        limits: tuple[Limit, ...],
        samples: int,
        seconds: float,
        seed: int,
        tell: OnStep,
    ) -> None:
        self.problem, self.search = problem, search
        self.objectives, self.limits = objectives, limits
        self.samples, self.seconds, self.seed, self.tell = samples, seconds, seed, tell
        self.began = time.monotonic()
        self.cut: list[str] = []
        self.visits: list[Visit] = []

    def until(self, share: float) -> float:
        return self.began + share * self.seconds

    def profile(self) -> Profile:
        from .inspector import Inspector
        from .latency import measure_latency

        problem, space = self.problem, self.problem.space
        self.tell("counting architectures")
        space.check_form()
        _expect_outputs(problem)
        inspector = Inspector(problem, self.seed)
        size = space.size()
        covered = self._cover(inspector)
        sample = self._sample(inspector)
        costs = self._costs(inspector, sample)
        metrics = {lim.metric for lim in self.limits} | {o.metric for o in self.objectives}
        measured = measure_latency(problem, inspector, sample, costs, metrics, self.tell)
        facts, together = self._limits(inspector, sample, measured)
        likeness = self._likeness(inspector, sample)
        faults = inspector.faults.faults
        sharing, steps = self._sharing(inspector, bool(faults))
        times = self._times(costs, steps)
        self.tell("")
        visited = [visit.decision for visit in self.visits]
        walks = walked(space, _WALKS, self.seed, time.monotonic() + _WALKING)
        advice = advise(
            problem,
            self.search,
            size=size,
            objectives=self.objectives,
            limits=self.limits,
            facts=[*facts, *([together] if together else [])],
            faults=faults,
            idle=likeness.idle if likeness else (),
            sharing=sharing,
            times=times,
            times_asked={} if faults else space.read(space.default(), seed=self.seed)[0].times,
        )
        return Profile(
            space=space.name,
            data=problem.data.name,
            task=problem.task.name,
            summary=tuple(problem.data.summary),
            seed=self.seed,
            device=problem.device,
            objectives=self.objectives,
            size=size,
            distinct=self._distinct(size),
            decisions=decision_facts(space, walks, visited, list(inspector.costs)),
            drawn=sample.how,
            samples=len(sample.drawn) + sample.refused,
            broken=sample.refused + sum(a not in inspector.costs for a in sample.drawn),
            looked=len(inspector.faults.tries.tried),
            covered=covered,
            costs=costs,
            limits=facts,
            together=together,
            faults=faults,
            unexplained=inspector.faults.unexplained,
            likeness=likeness,
            sharing=sharing,
            times=times,
            advice=advice,
            cut=tuple(self.cut),
            seconds=time.monotonic() - self.began,
        )

    def _cover(self, inspector: Inspector) -> bool:
        """Build and run every option once."""
        until = self.until(0.3)
        for visit in inspector.faults.cover(until):
            self.visits.append(visit)
            self.tell(f"trying every option: {len(self.visits)} so far")
        inspector.batched = False  # from here on one example each: half the time
        covered = time.monotonic() <= until
        if not covered:
            self.cut.append(f"options tried: {len(self.visits)}, but there are more")
        return covered

    def _sample(self, inspector: Inspector) -> Sample:
        self.tell(f"checking {self.samples} samples")
        sample = draw(inspector, self.samples, self.seed, self.until(0.55))
        if sample.cut:
            done = len(sample.drawn) + sample.refused
            self.cut.append(f"samples: {done} of {self.samples}")
        return sample

    def _costs(self, inspector: Inspector, sample: Sample) -> dict[str, Spread]:
        self.tell("looking for the smallest and the largest")
        costs = spreads(inspector, sample, self.seed, self.until(0.65))
        if any(not spread.settled for spread in costs.values()):
            self.cut.append(
                "descents to the smallest and largest: more extreme architectures may exist"
            )
        return costs

    def _limits(
        self,
        inspector: Inspector,
        sample: Sample,
        measured: Mapping[Architecture, Mapping[str, float]],
    ) -> tuple[tuple[LimitFacts, ...], LimitFacts | None]:
        if not self.limits:
            return (), None
        self.tell("checking limits on the sample")

        def facts(limits: Sequence[Limit]) -> LimitFacts:
            until = self.until(0.7)
            return limit_facts(inspector, sample, limits, measured, self.seed, until)

        alone = tuple(facts([limit]) for limit in self.limits)
        return alone, facts(self.limits) if len(self.limits) > 1 else None

    def _likeness(self, inspector: Inspector, sample: Sample) -> Likeness | None:
        from .likeness import likeness

        if inspector.faults.hopeless:
            return None
        self.tell("looking for duplicates and for choices that change nothing")
        until = self.until(0.8)
        result, complete = likeness(inspector, sample, self.visits, self.seed, until)
        if not complete:
            self.cut.append("comparisons of single changes")
        return result

    def _sharing(
        self, inspector: Inspector, broken: bool
    ) -> tuple[Sharing | None, dict[str, float]]:
        from .sharing import sharing, step_seconds, survey_seconds

        if broken:
            return None, {}
        self.tell("trying to share weights")
        options = len(self.visits)
        build_seconds = self._build_seconds(inspector)
        needed, left = survey_seconds(options, build_seconds), self.until(1.0) - time.monotonic()
        if needed > left:
            reason = f"checking this takes about {needed:.0f} s here: raise --time"
            self.cut.append("whether weights can be shared")
            return Sharing(None, reason, None, reason), {}
        result, net = sharing(self.problem, self.seed)
        if net is None:
            return result, {}
        self.tell("timing steps on shared weights")
        relaxed = result.relaxed is True
        steps = step_seconds(self.problem, net, self.seed, self.until(1.0), relaxed)
        return result, steps

    def _build_seconds(self, inspector: Inspector) -> float:
        default = inspector.faults.base
        began = time.monotonic()
        self.problem.space.build(default, device="meta")
        return time.monotonic() - began

    def _times(self, costs: dict[str, Spread], steps: Mapping[str, float]) -> Times | None:
        from .times import measure_paces, times

        if "flops" not in costs:
            return None
        self.tell("timing training steps")
        measured = measure_paces(self.problem, costs["flops"], self.seed, 0.15 * self.seconds)
        return times(self.problem, measured, steps)

    def _distinct(self, size: Size) -> int | None:
        """Distinct networks by the space's own canonical form; ``None`` if the space has none."""
        space = self.problem.space
        default = space.default()
        if space.canonical(default) == default.id or not size.exact or size.count > _LISTED:
            return None
        return len({space.canonical(architecture) for architecture in space.enumerate()})


def _expect_outputs(problem: Problem) -> None:
    """Raise SpaceError if the default architecture's outputs do not fit the task."""
    import torch

    try:
        with torch.no_grad():
            model = problem.space.build(problem.space.default(), seed=0).eval()
            outputs = call(model, problem.task.example(problem.data.facts, batch=2))
    except Exception:
        return  # the profile reports such faults with the decisions that cause them
    try:
        problem.task.expect_outputs(outputs, problem.data.facts)
    except ValueError as error:
        raise SpaceError(
            problem.space.name,
            f"outputs of {problem.task.name}",
            str(error),
            "choose another space, or the task by its name: --task",
        ) from None
