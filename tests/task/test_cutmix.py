"""Images with patches of others: what is pasted, and that targets follow its area."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith.data.splits import Batch
from archsmith.evaluate.training import TrainingEvaluator
from archsmith.task.cutmix import cutmix
from archsmith.task.image import ImageClassification
from archsmith.task.problem import open_problem
from archsmith.train import Diverged, Rounds, for_steps, train


def mixed(seed: int, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Four images of one value each, 0 to 3, whose classes are their values."""
    images = torch.arange(4.0)[:, None, None, None].expand(4, 2, side, side).contiguous()
    return cutmix(images, torch.eye(4), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(20))
def test_targets_are_the_shares_of_what_is_seen(seed):
    images, shares = mixed(seed)
    for image, share in zip(images, shares):
        seen = torch.stack([(image == value).float().mean() for value in range(4)])
        assert torch.allclose(seen, share, atol=1e-6)
        assert torch.equal(image[0], image[1])  # the same pixels of every channel


@pytest.mark.parametrize("seed", range(20))
def test_a_patch_is_a_rectangle_at_the_same_place_in_all_images(seed):
    images, _ = mixed(seed)
    own = images[:, 0] == torch.arange(4.0)[:, None, None]
    patch = ~own.all(0)
    rows, columns = patch.any(1), patch.any(0)
    changed = {bool((~o).any()) for o in own}
    assert torch.equal(patch, rows[:, None] & columns[None, :]) or changed == {False}


def test_areas_are_as_published():
    """1 - area is uniform before borders cut it off: the mean area that is left is below a half."""
    areas = [1 - float(mixed(seed)[1].max(1).values.mean()) for seed in range(400)]
    assert 0.1 < sum(areas) / len(areas) < 0.4


def test_a_loss_of_shares_is_the_mean_of_the_losses():
    logits, task = (
        torch.randn(4, 3, generator=torch.Generator().manual_seed(0)),
        ImageClassification(),
    )
    first, second = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 0])
    shares = 0.7 * nn.functional.one_hot(first, 3) + 0.3 * nn.functional.one_hot(second, 3)
    for smoothing in (0.0, 0.1):
        parts = [task.criterion(logits, target, smoothing) for target in (first, second)]
        wanted = 0.7 * parts[0] + 0.3 * parts[1]
        assert task.criterion(logits, shares, smoothing) == pytest.approx(float(wanted), abs=1e-6)


def test_so_many_batches_are_mixed_as_the_recipe_says(monkeypatch):
    problem, seen = open_problem("convnet", "digits"), []
    monkeypatch.setattr(
        ImageClassification, "mixed", lambda self, batch, *_: seen.append(1) or Batch(*batch)
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    for share in (0.0, 0.25, 1.0):
        seen.clear()
        recipe = nas.Recipe(epochs=2, batch_size=64, mix=share)
        train(model, problem.task, problem.data, recipe, seed=0)
        steps = 2 * -(-len(problem.data.train) // 64)
        assert len(seen) == int(share * steps)


def test_a_task_without_images_refuses_to_mix():
    problem = open_problem("mlp", "iris")
    model = problem.space.build(problem.space.default(), seed=0)
    with pytest.raises(nas.InputError, match="recipe: mix"):
        train(model, problem.task, problem.data, nas.Recipe(epochs=1, mix=0.5), seed=0)


@pytest.mark.parametrize(
    ("recipe", "passes", "mix"),
    [
        (nas.Recipe(augment=True), 26, 0.5),
        (nas.Recipe(augment=True), 24, 0.0),
        (nas.Recipe(augment=False), 100, 0.0),
        (nas.Recipe(augment=True, mix=0.2), 100, 0.2),
    ],
)
def test_long_trainings_mix(recipe, passes, mix):
    problem = open_problem("convnet", "digits")
    steps = passes * len(problem.data.train) / recipe.batch_size
    assert for_steps(recipe, problem.task, problem.data, steps).mix == mix
    rows = open_problem("mlp", "iris")
    assert for_steps(recipe, rows.task, rows.data, 1e6).mix == recipe.mix


def note_recipes(monkeypatch, seen):
    """Note the share that each last training would mix, in place of training."""

    def train(model, task, data, recipe, *args, **kwargs):
        seen.append(recipe.mix)
        raise Diverged("enough", 1)

    monkeypatch.setattr("archsmith.evaluate.training.train", train)
    monkeypatch.setattr(
        "archsmith.evaluate.training.rounds_within", lambda *a, until, **k: Rounds(20, until)
    )


def test_the_last_training_of_a_search_in_time_mixes_if_it_is_long(monkeypatch):
    problem, seen = open_problem("convnet", "digits"), []
    problem.round = 1.0

    note_recipes(monkeypatch, seen)
    moment, default = time.monotonic() + 10, problem.space.default()
    # A pass has 17 steps of 64 images, a round 20.
    for epochs, until in ((50, moment), (10, moment), (50, None)):
        problem.recipe = nas.Recipe(epochs=epochs, augment=True, schedule="wsd")
        last = TrainingEvaluator.for_problem(problem).ending(until, False)
        with pytest.raises(Diverged):
            last.train(default, 0)
    assert seen == [0.5, 0.0, 0.0]


def test_a_decision_against_mixing_stays(monkeypatch):
    problem = open_problem("convnet", "digits", tune=nas.RecipeSpace(mix=[0.0, 0.5]))
    problem.recipe = nas.Recipe(epochs=50, augment=True, schedule="wsd")
    problem.round, seen = 1.0, []

    note_recipes(monkeypatch, seen)
    last = TrainingEvaluator.for_problem(problem).ending(time.monotonic() + 10, False)
    with pytest.raises(Diverged):
        last.train(problem.space.default(), 0)
    assert seen == [0.0]
