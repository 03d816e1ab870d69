"""The evaluator by a predictor: the contract, what does not rank, learning from trials."""

from __future__ import annotations

import pytest

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.evaluate import Watch, evaluators
from archsmith.evaluate.predicted import PredictorEvaluator
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.testing.evaluator import EvaluatorContract
from archsmith.testing.predictor import drawn, layered, size

SPACE = nas.Space(layered)
KNOWN = drawn(SPACE, 40)


class TestPredictorEvaluator(EvaluatorContract):
    space = SPACE
    evaluator = PredictorEvaluator(SPACE, KNOWN, [size(a) for a in KNOWN], predictor="linear")


def test_it_is_registered():
    assert evaluators.get("predictor") is PredictorEvaluator


def test_what_does_not_rank_is_refused_unless_it_is_wanted():
    noise = [int(a.id[:6], 16) / 16**6 for a in KNOWN]
    with pytest.raises(InputError, match="clearly above 0"):
        PredictorEvaluator(SPACE, KNOWN, noise, predictor="linear")
    taken = PredictorEvaluator(SPACE, KNOWN, noise, predictor="linear", trusting=True)
    assert not taken.validation.believed


def test_it_learns_from_a_study_and_a_search_goes_by_it():
    history = History([Objective("score", "maximize")])
    for number, architecture in enumerate(KNOWN):
        trial = Trial(number, architecture, state=State.FINISHED)
        trial.metrics = {"score": size(architecture)}
        history.add(trial)
        history.close(trial)
    evaluator = PredictorEvaluator.of(SPACE, history, "linear")
    assert evaluator.provides == ("score", "score_std")
    study = nas.Study(
        SPACE, nas.RegularizedEvolution(), evaluator, [Objective("score", "maximize")], trials=150
    )
    found = study.run().best
    assert size(found.architecture) > max(size(a) for a in KNOWN)
    metrics = evaluator.evaluate(found.architecture, Fidelity(), 0, Watch())
    assert metrics == found.metrics
