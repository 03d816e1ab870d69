"""Trainings in rounds of steps, up to a moment, and on training and validation part together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from archsmith.data.dataset import DatasetSplit
from archsmith.data.splits import TensorSplit
from archsmith.evaluate.training import joined
from archsmith.history.trial import Fidelity
from archsmith.task import task
from archsmith.task.base import ReadOptions, Recipe
from archsmith.train import Rounds, precision, rounds_within, train
from archsmith.train.optimising import Pace
from archsmith.train.rounds import Countdown, Stream

IRIS = task("tabular-classification")
DATA = IRIS.read("iris", ReadOptions())
RECIPE = Recipe(epochs=4, batch_size=16, schedule="wsd")


class Clock:
    """Tells what it was set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def mlp(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def test_a_stream_gives_every_example_once_per_pass():
    passes = iter([[Tensor([1]), Tensor([2]), Tensor([3])], [Tensor([4]), Tensor([5])]])
    stream = Stream(lambda: next(passes), torch.Generator())
    taken = [[int(index) for index in stream.take(2)] for _ in range(2)]
    assert taken == [[1, 2], [3, 4]]


def test_rounds_of_a_pass_are_epochs_to_the_bit():
    steps = -(-len(DATA.train) // 16) - (len(DATA.train) % 16 == 1)
    plain = train(mlp(), IRIS, DATA, RECIPE, seed=0)
    rounds = train(mlp(), IRIS, DATA, RECIPE, seed=0, rounds=Rounds(steps))
    assert [r["train_loss"] for r in plain.curve] == [r["train_loss"] for r in rounds.curve]
    assert all(torch.equal(plain.best_state[n], rounds.best_state[n]) for n in plain.best_state)


def test_a_round_has_its_steps(monkeypatch):
    counted = []
    loss = type(IRIS).loss
    monkeypatch.setattr(
        type(IRIS), "loss", lambda *args: counted.append(1) or loss(*args), raising=True
    )
    trained = train(mlp(), IRIS, DATA, RECIPE, Fidelity(3), seed=0, rounds=Rounds(5))
    assert len(counted) == 15
    assert [row["epoch"] for row in trained.curve] == [1, 2, 3]


@pytest.mark.parametrize("schedule", ["wsd", "cosine"])
@pytest.mark.parametrize(("pace", "rounds"), [(1.0, 20), (2.0, 10), (30.0, 1)])
def test_a_training_ends_at_its_moment(pace, rounds, schedule):
    clock = Clock()

    def on_epoch(row: object) -> None:
        clock.now += pace

    trained = train(
        mlp(),
        IRIS,
        DATA,
        replace(RECIPE, schedule=schedule),
        seed=0,
        rounds=Rounds(3, until=20.0, clock=clock),
        on_epoch=on_epoch,
    )
    assert len(trained.curve) == rounds
    if rounds > 1:  # the rate has come down, whatever was expected at first
        assert trained.curve[-1]["lr"] < 0.2 * max(row["lr"] for row in trained.curve)
    if schedule == "wsd" and rounds > 1:
        assert trained.best_epoch > 0.7 * rounds  # of those with a falling rate


def test_a_slower_machine_shortens_what_is_left():
    clock, seconds = Clock(), iter([1.0] * 5 + [4.0] * 50)

    def on_epoch(row: object) -> None:
        clock.now += next(seconds)

    trained = train(
        mlp(),
        IRIS,
        DATA,
        RECIPE,
        seed=0,
        rounds=Rounds(3, until=25.0, clock=clock),
        on_epoch=on_epoch,
    )
    assert 21 <= clock.now <= 27
    assert trained.best_state


def test_a_countdown_follows_the_last_rounds():
    clock = Clock()
    countdown = Countdown(100.0, clock)
    assert countdown.rounds_left() is None
    for _ in range(3):
        clock.now += 10
        countdown.ended()
    assert countdown.rounds_left() == 7
    clock.now = 120
    assert countdown.rounds_left() == 0


def test_a_revised_decay_begins_later_and_one_that_has_begun_stays():
    pace = Pace.of(RECIPE, 10, 10)
    assert pace.trunk == 80
    assert pace.revised(200, 50).trunk == 160
    assert pace.revised(60, 70).trunk == 59
    cooling = pace.revised(110, 90)
    assert cooling.trunk == 80
    rates = [cooling(step) for step in range(80, 110)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


def test_nothing_is_scored_where_the_validation_part_is_trained_on(monkeypatch):
    whole = joined(DATA, IRIS)
    assert whole is not None
    assert len(whole.train) == len(DATA.train) + len(DATA.validation)
    monkeypatch.setattr("archsmith.train.loop.score", lambda *args, **kwargs: pytest.fail("scored"))
    trained = train(mlp(), IRIS, whole, RECIPE, seed=0, scored=False)
    assert trained.metrics == {}
    assert trained.best_epoch == 4


def test_splits_join_with_their_own_kind():
    one, two = DATA.train, DATA.validation
    both = one.joined(two)
    assert both is not None
    assert torch.equal(both.take(torch.tensor([len(one)])).inputs, two.head(1).inputs)
    assert torch.equal(both.labels, torch.cat((one.labels, two.labels)))
    sets = [TensorDataset(part.inputs, part.targets) for part in (one, two)]
    read = [DatasetSplit(part, labels=part.tensors[1]) for part in sets]
    read_both = read[0].joined(read[1])
    assert len(read_both) == len(one) + len(two)
    assert torch.equal(read_both.labels, both.labels)
    assert torch.equal(read_both.take(torch.tensor([len(one)])).targets, two.head(1).targets)
    assert TensorSplit(one.inputs, one.targets).joined(read[1]) is None


def test_steps_fit_into_their_seconds(monkeypatch):
    monkeypatch.setattr("archsmith.train.timing.paces", lambda *a, **k: ([0.1, 0.2, 0.9], [0.01]))
    scoring = 0.01 * len(DATA.validation)
    for seconds, steps in ((4 + scoring, 20), (0.01, 1)):
        assert rounds_within(mlp(), IRIS, DATA, RECIPE, seconds, seed=0).steps == steps


@pytest.mark.parametrize(("half", "wanted"), [(0.5, True), (0.95, False), (2.0, False)])
@pytest.mark.parametrize("able", [False, True])
def test_bfloat16_is_taken_where_it_is_faster(monkeypatch, half, wanted, able):
    def paces(*args, **kwargs):
        return [half if kwargs.get("half") else 1.0], [0.0]

    monkeypatch.setattr("archsmith.train.timing.paces", paces)
    monkeypatch.setattr("archsmith.train.timing.multiplies_in_half", lambda device: able)
    rounds = rounds_within(mlp(), IRIS, DATA, RECIPE, 10.0, seed=0)
    assert rounds.half == (able and wanted)
    assert rounds.steps == round(10 / (half if rounds.half else 1.0))
    exact = replace(RECIPE, amp=False)
    assert not rounds_within(mlp(), IRIS, DATA, exact, 10.0, seed=0).half


def test_a_model_that_takes_no_bfloat16_is_trained_in_float32(monkeypatch):
    class Exact(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return torch.zeros(len(out), 3).index_add_(0, torch.arange(len(out)), out)

    monkeypatch.setattr("archsmith.train.timing.multiplies_in_half", lambda device: True)
    monkeypatch.setattr("archsmith.train.optimising.multiplies_in_half", lambda device: True)
    assert not rounds_within(Exact(4, 3), IRIS, DATA, RECIPE, 1.0, seed=0).half


def test_a_training_in_bfloat16_keeps_its_weights_in_float32(monkeypatch):
    monkeypatch.setattr("archsmith.train.optimising.multiplies_in_half", lambda device: True)
    seen = []
    model = mlp()
    handle = model.register_forward_hook(lambda m, i, outputs: seen.append(outputs.dtype))
    half = train(model, IRIS, DATA, RECIPE, seed=0, rounds=Rounds(half=True), keep=seen.append)
    handle.remove()
    assert torch.bfloat16 in seen
    assert torch.float32 in seen, "the validation part is scored in float32"
    assert all(weight.dtype == torch.float32 for weight in half.best_state.values())
    whole = train(mlp(), IRIS, DATA, RECIPE, seed=0)
    assert abs(half.metrics["loss"] - whole.metrics["loss"]) < 0.1
    cpu = torch.device("cpu")
    with precision(RECIPE, cpu):
        assert not torch.is_autocast_enabled("cpu")
    with precision(replace(RECIPE, amp=False), cpu, half=True):
        assert not torch.is_autocast_enabled("cpu")
