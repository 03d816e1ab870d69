"""Trainings that begin on smaller images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith.evaluate.training import TrainingEvaluator
from archsmith.task.image import ImageClassification as task
from archsmith.task.problem import Problem, open_problem
from archsmith.train import Early, Rounds, early, runs, shrunk, train


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Images of 32 x 24 in two classes: bright left or bright right halves."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 2
    images = torch.randint(0, 100, (120, 3, 32, 24), generator=rng)
    for image, label in zip(images, labels):
        image[:, :, 12 * int(label) : 12 * int(label) + 12] += 100
    path = tmp_path_factory.mktemp("photos") / "photos.npz"
    np.savez(path, x=images.permute(0, 2, 3, 1).byte().numpy(), y=labels.numpy())
    return str(path)


def any_size(channels: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 8])
    return nn.Sequential(
        nn.Conv2d(channels, width, 3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


def one_size(channels: int, classes: int, height: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))


def test_smaller_images_are_the_same_examples(photos):
    data = open_problem(any_size, photos).data
    smaller = shrunk(task(), data, 0.5)
    assert smaller is not None
    assert smaller.facts is data.facts
    images, targets = data.train.head(50)
    small, same = smaller.train.head(50)
    assert small.shape[2:] == (16, 12)
    assert small.dtype == torch.uint8
    pooled = nn.functional.avg_pool2d(images.float(), 2)
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    # The filter of an antialiased half is a little wider than two pixels.
    assert (small.float() - pooled)[inside].abs().mean() < 15
    assert torch.equal(targets, same)
    assert torch.equal(smaller.train.labels, data.train.labels)
    assert len(smaller.validation) == len(data.validation)
    assert smaller.digest() != data.digest()
    assert shrunk(task(), data, 0.3) is None  # 7 pixels wide


def sides(problem: Problem, first: Early | None, rounds: Rounds | None = None) -> list[int]:
    """The side of the images of each training step, and of each batch that is scored, negative."""
    model, seen = problem.space.build(problem.space.default(), seed=0), []
    model.register_forward_pre_hook(
        lambda m, args: seen.append(args[0].shape[2] * (1 if m.training else -1))
    )
    recipe = nas.Recipe(epochs=4, batch_size=30, schedule="wsd")
    train(model, problem.task, problem.data, recipe, seed=0, early=first, rounds=rounds)
    return seen[1:]  # without the pass that looks at the layout of tensors


def test_the_first_epochs_see_smaller_images_and_are_scored_on_them(photos):
    problem = open_problem(any_size, photos)
    first = early(problem.task, problem.data, problem.space.build(problem.space.default(), seed=0))
    assert first is not None
    assert first.share == 0.5
    seen = [side for side in sides(problem, first) if side > 0]
    assert seen == [20] * (len(seen) // 2) + [32] * (len(seen) // 2)
    scored = [-side for side in sides(problem, first) if side < 0]
    assert scored == [20, 20, 32, 32]


def test_with_a_moment_it_is_half_of_the_time(photos):
    """A round on small images takes 1 second of this clock, another 4: of 40 s, 20 are for each."""
    problem, now = open_problem(any_size, photos), [0.0]
    model = problem.space.build(problem.space.default(), seed=0)
    first = early(problem.task, problem.data, model)
    assert first is not None
    task_of, seen = problem.task, []

    class Clocked(task):
        def prepare_batch(self, batch, facts, noise=None):
            seen.append(batch.inputs.shape[2])
            now[0] += 1.0 if seen[-1] == 20 else 4.0
            return super().prepare_batch(batch, facts, noise)

    rounds = Rounds(1, until=40.0, clock=lambda: now[0])
    recipe = nas.Recipe(epochs=32, batch_size=30, schedule="wsd")
    train(model, Clocked(), problem.data, recipe, seed=0, early=first, rounds=rounds, scored=False)
    assert isinstance(task_of, task)
    assert seen.count(20) == pytest.approx(20, abs=1)
    assert seen.count(32) == pytest.approx(5, abs=1)
    assert now[0] == pytest.approx(40, abs=4)


def test_a_model_of_one_size_is_trained_on_it_from_the_start(photos):
    problem = open_problem(one_size, photos)
    model = problem.space.build(problem.space.default(), seed=0)
    smaller = shrunk(problem.task, problem.data, 0.625)
    assert smaller is not None
    assert not runs(model, problem.task, smaller)
    assert early(problem.task, problem.data, model) is None


def test_no_images_no_smaller_ones():
    problem = open_problem("mlp", "iris")
    assert shrunk(problem.task, problem.data, 0.5) is None


def test_trials_on_smaller_images_are_continued_on_whole_ones(photos, tmp_path: Path):
    """What a trial learned on half of the side is where the last training begins."""
    problem = open_problem(any_size, photos)
    problem.recipe = nas.Recipe(epochs=4, batch_size=30, schedule="wsd", lr=0.01)
    problem.round, problem.side = 0.05, 0.5
    evaluator = TrainingEvaluator.for_problem(problem)
    kept: list[nas.TrainingState] = []

    class Keep(nas.Watch):
        def start(self):
            return None

        def trunk(self, state):
            kept.append(state)

    architecture = problem.space.default()
    metrics = evaluator.evaluate(architecture, nas.Fidelity(epochs=2), 0, Keep())
    assert metrics["accuracy"] > 0.5
    trained = evaluator.ending(None, False).train(architecture, 0, None, state=kept[0])
    assert trained.metrics["accuracy"] > 0.8
    assert np.isfinite(trained.metrics["loss"])
