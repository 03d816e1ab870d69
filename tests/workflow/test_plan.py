"""One plan: the call, the command line and the documentation have the same options."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import archsmith as nas
from archsmith._support.plans import call_text
from archsmith.cli.options import options_of, plan_of
from archsmith.profiling.plan import ProfilePlan
from archsmith.task.base import ReadOptions
from archsmith.workflow.plan import SearchPlan


@pytest.mark.parametrize(
    ("function", "plan"), [(nas.search, SearchPlan), (nas.profile, ProfilePlan)]
)
def test_the_call_is_the_plan(function, plan):
    names = [field.name for field in dataclasses.fields(plan)]
    taken = inspect.signature(function).parameters
    assert list(taken) == names
    assert [taken[name].default for name in ("space", "data")] == [None, "digits"]
    assert all(p.kind is p.KEYWORD_ONLY for n, p in taken.items() if n not in ("space", "data"))
    for name in names:
        assert (
            f"{name}:" in function.__doc__
            or f"{name}, " in function.__doc__
            or (f", {name}" in function.__doc__)
        ), f"{name} is not explained"


def test_a_wrong_argument_names_the_function():
    with pytest.raises(TypeError, match=r"search\(\) got an unexpected keyword argument 'trails'"):
        nas.search("convnet", "digits", trails=3)


def test_a_plan_is_a_value():
    plan = SearchPlan("convnet", "digits", trials=3)
    assert plan == SearchPlan("convnet", "digits", trials=3, listener=nas.Listener())
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.trials = 4


def test_the_call_is_told_as_it_was_given():
    plan = SearchPlan("convnet", trials=3, limits={"params": 5}, listener=nas.Listener())
    assert plan.call() == "nas.search(space='convnet', limits={'params': 5}, trials=3)"
    assert SearchPlan(command="archsmith search").call() == "archsmith search"
    assert call_text("search", SearchPlan(len)) == "nas.search(space=len)"


def test_options_of_the_command_line_are_those_of_the_plan():
    options = {option.name for option in options_of(SearchPlan)}
    fields = {field.name for field in dataclasses.fields(SearchPlan)}
    own = {"data", "loss", "metrics", "read", "recipe", "command", "listener", "_"}
    own |= {"began"}
    reading = {"split_seed", "target", "image_size", "unreadable", "decimal", "channels"}
    assert options == (fields - own - {"limits"}) | {"limit"} | reading | {
        "group",
        "order",
        "where",
        "columns",
    }
    given = {option.name: option.default for option in options_of(SearchPlan)}
    assert plan_of(SearchPlan, given) == SearchPlan(read=ReadOptions())
    changed = given | {"limit": ["params<=5"], "split_seed": 3, "trials": 7, "target": "y"}
    wanted = SearchPlan(limits=["params<=5"], trials=7, read=ReadOptions(seed=3, target="y"))
    assert plan_of(SearchPlan, changed) == wanted
