"""The verdict on shared weights in words, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .agreement import Agreement, Coefficient
from .numbers import duration, fixed, metric_name, short
from .trust_facts import TrustFacts

#: Shown if there is no verdict.
UNMEASURED = "Nobody has measured whether the shared weights rank architectures correctly."

Level = Literal["good", "fair", "poor", "unknown"]

#: Kendall's tau from which the ranking is good, and fair. Published supernets reach 0.55 to 0.8 on
#: NAS-Bench-201 if all goes well.
GOOD, FAIR = 0.6, 0.3
_MIN_SAMPLE = 10  # architectures needed for a verdict
_MIN_TOP = 5  # architectures in the top fifth needed to judge it
_MIN_TOP_TAU = 0.2  # minimum tau in the top fifth; its range is narrow, so less is required
_NEAR_NOTHING = 0.15  # an interval with a lower end below this may mean no relation
_MIN_EVENNESS = 0.5  # share of equal training below which an option counts as undertrained
_MIN_CHANGE = 0.05  # change of tau that is worth mentioning


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far shared weights can be trusted.

    Attributes:
        level: ``good``, ``fair``, ``poor``, or ``unknown`` if nothing or too little was
            measured.
        headline: one sentence, including what to do.
        reasons: the figures behind it, one or two sentences each.
    """

    level: Level
    headline: str
    reasons: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        return (self.headline, *self.reasons)


def verdict(trust: TrustFacts) -> Verdict:
    """Judge shared weights by Kendall's tau, its interval, and the top fifth.

    Good: tau is at least 0.6, the lower end of its interval is at least 0.3, and tau in the top
    fifth, if that has five architectures, is at least 0.2. Fair: tau is at least 0.3. Poor: less.
    Unknown: fewer than ten architectures, or an interval that reaches from near zero to good.
    """
    agreement = trust.after
    if agreement is None:
        return Verdict(
            "unknown", UNMEASURED, tuple(_training_reasons(trust) + _search_reasons(trust))
        )
    level, headline = _judge(agreement)
    reasons = [_overall(agreement), *_top_reasons(agreement), *_choice_reasons(trust, agreement)]
    return Verdict(
        level,
        headline,
        tuple(
            reasons
            + _recalibration_reasons(trust)
            + _training_reasons(trust)
            + _search_reasons(trust)
        ),
    )


def _judge(agreement: Agreement) -> tuple[Level, str]:
    tau = agreement.tau
    if agreement.count < _MIN_SAMPLE:
        start = _architectures(agreement.count, "is", "are")
        return (
            "unknown",
            f"{start} too few for a verdict: evaluate at least {_MIN_SAMPLE}, better 30.",
        )
    if tau.value is None:
        return "unknown", "All values are equal, so the sample cannot be ranked."
    low, high = _interval(tau)
    if high < 0:
        return "poor", "The shared weights rank architectures backwards: do not choose by them."
    if low < _NEAR_NOTHING and high >= GOOD:
        return "unknown", "The sample is too small for a verdict: evaluate more architectures."
    if tau.value < FAIR:
        start = "The shared weights say little about which architecture is better"
        return "poor", f"{start}: train the candidates themselves."
    return _among_the_best(agreement, tau.value >= GOOD and low >= FAIR)


def _interval(tau: Coefficient) -> tuple[float, float]:
    """The interval; from -1 to 1 if there is none."""
    return (-1.0 if tau.low is None else tau.low), (1.0 if tau.high is None else tau.high)


def _among_the_best(agreement: Agreement, well: bool) -> tuple[Level, str]:
    """The verdict on shared weights that rank ``well`` or roughly overall, by the top fifth."""
    train = "take several finalists and train them."
    start = f"The shared weights rank architectures {'well' if well else 'roughly'}"
    top = agreement.top_tau
    if agreement.top < _MIN_TOP:
        level: Level = "good" if well else "fair"
        return level, f"{start} overall; the sample is too small to judge the best ones: {train}"
    if top.value is None:
        return "fair", f"{start} overall, but do not distinguish the best ones: {train}"
    if top.value >= _MIN_TOP_TAU:
        if well:
            return "good", f"{start}, including the best ones: their favourites can be used."
        return "fair", f"{start}, including the best ones: {train}"
    if _interval(top)[1] >= GOOD:
        return "fair", f"{start} overall, but not demonstrably among the best: {train}"
    return "fair", f"{start} overall, but poorly among the best: {train}"


