"""A time budget means everything: how it is divided, and that trials and winner follow it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import nn

import archsmith as nas
from archsmith.history.numbers import duration
from archsmith.history.trial import State
from archsmith.task.fidelity import TRIAL_STEPS, steps_of
from archsmith.task.problem import open_problem
from archsmith.workflow import search as search_module
from archsmith.workflow import timeplan
from archsmith.workflow.baselines import Baselines
from archsmith.workflow.listener import Listener
from archsmith.workflow.plan import SearchPlan
from archsmith.workflow.timeplan import in_rounds, plan_time
from archsmith.workflow.times import TimePlan


def net(features: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 8, 16, 32])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))


PROBLEM = open_problem(net, "iris")


def planned(
    monkeypatch: pytest.MonkeyPatch, total: float, step: float, epoch: float, **options: Any
) -> TimePlan:
    score = epoch - step * steps_of(len(PROBLEM.data.train), PROBLEM.recipe.batch_size)
    example = score / len(PROBLEM.data.validation)
    monkeypatch.setattr(timeplan, "_pace", lambda *args: (step, example, 0.5))
    rising, rungs = options.pop("rising", False), options.pop("rungs", False)
    plan = SearchPlan(net, "iris", time=total, **options)
    first, judge = PROBLEM.space.default(), options.get("evaluator")
    return plan_time(plan, total, PROBLEM, time.monotonic(), judge, first, rising, rungs)


@pytest.mark.parametrize("total", [60, 1200, 36_000])
def test_the_parts_add_up(monkeypatch, total):
    made = planned(monkeypatch, total, step=0.01, epoch=10.0)
    assert made.looked + made.search + made.last + made.reserve == pytest.approx(total, rel=0.01)
    assert made.trial * made.last_rounds / made.rounds == pytest.approx(made.last, rel=0.3)


def test_scoring_the_test_part_has_a_time_of_its_own(monkeypatch):
    """A generator that needs 12 s for its 10,000 test images took 104 s of 90."""
    score, examples = 6.0, len(PROBLEM.data.validation)
    epoch = 0.01 * steps_of(len(PROBLEM.data.train), PROBLEM.recipe.batch_size) + score
    made = planned(monkeypatch, 100, step=0.01, epoch=epoch)
    each = score / examples * len(PROBLEM.data.test)
    assert made.reserve == pytest.approx(timeplan.LEAST_RESERVE + each)
    assert planned(monkeypatch, 100, step=0.01, epoch=epoch, finalists=0).reserve < each
    most = timeplan.MOST_TEST * 10 + timeplan.LEAST_RESERVE
    assert planned(monkeypatch, 10, step=0.01, epoch=epoch).reserve == pytest.approx(most)


def test_where_long_trainings_learn_by_heart_the_time_goes_into_trials(monkeypatch):
    """Texts: after thirty passes the default is worse than after four."""
    monkeypatch.setattr(timeplan, "AsLongAsTheRecipe", type(PROBLEM.task))
    whole = 10.0 * PROBLEM.recipe.epochs
    made = planned(monkeypatch, 40 * whole, step=0.01, epoch=10.0, rising=True)
    more = len(PROBLEM.data.validation) / len(PROBLEM.data.train)
    assert made.last == pytest.approx((1 + more) * whole)
    assert made.trial == pytest.approx(whole, rel=0.01)
    assert made.rises == 0
    now = time.monotonic()
    assert made.until(0.0) - now == pytest.approx(made.last, abs=1), "whatever the search leaves"
    assert made.search == pytest.approx(40 * whole - made.last - made.reserve, rel=0.01)


def test_a_trial_has_its_least_steps_where_four_fit(monkeypatch):
    short = planned(monkeypatch, 1200, step=0.15, epoch=3.0)
    assert short.trial == pytest.approx(TRIAL_STEPS * 0.15, rel=0.03)
    shorter = planned(monkeypatch, 300, step=0.15, epoch=3.0)
    assert shorter.trial == pytest.approx(shorter.search / 4)


def test_where_trials_would_be_noise_the_default_has_the_time(monkeypatch):
    made = planned(monkeypatch, 100, step=0.2, epoch=3.0)
    assert made.search == pytest.approx(made.trial)
    assert made.last > 70
    assert "too little time to compare" in made.describe()


def test_scoring_takes_a_small_part_of_a_trial(monkeypatch):
    for epoch, rounds in ((0.2, 4), (20.0, 1)):
        made = planned(monkeypatch, 1200, step=0.01, epoch=epoch)
        assert made.rounds == rounds


def test_with_more_time_there_are_longer_trials_and_more_of_them(monkeypatch):
    plans = [planned(monkeypatch, hours * 3600, step=0.1, epoch=60.0) for hours in (1, 4)]
    assert plans[0].trial < plans[1].trial
    assert plans[1].search / plans[1].trial >= 24


def test_rungs_begin_above_the_noise_and_end_at_a_part_of_the_last_training(monkeypatch):
    monkeypatch.setattr(timeplan, "LONGEST", 1e9)
    rises = []
    for hours in (0.1, 0.5, 2, 8):
        made = planned(monkeypatch, hours * 3600, step=0.02, epoch=0.5, rising=True)
        rises.append(made.rises)
        assert made.rounds == 3**made.rises
        assert made.trial == made.round >= TRIAL_STEPS * 0.02
        assert made.round * made.rounds <= made.last / 4
        assert made.search / made.trial >= 6 * 3 ** (made.rises - 1) * (1 + made.rises * 2 / 3)
        assert f"continued for up to {duration(made.round * made.rounds)}" in made.describe()
    assert rises == [1, 2, 3, 4]


@pytest.mark.parametrize("total", [20, 100, 1000])
def test_a_strategy_that_needs_rungs_has_them_however_short_the_time(monkeypatch, total):
    made = planned(monkeypatch, total, step=0.02, epoch=0.5, rungs=True)
    assert made.rises >= 1
    assert made.rounds == 3**made.rises
    assert made.search / made.trial >= 6
    assert made.last_rounds > made.rounds


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["hyperband", "asha", "freeze-thaw"])
def test_strategies_over_epochs_search_in_little_time(strategy):
    result = nas.search(net, "iris", time=4, strategy=strategy)
    assert result.best is not None
    assert len(result.history.epochs) >= 2


def test_the_search_gets_a_share_that_grows_with_the_steps_that_there_are(monkeypatch):
    monkeypatch.setattr(timeplan, "LONGEST", 1e9)
    shares = []
    for total in (200, 400, 1600, 100_000):
        made = planned(monkeypatch, total, step=0.02, epoch=0.5, rising=True)
        shares.append(made.search / (made.search + made.last))
    assert shares == pytest.approx(sorted(shares))
    assert shares[0] < 0.06
    assert shares[-1] == pytest.approx(0.4)
    short = planned(monkeypatch, 100, step=0.02, epoch=0.5, rising=True)
    assert short.rises == 0
    assert "too little time to compare others" in short.describe()


def test_the_last_training_is_bounded_by_the_recipe(monkeypatch):
    made = planned(monkeypatch, 36_000, step=0.01, epoch=1.0)
    assert made.last == pytest.approx(8 * PROBLEM.recipe.epochs)
    assert made.search > 30_000


def test_trainings_that_the_user_fixed_stay(monkeypatch):
    made = planned(monkeypatch, 600, step=0.01, epoch=0.5, final_epochs=5, finalists=2)
    assert made.fixed
    assert made.last == pytest.approx(3 * PROBLEM.recipe.epochs * 0.5)
    assert in_rounds(PROBLEM, made) is PROBLEM
    assert made.until(10.0) is None


def test_whatever_was_spent_shortens_the_last_training(monkeypatch):
    made = planned(monkeypatch, 600, step=0.01, epoch=60.0)
    now = time.monotonic()
    assert made.until(200.0) - now == pytest.approx(600 - made.reserve - 200, abs=1)
    assert made.until(5000.0) - now == pytest.approx(made.last / 4, abs=1)


def test_the_words_name_every_part(monkeypatch):
    text = planned(monkeypatch, 1200, step=0.1, epoch=30.0).describe()
    assert text.startswith("plan for 20m")
    for words in ("search", "trials of", "steps of the default", "last training", "report"):
        assert words in text


def test_a_larger_start_is_told_and_kept(monkeypatch):
    made = planned(monkeypatch, 1200, step=0.1, epoch=30.0)
    larger = replace(made, start=PROBLEM.space.default())
    assert TimePlan.from_json(json.loads(json.dumps(larger.to_json()))).start == larger.start
    assert "steps of the network that the search begins with" in larger.describe()
    older = {name: value for name, value in made.to_json().items() if name != "start"}
    assert TimePlan.from_json(older) == made


def lengths(plan: TimePlan) -> set[int]:
    """Rounds of the trials of a plan, on its rungs if it has some."""
    return {3**rung for rung in range(plan.rises + 1)} if plan.rises else {plan.rounds}


@pytest.mark.slow
def test_a_search_in_time_trains_one_winner_whose_best_round_counts(tmp_path):
    told: list[TimePlan] = []
    began = time.monotonic()
    result = nas.search(
        net, "iris", time=8, run=tmp_path / "run", listener=Listener(planned=told.append)
    )
    took = time.monotonic() - began
    best = result.best
    assert best is not None
    assert not best.whole  # tables are learnt by heart
    rounds = [row["accuracy"] for row in best.curve]
    # Rounds before the learning rate decays do not count.
    assert rounds[-1] <= best.validation["accuracy"] <= max(rounds)
    assert {"accuracy", "loss"} <= set(best.test)
    assert len(told) == 1
    assert took < 3 * told[0].total  # a loaded machine is slower; benchmarks measure the rest
    run = nas.Run(tmp_path / "run")
    assert run.problem.round == told[0].round * told[0].work
    finished = [t for t in result.history.trials if t.state is State.FINISHED]
    assert {t.fidelity.epochs for t in finished} <= lengths(told[0])
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.slow
def test_references_are_fitted_once_before_the_time_is_divided(monkeypatch, tmp_path):
    """Boosted trees took 12 s after a search of 60."""
    done: list[str] = []
    fitted, divide = Baselines._fitted, search_module.divide

    def told_fitted(self, reference, key):
        done.append(reference.name)
        return fitted(self, reference, key)

    def told_divide(*args):
        done.append("divide")
        return divide(*args)

    monkeypatch.setattr(Baselines, "_fitted", told_fitted)
    monkeypatch.setattr(search_module, "divide", told_divide)
    result = nas.search(data="iris", time=4, run=tmp_path / "run")
    assert done == ["gradient-boosting", "logistic-regression", "divide"]
    assert [one.name for one in result.baselines] == done[:2]
    assert [one.name for one in nas.Run(tmp_path / "run").baselines] == done[:2]


@pytest.mark.slow
def test_a_resumed_search_keeps_the_rounds_of_its_trials(tmp_path):
    told: list[TimePlan] = []
    listener = Listener(planned=told.append)
    folder = tmp_path / "run"
    first = nas.search(net, "iris", time=6, run=folder, listener=listener)
    again = nas.search(net, "iris", time=20, run=folder, listener=listener)
    assert told[1].round == told[0].round
    assert told[1].search > told[0].search
    assert {t.fidelity.epochs for t in again.history.trials} <= lengths(told[0])
    assert first.best is not None
    assert again.best is not None
    assert again.best.seconds > first.best.seconds  # with more time, it was trained for longer


def photo_net(channels: int, classes: int) -> nn.Module:
    width, kernel = nas.choose("width", [4, 8, 16]), nas.choose("kernel", [1, 3, 5])
    head = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    return nn.Sequential(nn.Conv2d(channels, width, kernel, padding=kernel // 2), *head)


@pytest.mark.slow
def test_trials_on_small_images_rise_and_the_winner_is_trained_on_larger_ones(
    monkeypatch, tmp_path
):
    """Of a made up pace, so that rungs do not depend on the machine."""
    monkeypatch.setattr(timeplan, "_pace", lambda *args: (2e-4, 1e-4, 1.0))
    rng, labels = np.random.default_rng(0), np.arange(200) % 2
    images = rng.integers(0, 120, (200, 32, 32, 3))
    images[labels == 1] += rng.integers(0, 120, (100, 1, 1, 1))
    np.savez(tmp_path / "photos.npz", x=images.astype(np.uint8), y=labels)
    result = nas.search(photo_net, tmp_path / "photos.npz", time=10, run=tmp_path / "run")
    run = nas.Run(tmp_path / "run")
    assert run.problem.side == run.meta["plan"]["side"] == 0.5
    assert run.meta["plan"]["rises"] >= 1
    assert result.history.trials[0].fidelity.epochs == 1
    assert {t.fidelity.epochs for t in result.history.full} <= {1, 3, 9, 27, 81}
    assert result.best is not None
    assert result.best.continued > 0
    assert result.best.whole
    assert run.noted("winner").whole
    trial = result.history.trials[result.best.number]
    assert result.best.validation == {n: trial.metrics[n] for n in result.best.validation}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "on images of 0.5 times the side" in page
    assert "Examples of the test part" in page, "it was trained on the validation part as well"


@pytest.mark.slow
def test_two_finalists_share_the_time_and_are_compared_on_the_validation_part():
    result = nas.search(net, "iris", time=8, finalists=2)
    assert result.best is not None
    assert not result.best.whole
    assert "accuracy" in result.best.validation
