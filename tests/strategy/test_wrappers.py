"""Wrappers: no graph twice, and nothing that is known to break a limit."""

from __future__ import annotations

import math
import random

import pytest

import archsmith as nas
from archsmith.history.trial import History, Proposal, State, Trial
from archsmith.space import Space, choose, graph_form, integer
from archsmith.strategy.advised import Advised
from archsmith.strategy.distinct import Distinct
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.strategy.grid import GridSearch
from archsmith.strategy.keep_limits import KeepLimits
from archsmith.strategy.race import Race
from archsmith.strategy.random import RandomSearch
from archsmith.strategy.start import StartFrom
from archsmith.testing.strategy import StrategyContract

ACCURACY = [nas.Objective("accuracy", "maximize")]


@graph_form(lambda architecture: "".join(sorted(str(a) for a in architecture.values())))
def bag():
    """Three letters of which the order does not matter: 10 graphs, 27 spellings."""
    from torch import nn

    for i in range(3):
        choose(f"letter{i}", ["a", "b", "c"])
    return nn.Identity()


class Draws(nas.Strategy):
    """Draws without a look at the history."""

    name = "draws"

    def propose(self, space, history, rng):
        return Proposal(space.sample(rng))


class TestDistinct(StrategyContract):
    make = staticmethod(lambda: Distinct(RegularizedEvolution()))


class FromDefault(StartFrom):
    """Starts from the default of whatever space it meets, as a search does."""

    def __init__(self):
        super().__init__([], RegularizedEvolution())

    def propose(self, space, history, rng):
        return StartFrom([space.default()], self.then).propose(space, history, rng)


class TestStartFrom(StrategyContract):
    seeded = False  # where it begins
    make = staticmethod(FromDefault)


class TestKeepLimits(StrategyContract):
    make = staticmethod(lambda: KeepLimits(RegularizedEvolution(), lambda a: {"params": 0.0}))


def test_what_wraps_a_race_begins_where_it_does():
    history = History(ACCURACY, epochs=(1, 3, 9))
    wrapped = [Distinct(Race()), KeepLimits(Race()), Advised(Race(), most_of("3"))]
    assert [w.entry(history) for w in wrapped] == [nas.Fidelity(epochs=1)] * 3
    started = StartFrom([Space(bag).default()], wrapped[1]).propose(
        Space(bag), history, random.Random(0)
    )
    assert started is not None
    assert started.fidelity == nas.Fidelity(epochs=1)
    assert RegularizedEvolution().entry(history) is None


def most_of(letter):
    """Advice that likes architectures with many of a letter or number."""
    return lambda architectures: [
        sum(str(answer) == letter for answer in a.values()) for a in architectures
    ]


class TestAdvised(StrategyContract):
    better = False  # with this advice, which has nothing to do with the suite's landscape
    make = staticmethod(lambda: Advised(RegularizedEvolution(), most_of("3")))


def filled(strategy, space, count, limits=()):
    history = History(ACCURACY, limits, key=space.canonical)
    for number in range(count):
        proposal = strategy.propose(space, history, random.Random(number))
        if proposal is None:
            break
        trial = Trial(number, proposal.architecture, proposal.fidelity or nas.Fidelity())
        trial.state, trial.metrics = State.FINISHED, {"accuracy": number / count}
        history.add(trial)
        history.close(trial)
    return history


def test_distinct_tries_each_graph_once_and_ends():
    space = Space(bag)
    plain = filled(Draws(), space, 40)
    assert len(plain.seen) < len(plain.trials)
    history = filled(Distinct(Draws()), space, 40)
    assert len(history.trials) == len(history.seen) == 10


def test_distinct_lets_a_promotion_through():
    class Promotes(nas.Strategy):
        name = "promotes"

        def propose(self, space, history, rng):
            return Proposal(space.default(), nas.Fidelity(epochs=len(history) + 1))

    history = filled(Distinct(Promotes()), Space(bag), 3)
    assert [t.fidelity.epochs for t in history.trials] == [1, 2, 3]


