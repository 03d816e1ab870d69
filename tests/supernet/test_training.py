from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.supernet import checkpoint as disk
from archsmith.supernet import methods
from archsmith.supernet import session as sessions
from archsmith.supernet.checkpoint import latest, pack, unpack
from archsmith.supernet.enas import ENAS
from archsmith.supernet.method import Method
from archsmith.supernet.session import Session
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.training import train_supernet
from archsmith.supernet.uniform import SPOS
from archsmith.train import Diverged, schedule

from .training_toys import IMAGES, RECIPE, digits, elastic, operations, same, space_of, values

OPTIONS: dict[str, dict[str, Any]] = {
    "enas": {"controller_steps": 3, "draws": 8},
    "few-shot-nas": {"whole": 0.4},
}
MINE = ["attentive", "bignas", "enas", "fairnas", "few-shot-nas", "ofa", "spos"]


def go(
    method: Method | None = None,
    folder: Path | None = None,
    builder: Any = elastic,
    recipe: Any = RECIPE,
    **options: Any,
) -> Session:
    supernet = Supernet(space_of(builder))
    return train_supernet(
        supernet,
        method or SPOS(),
        IMAGES,
        digits(),
        recipe,
        seed=options.pop("seed", 3),
        checkpoint=folder,
        **options,
    )


def made(name: str) -> Method:
    method: Method = methods.get(name)(**OPTIONS.get(name, {}))
    return method


def stop_after(epoch: int) -> Callable[[Any], None]:
    def told(row: Any) -> None:
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return told


def timeless(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in curve]