def _overall(agreement: Agreement) -> str:
    start = f"Kendall's τ is {coefficient(agreement.tau)} over {_architectures(agreement.count)}"
    return f"{start}; 1 means the same order, 0 no relation."


def _top_reasons(agreement: Agreement) -> list[str]:
    top = agreement.top_tau
    if agreement.count < _MIN_SAMPLE:
        return []
    if agreement.top < _MIN_TOP:
        start = f"the top fifth of the sample is {_architectures(agreement.top)}"
        return [f"The ranking among the best is unknown: {start}."]
    if top.value is None:
        return [f"In the top fifth ({agreement.top}) all values are equal."]
    start = f"In the top fifth ({agreement.top}) it is {coefficient(top)}"
    low, high = _interval(top)
    if low < 0 and high >= GOOD:
        return [f"{start}, too uncertain to judge the ranking among the best."]
    return [f"{start}."]


def _choice_reasons(trust: TrustFacts, agreement: Agreement) -> list[str]:
    picks = agreement.picks
    reasons = []
    if picks is not None and agreement.count > 1:
        name = metric_name(trust.objective.metric)
        behind = f"{short(picks.regret, 2)} {name} behind the best"
        place = f"number {picks.rank} of {agreement.count} when trained alone"
        own = "the best of all" if picks.regret == 0 else f"{place}, {behind}"
        by_chance = f"a random one is {short(picks.regret_random, 2)} behind on average"
        reasons.append(f"The shared weights' favourite in the sample is {own}; {by_chance}.")
    if trust.beaten is not None:
        start = f"The search result is better than {trust.beaten} of the {agreement.count}"
        reasons.append(f"{start} when trained the same way.")
    return reasons


def _recalibration_reasons(trust: TrustFacts) -> list[str]:
    effect = trust.recalibration
    if effect is None or effect.tau is None or trust.before is None:
        return []
    if trust.before.count < _MIN_SAMPLE:
        return []
    if effect.tau >= _MIN_CHANGE:
        return [f"Without recalibrating BatchNorm, τ would be {fixed(trust.before.tau.value)}."]
    if effect.tau <= -_MIN_CHANGE:
        return [
            f"Recalibrating BatchNorm made τ worse: it was {fixed(trust.before.tau.value)} before."
        ]
    return []


def _training_reasons(trust: TrustFacts) -> list[str]:
    never = [
        (tally.decision, label)
        for tally in trust.tallies
        for label, count in tally.counts.items()
        if count == 0
    ]
    if never:
        named = ", ".join(f"{decision}={label}" for decision, label in never[:3])
        more = f" and {len(never) - 3} more" if len(never) > 3 else ""
        return [f"Never trained, so their values are meaningless: {named}{more}."]
    worst = min(trust.tallies, key=lambda tally: tally.evenness, default=None)
    if worst is not None and worst.evenness < _MIN_EVENNESS:
        label, _ = worst.least
        share = f"{worst.evenness:.0%} of an equal share of the training"
        return [f"Training was uneven: {worst.decision}={label} got {share}."]
    return []


def _search_reasons(trust: TrustFacts) -> list[str]:
    one_shot, random = trust.found, trust.random
    if one_shot is None or random is None:
        return []
    name = metric_name(trust.objective.metric)
    spent = f"{_architectures(random.architectures)} trained alone in {duration(random.seconds)}"
    better = one_shot.value - random.value
    gain = better if trust.objective.direction == "maximize" else -better
    start = f"With the same budget random search ({spent}) found {name} {short(random.value, 4)}"
    if gain == 0:
        return [f"{start}; sharing weights found the same."]
    ours = f"sharing weights found {short(one_shot.value, 4)}"
    if gain < 0:
        return [f"{start}; {ours}, which is worse: sharing did not pay here."]
    return [f"{start}; {ours}, better by {short(gain, 2)}."]


def coefficient(correlation: Coefficient) -> str:
    """``0.52 (95 % interval 0.38 to 0.64)``."""
    text = fixed(correlation.value)
    if correlation.low is None or correlation.high is None:
        return text
    return f"{text} (95 % interval {fixed(correlation.low)} to {fixed(correlation.high)})"


def _architectures(count: int, one: str = "", more: str = "") -> str:
    text = f"{count:,} architecture" + ("" if count == 1 else "s")
    verb = one if count == 1 else more
    return f"{text} {verb}" if verb else text
