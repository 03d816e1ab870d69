"""All faults of a space, each with the fewest decisions that lead there."""

from __future__ import annotations

import math
import random

import pytest
from torch import nn

import archsmith as nas
from archsmith.study.faults import FaultFinder


def chain(broken):
    """A builder of eight decisions with four answers; ``broken`` says which answers fail."""

    def builder():
        answers = {f"d{i}": nas.choose(f"d{i}", [0, 1, 2, 3]) for i in range(8)}
        if answers["d0"] == 2:
            answers["extra"] = nas.choose("extra", ["fine", "bad"])
        return Answers(answers, broken)

    return nas.Space(builder)


class Answers(nn.Module):
    def __init__(self, answers, broken):
        super().__init__()
        self.answers, self.broken = answers, broken


def check(model, architecture):
    reason = model.broken(model.answers)
    if reason:
        raise ValueError(reason)


def explore(broken, draws=60):
    space = chain(broken)
    finder = FaultFinder(space, check, random.Random(0))
    visits = list(finder.cover(math.inf))
    rng = random.Random(1)
    for _ in range(draws):
        finder.draw(lambda: space.sample(rng))
    return finder, visits, [dict(fault.answers) for fault in finder.faults]


def test_every_answer_of_every_decision_is_tried():
    finder, visits, faults = explore(lambda a: "", draws=0)
    assert {(v.decision.name, v.answer) for v in visits} == {
        *((f"d{i}", j) for i in range(8) for j in range(4)),
        ("extra", "fine"),
        ("extra", "bad"),
    }
    assert faults == []
    assert finder.unexplained == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "faults"),
    [
        (lambda a: "x" if a["d3"] == 1 else "", [{"d3": 1}]),
        (lambda a: "x" if a.get("extra") == "bad" else "", [{"d0": 2, "extra": "bad"}]),
        # A default that the fault needs is named as well.
        (lambda a: "x" if a["d3"] == 1 and a["d5"] == 0 else "", [{"d3": 1, "d5": 0}]),
        # No single change from the default shows this one: samples do.
        (lambda a: "x" if a["d3"] == 1 and a["d5"] == 2 else "", [{"d3": 1, "d5": 2}]),
    ],
)
def test_a_fault_is_told_by_the_fewest_decisions(broken, faults):
    assert explore(broken)[2] == faults


def test_one_fault_does_not_hide_another():
    def broken(answers):
        if answers["d0"] == 1:
            return "first"
        # Where it fails, the other one would nearly always be met as well.
        return "second" if answers["d1"] == 3 and answers["d2"] == 3 else ""

    finder, _, faults = explore(broken)
    assert faults == [{"d0": 1}, {"d1": 3, "d2": 3}]
    assert [fault.reason for fault in finder.faults] == ["ValueError: first", "ValueError: second"]
    assert finder.unexplained == 0


@pytest.mark.slow
def test_a_fault_is_found_behind_another_one():
    def broken(answers):
        if answers["d0"] != 0 and answers["d1"] != 0:
            return "before"
        return "behind" if answers["d2"] == answers["d3"] == 3 else ""

    faults = explore(broken, draws=300)[2]
    assert {"d2": 3, "d3": 3} in faults
    assert len(faults) == 1 + 9


def test_a_default_that_fails_is_told_by_the_answer_that_makes_it():
    assert explore(lambda a: "x" if a["d4"] == 0 else "")[2] == [{"d4": 0}]


def test_a_walk_stops_when_time_is_over():
    space = chain(lambda a: "")
    finder = FaultFinder(space, check, random.Random(0))
    assert list(finder.cover(-math.inf)) == []
