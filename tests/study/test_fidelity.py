"""Fidelities between evaluator, study and strategy, and refusals before any work."""

from __future__ import annotations

import pytest
from study_toys import ACCURACY, BOTH, space

from archsmith._support.errors import InputError
from archsmith.evaluate.base import Evaluator, Price
from archsmith.history.trial import Fidelity, Proposal
from archsmith.strategy.random import RandomSearch
from archsmith.study import Study
from archsmith.study.fidelity import asked, offered


class Epochs(Evaluator):
    """Better with more epochs."""

    name = "epochs"
    price = Price.TABLE
    provides = ("accuracy", "params")
    fidelities = (1, 3, 9, 27)

    def __init__(self):
        self.asked = []

    def evaluate(self, architecture, fidelity, seed, watch):
        self.asked.append(fidelity)
        return {"accuracy": 1 - 1 / (1 + (fidelity.epochs or 27)), "params": 1.0}


class Rungs(RandomSearch):
    """Asks for each number of epochs in turn; the first time for none."""

    several_objectives = False

    def __init__(self):
        self.met = []

    def propose(self, space, history, rng):
        self.met.append((history.epochs, history.budget, history.workers))
        steps = [None, *history.epochs]
        epochs = steps[len(history) % len(steps)]
        return Proposal(space.sample(rng), None if epochs is None else Fidelity(epochs))


def run(fidelity=None, trials=3):
    evaluator, strategy = Epochs(), Rungs()
    result = Study(space(), strategy, evaluator, ACCURACY, trials=trials, fidelity=fidelity).run()
    return evaluator, strategy, result


def test_a_strategy_meets_the_evaluators_epochs_and_gets_what_it_asks_for():
    evaluator, strategy, result = run()
    assert strategy.met == [((1, 3, 9, 27), 3, 1)] * 6, "short trials count as their part"
    assert [f.epochs for f in evaluator.asked] == [27, 1, 3, 9, 27, 27]
    assert [t.number for t in result.history.full] == [0, 4, 5]
    assert result.history.epochs == (1, 3, 9, 27)


def test_the_studys_epochs_bound_them_and_its_share_is_kept():
    evaluator, strategy, result = run(Fidelity(9, 0.5))
    assert strategy.met[0][0] == (1, 3, 9)
    assert [f.epochs for f in evaluator.asked] == [9, 1, 3, 9, 9]
    assert {f.share for f in evaluator.asked} == {0.5}
    assert [t.number for t in result.history.full] == [0, 3, 4], "asked for or not, 9 is 9"


def test_offered_and_asked():
    assert offered(Epochs(), Fidelity()) == (1, 3, 9, 27)
    assert offered(Epochs(), Fidelity(8)) == (1, 3, 8), "the study's own is the full one"
    assert asked(None, Fidelity(), (3, 9)) == Fidelity(9)
    assert asked(None, Fidelity(9, 0.5), (3, 9)) == Fidelity(9, 0.5)
    assert asked(Fidelity(3), Fidelity(9, 0.5), (3, 9)) == Fidelity(3, 0.5)
    assert asked(Fidelity(3, 0.5), Fidelity(9, 0.5), (3, 9)) == Fidelity(3, 0.25)
    assert asked(Fidelity(share=0.5), Fidelity(5), (1, 3, 5)) == Fidelity(5, 0.5)
    assert asked(Fidelity(share=0.5), Fidelity(), (1, 3, 9)) == Fidelity(9, 0.5)
    assert asked(Fidelity(), Fidelity(), ()) == Fidelity()


def test_what_a_strategy_cannot_serve_is_refused_before_any_work():
    evaluator = Epochs()
    with pytest.raises(InputError, match=r"one objective, got 2 \(accuracy, params\)"):
        Study(space(), Rungs(), evaluator, BOTH, trials=3)
    assert evaluator.asked == []
