"""The shipped strategy suite: passes what keeps the contract, catches what does not."""

from __future__ import annotations

import random

import pytest
from study_toys import Climb, Each

from archsmith.errors import SpaceError
from archsmith.space import Space
from archsmith.space.architecture import Architecture
from archsmith.strategy.base import Strategy
from archsmith.testing.strategy import StrategyContract, flat
from archsmith.trial import History, Proposal


class TestClimb(StrategyContract):
    make = staticmethod(lambda: Climb())


class Remembers(Strategy):
    """Keeps state that is not in the history."""

    name = "remembers"

    def __init__(self) -> None:
        self.count = 0

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        self.count += 1
        return Proposal(space.sample(random.Random(self.count // 2)))


class Meddles(Strategy):
    name = "meddles"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        history.seen.clear()
        return Proposal(space.sample(rng))


class Careless(Strategy):
    """Draws from the global generator."""

    name = "careless"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        return Proposal(space.sample(random.Random(random.random())))


class Invents(Strategy):
    """Answers what no decision offers."""

    name = "invents"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        found = space.sample(rng)
        return Proposal(Architecture({**found, next(iter(found)): 99}))


def suite(strategy: type[Strategy]) -> StrategyContract:
    class Suite(StrategyContract):
        make = staticmethod(lambda: strategy())

    return Suite()


def test_hidden_state_is_caught() -> None:
    with pytest.raises(AssertionError):
        suite(Remembers).test_a_new_instance_goes_on_from_the_history(flat)


def test_meddling_is_caught() -> None:
    with pytest.raises(AssertionError):
        suite(Meddles).test_the_history_is_left_alone()


def test_global_randomness_is_caught() -> None:
    state = random.getstate()
    with pytest.raises(AssertionError):
        suite(Careless).test_global_random_state_is_left_alone()
    random.setstate(state)
    with pytest.raises(AssertionError):
        suite(Careless).test_same_history_and_seed_same_proposal(flat)


def test_invented_answers_are_caught() -> None:
    with pytest.raises(SpaceError, match="99"):
        suite(Invents).test_proposals_belong_to_the_space(flat)


def test_a_grid_needs_no_seed() -> None:
    class Grid(StrategyContract):
        make = staticmethod(lambda: Each())
        seeded = False

    Grid().test_the_seed_matters()
    with pytest.raises(AssertionError):
        suite(Each).test_the_seed_matters()
