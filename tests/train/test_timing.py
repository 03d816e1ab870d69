"""How many epochs fit into a time, by a clock that only the model and the batches move."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from archsmith._support.errors import InputError
from archsmith.data.splits import TensorSplit
from archsmith.task import task
from archsmith.task.base import Data, Recipe
from archsmith.train import epochs_within, timing

IMAGES = task("image-classification")
RECIPE = Recipe(batch_size=10)
STEP, EXAMPLE, WARM_UP = 0.5, 0.01, 7.0


class Clock:
    """A planted ``time`` module: its counter moves only when a model runs."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


class Metronome(nn.Linear):
    """A model whose training step takes 0.5 s and whose validation takes 10 ms for each example;
    its first step takes 7 s longer."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(4, 2)
        self.clock, self.cold = clock, True

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.clock.now += STEP + (WARM_UP if self.cold else 0)
            self.cold = False
        else:
            self.clock.now += EXAMPLE * len(x)
        return super().forward(x.flatten(1))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    planted = Clock()
    monkeypatch.setattr(timing, "time", planted)
    return planted


def data(train: int = 100, validation: int = 50) -> Data:
    def part(count: int) -> TensorSplit:
        return TensorSplit(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.arange(count) % 2)

    facts = {
        "channels": 1, "height": 2, "width": 2, "classes": 2, "mean": [0.5], "std": [0.5],
        "low": 0, "high": 255,
    }  # fmt: skip
    return Data("toy", "", IMAGES.name, part(train), part(validation), part(2), facts)


def fitting(clock: Clock, seconds: float, parts: Data, recipe: Recipe = RECIPE) -> int:
    return epochs_within(Metronome(clock), IMAGES, parts, recipe, seconds, seed=0)


@pytest.mark.parametrize(
    ("seconds", "epochs"),
    # Ten steps of 0.5 s and 50 examples of 10 ms: an epoch takes 5.5 s.
    [(0.1, 1), (5.6, 1), (10.9, 1), (11.1, 2), (54.9, 9), (55.1, 10), (5500.1, 1000)],
)
def test_an_epoch_is_its_steps_and_its_validation(
    clock: Clock, seconds: float, epochs: int
) -> None:
    assert fitting(clock, seconds, data()) == epochs


def test_steps_are_counted_as_training_draws_them(clock: Clock) -> None:
    # 101 examples in tens: the last one joins the tenth batch; 105 make eleven.
    assert fitting(clock, 55.1, data(101)) == 10
    assert fitting(clock, 55.1, data(105)) == 9
    # Batches of 50: two steps, and 1.5 s an epoch.
    assert fitting(clock, 15.1, data(), replace(RECIPE, batch_size=50)) == 10
    # All of the validation part counts, also what is not timed: 2,000 examples take 20 s.
    assert fitting(clock, 50.1, data(validation=2000)) == 2


def test_a_slow_outlier_does_not_count(clock: Clock) -> None:
    class Hiccup(Metronome):
        steps = 0

        def forward(self, x: Tensor) -> Tensor:
            self.steps += self.training
            self.clock.now += 30.0 * (self.training and self.steps == 5)
            return super().forward(x)

    assert epochs_within(Hiccup(clock), IMAGES, data(), RECIPE, 5500.1, seed=0) == 1000


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(clock: Clock, seconds: float) -> None:
    with pytest.raises(InputError, match="seconds: expected a positive number"):
        fitting(clock, seconds, data())
