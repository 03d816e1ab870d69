"""What a reviewer found: each test failed before the mend beside it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.errors import InputError, SpaceError, StoreError
from archsmith._support.weights import read, write
from archsmith.history.objective import Limit
from archsmith.space.architecture import Answer
from archsmith.space.decision import Decision
from archsmith.supernet import checkpoint, methods
from archsmith.supernet.method import SampledPath as Drawn
from archsmith.supernet.relax.darts import DARTS, SecondOrderDARTS
from archsmith.supernet.relax.drnas import DrNAS
from archsmith.supernet.relax.mixture import Mix, MixingWeights, Scaled
from archsmith.supernet.relax.relaxation import Relaxation
from archsmith.supernet.session import KnownCosts
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.survey import Surveyor
from archsmith.supernet.training import train_supernet

from .training_toys import (
    IMAGES,
    RECIPE,
    Fixed,
    Trains,
    digits,
    elastic,
    first_batch,
    moment,
    operations,
    session_of,
    space_of,
    values,
)

#: Methods that read all options at once.
RELAXED = {n for n in methods.names() if issubclass(methods.get(n), Relaxation)}
SHORT = replace(RECIPE, epochs=3, batch_size=80)


class Named(nn.Module):
    """Parameters of its own, called as methods and attributes of the store are."""

    def __init__(self) -> None:
        super().__init__()
        self.split = nn.Parameter(torch.randn(nas.choose("width", [2, 4])))
        self.seed = nn.Parameter(torch.randn(3))
        self.inner = nas.one_of(
            "inner", {"a|b": lambda: nn.Linear(3, 3), "c": lambda: nn.Linear(3, 2)}
        )


def test_any_name_can_be_stored(tmp_path: Path) -> None:
    space = nas.Space(Named)
    net = Supernet(space)
    assert {"split", "seed", "inner=a|b.weight"} <= {key for key, _ in net.stored()}
    assert net.facts("inner=a|b.weight").kind is nn.Linear
    net.split("width")
    assert net.facts("width=2|inner=a|b.weight").kind is nn.Linear
    net.save(tmp_path / "net.safetensors")
    again = dict(Supernet.load(tmp_path / "net.safetensors", space).stored())
    for key, tensor in net.stored():
        assert torch.equal(tensor, again[key])


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(8, 8).tril())
        self.linear = nn.Linear(2, nas.choose("width", [2, 3, 4]))


def test_the_survey_keeps_each_value_of_a_buffer_once() -> None:
    surveyor = Surveyor(nas.Space(Masked))
    survey = surveyor.look()
    assert len(survey.seen) == 3
    assert [len(met) for met in surveyor._buffers.values()] == [1]


class Edges(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.edges = nas.subset(
            "edges",
            {
                "conv": lambda: nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)),
                "wide": lambda: nn.Sequential(
                    nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.Dropout(0.2)
                ),
                "skip": nn.Identity,
            },
            1,
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([edge(x) for edge in self.edges.values()]).sum(0)


def edged(channels: int = 1, classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        Edges(4),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, classes),
    )


def test_a_candidate_that_is_not_drawn_is_left_untouched() -> None:
    source = MixingWeights()
    inner = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
    inner[2].eval()
    scaled = Scaled("d", "a", 0, inner, source)
    weights = torch.tensor([0.0, 1.0], requires_grad=True)
    source.set({"d": Mix(weights, drawn=(1,))})
    before = torch.random.get_rng_state()
    out = scaled(torch.randn(4, 3))  # of a shape that was not seen yet
    assert torch.equal(out, torch.zeros(4, 5))
    assert not out.requires_grad
    assert inner[1].num_batches_tracked == 0
    assert [module.training for module in inner] == [True, True, False]
    torch.random.set_rng_state(before)
    torch.randn(4, 3)
    after = torch.random.get_rng_state()
    torch.random.set_rng_state(before)
    scaled(torch.randn(4, 3))
    assert torch.equal(torch.random.get_rng_state(), after)


class Stopped(Exception):
    """Ends a training from outside."""


def test_gdas_over_subsets_resumes_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    def stop(row: Mapping[str, float]) -> None:
        if row["epoch"] == 1:
            raise Stopped

    def work(**more: Any) -> dict[str, Tensor]:
        net, method = Supernet(space_of(edged)), methods.get("gdas")()
        return values(train_supernet(net, method, IMAGES, digits(), SHORT, seed=0, **more))

    straight = work()
    with pytest.raises(Stopped):
        work(checkpoint=tmp_path, on_epoch=stop)
    resumed = work(checkpoint=tmp_path)
    for key, tensor in straight.items():
        assert torch.equal(tensor, resumed[key]), key


def test_second_order_darts_compares_losses_under_one_dropout() -> None:
    method = SecondOrderDARTS()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    batch = first_batch(session)
    drawn = []
    loss = session.loss

    def noted(model: nn.Module, given: tuple[Tensor, Tensor]) -> Tensor:
        if given is batch:
            drawn.append(float(torch.rand(())))
        return loss(model, given)

    session.loss = noted  # type: ignore[method-assign]
    method.learn_alphas(session, method.child(session), batch)
    assert len(drawn) == 3
    assert len(set(drawn)) == 1


def test_drnas_draws_from_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    method = DrNAS()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    (decision, *_) = method.relaxed.values()
    before = torch.random.get_rng_state()

    def seeds_all(_: int) -> None:
        raise AssertionError("the GPU's generator would start anew at each step")

    monkeypatch.setattr(torch, "manual_seed", seeds_all)
    one, two = (method.mix(session, decision, "weights").weights for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.names())
def test_a_method_can_be_used_again(name: str) -> None:
    used = methods.get(name)()
    few = replace(SHORT, epochs=2)

    def work(method: Any, builder: Any) -> Any:
        return train_supernet(Supernet(space_of(builder)), method, IMAGES, digits(), few, seed=0)

    work(used, edged)  # leaves decks, teachers, splits, rewards behind
    used.stopped = "a reason from before"
    fresh = methods.get(name)()
    again, first = values(work(used, operations)), values(work(fresh, operations))
    assert again.keys() == first.keys()
    for key, tensor in first.items():
        assert torch.equal(tensor, again[key]), key
    assert used.visits() == fresh.visits()
    assert used.stopped == fresh.stopped


def grouped(channels: int = 1, classes: int = 10) -> nn.Module:
    """One of the nine pairs of answers is refused."""
    width, groups = nas.choose("width", [4, 6, 8]), nas.choose("groups", [1, 2, 4])
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.Conv2d(width, width, 3, padding=1, groups=groups),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in methods.names() if n not in RELAXED])
def test_methods_train_where_a_builder_refuses_some(name: str) -> None:
    space, rng = space_of(grouped), random.Random(0)
    for _ in range(200):  # until walks trust what they know
        with contextlib.suppress(SpaceError):
            space.sample(rng)
    assert any(not Supernet(space).builds(a) for a in {space.sample(rng) for _ in range(60)})
    method, few = methods.get(name)(), replace(SHORT, batch_size=16)
    session = train_supernet(Supernet(space), method, IMAGES, digits(), few, seed=0)
    assert session.step == session.steps
    assert all(session.supernet.builds(a) for a in method.derive(session, 9))
    visits = method.visits()
    assert visits["width", 6] > 0 < visits["groups", 4]


def test_a_draw_that_is_always_refused_is_an_error() -> None:
    def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
        return {"width": 6, "groups": 4}[decision.name]

    with pytest.raises(SpaceError, match="divisible by groups"):
        moment(space_of(grouped)).draw(policy)


def shrinking(channels: int = 1, classes: int = 10) -> nn.Module:
    """Builds with all answers, and runs with most."""
    kernel = nas.choose("kernel", [3, 9])
    return nn.Sequential(
        nn.Conv2d(channels, 4, kernel), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


def test_a_path_that_does_not_run_is_named() -> None:
    session = session_of(shrinking)
    space = session.supernet.space
    method = Trains(Fixed(Drawn(space.complete({"kernel": 9}))))
    method.begin(session)
    with pytest.raises(SpaceError, match=r"kernel=9.*inputs of shape.*[Kk]ernel size") as told:
        method.step(session, first_batch(session))
    assert told.value.hint is not None


def test_alphas_go_by_the_steps_that_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    method = DARTS()
    # Many more epochs are planned than there is time for, as a search by time does.
    session = session_of(operations, holdout=0.5, epochs=10_000, seconds=100.0)
    method.begin(session)
    spent = {"seconds": 0.0}
    monkeypatch.setattr(type(session), "spent", property(lambda _: spent["seconds"]))
    before = method.alphas.values()
    for step in range(4):
        session.step, spent["seconds"] = step, step * 1.0  # a hundred steps in all
        method.step(session, first_batch(session))
    assert method.alphas.rate == pytest.approx(0.06)
    after = method.alphas.values()
    assert max(float((after[n] - before[n]).abs().max()) for n in before) > 0.05
    fixed = DARTS(rate=0.01)
    fixed.begin(session)
    fixed.step(session, first_batch(session))
    assert fixed.alphas.rate == 0.01


def test_few_latencies_are_measured_to_derive() -> None:
    def wide(channels: int = 1, classes: int = 10) -> nn.Module:
        places = (nas.one_of(f"op{i}", {"a": nn.ReLU, "b": nn.Tanh}) for i in range(10))
        return nn.Sequential(nn.Flatten(), *places, nn.Linear(64, classes))

    method, measured = DARTS(), []

    def costs(architecture: nas.Architecture) -> dict[str, float]:
        measured.append(architecture)
        return {"latency_ms": 2.0}

    session = session_of(wide, holdout=0.5, limits=[Limit("latency_ms", "<=", 1.0)])
    session.costs = KnownCosts(costs, clocked=("latency_ms",))
    method.begin(session)
    measured.clear()
    with pytest.raises(nas.WorkError, match="keep the limits"):
        method.derive(session, 5)
    assert len(measured) == 100


def test_a_relaxation_is_tried_out_before_any_training() -> None:
    def unlike(channels: int = 1, classes: int = 10) -> nn.Module:
        options = {"a": lambda: nn.Linear(64, 8), "b": lambda: nn.Linear(64, 9)}
        return nn.Sequential(nn.Flatten(), nas.one_of("op", options))

    net, example = Supernet(space_of(unlike)), torch.zeros(2, 1, 8, 8)
    with pytest.raises(SpaceError, match=r"op: .*one output shape"):
        DARTS().try_out(net, example)
    DARTS().try_out(Supernet(space_of(operations)), example)
    methods.get("spos")().try_out(net, example)


def test_files_of_another_format_or_half_a_file_are_refused(tmp_path: Path) -> None:
    space, path = space_of(elastic), tmp_path / "net.safetensors"
    Supernet(space).save(path)
    Supernet.check(path, space)
    tensors, meta = read(path)
    write(path, tensors, {**meta, "format": "2"})
    for look in (Supernet.check, Supernet.load):
        with pytest.raises(InputError, match="format 1, got format 2"):
            look(path, space)
    with pytest.raises(InputError, match="space operations"):
        Supernet.check(path, space_of(operations))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="a complete safetensors file"):
        Supernet.check(path, space)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["training.json", "supernet.safetensors", "method.safetensors"])
def test_a_damaged_checkpoint_is_told_with_its_mend(tmp_path: Path, file: str) -> None:
    def work() -> None:
        train_supernet(
            Supernet(space_of(operations)),
            methods.get("spos")(),
            IMAGES,
            digits(),
            replace(SHORT, epochs=1),
            seed=0,
            checkpoint=tmp_path,
        )

    work()
    path = next(tmp_path.glob("epoch-*")) / file
    path.write_bytes(path.read_bytes()[:7])
    with pytest.raises(InputError, match="a complete checkpoint") as told:
        work()
    assert str(tmp_path) in str(told.value.hint)
    path.unlink()
    with pytest.raises(InputError, match="a complete checkpoint"):
        work()


def test_a_checkpoint_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.write_text("a file where the folder should be")
    session, method = session_of(operations), methods.get("spos")()
    method.begin(session)
    with pytest.raises(StoreError, match="a folder that can be written") as told:
        checkpoint.save(folder, session, method, 1, False)
    assert str(folder) in str(told.value)
