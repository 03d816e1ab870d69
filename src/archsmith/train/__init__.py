"""Training: the loop, the parts of its steps (rates, optimiser, precision), and their timing."""

from .loop import Diverged, Trained, TrainingCallback, train
from .optimising import Pace, is_norm, norms_in, optimizer_of, precision, schedule
from .rounds import Rounds
from .scoring import parts, score
from .state import TrainingState
from .timing import paces, steps_within, work_clock

__all__ = [
    "Diverged",
    "Pace",
    "Rounds",
    "Trained",
    "TrainingCallback",
    "TrainingState",
    "is_norm",
    "norms_in",
    "optimizer_of",
    "paces",
    "parts",
    "precision",
    "schedule",
    "score",
    "steps_within",
    "train",
    "work_clock",
]
