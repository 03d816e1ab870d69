"""What to do next, by a few rules that are given as its reasons."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..history.numbers import duration
from ..history.objective import Limit, Objective
from ..space import Size
from ..study.faults import Fault
from .facts import Advice, Idle, LimitFacts, Sharing, Times

if TYPE_CHECKING:
    from ..task.problem import Problem

#: A search that takes no more seconds than this needs no shortcut.
_PATIENCE = 3600.0
#: Spaces up to this size are tried completely.
_ALL = 32
#: Limits that a smaller share of the space keeps are tight.
_TIGHT = 0.05
#: How many of the decisions asked several times are named.
_NAMED = 4


def advise(
    problem: Problem,
    search: Sequence[str],
    *,
    size: Size,
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    facts: Sequence[LimitFacts],
    faults: Sequence[Fault],
    idle: Sequence[Idle],
    sharing: Sharing | None,
    times: Times | None,
    times_asked: Mapping[str, int] | None = None,
) -> Advice:
    """A strategy, an evaluator and a budget, the command to run, and the reasons.

    Faults come first, because a search would refuse to start. A space of a few architectures is
    tried completely. Otherwise each trial is trained if 24 of them take no more than an hour; if
    not, weights are shared where that is possible and faster; if not, ASHA allots the epochs.

    Args:
        search: the command that searches this space on this data, without options.
        times_asked: how often the default architecture asks each decision.
    """
    if faults:
        return Advice(
            "",
            "",
            "",
            "",
            ("A search would fail on models that do not build or run: fix the builder first.",),
        )
    unmet = [fact for fact in facts if fact.kept is False]
    if unmet:
        alone = [fact for fact in unmet if len(fact.limits) == 1]
        unmet = alone or unmet
        names = ", ".join(" and ".join(map(str, fact.limits)) for fact in unmet)
        return Advice(
            "",
            "",
            "",
            "",
            (f"No architecture found keeps {names}: loosen it, or give the space other options.",),
        )
    reasons = [*_about_limits(facts), *_about_idle(idle), *_about_repeats(times_asked or {})]
    strategy, evaluator, budget, flags, why = _choice(size, objectives, sharing, times)
    reasons = [*why, *reasons]
    if len(objectives) > 1:
        reasons.append(f"{len(objectives)} objectives: the result is a Pareto front.")
    return Advice(
        strategy,
        evaluator,
        budget,
        _command(problem, search, objectives, limits, flags),
        tuple(reasons),
    )


def _choice(
    size: Size, objectives: Sequence[Objective], sharing: Sharing | None, times: Times | None
) -> tuple[str, str, str, list[str], list[str]]:
    """Strategy, evaluator, budget, options, reasons."""
    if size.exact and size.count <= _ALL:
        return (
            "grid",
            "training",
            f"all {size.count} architectures",
            [
                "--strategy",
                "grid",
                "--trials",
                str(size.count),
            ],
            [f"The space has {size.count} architectures: all can be tried."],
        )
    trained = times.estimates[0] if times else None
    if times is None or trained is None:
        return "auto", "training", "the default", [], ["Nothing could be timed."]
    count = times.trials
    cost = f"{count} trials take about {duration(trained.median)}"
    networks = f"{size} architectures".replace("about ", "")
    if trained.median <= _PATIENCE:
        return (
            "auto",
            "training",
            f"{count} trials, about {duration(trained.median)}",
            [],
            [
                f"{cost}, less than an hour: each is trained, which is what shortcuts only "
                "estimate.",
                f"Among {networks} the default strategy (a Gaussian process) needs fewest trials.",
            ],
        )
    several = len(objectives) > 1
    unusable = sharing is not None and sharing.shared is False
    unshared = "cannot be used" if unusable else "save no time"
    shared = next((e for e in times.estimates if "spos" in e.strategies), None)
    if sharing is not None and sharing.shared and shared and shared.median < trained.median:
        name = "spos+nsga2" if several else "spos"
        return (
            name,
            "shared weights",
            shared.budget,
            ["--strategy", name],
            [
                f"{cost}, more than an hour; one supernet for all takes about "
                f"{duration(shared.median)}.",
                "To measure afterwards whether shared weights rank architectures correctly: "
                "archsmith trust RUN.",
            ],
        )
    return (
        "asha",
        "training",
        f"the epochs of {count} trials",
        ["--strategy", "asha"],
        [
            f"{cost}, more than an hour, and shared weights {unshared}: "
            "many short trainings and a few long ones make better use of the time.",
            "To set a time limit: --time 30m.",
        ],
    )


def _about_limits(facts: Sequence[LimitFacts]) -> list[str]:
    measured = [f for f in facts if f.share is not None]
    if not measured:
        return []
    tightest = min(measured, key=lambda f: f.share.value if f.share else 1.0)
    if tightest.share is None or tightest.share.value >= _TIGHT:
        return []
    names = " and ".join(map(str, tightest.limits))
    return [
        f"{tightest.share.value:.1%} of the space keeps {names}: architectures that break it "
        "are not trained and do not count as trials, but many proposals are lost to them."
    ]


def _about_idle(idle: Sequence[Idle]) -> list[str]:
    whole = [one.decision for one in idle if one.whole]
    return [f"Remove the decisions that change nothing: {', '.join(whole)}."] if whole else []


def _about_repeats(times_asked: Mapping[str, int]) -> list[str]:
    several = [f"{name} is asked {n} times" for name, n in times_asked.items() if n > 1]
    if not several:
        return []
    more = f" (and {len(several) - _NAMED} more)" if len(several) > _NAMED else ""
    return [
        f"{', '.join(several[:_NAMED])}{more} and answered once, because one name is one "
        "decision: to decide each separately, build the model inside nas.module_scopes(), or each "
        "part in its own nas.scope."
    ]


def _command(
    problem: Problem,
    search: Sequence[str],
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    flags: Sequence[str],
) -> str:
    words = [*search, *flags]
    first = problem.task.metrics[0]
    for objective in objectives:
        if (objective.metric, objective.direction) != (first.name, first.direction):
            words += [f"--{objective.direction}", objective.metric]
    for limit in limits:
        words += ["--limit", str(limit)]
    return shlex.join(words) if search else _call(words)


def _call(words: Sequence[str]) -> str:
    """The Python call, for data that cannot be named on a command line."""
    arguments = ["space", "data=..."]
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = {"limit": "limits"}.get(flag.lstrip("-"), flag.lstrip("-").replace("-", "_"))
        arguments.append(f"{name}={value if value.isdigit() else repr(value)}")
    return f"nas.search({', '.join(arguments)})"
