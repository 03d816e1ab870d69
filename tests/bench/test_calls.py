"""What the calls of Python take: goals as for a search, strategies in any form."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import archsmith as nas
from archsmith._support.errors import InputError, LimitError, UnknownNameError
from archsmith.bench import benchmark
from archsmith.bench.goals import goal_of
from archsmith.history.objective import Limit, Objective
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.strategy.random import RandomSearch
from bench.small import columns, small_table, write

LOW_COST = Objective("flops_M", "minimize")


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    return small_table(tmp_path_factory.mktemp("little"), 40)


def test_the_bracket_of_a_limit_is_among_the_rows_that_keep_those_before(little):
    flops, valid = little.values["flops_M"], little.values["valid_acc_200"]
    bound = float(np.median(flops))
    with pytest.raises(LimitError) as refused:
        goal_of(little, limits={"flops_M": bound, "valid_acc_200": 99})
    assert f"{valid[flops <= bound].max():,.6g}" in str(refused.value)
    assert f"none of {(flops <= bound).sum()} (those" in str(refused.value)
    with pytest.raises(LimitError) as refused:
        goal_of(little, limits=["valid_acc_200>=99"])
    assert "(" not in str(refused.value)


def test_goals_are_named_as_for_a_search(little):
    bound = float(np.median(little.values["flops_M"]))
    known = goal_of(little, [LOW_COST], [Limit("flops_M", "<=", bound)])
    assert goal_of(little, limits={"flops_M": bound}, minimize="flops_M") == known
    assert goal_of(little, limits=f"flops_M<={bound}", minimize=["flops_M"]) == known
    with pytest.raises(UnknownNameError, match="did you mean 'flops_M'"):
        goal_of(little, limits={"flops": 3})


@pytest.mark.slow
def test_strategies_are_names_instances_or_makers(tmp_path, little):
    path = write(tmp_path / "t.npz", columns(40))
    own = RegularizedEvolution(6, 2)
    before = dict(vars(own))
    run = partial(nas.compare, queries=12, repeats=3, processes=1)
    given = ["evolution", own, RegularizedEvolution, partial(RegularizedEvolution, 6, 2)]
    found = run("nb201", given, file=path)
    assert [r.strategy for r in found] == ["evolution", "evolution 2", "evolution 3", "evolution 4"]
    assert np.array_equal(found[0].valid, found[2].valid)
    assert np.array_equal(found[1].valid, found[3].valid), "no run learns from another one"
    assert vars(own) == before
    (again,) = run(nas.read_table("nb201", path), [own])
    assert np.array_equal(again.valid, found[1].valid)
    for wrong, words in (([], "at least one"), ([3], "a Strategy"), ([dict], "a Strategy")):
        with pytest.raises(InputError, match=words):
            run(little, wrong)


@pytest.mark.slow
def test_what_does_not_pickle_stays_in_this_process(little):
    make = lambda: RandomSearch()  # noqa: E731
    with pytest.raises(InputError, match="processes=1"):
        benchmark(little, make, queries=3, repeats=2)
    assert benchmark(little, make, queries=3, repeats=2, processes=1).repeats == 2


@pytest.mark.slow
def test_samplers_of_optuna_go_by_their_name(little):
    pytest.importorskip("optuna")
    result = benchmark(little, nas.OptunaSampler("QMCSampler"), queries=3, repeats=1, processes=1)
    assert result.strategy == "optuna:QMCSampler"
    assert result.says == "optuna:QMCSampler"


class Counted(RandomSearch):
    """Says how many runs began."""

    runs = 0

    def check(self, space, history):
        Counted.runs += 1


@pytest.mark.slow
def test_one_run_warms_up_before_those_that_count(little):
    told = []
    benchmark(
        little, Counted, queries=3, repeats=2, processes=1, on_repeat=lambda *a: told.append(a)
    )
    # One check before all runs, the run that warms up, and two that count.
    assert Counted.runs == 4
    assert told == [(1, 2), (2, 2)]
