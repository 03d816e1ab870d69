"""What to do next, by a few rules that are told with it."""

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

#: A search that ends within this many seconds needs no shortcut.
_PATIENCE = 3600.0
#: Trials that are few enough to try all there are.
_ALL = 32
#: Below this share of the space, limits are tight.
_TIGHT = 0.05
#: Decisions asked several times that are named.
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
    """A strategy, an evaluator and a budget, the command to type, and why.

    What is broken comes first: a search would refuse to start. Then a space of a few architectures
    is tried whole; trials are trained where 24 of them end within an hour; otherwise weights are
    shared where they can be and that is faster; otherwise epochs are spread by ASHA.

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
            ("A search would meet models that do not build or run: mend the builder first.",),
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
            (
                f"No architecture that was found keeps {names}: loosen it, or give the space other "
                "options.",
            ),
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
    told = f"{count} trials take about {duration(trained.median)}"
    many = f"{size} architectures".replace("about ", "")
    if trained.median <= _PATIENCE:
        return (
            "auto",
            "training",
            f"{count} trials, about {duration(trained.median)}",
            [],
            [
                f"{told}, less than an hour: each is trained, which is the truth that shortcuts "
                "are held to.",
                f"Among {many} the default strategy (a Gaussian process) needs the fewest trials.",
            ],
        )
    several = len(objectives) > 1
    unusable = sharing is not None and sharing.shared is False
    unshared = "cannot be used" if unusable else "save nothing"
    shared = next((e for e in times.estimates if "spos" in e.strategies), None)
    if sharing is not None and sharing.shared and shared and shared.median < trained.median:
        name = "spos+nsga2" if several else "spos"
        return (
            name,
            "shared weights",
            shared.budget,
            ["--strategy", name],
            [
                f"{told}, more than an hour; one supernet for all takes about "
                f"{duration(shared.median)}.",
                "Whether shared weights rank rightly is measured afterwards: archsmith trust RUN.",
            ],
        )
    return (
        "asha",
        "training",
        f"the epochs of {count} trials",
        ["--strategy", "asha"],
        [
            f"{told}, more than an hour, and shared weights {unshared}: "
            "many short looks and few long ones make more of it.",
            "To end it at a time of your own: --time 30m.",
        ],
    )


def _about_limits(facts: Sequence[LimitFacts]) -> list[str]:
    known = [f for f in facts if f.share is not None]
    if not known:
        return []
    tightest = min(known, key=lambda f: f.share.value if f.share else 1.0)
    if tightest.share is None or tightest.share.value >= _TIGHT:
        return []
    names = " and ".join(map(str, tightest.limits))
    return [
        f"{tightest.share.value:.1%} of the space keeps {names}: what breaks it costs no training "
        "and does not count, but many proposals go that way."
    ]


def _about_idle(idle: Sequence[Idle]) -> list[str]:
    whole = [one.decision for one in idle if one.whole]
    return [f"Take out what changes nothing: {', '.join(whole)}."] if whole else []


def _about_repeats(times_asked: Mapping[str, int]) -> list[str]:
    several = [f"{name} is asked {n} times" for name, n in times_asked.items() if n > 1]
    if not several:
        return []
    more = f" (and {len(several) - _NAMED} more)" if len(several) > _NAMED else ""
    return [
        f"{', '.join(several[:_NAMED])}{more} and answered once, as one name is one decision: to "
        "decide each, build the model inside nas.module_scopes(), or each part in its nas.scope."
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
    """The Python call for data that no command line can name."""
    given = ["space", "data=..."]
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = {"limit": "limits"}.get(flag.lstrip("-"), flag.lstrip("-").replace("-", "_"))
        given.append(f"{name}={value if value.isdigit() else repr(value)}")
    return f"nas.search({', '.join(given)})"
