"""Asynchronous BOHB: ASHA's promotion, BOHB's entrants."""

from __future__ import annotations

import pytest

import archsmith as nas
from archsmith.strategy.abohb import AsyncBOHB
from archsmith.testing.strategy import StrategyContract

from .toys import Play, chain, uneven


class TestAsyncBOHB(StrategyContract):
    budget = 10  # of short evaluations for the most part
    make = staticmethod(AsyncBOHB)


def test_it_rises_as_asha_and_enters_by_the_model():
    trials = Play(lambda: AsyncBOHB(random_share=0), nas.Space(chain), epochs=27).history.trials
    assert [t.fidelity.epochs for t in trials] == [1, 1, 1, 3, 1, 1, 1, 3, 1, 1, 1, 3, 9]
    # Five decisions: the model comes with eight results on a rung.
    notes = [t.note for t in trials if t.fidelity.epochs == 1]
    assert notes == ["random"] * 8 + ["of the density model"]


@pytest.mark.parametrize("workers", [1, 8])
def test_nobody_waits_and_state_is_told_from_the_history(workers):
    plays = [
        Play(
            AsyncBOHB, nas.Space(chain), epochs=200, workers=workers, seconds=uneven, remake=remake
        )
        for remake in (False, True)
    ]
    assert plays[0].told == plays[1].told
    assert plays[0].idle == 0


def test_bad_settings_are_refused():
    with pytest.raises(nas.InputError, match="abohb: candidates"):
        AsyncBOHB(candidates=0)
