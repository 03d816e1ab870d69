"""Whether shared weights can be trusted: do they rank architectures like stand-alone training?

Yu et al. 2020 (arXiv 1902.08142) and Pourchot et al. 2020 (arXiv 2002.04289) show why this has to
be measured, and compared with random search.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..space.plain import finite
from .trust_facts import TrustFacts
from .verdict import Verdict
from .verdict import verdict as _verdict


@dataclass(frozen=True, slots=True)
class Trust(TrustFacts):
    """Measurements of shared weights, with the verdict."""

    @property
    def verdict(self) -> Verdict:
        """The verdict in words; see :func:`~archsmith.history.verdict.verdict`."""
        return _verdict(self)

    def to_json(self) -> dict[str, Any]:
        """All facts and the verdict as JSON values; NaN and infinity become null."""
        verdict, effect = self.verdict, self.recalibration
        document = {
            "metric": self.objective.metric,
            "direction": self.objective.direction,
            "verdict": verdict.level,
            "sentences": list(verdict.sentences),
            "truth": self.truth,
            "after": self.after.to_json() if self.after else None,
            "before": self.before.to_json() if self.before else None,
            "recalibration": asdict(effect) if effect else None,
            "visits": {name: dict(counts) for name, counts in self.visits.items()},
            "evenness": {tally.decision: tally.evenness for tally in self.tallies},
            "chosen": asdict(self.chosen) if self.chosen else None,
            "chosen_beats": self.beaten,
            "found": asdict(self.found) if self.found else None,
            "random": asdict(self.random) if self.random else None,
            "sample": [asdict(judged) for judged in self.sample],
        }
        plain: dict[str, Any] = finite(document)
        return plain
