"""The verdict in plain words, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .agreement import Agreement, Coefficient
from .numbers import duration, fixed, metric_name, short
from .trust_facts import TrustFacts

#: What stands in place of a verdict.
UNMEASURED = "Nobody has measured whether the shared weights rank architectures rightly."

Level = Literal["good", "fair", "poor", "unknown"]

#: Kendall's tau from which ranking is good, and fair. Published supernets reach 0.55 to 0.8 on
#: NAS-Bench-201 where all goes well.
GOOD, FAIR = 0.6, 0.3
_FEWEST = 10  # architectures for a verdict
_FEWEST_TOP = 5  # in the top fifth for a word about it
_USELESS = 0.2  # tau in the top fifth; the range is narrow there, so less is asked of it
_NEAR_NOTHING = 0.15  # the lower end of an interval that could as well be no relation
_UNEVEN = 0.5  # of an equal share, below which an option is called little trained
_MATTERS = 0.05  # change of tau that is worth a sentence


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far shared weights can be trusted.

    Attributes:
        level: ``good``, ``fair``, ``poor``, or ``unknown`` where nothing or too little was
            measured.
        headline: one sentence, with what to do.
        reasons: the figures behind it, one sentence or two each.
    """

    level: Level
    headline: str
    reasons: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        return (self.headline, *self.reasons)


def verdict(trust: TrustFacts) -> Verdict:
    """Judge shared weights by Kendall's tau, its interval, and the top fifth.

    Good: tau is at least 0.6, the lower end of its interval at least 0.3, and in the top fifth,
    where that has five architectures, tau is at least 0.2. Fair: tau is at least 0.3. Poor: less.
    Unknown: fewer than ten architectures, or an interval that reaches from near nothing to good.
    """
    agreement = trust.after
    if agreement is None:
        return Verdict("unknown", UNMEASURED, tuple(_training(trust) + _searches(trust)))
    level, headline = _judge(agreement)
    reasons = [_overall(agreement), *_top(agreement), *_picked(trust, agreement)]
    return Verdict(
        level,
        headline,
        tuple(reasons + _recalibrated(trust) + _training(trust) + _searches(trust)),
    )


def _judge(agreement: Agreement) -> tuple[Level, str]:
    tau = agreement.tau
    if agreement.count < _FEWEST:
        said = _architectures(agreement.count, "is", "are")
        return "unknown", f"{said} too few for a verdict: judge {_FEWEST} at least, better 30."
    if tau.value is None:
        return "unknown", "All values are equal: the sample has nothing to rank."
    low, high = _ends(tau)
    if high < 0:
        return "poor", "The shared weights rank architectures backwards: do not choose by them."
    if low < _NEAR_NOTHING and high >= GOOD:
        return "unknown", "The sample is too small for a verdict: judge more architectures."
    if tau.value < FAIR:
        said = "The shared weights say little about which architecture is better"
        return "poor", f"{said}: train the candidates themselves."
    return _among_the_best(agreement, tau.value >= GOOD and low >= FAIR)


def _ends(tau: Coefficient) -> tuple[float, float]:
    """The interval; from -1 to 1 where there is none."""
    return (-1.0 if tau.low is None else tau.low), (1.0 if tau.high is None else tau.high)


def _among_the_best(agreement: Agreement, well: bool) -> tuple[Level, str]:
    """The verdict on shared weights that rank ``well`` or roughly overall, by the top fifth."""
    train = "take several finalists and train them."
    said = f"The shared weights rank architectures {'well' if well else 'roughly'}"
    top = agreement.top_tau
    if agreement.top < _FEWEST_TOP:
        level: Level = "good" if well else "fair"
        return level, f"{said} overall; so small a sample leaves the best ones open: {train}"
    if top.value is None:
        return "fair", f"{said} overall, but do not tell the best ones apart: {train}"
    if top.value >= _USELESS:
        if well:
            return "good", f"{said}, the best ones too: their favourites can be used."
        return "fair", f"{said}, the best ones too: {train}"
    if _ends(top)[1] >= GOOD:
        return "fair", f"{said} overall, not visibly among the best: {train}"
    return "fair", f"{said} overall, poorly among the best: {train}"


