"""The contract suite of a task: what training, search and export rely on.

Test your own task with a small source and a small builder::

    class TestMine(TaskContract):
        task = MyTask()
        builder = staticmethod(my_space)

        def write(self, folder):
            ...
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from .._support.errors import InputError
from .._support.trees import call, clone, count_examples, leaves, move, shapes
from ..data.splits import Batch
from ..evaluate.training import TrainingEvaluator
from ..history.paired import compare
from ..history.trial import Fidelity
from ..task import task as find_task
from ..task.base import Data, Recipe
from ..task.contracts import BatchSampling, Deployment, ExampleMetrics, OutputLoss, Pictures
from ..task.problem import Problem, SpaceLike, open_problem
from ..task.sampling import draw, holdout_indices
from ..train import score
from .reader import ReaderContract


class TaskContract(ReaderContract):
    """Subclass it, name the subclass ``Test…``, set ``task``, write a source, and give a builder.

    Attributes:
        builder: a space of small models for the task; its default space if not given.
        steps: training steps in which the loss has to go down.
    """

    builder: ClassVar[SpaceLike | None] = None
    steps: ClassVar[int] = 60

    @pytest.fixture
    def problem(self, source: str) -> Problem:
        return open_problem(self.builder, source, task=self.task, options=self.options)

    def model(self, problem: Problem) -> nn.Module:
        """The default architecture."""
        return problem.space.build(problem.space.default(), seed=0)

    def ready(self, data: Data, count: int = 4, noise: int | None = None) -> Batch:
        """A prepared batch of the training part."""
        generator = None if noise is None else torch.Generator().manual_seed(noise)
        index = draw(
            self.task,
            torch.arange(len(data.train)),
            data.train,
            count,
            torch.Generator().manual_seed(0),
            data.facts,
        )[0]
        raw = data.train.take(index)
        return self.task.prepare_batch(Batch(*clone(tuple(raw))), data.facts, generator)

    def test_it_is_known_by_its_name(self) -> None:
        assert self.task.name
        assert find_task(self.task) is self.task

    def test_its_metrics_can_be_used_in_limits(self, data: Data) -> None:
        names = [metric.name for metric in self.task.metrics]
        assert names
        assert all(name.isidentifier() for name in names)

    def test_the_example_is_what_batches_are_like(self, data: Data) -> None:
        example, ready = self.task.example(data.facts, 2), self.ready(data).inputs
        one = [(t.dtype, t.shape[1:]) for t in leaves(example)]
        two = [(t.dtype, t.shape[1:]) for t in leaves(ready)]
        assert one == two
        assert count_examples(example) == 2
        assert count_examples(self.task.example(data.facts)) == 1

    def test_a_builder_gets_what_it_may_ask_for(self, problem: Problem) -> None:
        assert all(name.isidentifier() for name in self.task.arguments(problem.data.facts))

    def test_outputs_are_what_it_expects(self, problem: Problem) -> None:
        problem.forward_on_meta(self.model(problem))

    def test_the_recipe_and_the_fidelity_are_sound(self, data: Data) -> None:
        assert isinstance(self.task.recipe(data), Recipe)
        fidelity = self.task.search_fidelity(data)
        assert fidelity.epochs is None or fidelity.epochs >= 1
        assert 0 < fidelity.share <= 1

    def test_augmentation_is_by_its_generator_alone(self, data: Data) -> None:
        one, two = self.ready(data, noise=3), self.ready(data, noise=3)
        same = zip(leaves(tuple(one)), leaves(tuple(two)), strict=True)
        assert all(torch.equal(a, b) for a, b in same)
        plain = self.ready(data)
        assert shapes(one.inputs) == shapes(plain.inputs)

    def test_preparing_changes_no_raw_data(self, data: Data) -> None:
        before = clone(tuple(data.train.head(4)))
        self.ready(data, noise=1)
        same = zip(leaves(before), leaves(tuple(data.train.head(4))), strict=True)
        assert all(torch.equal(a, b) for a, b in same)

    def test_the_loss_is_a_number_with_gradients(self, problem: Problem) -> None:
        model = self.model(problem).train()
        loss = self.task.loss(model, self.ready(problem.data))
        assert loss.shape == ()
        assert math.isfinite(float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())

    def test_the_loss_goes_down(self, problem: Problem) -> None:
        torch.manual_seed(0)
        model, ready = self.model(problem).train(), self.ready(problem.data)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        losses = []
        for _ in range(self.steps):
            loss = self.task.loss(model, Batch(*clone(tuple(ready))))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
        assert min(losses[-5:]) < losses[0]

    def test_the_loss_follows_from_outputs_where_it_says_so(self, problem: Problem) -> None:
        if not isinstance(self.task, OutputLoss):
            pytest.skip("its loss takes the model")
        model, ready = self.model(problem).eval(), self.ready(problem.data)
        with torch.no_grad():
            whole = self.task.loss(model, Batch(*clone(tuple(ready))))
            apart = self.task.criterion(call(model, clone(ready.inputs)), ready.targets)
        assert torch.allclose(whole, apart, atol=1e-5)

    def test_the_meter_gives_its_metrics(self, problem: Problem) -> None:
        data = problem.data
        metrics = score(self.model(problem), self.task, data.validation, data.facts)
        assert {metric.name for metric in self.task.metrics} <= metrics.keys()
        assert math.isfinite(metrics["loss"])

    def test_metrics_do_not_depend_on_the_size_of_batches(self, problem: Problem) -> None:
        if isinstance(self.task, BatchSampling):
            pytest.skip("its metrics are about whole batches")
        model, data = self.model(problem), problem.data
        one = score(model, self.task, data.validation, data.facts, batch_size=512)
        two = score(model, self.task, data.validation, data.facts, batch_size=3)
        for metric in self.task.metrics:
            assert one[metric.name] == pytest.approx(two[metric.name], abs=1e-3)

    def test_steps_of_an_epoch_do_not_depend_on_the_generator(self, data: Data) -> None:
        index = torch.arange(len(data.train))
        counts = {
            len(draw(self.task, index, data.train, 4, torch.Generator().manual_seed(n), data.facts))
            for n in range(3)
        }
        assert len(counts) == 1

    def test_what_is_held_out_is_some_of_the_training_part(self, data: Data) -> None:
        try:
            held = holdout_indices(self.task, data.train, 0.4, 0)
        except InputError:
            pytest.skip("too few examples here")
        assert 0 < len(held) < len(data.train)
        assert len(set(held.tolist())) == len(held)
        assert len(holdout_indices(self.task, data.train, 0.0, 0)) == 0

    def test_it_is_trained_by_the_engine(self, problem: Problem) -> None:
        trainer = TrainingEvaluator.for_problem(problem)
        trained = trainer.train(problem.space.default(), 0, Fidelity(1, 1.0))
        assert trained.best_state
        assert {metric.name for metric in self.task.metrics} <= trained.metrics.keys()

    def test_metrics_of_examples_average_to_metrics(self, problem: Problem) -> None:
        if not isinstance(self.task, ExampleMetrics):
            pytest.skip("it has none")
        data, model = problem.data, self.model(problem).eval()
        batch = data.validation.head(len(data.validation))
        with torch.no_grad():
            prepared = self.task.prepare(clone(batch.inputs), data.facts)
            outputs = self.task.answers(model, prepared, data.facts)
        parts = self.task.parts(outputs, batch.targets, data.facts)
        expected = score(model, self.task, data.validation, data.facts)
        for name, tensor in parts.items():
            assert len(tensor) == len(data.validation)
            values = tensor.double().numpy()
            pooled = partial(self.task.pooled, name) if values.ndim > 1 else None
            same = compare(name, "maximize", values, values, pooled=pooled)
            assert same.value == pytest.approx(expected[name], rel=1e-4, abs=1e-6)
            assert (same.low, same.high) == (0.0, 0.0)

    def deployed(self, problem: Problem) -> tuple[Deployment, Any, Any]:
        """The task, raw inputs and the deployed model's outputs for them."""
        if not isinstance(self.task, Deployment):
            pytest.skip("its models are not exported")
        data = problem.data
        module = self.task.deployable(self.model(problem), data.facts).eval()
        inputs = self.task.signature(data).example
        with torch.no_grad():
            return self.task, inputs, call(module, clone(inputs))

    def test_deployed_models_take_raw_inputs(self, problem: Problem) -> None:
        task, inputs, outputs = self.deployed(problem)
        raw = problem.data.validation.head(2).inputs
        assert [t.dtype for t in leaves(inputs)] == [t.dtype for t in leaves(raw)]
        assert count_examples(outputs) == 2
        signature = task.signature(problem.data)
        assert signature.description
        assert signature.input_name.isidentifier()

    def test_answers_are_json(self, problem: Problem) -> None:
        task, _, outputs = self.deployed(problem)
        answers = task.describe(outputs, problem.data.facts)
        assert len(answers) == 2
        assert json.loads(json.dumps(answers)) == answers

    def test_a_file_that_is_no_input_is_told(self, problem: Problem, tmp_path: Path) -> None:
        if not isinstance(self.task, Deployment):
            pytest.skip("its models are not exported")
        with pytest.raises(InputError):
            self.task.load_input(tmp_path / "nothing.here", problem.data.facts)

    def test_predictions_can_be_looked_at(self, problem: Problem) -> None:
        if not isinstance(self.task, Pictures):
            pytest.skip("it has no picture")
        _, _, _ = self.deployed(problem)
        batch = problem.data.validation.head(6)
        assert isinstance(self.task, Deployment)
        module = self.task.deployable(self.model(problem), problem.data.facts).eval()
        with torch.no_grad():
            outputs = call(module, clone(batch.inputs))
        picture = self.task.picture(batch.inputs, batch.targets, outputs, problem.data.facts)
        assert min(picture.size) > 10
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 1

    def test_batches_move_to_a_device(self, data: Data) -> None:
        moved = move(tuple(self.ready(data)), "cpu")
        assert count_examples(moved) >= 1
