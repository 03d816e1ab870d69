"""Schedules of the learning rate that can be continued, and averaged weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError
from archsmith.history.trial import Fidelity
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.train import Pace, schedule, score, train
from archsmith.train.averaging import Average

from .test_train import convnet

IMAGES = task("image-classification")
WSD = Recipe(epochs=5, batch_size=64, lr=5e-3, schedule="wsd")


@pytest.fixture(scope="module")
def digits() -> Data:
    return IMAGES.read("digits", ReadOptions())


def test_cosine_is_what_it_was() -> None:
    recipe = Recipe(epochs=3, warmup=0.1)
    pace = Pace.of(recipe, 2, 10)
    assert [pace(i) for i in range(20)] == [schedule(i, 20, 0.1) for i in range(20)]


def test_wsd_rises_stays_and_falls_as_one_minus_a_root() -> None:
    pace = Pace.of(replace(WSD, epochs=10, warmup=0.1), 10, 4)  # 40 steps: 4 up, 8 down
    assert [pace(i) for i in range(4)] == [0.2, 0.4, 0.6, 0.8]
    assert {pace(i) for i in range(4, 33)} == {1.0}
    for i in range(32, 40):
        assert pace(i) == pytest.approx(1 - math.sqrt((i - 32) / 8))
    assert 0 < pace(39) == pace(40)  # no step is without effect


@pytest.mark.parametrize("epochs", [1, 2, 7, 30])
def test_the_trunk_of_wsd_does_not_depend_on_the_epochs(epochs: int) -> None:
    long = Pace.of(replace(WSD, epochs=30), 30, 17)
    short = Pace.of(replace(WSD, epochs=30), epochs, 17)
    assert short.trunk is not None
    assert [short(i) for i in range(short.trunk)] == [long(i) for i in range(short.trunk)]
    assert all(0 < short(i) <= 1 for i in range(epochs * 17))


def test_a_decay_begins_after_the_steps_that_were_taken() -> None:
    assert Pace.of(WSD, 5, 10, done=45).trunk == 45
    assert Pace.of(WSD, 5, 10, done=30).trunk == 40
    assert Pace.of(WSD, 1, 1).trunk == 0


@pytest.mark.slow
def test_a_wsd_training_learns_and_its_end_counts(digits: Data) -> None:
    trained = train(convnet(), IMAGES, digits, WSD, seed=0)
    assert trained.best_epoch == 5  # four of five are before the decay
    assert trained.metrics["accuracy"] > 0.93
    assert [row["lr"] for row in trained.curve[:-1]][2:] == [WSD.lr] * 2
    assert trained.curve[-1]["lr"] < 0.1 * WSD.lr


@pytest.mark.parametrize("changes", [{"schedule": "linear"}, {"ema": 1.0}, {"ema": -0.1}])
def test_other_values_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        replace(WSD, **changes)


def test_a_recipe_as_it_was_is_stored_as_it_was() -> None:
    assert {"schedule", "ema"}.isdisjoint(Recipe().to_json())
    for recipe in (Recipe(), WSD, Recipe(ema=0.9)):
        assert Recipe(**recipe.to_json()) == recipe


def test_the_average_is_its_closed_form() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(model, decay=0.8)
    drawn = torch.Generator().manual_seed(0)
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in model.state_dict()}
    for step in range(1, 61):
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand(tensor.shape, generator=drawn))
                else:
                    tensor.fill_(step)
                seen[name].append(tensor.clone())
        average.update(step)
    # The weights of values are (1 - d_i) times the product of the later decays; d_t reaches 0.8 at
    # t = 36, so the initial values have lost all weight long before step 60.
    decays = [min(0.8, t / (9 + t)) for t in range(1, 61)]
    weights = [(1 - d) * math.prod(decays[i + 1 :]) for i, d in enumerate(decays)]
    assert sum(weights) == pytest.approx(1, abs=1e-6)
    for name, values in seen.items():
        if values[0].is_floating_point():
            expected = sum(w * v for w, v in zip(weights, values, strict=True))
            assert torch.allclose(average.values[name], expected, atol=1e-5)
        else:
            assert average.values[name] == 60
    live = {name: t.clone() for name, t in model.state_dict().items()}
    averages = {name: t.clone() for name, t in average.values.items()}
    with average.applied():
        assert all(torch.equal(t, averages[name]) for name, t in model.state_dict().items())
    assert all(torch.equal(t, live[name]) for name, t in model.state_dict().items())


@pytest.mark.slow
def test_averaged_weights_are_evaluated_and_kept_and_do_not_change_the_steps(digits: Data) -> None:
    plain = train(convnet(), IMAGES, digits, replace(WSD, epochs=2), Fidelity(2, 0.5), seed=0)
    model = convnet()
    recipe = replace(WSD, epochs=2, ema=0.9)
    averaged = train(model, IMAGES, digits, recipe, Fidelity(2, 0.5), seed=0)
    losses = [[row["train_loss"] for row in t.curve] for t in (plain, averaged)]
    assert losses[0] == losses[1]
    assert plain.metrics["loss"] != averaged.metrics["loss"]
    expected = pytest.approx(averaged.metrics, abs=1e-6)  # rounding differs from run to run
    assert score(model, IMAGES, digits.validation, digits.facts) == expected
    for name, value in averaged.best_state.items():
        assert not value.is_floating_point() or not torch.equal(value, plain.best_state[name])
