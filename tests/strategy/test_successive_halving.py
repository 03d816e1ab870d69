"""Successive halving: the schedule, stragglers, failures."""

from __future__ import annotations

import random

import pytest

import archsmith as nas
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import History, State, Trial
from archsmith.strategy.hyperband import Hyperband
from archsmith.strategy.successive_halving import SuccessiveHalving
from archsmith.testing.strategy import StrategyContract

from .toys import ACCURACY, EPOCHS, Play, chain, look, pair, total, uneven

SYNCHRONOUS = (SuccessiveHalving, Hyperband)


class TestSuccessiveHalving(StrategyContract):
    budget = 20  # of short evaluations for the most part
    make = staticmethod(SuccessiveHalving)


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain)


def best(trials: list[Trial], count: int) -> set[nas.Architecture]:
    ranked = sorted(trials, key=lambda t: -t.metrics["accuracy"])
    return {t.architecture for t in ranked[:count]}


def test_a_bracket_has_nine_then_three_then_one(space):
    play = Play(SuccessiveHalving, space, epochs=3 * 27)
    trials = play.history.trials
    assert [t.fidelity.epochs for t in trials] == 3 * ([1] * 9 + [3] * 3 + [9])
    for start in (0, 13, 26):
        low, middle, full = (
            trials[start : start + 9],
            trials[start + 9 : start + 12],
            trials[start + 12],
        )
        assert {t.architecture for t in middle} == best(low, 3)
        assert {full.architecture} == best(middle, 1)
    source = next(t for t in trials[:9] if t.architecture == trials[9].architecture)
    assert trials[9].note == f"promoted from trial {source.number} (1 to 3 epochs)"
    assert len({t.architecture for t in trials if t.fidelity.epochs == 1}) == 27


def test_entrants_may_be_more_than_bring_one_to_the_end(space):
    play = Play(lambda: SuccessiveHalving(entrants=18), space, epochs=54)
    assert [t.fidelity.epochs for t in play.history.trials] == [1] * 18 + [3] * 6 + [9] * 2
    with pytest.raises(nas.InputError, match="entrants"):
        SuccessiveHalving(entrants=1)


def test_a_straggler_at_the_entry_falls_to_a_later_bracket(space):
    play = Play(
        SuccessiveHalving,
        space,
        epochs=400,
        workers=3,
        seconds=lambda t: 40.0 if t.number == 4 else 1.0,
    )
    assert play.idle == 0
    brackets = play.brackets(1, 9)
    assert [t.number for t in brackets[0]] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    home = next(i for i, bracket in enumerate(brackets) if 4 in {t.number for t in bracket})
    assert 2 < home < len(brackets) - 2, "others were decided while it ran"
    for bracket in brackets[:-2]:
        assert {t.architecture for t in play.risen(bracket, 3)} == best(bracket, 3)


def test_a_straggler_that_rose_holds_up_its_bracket_and_nobody_else(space):
    """The first of three that rise takes as long as two brackets."""
    first = Play(SuccessiveHalving, space, epochs=400, workers=3).at(3)[0].number
    play = Play(
        SuccessiveHalving,
        space,
        epochs=400,
        workers=3,
        seconds=lambda t: 40.0 if t.number == first else 1.0,
    )
    assert play.idle == 0
    bracket, *others = play.brackets(1, 9)
    middle, (full,) = play.risen(bracket, 3), play.risen(bracket, 9)
    assert {t.architecture for t in middle} == best(bracket, 3)
    assert {full.architecture} == best(middle, 1)
    assert first in play.started[full.number], "decided once all had ended"
    waiting = play.started[full.number]
    assert any(t.number in waiting for other in others for t in play.risen(other, 9))


