"""Searches of an architecture together with its recipe."""

from __future__ import annotations

import json

import pytest
from torch import nn
from typer.testing import CliRunner

import archsmith as nas
from archsmith._support.errors import InputError, RunFolderError
from archsmith.cli.commands import app
from archsmith.evaluate import Price
from archsmith.export import export, load_model
from archsmith.hardware.sampling import distinct
from archsmith.task.problem import open_problem


def net(features: int, classes: int) -> nn.Module:
    width = nas.choose("width", [8, 16])
    return nn.Sequential(nn.Linear(features, width), nn.Tanh(), nn.Linear(width, classes))


RATES = [1e-7, 1e-6, 1e-5, 0.02]
#: A default that learns nothing in the time of a trial.
SLOW = nas.Recipe(lr=1e-6, epochs=4, batch_size=16)


class Planted(nas.Evaluator):
    """Only the learning rate matters."""

    name = "planted"
    price = Price.TRAINED
    reads_recipe = True

    def __init__(self, space: nas.Space, recipe: nas.Recipe) -> None:
        self.space, self.recipe = space, recipe

    @classmethod
    def for_problem(cls, problem):
        return cls(problem.space, problem.recipe)

    @property
    def provides(self):
        return ("accuracy",)

    def evaluate(self, architecture, fidelity, seed, watch):
        recipe = nas.recipe_of(self.space, self.recipe, architecture)
        return {"accuracy": 1.0 - abs(recipe.lr - 0.008)}


class Blind(Planted):
    name = "blind"
    reads_recipe = False


PLANTED = f"{__name__}:Planted"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "evolution", "bayesian", "tpe"])
def test_a_planted_rate_is_found(strategy):
    result = nas.search(
        net,
        "iris",
        strategy=strategy,
        evaluator=PLANTED,
        recipe=nas.Recipe(lr=0.002),
        tune="lr,weight_decay",
        trials=30,
        finalists=0,
    )
    best = result.history.best()
    assert best is not None
    assert best.architecture["recipe.lr"] == 0.008
    assert result.history.trials[0].architecture["recipe.lr"] == 0.002


@pytest.mark.slow
def test_costs_are_those_of_the_model():
    problem = open_problem(net, "iris", tune=nas.RecipeSpace("lr"))
    result = nas.search(net, "iris", evaluator=PLANTED, tune="lr", trials=14, finalists=0)
    by_width: dict[object, set[float]] = {}
    for trial in result.history.finished:
        by_width.setdefault(trial.architecture["width"], set()).add(trial.metrics["params"])
    assert {width: len(params) for width, params in by_width.items()} == {8: 1, 16: 1}
    # A latency predictor times each model once, whatever its recipe.
    assert len(distinct(problem.space, 50)) == 2


def test_who_cannot_see_a_recipe_refuses_or_says_so():
    with pytest.raises(InputError, match=r"spos.*one recipe"):
        nas.search(net, "iris", strategy="spos", tune="lr")
    with pytest.raises(InputError, match="reads_recipe"):
        nas.search(net, "iris", evaluator=f"{__name__}:Blind", tune="lr")
    doubts: list[str] = []
    nas.search(
        net,
        "iris",
        proxy="params",
        evaluator=PLANTED,
        tune="lr",
        trials=2,
        finalists=0,
        listener=nas.Listener(doubt=doubts.append),
    )
    assert any("params scores models" in doubt and "lr" in doubt for doubt in doubts)


@pytest.mark.slow
def test_training_uses_the_recipe_of_the_architecture(tmp_path):
    """The default learns nothing; one rate in four does, for trials and for finalists."""
    result = nas.search(
        net,
        "iris",
        strategy="random",
        recipe=SLOW,
        tune=nas.RecipeSpace(lr=RATES),
        trials=8,
        finalists=1,
        run=tmp_path / "run",
    )
    assert result.best is not None
    assert result.default is not None
    assert result.best.architecture["recipe.lr"] == 0.02
    assert result.default.architecture["recipe.lr"] == 1e-6
    assert result.best.validation["accuracy"] > 0.8 > result.default.validation["accuracy"]
    rates = {r["lr"] for r in result.default.curve} | {r["lr"] for r in result.best.curve}
    assert max(rates) < 0.02
    assert max(r["lr"] for r in result.best.curve) > 1e-3
    run = nas.Run(tmp_path / "run", space=net)
    assert run.problem.space.fingerprint == result.problem.space.fingerprint
    assert run.train(0).validation == result.default.validation
    assert "recipe.lr" in run.report().read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_export_is_of_the_model_alone(tmp_path):
    problem = open_problem(net, "iris", tune=nas.RecipeSpace("lr"))
    architecture = problem.space.complete({"recipe.lr": 0.0005, "width": 16})
    model = problem.space.build(architecture, seed=0)
    folder = tmp_path / "model"
    export(model, problem.task, problem.data, problem.space, architecture, folder, formats=["pt2"])
    record = json.loads((folder / "architecture.json").read_text())
    assert record["architecture"] == {"width": 16}
    assert list(record["recipe"]) == ["recipe.lr"]
    assert "recipe.lr" in (folder / "README.md").read_text()
    plain = nas.Space(net, **problem.space.arguments)
    assert record["space"]["fingerprint"] == plain.fingerprint
    loaded = load_model(folder, space=plain)
    assert repr(loaded) == repr(model)


@pytest.mark.slow
def test_it_resumes_and_refuses_another_recipe_space(tmp_path):
    def search(trials, tune, run, **more):
        options = {"strategy": "bayesian", "evaluator": PLANTED, "finalists": 0, **more}
        return nas.search(net, "iris", tune=tune, trials=trials, run=run, **options)

    whole = search(14, "lr,clip", tmp_path / "whole")
    search(6, "lr,clip", tmp_path / "parts")
    parts = search(14, "lr,clip", tmp_path / "parts")
    assert [t.architecture for t in parts.history.trials] == [
        t.architecture for t in whole.history.trials
    ]
    for other, message in (("lr", "tune lr,clip.*tune lr"), (None, "tune lr,clip.*tune null")):
        with pytest.raises(RunFolderError, match=message):
            search(16, other, tmp_path / "parts")
    own = nas.RecipeSpace(lr={0.002: 1, 0.004: 1}, clip=[5.0])
    recipe = nas.Recipe(lr=0.002)
    search(2, own, tmp_path / "own", recipe=recipe)
    shifted = nas.RecipeSpace(lr={0.002: 1, 0.004: 2}, clip=[5.0])
    with pytest.raises(RunFolderError, match="other options or priors"):
        search(3, shifted, tmp_path / "own", recipe=recipe)


@pytest.mark.slow
def test_the_command_line_searches_a_recipe(tmp_path):
    folder = str(tmp_path / "run")
    options = ["--trials", "3", "--epochs", "1", "--final-epochs", "1", "--finalists", "1"]
    options += ["--strategy", "random", "--run", folder]
    command = ["search", "digits", "--tune", "lr,weight_decay", *options]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(app, ["show", folder, "--json"])
    trials = json.loads(shown.stdout)["trials"]
    assert len(trials) == 3
    for trial in trials:
        assert {"recipe.lr", "recipe.weight_decay"} < set(trial["architecture"])
    assert len({trial["architecture"]["recipe.lr"] for trial in trials}) > 1
