"""Graph forms, and walks by a policy."""

from __future__ import annotations

import math
import pickle
import random

import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import SpaceError
from archsmith.evaluate.base import Evaluator, Price
from archsmith.history.objective import Objective
from archsmith.space import Space, graph_form
from archsmith.space.architecture import Architecture
from archsmith.space.forms import form_of
from archsmith.space.listed import ListedSpace
from archsmith.strategy.random import RandomSearch
from archsmith.study import Study

from . import builders


def total(architecture):
    return str(sum(architecture.values()))


@graph_form(total, lambda architecture: {"total": float(sum(architecture.values()))})
def summed(most: int = 3) -> nn.Module:
    for name in "ab":
        nas.choose(name, list(range(most)))
    return nn.Identity()


@graph_form(total)
class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in "ab":
            nas.choose(name, [0, 1, 2])


def test_equal_graphs_have_one_form():
    space = Space(summed, most=3)
    assert space.canonical(Architecture({"a": 0, "b": 2})) == "2"
    assert space.canonical(Architecture({"a": 1, "b": 1})) == "2"
    assert len({space.canonical(a) for a in space.enumerate()}) == 5
    assert space.graph_features(Architecture({"a": 1, "b": 1})) == {"total": 2.0}


def test_a_module_class_carries_a_form_too():
    space = Space(Summed)
    assert len({space.canonical(a) for a in space.enumerate()}) == 5
    assert space.graph_features(space.default()) == {}


def test_without_a_form_each_architecture_is_its_own_graph():
    space = Space(builders.entangled)
    assert form_of(builders.entangled) is None
    assert len({space.canonical(a) for a in space.enumerate()}) == builders.ENTANGLED
    assert space.graph_features(space.default()) == {}


def test_forms_survive_pickling_and_restriction():
    space = Space(summed, most=2)
    again = pickle.loads(pickle.dumps(space))
    some = list(space.enumerate())[1:]
    for spelled in (space.spelled(), ListedSpace(space, some).spelled()):
        for other in (spelled, pickle.loads(pickle.dumps(spelled))):
            assert [other.canonical(a) for a in some] == [a.id for a in some]
    for other in (again, ListedSpace(space, some)):
        assert [other.canonical(a) for a in some] == [space.canonical(a) for a in some]
        assert other.graph_features(some[0]) == space.graph_features(some[0])


@pytest.mark.parametrize(
    "builder", [builders.looped, builders.nested, builders.switched, builders.recursive]
)
def test_a_walk_asks_what_the_builder_asks(builder):
    space = Space(builder)
    rng = random.Random(0)
    for _ in range(30):
        wanted = space.sample(rng)
        met = []

        def policy(decision, so_far, met=met, wanted=wanted):
            assert list(so_far) == [d.name for d in met]
            met.append(decision)
            return wanted[decision.name]

        assert space.walk(policy) == wanted
        assert tuple(met) == space.decisions(wanted)


def test_a_walk_refuses_an_answer_that_the_decision_does_not_have():
    space = Space(builders.looped)
    with pytest.raises(SpaceError, match="depth"):
        space.walk(lambda decision, _: 3 if decision.name == "depth" else decision.default)


class Nothing(Evaluator):
    name, price, provides = "nothing", Price.TABLE, ("x",)

    def evaluate(self, architecture, fidelity, seed, watch):
        return {"x": 0.0}


def raising(architecture):
    return {"a": 1}[architecture["b"]]


@pytest.mark.parametrize(
    ("canonical", "features", "words"),
    [
        (raising, None, "canonical of its graph form: expected no exception, got KeyError: "),
        (lambda a: a["b"], None, "expected a string, got "),
        (lambda a: "x", raising, "features of its graph form: expected no exception, got KeyError"),
        (lambda a: "x", lambda a: [1.0], "expected numbers by name"),
        (lambda a: "x", lambda a: {"n": math.nan}, "expected finite numbers by name, got nan"),
        (lambda a: "x", lambda a: {"n": "many"}, "expected finite numbers by name, got 'many'"),
    ],
)
def test_forms_that_fail_are_told_before_a_search(canonical, features, words):
    @graph_form(canonical, features)
    def broken():
        nas.integer("a", 0, 2)
        nas.integer("b", 0, 2)
        return nn.Identity()

    space = Space(broken)
    with pytest.raises(SpaceError, match=f"^broken, .*{words}"):
        space.check_form()
    with pytest.raises(SpaceError, match=f"^broken, .*{words}"):
        Study(space, RandomSearch(), Nothing(), [Objective("x", "maximize")], trials=2)
    assert len({space.spelled().canonical(a) for a in space.enumerate()}) == 9
    assert space.spelled().graph_features(space.default()) == {}
