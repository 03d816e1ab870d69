"""Training: the loop, the parts of its steps (rates, optimiser, precision), and their timing."""

from .calibration import fitted_temperature
from .growing import Early, early, runs, shrunk
from .lasting import for_steps
from .loop import Trained, train
from .optimising import Pace, is_norm, norms_in, optimizer_of, precision, schedule
from .rounds import Rounds
from .scoring import parts, score
from .state import TrainingState
from .steps import Diverged, TrainingCallback
from .timing import faster, paces, rounds_within, work_clock

__all__ = [
    "Diverged",
    "Early",
    "Pace",
    "Rounds",
    "Trained",
    "TrainingCallback",
    "TrainingState",
    "early",
    "faster",
    "fitted_temperature",
    "for_steps",
    "is_norm",
    "norms_in",
    "optimizer_of",
    "paces",
    "parts",
    "precision",
    "rounds_within",
    "runs",
    "schedule",
    "score",
    "shrunk",
    "train",
    "work_clock",
]