def test_distinct_counts_open_epochs_as_the_full_evaluation():
    space = Space(bag)
    history = History(ACCURACY, key=space.canonical, epochs=(1, 9))
    strategy = Distinct(RegularizedEvolution())
    trial = Trial(0, space.default(), nas.Fidelity(epochs=9), state=State.RUNNING)
    again = Proposal(space.default(), nas.Fidelity())
    history.add(trial)
    assert not strategy._new(again, space, history), "while it runs"
    trial.state, trial.metrics = State.FINISHED, {"accuracy": 0.0}
    history.close(trial)
    assert not strategy._new(again, space, history)


def test_distinct_makes_the_key_of_a_trial_once():
    made = []
    space = Space(bag)

    def key(architecture):
        made.append(architecture)
        return space.canonical(architecture)

    class Promotes(nas.Strategy):
        name = "promotes"

        def propose(self, space, history, rng):
            return Proposal(space.default(), nas.Fidelity(epochs=len(history) + 1))

    history, strategy = History(ACCURACY, key=key), Distinct(Promotes())
    for number in range(50):
        proposal = strategy.propose(space, history, random.Random(number))
        trial = Trial(number, proposal.architecture, proposal.fidelity)
        trial.state, trial.metrics = State.FINISHED, {"accuracy": 0.0}
        history.add(trial)
        history.close(trial)
    assert len(made) <= 4 * 50


def count_a(architecture):
    return {"params": float(sum(answer == "a" for answer in architecture.values()))}


def test_keep_limits_proposes_only_what_keeps_them():
    limit = nas.Limit("params", "<=", 0.0)
    space = Space(bag)
    plain = filled(Draws(), space, 30, [limit])
    assert any(count_a(t.architecture)["params"] for t in plain.trials)
    kept = filled(KeepLimits(Draws(), count_a), space, 30, [limit])
    assert not any(count_a(t.architecture)["params"] for t in kept.trials)


def test_keep_limits_takes_the_nearest_where_nothing_keeps_them():
    limit = nas.Limit("params", ">=", 9.0)
    history = filled(KeepLimits(Draws(), count_a), Space(bag), 10, [limit])
    assert [count_a(t.architecture)["params"] for t in history.trials] == [
        3,
        2,
        2,
        *3 * [1],
        *4 * [0],
    ]


def widths():
    """Eight widths; that their product is in a narrow band is true of one in some thousands."""
    from torch import nn

    for i in range(8):
        integer(f"w{i}", 2, 40)
    return nn.Identity()


def product(architecture):
    return {"params": float(math.prod(architecture.values()))}


def test_keep_limits_goes_on_from_what_comes_near():
    band = [nas.Limit("params", "<=", 1.01e10), nas.Limit("params", ">=", 1e10)]
    history = filled(KeepLimits(Draws(), product), Space(widths), 8, band)
    assert all(1e10 <= product(t.architecture)["params"] <= 1.01e10 for t in history.trials)
    assert len({t.architecture for t in history.trials}) == 8


def ten():
    from torch import nn

    choose("size", list(range(10)))
    return nn.Identity()


@pytest.mark.parametrize("strategy", [RandomSearch, GridSearch])
def test_keep_limits_tries_nothing_twice_and_ends(strategy):
    """First what keeps the limit, then the strategy goes on by itself."""
    limit = nas.Limit("params", "<=", 3.0)
    wrapped = KeepLimits(strategy(), lambda a: {"params": 10.0 - a["size"]})
    history = filled(wrapped, Space(ten), 30, [limit])
    tried = [t.architecture["size"] for t in history.trials]
    assert sorted(tried) == list(range(10))
    assert set(tried[:3]) == {7, 8, 9}


@pytest.mark.parametrize(
    "make", [lambda: Distinct(Draws(), 0), lambda: KeepLimits(Draws(), count_a, 0)]
)
def test_tries_are_checked(make):
    with pytest.raises(nas.InputError, match="tries"):
        make()


def flat():
    """125 architectures."""
    from torch import nn

    for name in "abc":
        choose(name, [0, 1, 2, 3, 4])
    return nn.Identity()


