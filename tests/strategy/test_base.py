"""What strategies share: memos over histories, and fresh draws."""

from __future__ import annotations

import gc
import random

import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.history.objective import Objective
from archsmith.history.trial import History, State, Trial
from archsmith.space import Space, graph_form
from archsmith.strategy import HistoryCache, Strategy, sample_unseen, strategies
from archsmith.strategy.random import RandomSearch

GOAL = [Objective("x", "maximize")]


@graph_form(lambda architecture: "".join(sorted(map(str, architecture.values()))))
def unordered() -> nn.Module:
    """27 spellings, 10 multisets."""
    for name in "abc":
        nas.choose(name, [0, 1, 2])
    return nn.Identity()


class Seen:
    """Remembers what it took."""

    made = 0

    def __init__(self, space: Space, history: History) -> None:
        type(self).made += 1
        self.taken: list[int] = []

    def take(self, trial: Trial) -> None:
        self.taken.append(trial.number)


def begun(history: History, space: Space, count: int) -> list[Trial]:
    rng = random.Random(len(history))
    made = [Trial(len(history) + i, space.sample(rng)) for i in range(count)]
    for trial in made:
        history.add(trial)
    return made


def end(history: History, trial: Trial, state: State = State.FINISHED) -> None:
    trial.state, trial.metrics = state, {"x": 0.0}
    history.close(trial)


def test_a_memo_catches_up_in_order_of_ending():
    space, history = Space(unordered), History(GOAL)
    memo: HistoryCache[Seen] = HistoryCache(Seen)
    assert memo.at(space, history).taken == []
    a, b, c, d = begun(history, space, 4)
    end(history, c)
    end(history, a, State.FAILED)
    state = memo.at(space, history)
    assert state.taken == [2, 0]
    assert memo.at(space, history) is state
    end(history, d, State.PRUNED)
    end(history, b)
    assert memo.at(space, history) is state
    assert state.taken == [2, 0, 3, 1], "each once, whatever its end"


def test_a_memo_of_another_history_or_space_is_made_anew():
    space, history, other = Space(unordered), History(GOAL), History(GOAL)
    for where in (history, other):
        for trial in begun(where, space, 3):
            end(where, trial)
    memo: HistoryCache[Seen] = HistoryCache(Seen)
    first = memo.at(space, history)
    second = memo.at(space, other)
    assert second is not first
    assert second.taken == [0, 1, 2]
    assert memo.at(space, history) is not first, "it remembers one"
    third = memo.at(Space(unordered), history)
    assert third.taken == [0, 1, 2]


@pytest.mark.slow
def test_a_memo_holds_no_history_alive():
    space, memo = Space(unordered), HistoryCache(Seen)
    before = Seen.made
    for count in (2, 5):
        history = History(GOAL)
        for trial in begun(history, space, count):
            end(history, trial)
        assert memo.at(space, history).taken == list(range(count))
        del history
        gc.collect()
    assert Seen.made == before + 2


def test_fresh_draws_each_graph_once_and_then_nothing():
    space = Space(unordered)
    history = History(GOAL, key=space.canonical)
    rng = random.Random(0)
    found = []
    while (architecture := sample_unseen(space, history, lambda: space.sample(rng))) is not None:
        trial = Trial(len(history), architecture)
        history.add(trial)
        found.append(space.canonical(architecture))
    assert len(found) == len(set(found)) == 10


def test_fresh_leaves_narrow_draws():
    space = Space(unordered)
    history = History(GOAL, key=space.canonical)
    first = space.default()
    history.add(Trial(0, first))
    found = sample_unseen(space, history, lambda: first)
    assert found is not None
    assert history.new(found)


class One(RandomSearch):
    name = "one"
    several_objectives = False


def test_one_objective_alone_is_refused_more():
    space = Space(unordered)
    One().check(space, History(GOAL))
    with pytest.raises(InputError, match=r"one objective, got 2 \(x, y\)"):
        One().check(space, History([*GOAL, Objective("y", "minimize")]))
    assert Strategy.several_objectives


def test_a_memo_learns_anew_after_an_error():
    class Fails(Seen):
        failing = True

        def take(self, trial: Trial) -> None:
            super().take(trial)
            if Fails.failing and trial.number == 1:
                raise nas.SpaceError("here", "something else")

    space, history = Space(unordered), History(GOAL)
    for trial in begun(history, space, 3):
        end(history, trial)
    memo: HistoryCache[Fails] = HistoryCache(Fails)
    with pytest.raises(nas.SpaceError):
        memo.at(space, history)
    Fails.failing = False
    assert memo.at(space, history).taken == [0, 1, 2], "each once"


@graph_form(lambda architecture: str(architecture["a"]))
def spellings() -> nn.Module:
    """Three graphs, four to the twentieth spellings of each."""
    nas.choose("a", [0, 1, 2])
    for place in range(20):
        nas.choose(f"x{place}", [0, 1, 2, 3])
    return nn.Identity()


def test_fresh_ends_where_few_graphs_have_many_spellings():
    space = Space(spellings)
    history = History(GOAL, key=space.canonical)
    rng = random.Random(0)
    for number in range(3):
        found = sample_unseen(space, history, lambda: space.sample(rng))
        assert found is not None
        history.add(Trial(number, found))
    assert sample_unseen(space, history, lambda: space.sample(rng)) is None


def test_fresh_lists_what_is_hardly_ever_drawn():
    """A large space whose draws nearly always stop at once does not end a study."""

    def deep() -> nn.Module:
        for place in range(30):
            if nas.choose(f"stop{place}", [True, False]):
                break
        return nn.Identity()

    space = Space(deep)
    history = History(GOAL, key=space.canonical)
    rng, number = random.Random(0), 0
    while (found := sample_unseen(space, history, lambda: space.sample(rng))) is not None:
        assert history.new(found)
        history.add(Trial(number, found))
        number += 1
    assert number == 31


@pytest.mark.slow
def test_fresh_passes_over_what_the_builder_refuses():
    def picky() -> nn.Module:
        a = nas.choose("a", [0, 1, 2, 3])
        nas.choose(f"b{a}", [0, 1])
        if a > 1:
            raise ValueError("too large")
        return nn.Identity()

    space = Space(picky)
    history = History(GOAL, key=space.canonical)
    rng, found = random.Random(0), []
    while (architecture := sample_unseen(space, history, lambda: space.sample(rng))) is not None:
        history.add(Trial(len(history), architecture))
        found.append((architecture["a"], *list(architecture.values())[1:]))
    assert sorted(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("name", ["evolution", "genetic", "nsga2"])
@pytest.mark.parametrize("population", ["10", 10.5, True, None])
def test_populations_are_whole_numbers(name, population):
    with pytest.raises(InputError, match="population"):
        strategies.get(name)(population=population)
