"""When a study has spent its time."""

from collections import Counter
from types import SimpleNamespace

import pytest

from archsmith.history.trial import State
from archsmith.study.budget import FRUITLESS, LATE, over


def study(spent, trained=0.0, pruned=0, running=0.0, seconds=10.0, expected=4.0):
    counts = Counter({State.PRUNED: pruned, State.FINISHED: round(trained)})
    return SimpleNamespace(
        history=SimpleNamespace(trials=list(range(pruned + round(trained + running)))),
        counts=counts,
        counted=trained,
        running_parts=running,
        trials=None,
        budget=seconds,
        expected=expected,
        prepared=False,
        spent=spent,
    )


@pytest.mark.parametrize(("spent", "ends"), [(6.9, False), (7.0, True), (10.0, True)])
def test_no_trial_begins_that_would_not_end(spent, ends):
    assert bool(over(study(spent, trained=1.0), False)) is ends
    assert 10.0 - LATE * 4.0 == 7.0


def test_a_first_trial_begins_however_long_it_takes():
    assert not over(study(0.0, expected=30.0), False)


def test_while_limits_end_all_trials_the_study_goes_on_for_some_more():
    most = 10.0 + FRUITLESS * 4.0
    assert not over(study(9.0, pruned=5), False)
    assert not over(study(most - 0.1, pruned=20), False)
    assert "seconds are over" in over(study(most, pruned=20), False)
    # One that is being trained now is enough.
    assert over(study(9.0, pruned=5, running=1.0), False)
    assert over(study(9.0, pruned=5, trained=1.0), False)


def test_without_a_limit_of_time_nothing_is_late():
    assert not over(study(1e9, trained=1.0, seconds=None), False)