@pytest.mark.parametrize("kind", SYNCHRONOUS)
@pytest.mark.parametrize("workers", [1, 5])
def test_every_bracket_ends_with_a_full_evaluation(space, kind, workers):
    """With uneven workers and failures on every rung nobody rises that should not, nor is lost."""

    def end(trial: Trial) -> State:
        return (State.FAILED, State.PRUNED, *[State.FINISHED] * 4)[trial.number * 7 % 6]

    play = Play(kind, space, epochs=500, workers=workers, seconds=uneven, end=end)
    assert play.idle == 0
    full = [t for t in play.at(9) if t.state is State.FINISHED]
    entrants = [t for t in play.at(1) if t.state is State.FINISHED]
    if kind is SuccessiveHalving:
        assert len(full) >= len(entrants) // 9 - workers
    assert len(full) >= 8
    for trial in play.history.trials:
        if trial.note.startswith("promoted"):
            source = play.history.trials[int(trial.note.split()[3])]
            assert source.state is State.FINISHED
            assert source.number in play.started[trial.number]
            assert EPOCHS.index(trial.fidelity.epochs) == EPOCHS.index(source.fidelity.epochs) + 1
    assert len(set(play.told)) == len(play.told), "nothing is evaluated twice in the same way"


def test_who_fails_leaves_the_place_to_the_next_best(space):
    """The best of the first rung fails when it has risen, another one is pruned at the entry."""

    def end(trial: Trial) -> State:
        if trial.number == 2:
            return State.PRUNED
        return State.FAILED if trial.number == 10 else State.FINISHED

    trials = Play(SuccessiveHalving, space, epochs=31, end=end).history.trials
    assert [t.fidelity.epochs for t in trials] == [1] * 10 + [3] * 4 + [9]
    entrants = [t for t in trials[:10] if t.number != 2]
    assert {t.architecture for t in trials[10:14]} == best(entrants, 4)
    assert {trials[14].architecture} == best(trials[11:14], 1)


@pytest.mark.parametrize("kind", SYNCHRONOUS)
@pytest.mark.parametrize("workers", [1, 4])
def test_state_is_told_from_the_history_alone(space, kind, workers):
    def end(trial: Trial) -> State:
        return State.FAILED if trial.number % 5 == 1 else State.FINISHED

    def play(remake: bool) -> Play:
        return Play(
            kind, space, epochs=250, workers=workers, seconds=uneven, end=end, remake=remake
        )

    assert play(True).told == play(False).told


def test_trials_from_elsewhere_do_no_harm(space):
    """The default architecture at full fidelity, as a search starts with, belongs to no bracket."""
    history = History([ACCURACY], epochs=EPOCHS)
    given = Trial(0, space.default(), state=State.FINISHED, metrics={"accuracy": 0.0})
    history.add(given)
    history.close(given)
    strategy, seen = SuccessiveHalving(), []
    for number in range(1, 14):
        proposal = strategy.propose(space, history, random.Random(number))
        trial = Trial(number, proposal.architecture, proposal.fidelity, state=State.FINISHED)
        trial.metrics = look(trial)
        history.add(trial)
        history.close(trial)
        seen.append(proposal.fidelity.epochs)
    assert seen == [1] * 9 + [3] * 3 + [9]


def test_who_keeps_the_limit_rises_first(space):
    limit = Limit("size", "<=", 9)
    trials = Play(SuccessiveHalving, space, epochs=27, limits=[limit]).history.trials
    kept = [t for t in trials[:9] if total(t.architecture) <= 9]
    assert 0 < len(kept) < 9
    assert {t.architecture for t in trials[9:12]} >= best(kept, min(3, len(kept)))


def test_of_several_objectives_the_front_rises(space):
    goals = [ACCURACY, Objective("size", "minimize")]
    history = Play(SuccessiveHalving, space, epochs=27, objectives=goals).history
    expected = history.ranked(history.trials[:9])[:3]
    assert [t.architecture for t in history.trials[9:12]] == [t.architecture for t in expected]


@pytest.mark.parametrize("kind", SYNCHRONOUS)
def test_a_space_that_is_used_up_is_evaluated_fully(kind):
    play = Play(kind, nas.Space(pair), epochs=10_000, workers=3)
    assert len({t.architecture for t in play.history.full}) == 12
    assert dict(play.history.best().architecture) == {"edge0": 3, "edge1": 2}
