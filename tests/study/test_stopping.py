"""Stopping hopeless trials: the median rule by hand, the curve rule on a known power law, what a
study makes of it."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import pytest
from study_toys import ACCURACY, BOTH, EPOCHS, Curves, Spread, level, space

from archsmith._support.errors import InputError, RunFolderError, UnknownNameError
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.space.architecture import Architecture
from archsmith.study import (
    CurveStop,
    MedianStop,
    MemoryStore,
    Processes,
    Pruner,
    SqliteStore,
    Study,
)
from archsmith.study.fidelity import worth
from archsmith.study.stopping import pruner_of


def study(stop: Pruner | None, trials: int = 30, seed: int = 0, **options: object) -> Study:
    return Study(
        space(), Spread(), Curves(), ACCURACY, seed=seed, trials=trials, stop=stop, **options
    )  # type: ignore[arg-type]


def finished(number: int, values: Sequence[float], epochs: int = 4) -> Trial:
    return Trial(
        number,
        Architecture({"x": number}),
        Fidelity(epochs),
        state=State.FINISHED,
        metrics={"accuracy": max(values)},
        curve=[{"epoch": i + 1, "accuracy": v} for i, v in enumerate(values)],
    )


def history(*curves: Sequence[float], objectives: Sequence[Objective] = ACCURACY) -> History:
    found = History(objectives)
    for number, values in enumerate(curves):
        trial = finished(number, values)
        found.add(trial)
        found.close(trial)
    return found


def told(values: Sequence[float]) -> list[dict[str, float]]:
    return [{"epoch": i + 1, "accuracy": v} for i, v in enumerate(values)]


def started(epochs: int | None = 4) -> Trial:
    return Trial(9, Architecture({"x": 9}), Fidelity(epochs))


def test_the_median_rule_by_hand():
    """Averages up to epoch 2 are 1/4, 3/8 and 5/8; a best of 3/8 is not worse than their median."""
    known = history([1 / 8, 3 / 8, 0.4, 0.5], [1 / 4, 1 / 2, 0.5, 0.6], [1 / 2, 3 / 4, 0.7, 0.8])
    rule = MedianStop(startup=3).rule(known, started())
    assert rule is not None
    assert rule.should_prune(told([0.375, 0.1])) == ""
    why = rule.should_prune(told([0.29, 0.1]))
    assert "after 2 of 4 epochs" in why
    assert "0.29" in why
    assert "0.375," in why


def test_the_median_rule_knows_losses():
    known = history([4, 2, 2, 2], [3, 1, 1, 1], objectives=[Objective("accuracy", "minimize")])
    rule = MedianStop(startup=2).rule(known, started())
    assert rule.should_prune(told([2.5, 9.0])) == ""  # the median of 3 and 2
    assert rule.should_prune(told([2.6, 2.6])) != ""


@pytest.mark.parametrize("stop", [MedianStop(startup=2), CurveStop(startup=2)])
def test_nothing_is_stopped_at_the_start_in_grace_and_at_the_last_epoch(stop):
    good = [0.5, 0.6, 0.7, 0.8]
    assert stop.rule(history(good), started()) is None
    rule = stop.rule(history(good, good), started())
    assert rule.should_prune(told([0.0] * 4)) == ""
    patient = type(stop)(startup=2, grace=0.75)
    assert patient.rule(history(good, good), started()).should_prune(told([0.0] * 2)) == ""


def test_only_trials_at_the_same_fidelity_are_compared():
    known = history([0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.8])
    assert MedianStop(startup=2).rule(known, started(epochs=3)) is None
    assert MedianStop(startup=2).rule(known, started(epochs=4)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("stop", [MedianStop(), CurveStop()], ids=lambda s: s.name)
def test_hopeless_trials_end_pruned_and_the_best_is_the_same_as_without(stop):
    """The first 30 proposals are the same: what is random does not depend on what was stopped."""
    whole = study(None, trials=30).run()
    short = study(stop, trials=30).run()
    pairs = list(zip(whole.history.trials, short.history.trials, strict=False))
    assert [a.architecture for a, _ in pairs] == [b.architecture for _, b in pairs]
    stopped = [t for t in short.history.trials if t.state is State.PRUNED]
    assert len(stopped) >= 8
    assert all("hopeless after" in t.reason and not t.metrics for t in stopped)
    best = max(level(t.architecture) for t in whole.history.trials)
    ahead = [t for t in short.history.trials[:30] if level(t.architecture) == best]
    assert ahead[0].state is State.FINISHED
    assert short.best.state is State.FINISHED
    assert level(short.best.architecture) >= best
    assert all(len(t.curve) == EPOCHS for t in short.history.full)


def test_epochs_of_stopped_trials_count():
    result = study(MedianStop(), trials=20).run()
    spent = sum(len(t.curve) for t in result.history.ended)
    assert 20 * EPOCHS <= spent < 21 * EPOCHS
    assert len(result.history.trials) > 20


def test_what_a_pruned_trial_is_worth():
    stopped = Trial(0, Architecture({"x": 0}), Fidelity(8), state=State.PRUNED)
    assert worth(stopped, (2, 8)) == 0.0
    stopped.curve = told([0.1, 0.1])
    assert worth(stopped, (2, 8)) == worth(stopped, ()) == 0.25
    stopped.state = State.FINISHED
    assert worth(stopped, (2, 8)) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("stop", [MedianStop(), CurveStop()], ids=lambda s: s.name)
def test_a_study_resumed_at_any_trial_is_the_same_trial_for_trial(stop, tmp_path):
    def plain(result) -> list:
        return [(t.architecture.id, t.state, t.curve, t.reason) for t in result.history.trials]

    through = study(stop, trials=18).run()
    for trials in (6, 7, 12, 18):
        with SqliteStore(tmp_path) as store:
            result = study(stop, trials=trials, store=store).run()
    assert plain(result) == plain(through)


def test_another_stopping_rule_is_another_study():
    store = MemoryStore()
    study(MedianStop(), trials=2, store=store).run()
    with pytest.raises(RunFolderError, match="stop"):
        study(MedianStop(grace=0.5), trials=3, store=store).run()
    with pytest.raises(RunFolderError, match="stop"):
        study(None, trials=3, store=store).run()


def test_trials_in_other_processes_are_stopped_too():
    result = study(MedianStop(startup=3), trials=8, executor=Processes(2, threads=1)).run()
    assert any("hopeless" in t.reason for t in result.history.pruned)


def test_a_rule_travels():
    known = history([0.1, 0.3, 0.4, 0.5], [0.2, 0.4, 0.5, 0.6])
    for stop in (MedianStop(startup=2), CurveStop(startup=2)):
        rule = stop.rule(known, started())
        there = pickle.loads(pickle.dumps(rule))
        curve = told([0.0, 0.01, 0.01])
        assert there.should_prune(curve) == rule.should_prune(curve) != ""


def test_a_limit_that_was_stopped_at_is_not_broken():
    """A stopped trial keeps no value of the metric, so nothing says that it would break a limit."""
    limits = [Limit("accuracy", ">=", 0.5)]
    made = Study(
        space(), Spread(), Curves(), ACCURACY, limits, seed=0, trials=15, stop=MedianStop()
    )
    result = made.run()
    assert result.history.pruned
    assert all(result.history.violation(t.metrics) == 0.0 for t in result.history.pruned)


def test_several_objectives_are_refused():
    with pytest.raises(InputError, match="one objective"):
        Study(space(), Spread(), Curves(), BOTH, trials=2, stop=MedianStop())


def test_wrong_arguments_are_refused():
    with pytest.raises(UnknownNameError, match="median"):
        pruner_of("medain")
    for wrong in ({"startup": 0}, {"grace": 1.0}):
        with pytest.raises(InputError):
            MedianStop(**wrong)
    for wrong in ({"chance": 0.0}, {"rivals": 0}, {"rivals": 9}):
        with pytest.raises(InputError):
            CurveStop(**wrong)
