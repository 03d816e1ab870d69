"""The shipped strategy suite: passes what keeps the contract, catches what does not."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import pytest
from study_toys import Climb, Each, Spread

from archsmith._support.errors import SpaceError
from archsmith.history.trial import Fidelity, History, Proposal
from archsmith.space import Space
from archsmith.space.architecture import Architecture
from archsmith.strategy.base import Strategy
from archsmith.strategy.grid import GridSearch
from archsmith.testing.landscape import OPTIMUM, height, hills, look, reached, search, sign_test
from archsmith.testing.strategy import StrategyContract, flat


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


class Hashes(Strategy):
    """Draws by the hash of a string, which each process has its own of."""

    name = "hashes"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        return Proposal(space.sample(random.Random(hash(f"trial {len(history)}"))))


class HashesSuite(StrategyContract):
    make = staticmethod(Hashes)


class StaysHome(Strategy):
    """Works where a test has said so alone."""

    name = "stays-home"
    at_home = False

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        assert self.at_home, "far from home"
        return Proposal(space.sample(rng))


class StaysHomeSuite(StrategyContract):
    make = staticmethod(StaysHome)


class Shallow(Strategy):
    """Looks at everything for one epoch and never at anything in earnest."""

    name = "shallow"

    def propose(self, space: Space, history: History, rng: random.Random) -> Proposal | None:
        return Proposal(space.sample(rng), Fidelity(epochs=1))


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


@pytest.mark.slow
def test_sameness_here_is_not_sameness_elsewhere() -> None:
    HashesSuite().test_same_history_and_seed_same_proposal(flat)
    with pytest.raises(AssertionError, match="another process proposes other trials for flat"):
        HashesSuite().test_another_process_gives_the_same_run()


def test_what_fails_elsewhere_is_told(monkeypatch) -> None:
    monkeypatch.setattr(StaysHome, "at_home", True)
    with pytest.raises(AssertionError, match=r"(?s)another process failed.*far from home"):
        StaysHomeSuite().test_another_process_gives_the_same_run()
    with pytest.raises(AssertionError, match="inside a function"):
        suite(Climb).test_another_process_gives_the_same_run()


STRANGER = """
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.testing.strategy import StrategyContract

class TestMine(StrategyContract):
    make = staticmethod(RegularizedEvolution)
"""


@pytest.mark.processes
@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_a_test_module_of_elsewhere_finds_its_way(mode, tmp_path) -> None:
    folder = tmp_path / "tests" / "inner"
    folder.mkdir(parents=True)
    (folder / "test_mine.py").write_text(STRANGER)
    command = [sys.executable, "-m", "pytest", "-q", "-k", "another", "--import-mode", mode]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "tests"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Spread, Shallow, Each])
def test_what_is_no_better_than_random_is_caught(strategy) -> None:
    with pytest.raises(AssertionError, match="better in"):
        suite(strategy).test_better_than_random()


def test_short_evaluations_cost_their_epochs() -> None:
    history = search(Shallow(), 0, 2)
    assert len(history) == 2 * 27
    assert reached(history) == 0.0
    assert len(search(Spread(), 0, 2)) == 2


def test_the_optimum_is_known_and_grid_finds_it() -> None:
    space = Space(hills)
    heights = sorted(height(a) for a in space.enumerate())
    assert len(heights) == 4096
    assert heights[-2] < heights[-1] == 1.0
    history = search(GridSearch(), 0, 4096, space)
    assert len(history) == 4096
    assert reached(history) == 1.0
    found = max(history.finished, key=lambda t: t.metrics["accuracy"])
    assert tuple(found.architecture.values()) == OPTIMUM


def test_short_looks_are_blurred_and_repeatable() -> None:
    drawn = [Space(hills).sample(random.Random(i)) for i in range(300)]
    assert [look(a, 27) for a in drawn] == [height(a) for a in drawn]
    off = {e: [look(a, e) - height(a) for a in drawn] for e in (1, 3, 9)}
    assert off[1] == [look(a, 1) - height(a) for a in drawn]
    spread = [math.sqrt(sum(x * x for x in off[e]) / 300) for e in (1, 3, 9)]
    assert spread == pytest.approx([0.1 * (1 - e / 27) for e in (1, 3, 9)], rel=0.15)


@pytest.mark.parametrize("seeds", [7, 12, 15, 20, 30])
def test_the_error_rate_is_below_one_percent(seeds) -> None:
    """Of an equal of random search, whatever the chance of a tie."""
    for tie in (0.0, 0.3):
        win, passes = (1 - tie) / 2, 0.0
        for wins in range(seeds + 1):
            for losses in range(seeds + 1 - wins):
                ties = seeds - wins - losses
                ways = math.comb(seeds, wins) * math.comb(seeds - wins, losses)
                if sign_test(wins, losses) < 0.01:
                    passes += ways * win ** (wins + losses) * tie**ties
        assert 0 < passes < 0.01
