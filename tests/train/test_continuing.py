"""Trainings that are continued, compared with those in one piece."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError
from archsmith.history.trial import Fidelity
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.train import Rounds, Trained, TrainingState, train

from .test_train import convnet

IMAGES = task("image-classification")
#: 17 steps of an epoch: decays begin in the middle of one.
WSD = Recipe(epochs=9, batch_size=64, lr=5e-3, augment=True, schedule="wsd", ema=0.9)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> Data:
    return IMAGES.read("digits", ReadOptions())


def piece(
    data: Data, recipe: Recipe, epochs: int, start: TrainingState | None = None, seed: int = 3
) -> tuple[Trained, TrainingState]:
    """A training to that many epochs, and the state before its decay."""
    states: list[TrainingState] = []
    fidelity = Fidelity(epochs, 0.5)
    trained = train(
        convnet(seed), IMAGES, data, recipe, fidelity, seed=seed, start=start, keep=states.append
    )
    return trained, *states  # type: ignore[return-value]


def assert_same(one: TrainingState, other: TrainingState) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, other.tensors[name]), name
    plain = [
        replace(s, tensors={}, rows=[{**row, "seconds": 0.0} for row in s.rows])
        for s in (one, other)
    ]
    assert plain[0] == plain[1]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_two_pieces_equal_one_to_the_bit(digits: Data, tmp_path: Path, optimizer: Any) -> None:
    recipe = replace(WSD, optimizer=optimizer)
    whole, end = piece(digits, recipe, 4)
    first, state = piece(digits, recipe, 2)
    state.write(tmp_path / "state.safetensors")
    read = TrainingState.read(tmp_path / "state.safetensors")
    assert_same(state, read)
    # Another seed and other weights: everything that counts is in the state.
    second, later = piece(digits, recipe, 4, read, seed=8)
    assert_same(end, later)
    assert second.metrics == whole.metrics
    assert second.best_epoch == whole.best_epoch
    for name, tensor in whole.best_state.items():
        assert torch.equal(tensor, second.best_state[name])
    without = [[{**row, "seconds": 0} for row in t.curve] for t in (whole, second)]
    assert without[0] == without[1]
    assert second.curve[0]["seconds"] == 0 < second.curve[1]["seconds"]
    assert first.curve[0]["loss"] == whole.curve[0]["loss"]
    assert first.curve[1]["loss"] != whole.curve[1]["loss"]  # it decayed there
    assert state.epochs == pytest.approx(state.step / state.batches)
    assert 1.5 < state.epochs < 1.7


def test_what_is_kept_is_not_changed_by_what_follows(digits: Data) -> None:
    _, state = piece(digits, replace(WSD, epochs=1), 1)
    before = {name: t.clone() for name, t in state.tensors.items()}
    piece(digits, WSD, 2, state)
    piece(digits, WSD, 2, state)
    assert all(torch.equal(t, before[name]) for name, t in state.tensors.items())


def test_a_cosine_training_keeps_nothing(digits: Data) -> None:
    assert len(piece(digits, replace(WSD, schedule="cosine"), 1)) == 1


def test_on_other_data_steps_are_converted(digits: Data) -> None:
    _, state = piece(digits, WSD, 2)  # half of the data: 9 steps an epoch
    assert state.batches == 9
    assert state.step == 14
    seen: list[dict[str, float]] = []
    trained = train(
        convnet(), IMAGES, digits, WSD, Fidelity(2), seed=0, start=state, on_epoch=seen.append
    )
    assert [row["epoch"] for row in trained.curve] == [1, 2]  # 17 steps an epoch
    assert seen == trained.curve
    assert trained.curve[0]["seconds"] > 0


def test_only_the_decay_is_left_after_as_many_epochs(digits: Data) -> None:
    whole, state = piece(digits, WSD, 2)
    again, same = piece(digits, WSD, 2, state)
    assert again.metrics == whole.metrics
    assert_same(state, same)


def test_another_optimiser_begins_anew(digits: Data) -> None:
    _, state = piece(digits, WSD, 1)
    other, end = piece(digits, replace(WSD, optimizer="sgd", lr=0.01), 3, state)
    assert any(".momentum_buffer." in name for name in end.tensors)
    assert other.best_epoch == 3


def test_a_start_that_does_not_fit_is_refused(digits: Data) -> None:
    _, state = piece(digits, WSD, 1)
    with pytest.raises(InputError, match="this model"):
        train(nn.Linear(3, 2), IMAGES, digits, WSD, seed=0, start=state)
    with pytest.raises(InputError, match="fewer steps than the 9"):
        piece(digits, WSD, 1, replace(state, step=9))


def test_a_damaged_file_is_refused(digits: Data, tmp_path: Path) -> None:
    _, state = piece(digits, WSD, 1)
    path = tmp_path / "00000.state.safetensors"
    with pytest.raises(InputError, match="none"):
        TrainingState.read(path)
    state.write(path)
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole[:-5] + b"12345"):
        path.write_bytes(damaged)
        with pytest.raises(InputError):
            TrainingState.read(path)
    replace(state, position=99).write(path)
    with pytest.raises(InputError, match="state of a training"):
        TrainingState.read(path)


def test_rounds_are_continued_within_a_pass_over_the_data() -> None:
    tabular = task("tabular-classification")
    iris = tabular.read("iris", ReadOptions())
    recipe = replace(WSD, augment=False, batch_size=16, epochs=12)

    def state_after(epochs: int, seed: int, start: TrainingState | None = None) -> TrainingState:
        states: list[TrainingState] = []
        torch.manual_seed(seed)
        train(
            nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)),
            tabular,
            iris,
            recipe,
            Fidelity(epochs),
            seed=seed,
            rounds=Rounds(7),  # a pass has 6 steps
            start=start,
            keep=states.append,
        )
        return states[0]

    whole = state_after(12, 0)
    assert (whole.step, whole.position) == (67, 4)
    assert whole.skipped == 3 + 4  # the round began within a pass, and the next has begun since
    assert_same(whole, state_after(12, 2, state_after(8, 1, state_after(3, 0))))


def test_a_training_until_a_moment_is_continued(digits: Data) -> None:
    _, state = piece(digits, WSD, 4)
    trained = train(
        convnet(),
        IMAGES,
        digits,
        WSD,
        Fidelity(1, 0.5),
        seed=0,
        start=state,
        rounds=Rounds(until=0.0, clock=lambda: 0.0),
    )
    assert [row["epoch"] for row in trained.curve] == [1, 2, 3, 4]
    assert trained.best_epoch == 4


def test_a_learned_loss_and_batches_of_the_task_are_continued(tmp_path: Path) -> None:
    drawn, labels = np.random.RandomState(0), np.arange(24).repeat(12)
    images = drawn.randint(0, 256, (288, 6, 6)).astype(np.uint8)
    np.savez(tmp_path / "letters.npz", images=images, labels=labels)
    few = task("few-shot:queries=5,episodes=20,loss=proxy-nca")
    data = few.read(str(tmp_path / "letters.npz"), ReadOptions(validation=0.25, test=0.25))
    recipe = replace(WSD, augment=False, batch_size=48)

    def state_after(epochs: int, seed: int, start: TrainingState | None = None) -> TrainingState:
        states: list[TrainingState] = []
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8))
        train(
            model, few, data, recipe, Fidelity(epochs), seed=seed, start=start, keep=states.append
        )
        return states[0]

    whole, half = state_after(6, 0), state_after(3, 0)
    assert half.part("loss")
    assert_same(whole, state_after(6, 1, half))
