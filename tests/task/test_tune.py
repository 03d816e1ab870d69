"""Recipes with choices in them: options, priors, defaults, and what is refused."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith.task.ready import READY
from archsmith.task.tune import RecipeQuestions, recipe_space, tuned

RECIPE = nas.Recipe(lr=0.002, weight_decay=0.02, batch_size=64, label_smoothing=0.1)


def net() -> nn.Module:
    return nn.Linear(2, nas.choose("width", [2, 4]))


def space_of(*names: str, recipe: nas.Recipe = RECIPE, **options) -> nas.Space:
    return tuned(nas.Space(net), nas.RecipeSpace(*names, **options).around(recipe))


def values(space: nas.Space, name: str, **answers) -> set:
    """The options of a decision, met with these answers."""
    asked = space.decisions(space.complete(answers))
    return {a for d in asked if d.name == name for a in d.answers()}


def test_the_default_is_trained_as_without_a_search():
    recipes = [
        RECIPE,
        nas.Recipe(optimizer="sgd", lr=0.1, weight_decay=0.0, clip=2.0, warmup=0.03, augment=True),
    ]
    for recipe in recipes:
        space = space_of(*READY, recipe=recipe)
        assert nas.recipe_of(space, recipe, space.default()) == recipe


def test_every_ready_option_makes_a_recipe():
    space, rng = space_of(*READY), random.Random(0)
    for _ in range(200):
        architecture = space.sample(rng)
        recipe = nas.recipe_of(space, RECIPE, architecture)
        for name in READY:
            assert getattr(recipe, name) == architecture[f"recipe.{name}"]
        assert recipe.epochs == RECIPE.epochs


def test_the_prior_is_centred_on_the_recipe():
    space = space_of("lr", "weight_decay", "batch_size")
    for decision in space.decisions(space.default()):
        if decision.name.startswith("recipe."):
            own = getattr(RECIPE, decision.name.removeprefix("recipe."))
            assert decision.options[decision.prior.index(max(decision.prior))] == own


def test_rates_and_decays_are_converted_for_the_other_optimiser():
    space = space_of("lr", "weight_decay", "optimizer")
    adamw = {"recipe.optimizer": "adamw"}
    sgd = {"recipe.optimizer": "sgd"}
    rates = [values(space, "recipe.lr", **a) for a in (adamw, sgd)]
    assert rates[0] == {0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016}
    assert rates[1] == {0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4}
    decays = [values(space, "recipe.weight_decay", **a) for a in (adamw, sgd)]
    assert max(decays[0]) * max(rates[0]) == pytest.approx(max(decays[1]) * max(rates[1]))
    # One decision after the other: 2 widths, 2 optimisers, 7 rates, 6 decays.
    assert str(space.size()) == "168"


def test_own_options_with_a_prior_and_by_optimiser():
    space = space_of(
        optimizer={"adamw": 1, "sgd": 3},
        lr={"adamw": [0.001, 0.002], "sgd": {0.05: 1, 0.1: 2}},
        label_smoothing=[0, 0.1],
    )
    assert values(space, "recipe.lr", **{"recipe.optimizer": "adamw"}) == {0.001, 0.002}
    assert values(space, "recipe.lr", **{"recipe.optimizer": "sgd"}) == {0.05, 0.1}
    assert space.complete({"recipe.optimizer": "sgd"})["recipe.lr"] == 0.1
    (decision,) = (d for d in space.decisions(space.default()) if d.name == "recipe.optimizer")
    assert decision.prior == (0.25, 0.75)
    smoothing = values(space, "recipe.label_smoothing")
    assert {type(option) for option in smoothing} == {float}


def test_what_is_recorded_asks_the_same():
    questions = nas.RecipeSpace("lr", "optimizer", "clip", batch_size=[32, 64]).around(RECIPE)
    record = json.loads(json.dumps(questions.to_json()))
    again = RecipeQuestions.from_json(record)
    assert again.to_json() == questions.to_json()
    one, other = (tuned(nas.Space(net), q) for q in (questions, again))
    assert one.fingerprint == other.fingerprint


def test_names_as_on_the_command_line():
    space = recipe_space("lr, weight-decay,batch_size")
    assert space.names == ("lr", "weight_decay", "batch_size")
    assert recipe_space(None) is None
    assert recipe_space(space) is space
    assert recipe_space(["lr"]).names == ("lr",)


def test_a_space_without_a_searched_recipe_changes_none():
    space = nas.Space(net)
    assert nas.recipe_of(space, RECIPE, space.default()) is RECIPE


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ((), {}, "a field"),
        (("epochs",), {}, "--final-epochs"),
        ((), {"patience": [1, 2]}, "patience"),
        (("lr", "lr"), {}, "twice"),
        (("lr",), {"lr": [0.002]}, "twice"),
        ((), {"lr": []}, "options"),
        ((), {"lr": 0.002}, "options"),
        ((), {"lr": [0.1, 0.2]}, "own value 0.002"),
        ((), {"lr": [0.002, -1.0]}, "above 0"),
        ((), {"lr": [0.002, "high"]}, "values like"),
        ((), {"optimizer": "adamw"}, "options"),
        ((), {"optimizer": ["adamw", "adam"]}, "sgd"),
        ((), {"lr": {"sgd": [0.1]}}, "options for adamw"),
    ],
)
def test_what_cannot_be_searched_is_refused(names, options, message):
    with pytest.raises(InputError, match=message):
        nas.RecipeSpace(*names, **options).around(RECIPE)


def test_an_unknown_field_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'lr'"):
        nas.RecipeSpace("lrr")


def test_the_recipe_decides_what_its_own_value_is():
    recipe = replace(RECIPE, lr=0.1)
    assert nas.RecipeSpace(lr=[0.1, 0.2]).around(recipe).choices["lr"][""].default == 0.1
