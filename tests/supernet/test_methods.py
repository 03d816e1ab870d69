from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.data.splits import TensorSplit
from archsmith.metric.distill import imitation
from archsmith.space.architecture import Architecture
from archsmith.supernet import methods
from archsmith.supernet.method import Method, SampledMethod, SampledPath
from archsmith.supernet.slicing import PREFIX

from .training_toys import (
    IMAGES,
    RECIPE,
    Fixed,
    Summed,
    Trains,
    digits,
    elastic,
    first_batch,
    operations,
    same,
    session_of,
    values,
)


def ops(*labels: str) -> Architecture:
    return Architecture({f"op{i}": label for i, label in enumerate(labels)})


def gradients(session: Any, method: SampledMethod) -> dict[str, torch.Tensor]:
    """What the paths of one step leave in the store, before the update."""
    session.update = lambda: None
    method.step(session, first_batch(session))
    return {k: p.grad for k, p in session.supernet.named_parameters() if p.grad is not None}


def test_all_names_load_and_say_so() -> None:
    for name in methods.names():
        kind = methods.get(name)
        assert issubclass(kind, Method)
        assert kind.name == name
        assert kind().visits() == Counter()
    with pytest.raises(UnknownNameError, match="fairnas"):
        methods.get("fairnass")


def test_the_gradient_of_imitation_is_the_difference_of_chances() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(6, 4, generator=generator).requires_grad_()
    teacher = torch.randn(6, 4, generator=generator).requires_grad_()
    classes = torch.zeros(6, dtype=torch.int64)
    loss = imitation(outputs, teacher, classes)
    loss.backward()
    expected = (outputs.softmax(1) - teacher.softmax(1)) / 6
    assert torch.allclose(outputs.grad, expected.detach(), atol=1e-7)
    assert teacher.grad is None
    assert float(imitation(teacher.detach(), teacher, classes)) == 0.0
    chances, goal = outputs.softmax(1), teacher.softmax(1)
    known = (goal * (goal / chances).log()).sum() / 6
    assert loss.item() == pytest.approx(known.item(), rel=1e-5)


def test_imitation_of_maps_and_of_values() -> None:
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    flat = maps.permute(0, 2, 3, 1).reshape(-1, 3)
    classes = torch.zeros(2, dtype=torch.int64)
    dense, plain = imitation(maps, maps.flip(1), classes), imitation(flat, flat.flip(1), classes)
    assert float(dense) == pytest.approx(float(plain), rel=1e-5)
    far = imitation(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [2.0]]), torch.zeros(2))
    assert float(far) == 2.0


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_is_off_the_path_does_not_move(optimizer: Any) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, weight_decay=0.1)
    session = session_of(recipe=recipe)
    everything = [ops(label, label, label) for label in ("conv3", "conv1", "skip")]
    warm = Trains(Fixed(*map(SampledPath, everything)))
    for _ in range(3):  # until all have momentum
        warm.step(session, first_batch(session))
    assert len(session.optimizer.state) == len(list(session.supernet.parameters()))
    before = values(session)
    alone = ops("conv3", "skip", "conv1")
    method = Trains(Fixed(SampledPath(alone)))
    for _ in range(3):
        method.step(session, first_batch(session))
    used = set(session.supernet.space.parameter_keys(alone).values())
    after = values(session)
    assert used < set(after)
    for key, tensor in after.items():
        assert torch.equal(tensor, before[key]) == (key not in used), key


@pytest.mark.slow
def test_the_same_path_twice_averages_to_one_and_adds_up_to_two() -> None:
    path = SampledPath(ops("conv3", "conv1", "skip"))
    one = gradients(session_of(), Trains(Fixed(path)))
    mean = gradients(session_of(), Trains(Fixed(path, path)))
    both = gradients(session_of(), Trains(Summed(path, path)))
    assert one.keys() == mean.keys() == both.keys()
    for key in one:
        assert torch.allclose(mean[key], one[key], rtol=1e-4, atol=1e-7)
        assert torch.allclose(both[key], 2 * one[key], rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_a_soft_path_that_equals_its_teacher_learns_nothing() -> None:
    architecture = ops("conv3", "conv1", "skip")
    one = gradients(session_of(), Trains(Fixed(SampledPath(architecture))))
    pair = gradients(
        session_of(), Trains(Fixed(SampledPath(architecture), SampledPath(architecture, soft=True)))
    )
    for key in one:
        assert torch.allclose(pair[key], one[key] / 2, rtol=1e-4, atol=1e-6)
    other = SampledPath(ops("skip", "conv1", "skip"), soft=True)
    mixed = gradients(session_of(), Trains(Fixed(SampledPath(architecture), other)))
    assert any(not torch.allclose(mixed[key], one[key] / 2, atol=1e-4) for key in one)


@pytest.mark.slow
def test_the_loss_that_is_told_is_that_on_the_targets() -> None:
    hard, soft = ops("conv3", "conv1", "skip"), ops("skip", "skip", "skip")
    losses = []
    for paths in (
        [SampledPath(hard)],
        [SampledPath(soft)],
        [SampledPath(hard), SampledPath(soft, soft=True)],
    ):
        session = session_of()
        losses.append(float(Trains(Fixed(*paths)).step(session, first_batch(session))))
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-5)


