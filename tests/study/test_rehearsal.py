"""Odd models work as a whole, or are refused in words before the first trial."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch
from odd_models import REFUSED, WORKING, Builder
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.errors import SpaceError
from archsmith._support.weights import read, write
from archsmith.data.splits import TensorSplit
from archsmith.export import weights
from archsmith.hardware.latency import measure_latency
from archsmith.history.trial import Fidelity
from archsmith.space.sketch import seeded
from archsmith.study import check_shapes
from archsmith.study.identity import check_identity, identify
from archsmith.study.rehearsal import rehearse
from archsmith.task.problem import Problem, open_problem
from archsmith.train import parts, score, train


@pytest.fixture(scope="module")
def digits() -> Problem:
    problem = open_problem(WORKING["Tied"], "digits")
    return replace(problem, recipe=replace(problem.recipe, batch_size=16))


def of(problem: Problem, builder: Builder) -> Problem:
    space = nas.Space(builder)
    space.builder.expect(problem.example())
    return replace(problem, space=space)


def try_out(problem: Problem) -> None:
    """As a search does before its first trial."""
    check_shapes(problem.space, problem.forward_on_meta, samples=2)
    rehearse(problem.space, problem.task, problem.data, problem.recipe)
    check_identity(problem.space, identify(problem.space), "here")


def outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad(), seeded(0):
        found: Tensor = model.eval()(inputs.clone())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKING)
def test_it_is_tried_trained_kept_and_exported(digits, name, tmp_path):
    problem = of(digits, WORKING[name])
    space, task, data = problem.space, problem.task, problem.data
    before = data.digest()
    try_out(problem)
    model = space.build(space.default(), seed=0)
    few = Fidelity(epochs=1, share=0.1)
    trained = train(model, task, data, problem.recipe, few, seed=0)
    assert measure_latency(model, problem.example(), seconds=0.01, runs=5).median > 0
    few_inputs, few_targets = data.validation.inputs[:8], data.validation.targets[:8]
    judged = parts(model, task, TensorSplit(few_inputs, few_targets), data.facts)
    assert len(judged["accuracy"]) == 8
    inputs = task.prepare(few_inputs, data.facts)
    assert len(nas.Features(model)(inputs)) == 8
    expected = outputs(model, inputs)
    # A trial's file, an export's copy and an export's file: each fills a model that is built anew.
    write(tmp_path / "kept.safetensors", trained.best_state)
    kept = space.build(space.default(), seed=1)
    kept.load_state_dict(read(tmp_path / "kept.safetensors")[0])
    copy = weights.own_copy(model, space, space.default())
    weights.write_safetensors(copy, tmp_path / "model.safetensors")
    fresh = space.build(space.default(), seed=2)
    again = weights.read_safetensors(fresh, tmp_path / "model.safetensors")
    for other in (kept, copy, again):
        assert torch.allclose(outputs(other, inputs), expected, rtol=1e-5, atol=1e-6)
    assert replace(data).digest() == before  # that of the first is known


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WORKING if "Slope" in name or name == "Masked"])
def test_it_is_searched_to_its_end(name):
    found = nas.search(
        WORKING[name], "digits", trials=1, epochs=1, share=0.1, final_epochs=1, finalists=1
    )
    assert found.best is not None
    assert found.best.test["accuracy"] > 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_in_words(digits, name):
    builder, told = REFUSED[name]
    with pytest.raises(SpaceError, match=f"(?s){told}") as caught:
        try_out(of(digits, builder))
    text = str(caught.value)
    assert "odd with width=8" in text
    assert "hint: " in text
    assert len(text) < 1200


@pytest.mark.slow
@pytest.mark.parametrize(
    "around",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.device("meta"),
        pytest.param(lambda: _float64(), id="float64"),
    ],
)
def test_what_the_caller_has_set_in_torch_is_put_aside_and_comes_back(around):
    def plain(channels: int, classes: int) -> nn.Module:
        return WORKING["old_norm"]()

    def search() -> nas.SearchResult:
        return nas.search(
            plain, "digits", trials=1, epochs=1, share=0.1, final_epochs=1, finalists=1
        )

    expected = search()
    assert expected.best is not None
    with around():
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        defaults = torch.get_default_dtype(), torch.get_default_device()
        result = search()
        assert result.best is not None
        model = result.best.model
        assert modes == (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        assert defaults == (torch.get_default_dtype(), torch.get_default_device())
    assert result.best.test == pytest.approx(expected.best.test, rel=1e-3)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    data, task = result.problem.data, result.problem.task
    test = {name: v for name, v in result.best.test.items() if name != "ece_calibrated"}
    assert score(model, task, data.test, data.facts) == pytest.approx(test)


class _float64(AbstractContextManager[None]):
    def __enter__(self) -> None:
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *_: object) -> None:
        torch.set_default_dtype(torch.float32)


def test_a_finalist_whose_weights_fit_no_second_build_costs_no_other(tmp_path):
    """The checks look at the default; what another option does shows when it is trained."""

    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = 0

        def forward(self, x: Tensor) -> Tensor:
            self.steps += 1
            if self.steps == 40 and self.training:
                self.register_buffer("late", torch.zeros(1))
            return x

    def net(channels: int, classes: int) -> nn.Module:
        op = nas.one_of("op", {"plain": nn.Identity, "late": Late}, default="plain")
        return nn.Sequential(nn.Flatten(), op, nn.Linear(64, classes))

    result = nas.search(
        net, "digits", strategy="grid", trials=2, epochs=1, share=0.1, final_epochs=3, finalists=2
    )
    assert result.best is not None
    assert result.best.architecture["op"] == "plain"
    assert any("weights that fit a second build" in problem for problem in result.problems)
    assert all(line.isprintable() for line in result.problems)
