"""Limits, Pareto order, histories."""

from __future__ import annotations

import itertools
import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archsmith as nas
from archsmith.history.objective import crowding, dominates, nondominated, nondominated_fronts
from archsmith.history.trial import History, State, Trial

vectors = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=25)


@given(vectors)
def test_fronts_by_definition(losses):
    fronts = nondominated_fronts(losses)
    assert sorted(itertools.chain(*fronts)) == list(range(len(losses)))
    rest = set(range(len(losses)))
    for front in fronts:
        by_definition = {i for i in rest if not any(dominates(losses[j], losses[i]) for j in rest)}
        assert set(front) == by_definition
        rest -= by_definition


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_front_alone_is_the_first_of_the_fronts(objectives):
    assert nondominated([]) == []
    for seed in range(40):
        rng = random.Random(seed)
        losses = [
            tuple(rng.choice([0, 1, 2, 3, math.inf]) for _ in range(objectives)) for _ in range(30)
        ]
        assert nondominated(losses) == nondominated_fronts(losses)[0]


def test_the_front_of_three_objectives_is_fast():
    rng = random.Random(0)
    losses = [tuple(rng.random() for _ in range(3)) for _ in range(3000)]
    began = time.process_time()
    nondominated(losses)
    assert time.process_time() - began < 1.0, "the fronts of all take ten times as long"


def test_crowding_of_a_known_front():
    distance = crowding([(0, 4), (1, 2), (2, 1), (4, 0)])
    assert distance == [math.inf, 2 / 4 + 3 / 4, 3 / 4 + 2 / 4, math.inf]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params<=200k", nas.Limit("params", "<=", 200_000)),
        ("flops <= 1.5G", nas.Limit("flops", "<=", 1.5e9)),
        ("accuracy>=0.9", nas.Limit("accuracy", ">=", 0.9)),
        ("latency_ms<=1e-2", nas.Limit("latency_ms", "<=", 0.01)),
    ],
)
def test_limits_are_read(text, expected):
    assert nas.Limit.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["params<200", "params", "<=3", "params<=abc", "params<=1.2.3", "a>=1e999", "a<=1e308G"],
)
def test_limits_that_cannot_be_read(text):
    with pytest.raises(nas.InputError):
        nas.Limit.parse(text)


@pytest.mark.parametrize(
    ("bound", "told"),
    [
        (1234567, "1234567"),
        (200_000.0, "200000"),
        (0.005, "0.005"),
        (1e9, "1000000000"),
        (-2.5, "-2.5"),
        (1e15, "1e+15"),
        (0.1 + 0.2, "0.3"),
    ],
)
def test_bounds_are_told_exactly_up_to_twelve_digits(bound, told):
    assert str(nas.Limit("params", "<=", bound)) == f"params<={told}"


def test_violation_is_relative_and_missing_metrics_break_nothing():
    limit = nas.Limit("params", "<=", 100)
    assert limit.violation({"params": 150}) == 0.5
    assert limit.violation({"params": 100}) == 0.0
    assert limit.violation({}) == 0.0
    assert limit.violation({"params": math.nan}) == math.inf


def history(*rows: dict[str, float], limits=()) -> History:
    objectives = [nas.Objective("accuracy", "maximize"), nas.Objective("latency_ms", "minimize")]
    made = History(objectives, limits)
    for number, metrics in enumerate(rows):
        trial = Trial(number, nas.Architecture({"n": number}), state=State.FINISHED)
        trial.metrics = metrics
        made.add(trial)
        made.close(trial)
    return made


def test_front_and_best_of_a_history():
    rows = [
        {"accuracy": 0.9, "latency_ms": 5, "params": 10},
        {"accuracy": 0.8, "latency_ms": 1, "params": 10},
        {"accuracy": 0.7, "latency_ms": 2, "params": 10},
        {"accuracy": 0.99, "latency_ms": 9, "params": 99},
        {"accuracy": math.nan, "latency_ms": 0, "params": 1},
    ]
    free = history(*rows)
    assert [t.number for t in free.front()] == [3, 0, 1]
    assert free.best().number == 3
    limited = history(*rows, limits=[nas.Limit("params", "<=", 50)])
    assert [t.number for t in limited.front()] == [0, 1]
    assert limited.ranked(limited.finished)[-1].number == 3
    assert history().best() is None


def test_two_objectives_are_swept_into_the_same_fronts():
    import random

    from archsmith.history.objective import dominates, nondominated_fronts

    for seed in range(60):
        rng = random.Random(seed)
        vectors = [(rng.randrange(6), rng.choice([0, 1, 2.5, math.inf])) for _ in range(25)]
        left, expected = set(range(25)), []
        while left:
            front = [i for i in left if not any(dominates(vectors[j], vectors[i]) for j in left)]
            expected.append(sorted(front))
            left -= set(front)
        assert nondominated_fronts(vectors) == expected
        assert nondominated_fronts([v[:1] for v in vectors]) == [
            [i for i in range(25) if vectors[i][0] == value]
            for value in sorted({v[0] for v in vectors})
        ]
        wider = [(*v, 0.0) for v in vectors]
        assert nondominated_fronts(wider) == expected