@pytest.mark.slow
@pytest.mark.parametrize("name", MINE)
def test_a_stopped_and_resumed_training_equals_a_straight_one(name: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, augment=True, optimizer="sgd" if name == "bignas" else "adamw")
    straight_method = made(name)
    straight = go(straight_method, recipe=recipe)
    for epoch in (1, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            go(made(name), tmp_path, recipe=recipe, on_epoch=stop_after(epoch))
    torch.randn(7)  # global numbers drawn in between do not matter
    method = made(name)
    resumed = go(method, tmp_path, recipe=recipe)
    assert same(values(resumed), values(straight))
    assert timeless(resumed.curve) == timeless(straight.curve)
    assert len(resumed.curve) == 4
    assert method.visits() == straight_method.visits()
    assert method.derive(resumed, 3) == straight_method.derive(straight, 3)


@pytest.mark.slow
def test_a_training_killed_in_an_epoch_goes_on_from_the_last_whole_one(tmp_path: Path) -> None:
    straight = go()

    class Killed(SPOS):
        def step(self, session: Session, batch: Any) -> Tensor:
            if session.step == 12:  # of 5 steps an epoch
                raise KeyboardInterrupt
            return super().step(session, batch)

    with pytest.raises(KeyboardInterrupt):
        go(Killed(), tmp_path)
    found = latest(tmp_path)
    assert found is not None
    assert found.name == "epoch-00002"
    assert same(values(go(folder=tmp_path)), values(straight))


@pytest.mark.slow
@pytest.mark.parametrize("file", ["supernet", "method", "optimizer", "training"])
def test_a_checkpoint_that_was_not_completed_does_not_count(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = go()
    with pytest.raises(KeyboardInterrupt):
        go(folder=tmp_path, on_epoch=stop_after(2))

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if file == "supernet":
            patch.setattr(Supernet, "save", die)
        elif file == "training":
            patch.setattr(Path, "write_text", die)
        else:
            whole = disk.write

            def write(path: Path, *rest: Any) -> None:
                die() if path.stem == file else whole(path, *rest)

            patch.setattr(disk, "write", write)
        with pytest.raises(KeyboardInterrupt):
            go(folder=tmp_path)
    assert (tmp_path / "epoch-00003.tmp").is_dir()
    assert latest(tmp_path) == tmp_path / "epoch-00002"
    assert same(values(go(folder=tmp_path)), values(straight))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00004"]


@pytest.mark.slow
def test_one_that_has_ended_is_read_alone(tmp_path: Path) -> None:
    method = ENAS(controller_steps=3, draws=8)
    done = go(method, tmp_path)
    rows: list[Any] = []

    class NoSteps(ENAS):
        def step(self, session: Session, batch: Any) -> Tensor:
            raise AssertionError("there is nothing left to train")

    again = NoSteps(controller_steps=3, draws=8)
    read = go(again, tmp_path, on_epoch=rows.append)
    assert rows == []
    assert same(values(read), values(done))
    assert read.step == done.step == read.steps
    assert read.curve == done.curve
    assert again.derive(read, 2) == method.derive(done, 2)


@pytest.mark.slow
def test_files_of_a_checkpoint_are_safetensors_and_json(tmp_path: Path) -> None:
    session = go(folder=tmp_path)
    found = latest(tmp_path)
    assert found is not None
    assert sorted(path.name for path in found.iterdir()) == [
        "method.safetensors",
        "optimizer.safetensors",
        "supernet.safetensors",
        "training.json",
    ]
    told = json.loads((found / "training.json").read_text())
    assert told["epoch"] == 4
    assert told["over"] is True
    loaded = Supernet.load(found / "supernet.safetensors", space_of(elastic))
    assert same(dict(loaded.stored()), values(session))


@pytest.mark.slow
def test_another_training_is_refused(tmp_path: Path) -> None:
    go(folder=tmp_path)
    for other, what in (
        ({"seed": 4}, "seed"),
        ({"epochs": 9}, "epochs"),
        ({"method": made("fairnas")}, "method"),
        ({"recipe": replace(RECIPE, lr=1.0)}, "lr"),
        ({"recipe": replace(RECIPE, optimizer="sgd")}, "optimizer"),
        ({"builder": operations}, "space"),
    ):
        with pytest.raises(InputError, match=f"{what}: expected"):
            go(folder=tmp_path, **other)


@pytest.mark.slow
def test_rows_of_epochs_and_what_is_learned() -> None:
    rows: list[Any] = []
    recipe = replace(RECIPE, epochs=12, lr=2e-2)
    session = go(made("enas"), recipe=recipe, builder=operations, on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    for row in rows:
        assert list(row) == ["epoch", "train_loss", "reward", "baseline", "lr", "seconds"]
    assert rows == session.curve
    # 144 are left to train on, in 5 batches; the last rate is that of the last of 60 steps.
    assert session.steps == session.step == 60
    assert session.rate == rows[-1]["lr"] == pytest.approx(2e-2 * schedule(59, 60, 0.1))
    validation = digits().validation
    trained = go(made("bignas"), recipe=recipe)
    assert trained.curve[-1]["train_loss"] < 0.7 * trained.curve[0]["train_loss"]
    metrics = trained.judge(trained.supernet.survey.largest, validation.head(len(validation)))
    assert metrics["accuracy"] > 0.6


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_global_numbers_stay() -> None:
    state = torch.random.get_rng_state()
    one = values(go())
    assert torch.equal(state, torch.random.get_rng_state())
    torch.randn(3)
    assert same(one, values(go()))
    assert not same(one, values(go(seed=4)))


class Clock:
    """Each look at it takes a while."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def perf_counter(self) -> float:
        self.now += self.tick
        return self.now


@pytest.mark.slow
def test_time_ends_it_and_the_rate_goes_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.01)
    monkeypatch.setattr(sessions, "time", clock)
    rates: list[float] = []
    progress: list[float] = []

    class Noting(SPOS):
        def step(self, session: Session, batch: Any) -> Tensor:
            loss = super().step(session, batch)
            rates.append(session.rate / RECIPE.lr)
            progress.append(session.progress)
            return loss

    session = go(Noting(), epochs=1000, seconds=2.0)
    assert session.late
    assert 10 < session.step < 100
    assert max(rates) > 0.95
    assert rates[-1] < 0.02
    assert progress == sorted(progress)
    assert progress[-1] > 0.95
    assert session.steps == 5000


def test_epochs_end_it_where_there_is_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "time", Clock(1e-6))
    session = go(epochs=2, seconds=1e6)
    assert session.step == 10
    assert session.rate < 0.1 * RECIPE.lr  # annealed all the same


@pytest.mark.slow
def test_time_spent_before_a_stop_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "time", Clock(0.01))
    with pytest.raises(KeyboardInterrupt):
        go(folder=tmp_path, epochs=1000, seconds=2.0, on_epoch=stop_after(2))
    found = latest(tmp_path)
    assert found is not None
    before = json.loads((found / "training.json").read_text())["elapsed"]
    assert before > 0.1
    session = go(folder=tmp_path, epochs=1000, seconds=2.0)
    assert session.elapsed == before
    assert session.spent >= 2.0
    assert session.late
    again = go(folder=tmp_path, epochs=1000, seconds=2.0)
    assert again.step == session.step


class Bursting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * math.nan


def test_a_loss_that_is_no_number_is_divergence_with_its_epoch() -> None:
    def builder(channels: int, classes: int) -> nn.Module:
        nas.choose("idle", [0, 1])
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), Bursting())

    with pytest.raises(Diverged, match="training loss nan in epoch 1") as error:
        go(builder=builder)
    assert error.value.epoch == 1


@pytest.mark.slow
def test_a_method_may_stop_early(tmp_path: Path) -> None:
    class Collapsing(SPOS):
        def end_epoch(self, session: Session, epoch: int) -> dict[str, float]:
            if epoch == 2:
                self.stopped = "collapsed"
            return {"entropy": 0.5}

    session = go(Collapsing(), tmp_path)
    assert [row["epoch"] for row in session.curve] == [1, 2]
    assert session.curve[0]["entropy"] == 0.5
    again = Collapsing()
    assert go(again, tmp_path).step == session.step
    assert again.stopped == "collapsed"


@pytest.mark.slow
def test_a_method_refuses_before_any_work() -> None:
    class Picky(SPOS):
        def check(self, space: Any, objectives: Any = (), limits: Any = ()) -> None:
            raise InputError("picky", "another space")

    with pytest.raises(InputError, match="another space"):
        go(Picky())
    for bad in ({"epochs": 0}, {"seconds": 0.0}):
        with pytest.raises(InputError, match="at least one epoch"):
            go(**bad)


def test_states_of_methods_survive_packing() -> None:
    state = {
        "alphas": {"edge.0": torch.arange(3.0), "edge.1": torch.zeros(2, dtype=torch.int64)},
        "moments": {0: {"step": torch.tensor(3.0), "rate": 0.1}, 1: {}},
        "seen": [("op", "conv3", 4), ("sub", ("a", "b"), 1)],
        "nothing": None,
        "yes": True,
        "dict": "a word",
        "tensor": {"tensor": "0"},
    }
    tensors: dict[str, Tensor] = {}
    text = json.dumps(pack(state, tensors))
    back = unpack(json.loads(text), tensors)
    assert torch.equal(back["alphas"]["edge.0"], torch.arange(3.0))
    assert back["alphas"]["edge.1"].dtype == torch.int64
    assert list(back["moments"]) == [0, 1]
    assert back["moments"][0]["rate"] == 0.1
    for key in ("seen", "nothing", "yes", "dict", "tensor"):
        assert back[key] == state[key]
    with pytest.raises(TypeError, match="cannot hold a set"):
        pack({"bad": {1}}, {})
