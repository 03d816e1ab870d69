"""What an opened run says of how far it came and why it ended."""

from __future__ import annotations

import pytest

from archsmith.history.trial import Fidelity, State, Trial
from archsmith.space import Architecture
from archsmith.study.record import Record, SessionRecord
from archsmith.workflow.figures import progress_of

ALL = "all 10 architectures were seen"


def record(epochs, closed, winner=True):
    trials = [
        Trial(i, Architecture({"a": i}), Fidelity(e), state=State.FINISHED)
        for i, e in enumerate(epochs)
    ]
    return Record(
        trials,
        trials,
        [SessionRecord(0, 1, "host", 0.0, 1.0, closed)],
        {"winner": "a"} if winner else {},
    )


@pytest.mark.parametrize(
    ("epochs", "closed", "winner", "said"),
    [
        ([4] * 20, "20 trials are done", True, ("finished", "20 of 20 trials")),
        ([4] * 10, ALL, True, ("finished", f"10 of 20 trials, since {ALL}")),
        ([4] * 10, ALL, False, ("stopped", f"10 of 20 trials, stopped: {ALL}")),
        (
            [1] * 72 + [4] * 2,
            "20 trials are done",
            True,
            ("finished", "74 trials, worth 20 of 20 full ones"),
        ),
        ([1, 1, 4], "", False, ("running", "3 trials, worth 1.5 of 20 full ones")),
    ],
)
def testprogress_of(epochs, closed, winner, said):
    meta = {"fidelity": {"epochs": 4, "share": 1.0}, "trials": 20}
    assert progress_of(record(epochs, closed, winner), meta) == said