def test_a_warm_start_takes_the_best_of_the_pool_by_advice_and_ends():
    space, likes = Space(flat), most_of("4")
    strategy = Advised(RandomSearch(), likes, warm=4, pool=200, among=1)
    trials = filled(strategy, space, 30).trials
    started = trials[:4]  # the first one is the best of a pool of its own, and of the other one
    # 200 draws of 125 hold nearly all of the 13 with two or three fours.
    assert all(likes([t.architecture])[0] >= 2 for t in started)
    rest = [likes([t.architecture])[0] for t in trials[4:]]
    assert sum(rest) / len(rest) < 1.0  # three decisions, each a four once in five


def test_a_pick_that_breaks_a_limit_is_made_up_for():
    space, likes = Space(flat), most_of("4")
    history = History(ACCURACY, [nas.Limit.parse("params<=2")], key=space.canonical)
    strategy, rng = Advised(RandomSearch(), likes, warm=3, pool=200), random.Random(0)
    for number in range(12):
        proposal = strategy.propose(space, history, rng)
        trial = Trial(number, proposal.architecture, seed=number, note=proposal.note)
        history.add(trial)
        # Three fours are too many; what is left has two.
        trial.metrics = {"params": likes([trial.architecture])[0], "accuracy": 0.5}
        trial.state = State.PRUNED if trial.metrics["params"] > 2 else State.FINISHED
        history.close(trial)
    picks = [t for t in history.trials if t.note == "warm start by advice"]
    kept = [t for t in picks if t.state is State.FINISHED]
    assert len(kept) == 3
    assert len(picks) == 3 + sum(t.state is State.PRUNED for t in picks)
    assert any(t.state is State.PRUNED for t in picks)
    assert history.trials[-1] not in picks


def test_a_start_ends_whose_trials_break_a_limit_after_their_training():
    """As one on accuracy: each was paid for, and what comes next is the strategy's."""
    space = Space(flat)
    strategy = Advised(RandomSearch(), most_of("4"), warm=3, pool=50)
    history = filled(strategy, space, 12, [nas.Limit.parse("accuracy>=2")])
    assert not history.front()
    fours = [most_of("4")([t.architecture])[0] for t in history.trials]
    assert min(fours[:3]) >= 1
    assert min(fours[3:]) == 0


def test_of_several_proposals_the_advice_chooses():
    space, likes = Space(flat), most_of("4")

    def mean(among):
        trials = filled(Advised(RandomSearch(), likes, warm=0, among=among), space, 40).trials
        return sum(likes([t.architecture])[0] for t in trials) / len(trials)

    # The largest of eight draws of a binomial (3, 1/5) is 1.6 on average, one draw is 0.6.
    assert mean(1) < 0.9 < 1.2 < mean(8)


def test_advice_that_says_nothing_leaves_a_strategy_as_it_is():
    space = Space(flat)
    alone = filled(RegularizedEvolution(), space, 30)
    advised = filled(Advised(RegularizedEvolution(), most_of("x"), warm=0, among=1), space, 30)
    assert [t.architecture for t in advised.trials] == [t.architecture for t in alone.trials]


def test_a_proposal_at_a_higher_fidelity_is_not_held_up():
    space = Space(flat)
    history = filled(RandomSearch(), space, 5)
    known = history.trials[0].architecture

    class Raises(nas.Strategy):
        name = "raises"

        def propose(self, space, history, rng):
            return Proposal(known, nas.Fidelity(9))

    found = Advised(Raises(), most_of("4"), warm=0).propose(space, history, random.Random(0))
    assert found == Proposal(known, nas.Fidelity(9))


@pytest.mark.parametrize(
    ("wrong", "place"),
    [({"warm": -1}, "warm"), ({"warm": 5, "pool": 4}, "pool"), ({"among": 0}, "among")],
)
def test_advised_says_which_number_is_wrong(wrong, place):
    with pytest.raises(nas.InputError, match=f"advised, {place}"):
        Advised(RandomSearch(), most_of("4"), **wrong)
