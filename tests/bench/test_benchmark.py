"""Runs on tables against what is known in closed form."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from archsmith._support.errors import InputError, LimitError, UnknownNameError, WorkError
from archsmith.bench import benchmark, compare, read_table
from archsmith.bench.goals import _front, front_volume, goal_of
from archsmith.bench.repeat import Goal, Within, repeat
from archsmith.history.objective import Limit, Objective, nondominated_fronts
from archsmith.history.trial import Fidelity, Proposal
from archsmith.strategy import Strategy, strategies
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.strategy.random import RandomSearch
from archsmith.tables.nb201 import NB201
from bench.small import columns, short_schedule, small_table, write

LOW_COST = Objective("flops_M", "minimize")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return small_table(tmp_path_factory.mktemp("small"), 300)


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    return small_table(tmp_path_factory.mktemp("little"), 40)


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    return small_table(tmp_path_factory.mktemp("early"), 60, epochs=True)


def expected_best(values, draws):
    """Of the best of so many draws without replacement, from each number of draws."""
    values = np.sort(values)
    n = len(values)
    found = []
    for q in range(1, draws + 1):
        # The best of q is the value of rank i (from 0) where the q - 1 others are below it.
        ways = [math.comb(i, q - 1) / math.comb(n, q) for i in range(n)]
        found.append(float(np.dot(ways, values)))
    return np.array(found)


@pytest.mark.slow
def test_the_random_curve_is_the_closed_form(table):
    result = benchmark(table, "random", queries=30, repeats=300, processes=1)
    values = table.values["valid_acc_200"]
    error = result.valid.std(axis=0, ddof=1) / math.sqrt(300)
    apart = np.abs(result.valid.mean(axis=0) - expected_best(values, 30))
    assert (apart <= 4 * error + 1e-9).all()
    share = result.optimum.mean(axis=0)
    known = np.arange(1, 31) / 300
    assert (np.abs(share - known) <= 4 * np.sqrt(known * (1 - known) / 300)).all()
    assert np.allclose(result.regret, values.max() - result.valid)
    assert (np.diff(result.valid, axis=1) >= 0).all()


@pytest.mark.slow
def test_what_is_reported_belongs_to_what_was_selected(table):
    result = benchmark(table, "evolution", queries=40, repeats=5, processes=1)
    rows = dict(zip(table.values["valid_acc_200"], table.values["test_acc_200"], strict=True))
    for valid, test in zip(result.valid.ravel(), result.test.ravel(), strict=True):
        assert rows[valid] == test


def same(a, b):
    fixed = {"seconds_per_trial": 0.0}
    one, other = replace(a, **fixed).to_json(), replace(b, **fixed).to_json()
    return one == other and np.array_equal(a.valid, b.valid) and np.array_equal(a.clock, b.clock)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_whatever_the_number_of_processes(table):
    run = partial(benchmark, table, "evolution", queries=30, repeats=6, seed=3, workers=3)
    alone = run(processes=1)
    assert same(alone, run(processes=1))
    assert same(alone, run(processes=2))
    assert same(alone, run())
    assert not same(alone, run(processes=1, workers=2))
    # Run r has the seed `seed + r`.
    later = benchmark(table, "evolution", queries=30, repeats=2, seed=5, workers=3, processes=1)
    assert np.array_equal(later.valid, alone.valid[2:4])


class Vanishing(RandomSearch):
    """Takes its process with it."""

    def propose(self, space, history, rng):
        import os

        os._exit(3)


@pytest.mark.slow
def test_a_process_that_dies_is_told(table):
    with pytest.raises(WorkError, match="processes=1"):
        benchmark(table, Vanishing, queries=3, repeats=1, processes=2)


@pytest.mark.slow
def test_all_architectures_are_seen_and_it_ends(little):
    result = benchmark(little, "random", queries=100, repeats=2, processes=1)
    assert list(result.stopped) == ["all 40 graphs were seen"]
    assert result.optimum[:, -1].all()
    assert result.valid.shape == (2, 100)
    assert (result.regret[:, -1] == 0).all()


@pytest.mark.slow
def test_several_objectives_reach_the_whole_front(little):
    result = benchmark(little, "random", queries=60, repeats=2, objectives=[LOW_COST], processes=1)
    assert result.volume is not None
    assert np.allclose(result.volume[:, -1], 1.0)
    assert (np.diff(result.volume, axis=1) >= 0).all()
    assert (result.volume[:, 0] < 1).all()
    found = result.to_json()
    assert found["hypervolume_mean"] == pytest.approx(1.0)
    assert found["objectives"] == ["maximize valid_acc_200", "minimize flops_M"]


def test_the_front_volume_of_a_table_by_hand(little):
    goal = goal_of(little, [LOW_COST], [])
    losses = np.stack([-little.values["valid_acc_200"], little.values["flops_M"]], axis=1)
    assert goal.reference == tuple(losses.max(axis=0))
    # The area under the staircase, strip by strip.
    xs = np.unique(losses[:, 0])
    area = 0.0
    for left, right in zip(xs, [*xs[1:], goal.reference[0]], strict=True):
        low = losses[losses[:, 0] <= left, 1].min()
        area += (right - left) * max(0.0, goal.reference[1] - low)
    assert front_volume(little, goal) == pytest.approx(area)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_front_is_the_front(objectives):
    rng = np.random.default_rng(objectives)
    losses = rng.integers(0, 9, (200, objectives)).astype(float)
    known = {tuple(losses[i]) for i in nondominated_fronts(losses.tolist())[0]}
    found = _front(losses)
    assert set(found) == known
    assert len(found) == len(known)


@pytest.mark.slow
@pytest.mark.parametrize("few", [1, 2, 3])
def test_few_that_keep_the_limits_still_span_a_volume(little, few):
    bound = float(np.sort(little.values["flops_M"])[few - 1])
    result = benchmark(
        little,
        "random",
        queries=40,
        repeats=1,
        processes=1,
        objectives=[LOW_COST],
        limits=[Limit("flops_M", "<=", bound)],
    )
    assert result.volume is not None
    assert result.volume[0, -1] == pytest.approx(1.0)


@pytest.mark.slow
def test_limits_bound_the_optimum_and_what_is_held(table):
    flops = table.values["flops_M"]
    bound = float(np.median(flops))
    limit = Limit("flops_M", "<=", bound)
    result = benchmark(table, "evolution", queries=300, repeats=2, limits=[limit], processes=1)
    best = table.values["valid_acc_200"][flops <= bound].max()
    assert best < table.values["valid_acc_200"].max()
    assert np.nanmax(result.valid) == best
    assert result.optimum[:, -1].all()
    assert result.to_json()["limits"] == [str(limit)]
    held = set(table.values["valid_acc_200"][flops <= bound])
    assert set(result.valid[np.isfinite(result.valid)]) <= held


def test_nothing_is_held_before_a_limit_is_kept(table):
    least = np.sort(table.values["flops_M"])[1]
    limit = Limit("flops_M", "<=", float(least))
    result = benchmark(table, "random", queries=5, repeats=3, limits=[limit], processes=1)
    assert np.isnan(result.valid).any()
    found = result.to_json()
    assert found["optimum_share"] <= 1
    assert found["valid_mean"] is None or found["valid_mean"] == found["valid_mean"]


class Shorts(RandomSearch):
    """All at 12 epochs, then the best of them in full."""

    def propose(self, space, history, rng):
        if len(history) == 100:
            first = min(history.finished, key=history.losses)
            return Proposal(first.architecture, Fidelity(epochs=200))
        if len(history) > 100:
            return None
        found = super().propose(space, history, rng)
        known = found.architecture if found else history.trials[0].architecture
        return Proposal(known, Fidelity(epochs=12))


@pytest.mark.slow
def test_queries_at_few_epochs_count_as_their_share(early):
    result = benchmark(early, Shorts, queries=7, repeats=2, processes=1)
    # 100 x 12 / 200 are 6 queries, the full one is the seventh.
    assert list(result.stopped) == ["all queries were spent"]
    rows = {v: i for i, v in enumerate(early.values["valid_acc_200"])}
    best = int(np.argmax(early.early[12]["valid_acc_200"]))
    assert np.isnan(result.valid[:, :6]).all(), "short evaluations are no results"
    assert not result.optimum[:, :6].any()
    assert [rows[value] for value in result.valid[:, 6]] == [best, best]
    found = result.to_json()
    assert [one["held_share"] for one in found["curve"]] == [0.0] * 6 + [1.0]
    assert found["curve"][5]["valid_mean"] is None
    assert result.clock[0][-1] > 0


@pytest.mark.slow
def test_short_evaluations_add_nothing_to_the_hypervolume(early):
    result = benchmark(early, Shorts, queries=7, repeats=2, minimize="flops_M", processes=1)
    assert result.volume is not None
    assert (result.volume[:, :6] == 0).all()


def test_spreads_are_of_samples(little):
    result = benchmark(little, "random", queries=5, repeats=4, minimize="flops_M", processes=1)
    found = result.to_json()
    for name in ("valid", "test", "regret", "hypervolume"):
        column = getattr(result, {"hypervolume": "volume"}.get(name, name))[:, -1]
        assert found[f"{name}_std"] == pytest.approx(column.std(ddof=1))
        assert found[f"{name}_sem"] == pytest.approx(column.std(ddof=1) / 2)
    assert found["held_share"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("goal", [{"maximize": "train_acc_200"}, {"limits": {"train_acc_200": 1}}])
def test_what_short_evaluations_do_not_tell_is_refused_to_who_needs_it(tmp_path, goal):
    found = short_schedule(columns(40))
    found["flowers_train_acc_200"] = np.linspace(90, 99, 40)
    table = NB201().read(write(tmp_path / "t.npz", found), "flowers")
    told = []
    with pytest.raises(InputError, match=r"asha.*after 12 epochs, got train_acc_200"):
        compare(table, ["random", "asha"], **goal, on_repeat=lambda *a: told.append(a))
    assert not told
    result = benchmark(table, "random", **goal, queries=5, repeats=2, processes=1)
    assert result.to_json()["held_share"] == 1.0


class Greedy(RandomSearch):
    """Asks for ever."""

    def propose(self, space, history, rng):
        self.planned = history.budget
        return Proposal(space.sample(rng), Fidelity(epochs=12))


@pytest.mark.slow
def test_no_more_is_evaluated_than_the_queries_pay(early):
    goal = goal_of(early, [], [])
    greedy = Greedy()
    run = repeat(early, greedy, goal, queries=3, workers=4, seed=0)
    assert run.trials == 50
    assert greedy.planned == 3
    assert len(run.valid) == 3
    assert Within(greedy, 3, 200).cost(Fidelity(epochs=12)) == pytest.approx(0.06)


class One(Strategy):
    name = "one"
    several_objectives = False

    def propose(self, space, history, rng):
        raise AssertionError("checked before any work")


BAD = [
    ({"queries": 0}, InputError, "queries"),
    ({"queries": 10.5}, InputError, "queries: expected a whole number"),
    ({"queries": "10"}, InputError, "queries: expected a whole number"),
    ({"repeats": True}, InputError, "repeats: expected a whole number"),
    ({"seed": 0.5}, InputError, "seed: expected a whole number"),
    ({"repeats": 0}, InputError, "repeats"),
    ({"repeats": -3}, InputError, "repeats"),
    ({"workers": 0}, InputError, "workers"),
    ({"processes": -1}, InputError, "processes"),
    ({"objectives": [Objective("flops", "minimize")]}, UnknownNameError, "did you mean 'flops_M'"),
    ({"objectives": [LOW_COST, LOW_COST]}, InputError, "each metric once"),
    ({"objectives": [Objective("valid_acc_200", "minimize")]}, InputError, "already the"),
    ({"limits": [Limit("sizes", "<=", 1)]}, UnknownNameError, "did you mean 'size'"),
    ({"limits": [Limit("flops_M", "<=", 1)]}, LimitError, "the least flops_M recorded is"),
    ({"limits": [Limit("valid_acc_200", ">=", 101)]}, LimitError, "the greatest valid_acc_200"),
    ({"strategy": "evolutoin"}, UnknownNameError, "did you mean 'evolution'"),
    ({"strategy": One, "objectives": [LOW_COST]}, InputError, "one objective"),
]


@pytest.mark.parametrize(("changed", "error", "words"), BAD)
def test_refusals(little, changed, error, words):
    arguments = {"strategy": "random", "queries": 5, "repeats": 2, "processes": 1} | changed
    with pytest.raises(error, match=words):
        benchmark(little, **arguments)


def test_two_limits_that_exclude_all_together(little):
    flops = little.values["flops_M"]
    limits = [Limit("flops_M", "<=", float(flops.min())), Limit("valid_acc_200", ">=", 75)]
    with pytest.raises(LimitError, match="those that keep flops_M<="):
        goal_of(little, [], limits)


def test_all_strategies_are_checked_before_the_first_runs(little):
    told = []
    with pytest.raises(UnknownNameError):
        compare(little, ["random", "evolutoin"], on_repeat=lambda *a: told.append(a))
    assert not told
    compare(
        little,
        ["random", "evolution"],
        queries=5,
        repeats=2,
        processes=1,
        on_repeat=lambda *a: told.append(a),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_naming_the_tables_own_objective_changes_nothing(little):
    own = Objective("valid_acc_200", "maximize")
    assert len(goal_of(little, [own], []).objectives) == 1


def test_no_file_and_no_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("ARCHSMITH_DATA", raising=False)
    with pytest.raises(InputError, match="ARCHSMITH_DATA"):
        read_table("nb201")
    with pytest.raises(UnknownNameError, match="did you mean 'nb201'"):
        read_table("nb210")
    monkeypatch.setenv("ARCHSMITH_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"nb201\.npz"):
        read_table("nb201")
    monkeypatch.setenv("ARCHSMITH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="ARCHSMITH_DATA: expected a folder that is there"):
        read_table("nb201")
    monkeypatch.setenv("ARCHSMITH_DATA", str(tmp_path))
    write(tmp_path / "nb201.npz", columns(10))
    assert read_table("nb201").dataset == "flowers"


def test_workers_make_a_run_shorter_on_the_clock(table):
    one, eight = (
        benchmark(table, "random", queries=64, repeats=3, workers=w, processes=1) for w in (1, 8)
    )
    faster = one.clock[:, -1].mean() / eight.clock[:, -1].mean()
    assert 6 < faster <= 8
    assert (np.diff(eight.clock, axis=1) >= 0).all()


@pytest.mark.slow
def test_evolution_is_better_than_random(table):
    found = [
        benchmark(table, name, queries=60, repeats=40, processes=1).regret[:, -1].mean()
        for name in ("random", "evolution")
    ]
    assert found[1] < 0.7 * found[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", strategies.names())
def test_every_strategy_runs(early, name):
    pytest.importorskip("sklearn")
    result = benchmark(early, name, queries=14, repeats=1, workers=2, processes=1)
    assert result.stopped
    assert np.isfinite(result.valid[:, -1]).all()
    found = result.to_json()
    assert {
        "table",
        "dataset",
        "strategy",
        "queries",
        "repeats",
        "valid_mean",
        "test_mean",
        "test_std",
        "optimum_share",
        "seconds_per_trial",
    } <= set(found)


@pytest.mark.slow
def test_what_a_run_holds_does_not_go_by_lucky_short_trainings(early):
    # The first full evaluation replaces whatever short ones promised.
    goal = Goal((early.select,), (), early.optimum)
    run = repeat(early, RegularizedEvolution(4, 2), goal, 10, 1, 0)
    assert len(run.valid) == 10
    rng = random.Random(0)
    assert early.space.sample(rng) in early.architectures