def _overall(agreement: Agreement) -> str:
    said = f"Kendall's τ is {coefficient(agreement.tau)} over {_architectures(agreement.count)}"
    return f"{said}; 1 is the same order, 0 is no relation."


def _top(agreement: Agreement) -> list[str]:
    top = agreement.top_tau
    if agreement.count < _FEWEST:
        return []
    if agreement.top < _FEWEST_TOP:
        said = f"the top fifth of the sample is {_architectures(agreement.top)}"
        return [f"How it ranks among the best is not known: {said}."]
    if top.value is None:
        return [f"In the top fifth ({agreement.top}) all values are equal."]
    said = f"Among the top fifth ({agreement.top}) it is {coefficient(top)}"
    low, high = _ends(top)
    if low < 0 and high >= GOOD:
        return [f"{said}, which leaves open how it ranks among the best."]
    return [f"{said}."]


def _picked(trust: TrustFacts, agreement: Agreement) -> list[str]:
    picks = agreement.picks
    reasons = []
    if picks is not None and agreement.count > 1:
        name = metric_name(trust.objective.metric)
        behind = f"{short(picks.regret, 2)} {name} behind the best"
        place = f"number {picks.rank} of {agreement.count} when trained alone"
        own = "the best of them all" if picks.regret == 0 else f"{place}, {behind}"
        by_chance = f"one drawn at random is {short(picks.regret_random, 2)} behind on average"
        reasons.append(f"The shared weights' favourite of the sample is {own}; {by_chance}.")
    if trust.beaten is not None:
        said = f"What the search found is better than {trust.beaten} of the {agreement.count}"
        reasons.append(f"{said} when trained the same way.")
    return reasons


def _recalibrated(trust: TrustFacts) -> list[str]:
    effect = trust.recalibration
    if effect is None or effect.tau is None or trust.before is None:
        return []
    if trust.before.count < _FEWEST:
        return []
    if effect.tau >= _MATTERS:
        return [f"Without recalibrating BatchNorm τ would be {fixed(trust.before.tau.value)}."]
    if effect.tau <= -_MATTERS:
        return [f"Recalibrating BatchNorm made τ worse: it was {fixed(trust.before.tau.value)}."]
    return []


def _training(trust: TrustFacts) -> list[str]:
    never = [
        (tally.decision, label)
        for tally in trust.tallies
        for label, count in tally.counts.items()
        if count == 0
    ]
    if never:
        named = ", ".join(f"{decision}={label}" for decision, label in never[:3])
        more = f" and {len(never) - 3} more" if len(never) > 3 else ""
        return [f"Never trained, so not to be believed at all: {named}{more}."]
    worst = min(trust.tallies, key=lambda tally: tally.evenness, default=None)
    if worst is not None and worst.evenness < _UNEVEN:
        label, _ = worst.least
        share = f"{worst.evenness:.0%} of an equal share of the training"
        return [f"Training was uneven: {worst.decision}={label} got {share}."]
    return []


def _searches(trust: TrustFacts) -> list[str]:
    found, other = trust.found, trust.random
    if found is None or other is None:
        return []
    name = metric_name(trust.objective.metric)
    spent = f"{_architectures(other.architectures)} trained alone in {duration(other.seconds)}"
    better = found.value - other.value
    gain = better if trust.objective.direction == "maximize" else -better
    said = f"With the same budget random search ({spent}) found {name} {short(other.value, 4)}"
    if gain == 0:
        return [f"{said}; sharing weights found the same."]
    ours = f"sharing weights found {short(found.value, 4)}"
    if gain < 0:
        return [f"{said}; {ours}, which is worse: sharing did not pay here."]
    return [f"{said}; {ours}, better by {short(gain, 2)}."]


def coefficient(found: Coefficient) -> str:
    """``0.52 (95 % interval 0.38 to 0.64)``."""
    text = fixed(found.value)
    if found.low is None or found.high is None:
        return text
    return f"{text} (95 % interval {fixed(found.low)} to {fixed(found.high)})"


def _architectures(count: int, one: str = "", more: str = "") -> str:
    said = f"{count:,} architecture" + ("" if count == 1 else "s")
    verb = one if count == 1 else more
    return f"{said} {verb}" if verb else said