def test_visits_count_every_answer_of_every_path() -> None:
    session = session_of()
    paths = [SampledPath(ops("conv3", "conv1", "skip")), SampledPath(ops("conv3", "skip", "skip"))]
    method = Trains(Fixed(*paths))
    for _ in range(3):
        method.step(session, first_batch(session))
    assert method.visits() == {
        ("op0", "conv3"): 6,
        ("op1", "conv1"): 3,
        ("op1", "skip"): 3,
        ("op2", "skip"): 6,
    }


def test_paths_of_a_step_see_the_same_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(self: Any, inputs: torch.Tensor, generator: Any, facts: Any) -> torch.Tensor:
        return inputs + torch.randn(inputs.shape, generator=generator)

    monkeypatch.setattr(type(IMAGES), "augment", noisy)
    session = session_of(recipe=replace(RECIPE, augment=True))
    raw = first_batch(session)
    one, two = session.prepare(raw)[0], session.prepare(raw)[0]
    assert torch.equal(one, two)
    assert not torch.equal(one, session.prepare(raw, augment=False)[0])
    session.step += 1
    assert not torch.equal(one, session.prepare(raw)[0])


@pytest.mark.slow
def test_held_out_examples_are_never_trained_on() -> None:
    session = session_of(holdout=0.5)
    data = digits()

    def numbers(inputs: torch.Tensor) -> set[int]:
        return {int((data.train.inputs == x).flatten(1).all(1).nonzero()[0]) for x in inputs}

    trained = [numbers(inputs) for inputs, _ in session.epoch(1)]
    held = [numbers(session.held()[0]) for _ in range(3)]
    assert sum(map(len, trained)) == len(set.union(*trained))
    assert len(set.union(*held)) == sum(map(len, held))  # once each before any comes again
    assert len(set.union(*trained, *held)) == 160
    assert not set.union(*trained) & set.union(*held)
    again = [numbers(session.held()[0]) for _ in range(3)]
    assert set.union(*again) == set.union(*held)
    assert again != held
    whole = session_of()
    assert sum(len(targets) for _, targets in whole.epoch(1)) == 160
    with pytest.raises(RuntimeError, match="holdout"):
        whole.held()


def test_too_few_examples_to_hold_any_out() -> None:
    from archsmith.supernet.session import start

    session = session_of()
    first = [int((digits().train.targets == c).nonzero()[0]) for c in range(10)]
    few = TensorSplit(digits().train.inputs[first], digits().train.targets[first])
    data = replace(digits(), train=few)
    with pytest.raises(InputError, match=r"hold 0\.1 of them out"):
        start(session.supernet, session.task, data, RECIPE, seed=0, holdout=0.1)


def test_judging_leaves_no_trace_and_goes_by_the_batch() -> None:
    session = session_of()
    before = values(session)
    architecture = ops("conv3", "conv1", "skip")
    batch = first_batch(session)
    metrics = session.judge(architecture, batch)
    assert same(before, values(session))
    assert metrics == session.judge(architecture, batch)
    for key, tensor in session.supernet.stored():
        if key.endswith("running_mean"):
            tensor.fill_(1e3)
    assert session.judge(architecture, batch) == metrics


@pytest.mark.slow
def test_random_numbers_depend_on_seed_purpose_and_step_alone() -> None:
    session, other = session_of(), session_of(seed=1)
    drawn = session.rng("paths").random()
    assert drawn == session.rng("paths").random()
    assert len({drawn, session.rng("held").random(), other.rng("paths").random()}) == 3
    session.step += 1
    assert session.rng("paths").random() != drawn


def test_parameters_that_join_are_sorted_and_those_that_leave_are_forgotten() -> None:
    session = session_of(elastic)
    method = Trains(Fixed(SampledPath(session.supernet.survey.largest)))
    method.step(session, first_batch(session))
    old = list(session.supernet.parameters())  # kept alive, since an id may come again
    session.supernet.split("width")
    method.step(session, first_batch(session))
    decayed, free = session.optimizer.param_groups
    joined = {id(p) for p in decayed["params"] + free["params"]}
    assert joined == {id(p) for p in session.supernet.parameters()}
    assert not joined & set(map(id, old))
    assert decayed["weight_decay"] > 0 == free["weight_decay"]
    assert {p.ndim for p in free["params"]} == {1}
    assert 1 not in {p.ndim for p in decayed["params"]}
    assert not {id(p) for p in session.optimizer.state} & set(map(id, old))


def test_a_tensor_that_grew_begins_with_new_moments() -> None:
    session = session_of()
    method = Trains(Fixed(SampledPath(ops("conv3", "conv1", "skip"))))
    method.step(session, first_batch(session))
    key, old = next((k, p) for k, p in session.supernet.stored() if p.shape == (10,))
    others = set(session.optimizer.state) - {old}
    session.supernet.grow(key, torch.zeros(12), PREFIX)
    session.supernet.version += 1
    session.adopt()
    assert set(session.optimizer.state) == others
    grown = session.supernet.get(key)
    assert grown is not None
    assert torch.equal(grown[:10], old)
    grown.grad = torch.ones(12)
    session.update()
    assert session.optimizer.state[grown]["exp_avg"].shape == (12,)


def test_norms_of_any_dimension_are_not_decayed() -> None:
    def builder(channels: int, classes: int) -> nn.Module:
        return nn.Sequential(nn.LayerNorm((1, 8, 8)), operations(channels, classes))

    session = session_of(builder)
    decayed, free = session.optimizer.param_groups
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert sorted({p.ndim for p in free["params"]}) == [1, 3]
