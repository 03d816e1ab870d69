"""Hyperband: its brackets."""

from __future__ import annotations

import pytest

import archsmith as nas
from archsmith.strategy.hyperband import Hyperband
from archsmith.testing.strategy import StrategyContract

from .toys import EPOCHS, Play, chain


class TestHyperband(StrategyContract):
    budget = 20  # of short evaluations for the most part
    make = staticmethod(Hyperband)


def test_the_brackets_of_the_paper():
    """Table 1 of Li et al. (2018): R = 81, eta = 3. Entrants and the epochs they begin with."""
    found = [(count, start) for start, count in Hyperband().plan((1, 3, 9, 27, 81))]
    assert found == [(81, 0), (34, 1), (15, 2), (8, 3), (5, 4)]


def test_rounds_follow_each_other():
    round_ = [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3
    play = Play(Hyperband, nas.Space(chain), epochs=2 * sum(round_))
    assert [t.fidelity.epochs for t in play.history.trials] == 2 * round_


@pytest.mark.parametrize("slow", [0, 9, 12, 13, 18, 19])
def test_a_straggler_makes_no_bracket_wrong(slow):
    """It may be an entrant of any bracket, or have risen; the best of each bracket still rise."""
    play = Play(
        Hyperband,
        nas.Space(chain),
        epochs=900,
        workers=4,
        seconds=lambda t: 30.0 if t.number == slow else 1.0,
    )
    assert play.idle == 0
    for start, count in ((1, 9), (3, 5)):
        brackets = play.brackets(start, count)
        assert len(brackets) > 6
        for bracket in brackets[:-2]:
            rung = bracket
            for epochs in (e for e in EPOCHS if e > start):
                best = play.history.ranked(rung)[: len(rung) // 3]
                rung = play.risen(bracket, epochs)
                assert {t.architecture for t in rung} == {t.architecture for t in best}
