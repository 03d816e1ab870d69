"""Whether shared weights can be believed: do they rank architectures as training alone does?

That this has to be asked, and compared with what random search finds, is the point of Yu et al.
2020 (arXiv 1902.08142) and Pourchot et al. 2020 (arXiv 2002.04289).
"""

from ..agreement import Agreement, Coefficient, Picks, rank_agreement
from .record import Judged, Outcome, Recalibration, Trust, Visits, tally
from .verdict import Verdict, verdict

__all__ = [
    "Agreement",
    "Coefficient",
    "Judged",
    "Outcome",
    "Picks",
    "Recalibration",
    "Trust",
    "Verdict",
    "Visits",
    "rank_agreement",
    "tally",
    "verdict",
]
