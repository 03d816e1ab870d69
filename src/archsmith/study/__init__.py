"""The loop that connects space, strategy, evaluator and store; also stores and executors."""

from .checkpoints import checkpoint_path
from .executor import Ended, EpochDone, Executor, Inline, Job, Lost, Report
from .preflight import check_limits, check_shapes
from .processes import Processes
from .progress import Progress
from .record import Event, Record, SessionRecord
from .result import StudyResult
from .sqlite import SqliteStore
from .stopping import CurveStop, MedianStop, Pruner, Rule, stoppers
from .store import MemoryStore, Store
from .study import Study

__all__ = [
    "CurveStop",
    "Ended",
    "EpochDone",
    "Event",
    "Executor",
    "Inline",
    "Job",
    "Lost",
    "MedianStop",
    "MemoryStore",
    "Processes",
    "Progress",
    "Pruner",
    "Record",
    "Report",
    "Rule",
    "SessionRecord",
    "SqliteStore",
    "Store",
    "Study",
    "StudyResult",
    "check_limits",
    "check_shapes",
    "checkpoint_path",
    "stoppers",
]
