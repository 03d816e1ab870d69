"""ASHA: who rises, that nobody waits."""

from __future__ import annotations

import pytest

import archsmith as nas
from archsmith.history.trial import State, Trial
from archsmith.strategy.asha import ASHA
from archsmith.testing.strategy import StrategyContract

from .toys import EPOCHS, Play, chain, pair, uneven


class TestASHA(StrategyContract):
    budget = 20  # of short evaluations for the most part
    make = staticmethod(ASHA)


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain)


def test_with_one_worker_it_rises_as_soon_as_it_may(space):
    epochs = [t.fidelity.epochs for t in Play(ASHA, space, epochs=27).history.trials]
    assert epochs == [1, 1, 1, 3, 1, 1, 1, 3, 1, 1, 1, 3, 9]


@pytest.mark.parametrize("end", [State.FINISHED, State.FAILED])
def test_no_worker_waits(space, end):
    def ended(trial: Trial) -> State:
        return end if trial.number % 4 == 3 else State.FINISHED

    play = Play(ASHA, space, epochs=1500, workers=8, seconds=uneven, end=ended)
    assert play.idle == 0
    lengths = [uneven(t) for t in play.history.trials]
    assert max(lengths) > 500 * min(lengths)
    assert len(play.at(9)) > 20


@pytest.mark.slow
def test_who_rises_is_among_the_best_third_of_what_had_ended(space):
    play = Play(ASHA, space, epochs=1000, workers=8, seconds=uneven)
    for trial in play.history.trials:
        if trial.note.startswith("promoted"):
            source = play.history.trials[int(trial.note.split()[3])]
            assert EPOCHS.index(trial.fidelity.epochs) == EPOCHS.index(source.fidelity.epochs) + 1
            rung = [
                t for t in play.at(source.fidelity.epochs) if t.number in play.started[trial.number]
            ]
            assert play.history.ranked(rung).index(source) < len(rung) // 3
    assert len(set(play.told)) == len(play.told)


def test_who_fails_leaves_the_place_to_the_next_best(space):
    """Trial 3 is the first to rise; with as few known, the second best takes its place at once."""

    def end(trial: Trial) -> State:
        return State.FAILED if trial.number == 3 else State.FINISHED

    history = Play(ASHA, space, epochs=9, end=end).history
    assert [t.fidelity.epochs for t in history.trials] == [1, 1, 1, 3, 3]
    ranked = history.ranked(history.trials[:3])
    assert [t.architecture for t in history.trials[3:]] == [t.architecture for t in ranked[:2]]


@pytest.mark.parametrize("workers", [1, 6])
def test_state_is_told_from_the_history_alone(space, workers):
    def end(trial: Trial) -> State:
        return State.FAILED if trial.number % 5 == 1 else State.FINISHED

    def play(remake: bool) -> Play:
        return Play(
            ASHA, space, epochs=250, workers=workers, seconds=uneven, end=end, remake=remake
        )

    assert play(True).told == play(False).told


def test_a_space_that_is_used_up_is_evaluated_fully():
    play = Play(ASHA, nas.Space(pair), epochs=10_000, workers=3)
    assert len({t.architecture for t in play.history.full}) == 12
    assert dict(play.history.best().architecture) == {"edge0": 3, "edge1": 2}
