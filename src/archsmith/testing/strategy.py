"""The contract suite of a strategy. Subclass :class:`StrategyContract` in a test module:

class TestMyStrategy(StrategyContract):
    make = staticmethod(lambda: MyStrategy())
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from ..history.trial import State, as_json
from ..space import Space
from ..space.architecture import Architecture
from ..strategy.base import Strategy
from .elsewhere import walks_elsewhere
from .landscape import reached, reached_by_random, search, sign_test
from .walk import BUILDERS, Walk, continuous, flat, generated, nested, single, tiny

__all__ = [
    "BUILDERS",
    "StrategyContract",
    "Walk",
    "continuous",
    "flat",
    "generated",
    "nested",
    "single",
    "tiny",
]

#: A space without conditions, one with them, and one whose decisions have no end.
_KINDS = [flat, nested, generated]


class StrategyContract:
    """Tests of a strategy. ``make`` gives a new one."""

    #: Proposals of a walk. A strategy with a start-up phase sets more than that phase has.
    steps: ClassVar[int] = 60
    #: Whether proposals depend on the seed; a grid's do not.
    seeded: ClassVar[bool] = True
    #: Whether it claims to be better than random search.
    better: ClassVar[bool] = True
    #: Number of searches to test that claim, and the full evaluations that each may cost.
    seeds: ClassVar[int] = 30
    budget: ClassVar[float] = 60

    @staticmethod
    def make() -> Strategy:
        """A new strategy to test."""
        raise NotImplementedError("a subclass says how to make its strategy")

    def walk(self, builder: Callable[..., Any] = flat, **options: Any) -> Walk:
        return Walk(self.make(), Space(builder), **options)

    def told(self, builder: str) -> list[list[Any]]:
        """The trials of a walk over the space of this builder, as JSON values."""
        walk = self.walk(next(b for b in BUILDERS if b.__name__ == builder))
        walk.go(self.steps)
        return walk.told

    def test_has_a_name(self) -> None:
        assert self.make().name

    @pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.__name__)
    def test_proposals_belong_to_the_space(self, builder: Callable[..., Any]) -> None:
        walk = self.walk(builder)
        architectures = walk.go(self.steps)
        assert architectures, "nothing was proposed"
        for architecture in architectures:
            walk.space.validate(architecture)
            again = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
            assert again == architecture

    @pytest.mark.parametrize("builder", _KINDS, ids=lambda b: b.__name__)
    def test_same_history_and_seed_same_proposal(self, builder: Callable[..., Any]) -> None:
        assert self.told(builder.__name__) == self.told(builder.__name__)

    def test_another_process_gives_the_same_run(self) -> None:
        """Strings hash differently there, so that sets have another order."""
        names = [builder.__name__ for builder in _KINDS]
        for name, trials in zip(names, walks_elsewhere(type(self), names), strict=True):
            assert trials == self.told(name), f"another process proposes other trials for {name}"

    @pytest.mark.parametrize("builder", _KINDS, ids=lambda b: b.__name__)
    def test_a_new_instance_goes_on_from_the_history(self, builder: Callable[..., Any]) -> None:
        through = self.walk(builder)
        expected = through.go(self.steps)
        resumed = self.walk(builder)
        for position in range(self.steps):
            # As if the search were killed after each trial. A new space has to be explored again,
            # which takes longer than most proposals, so it is only replaced now and then.
            resumed.strategy = self.make()
            if position % 5 == 0:
                resumed.space = Space(builder)
            proposal = resumed.step()
            if position >= len(expected):
                assert proposal is None
                break
            assert proposal is not None
        assert resumed.told == through.told

    def test_the_history_is_left_alone(self) -> None:
        walk = self.walk()
        walk.go(self.steps // 2)
        history = walk.history

        def picture() -> Any:
            return (
                [as_json(t) for t in history.trials],
                [t.number for t in history.finished],
                list(history.running),
                set(history.seen),
            )

        before = picture()
        walk.strategy.propose(walk.space, history, random.Random(5))
        assert picture() == before

    def test_global_random_state_is_left_alone(self) -> None:
        state = random.getstate()
        self.walk().go(self.steps)
        assert random.getstate() == state

    def test_the_seed_matters(self) -> None:
        walk = self.walk()
        architectures = set()
        for seed in range(20):
            proposal = walk.strategy.propose(walk.space, walk.history, random.Random(seed))
            assert proposal is not None
            architectures.add(proposal.architecture)
        assert len(architectures) > 1 or not self.seeded

    @pytest.mark.parametrize("lag", [1, 3, 8])
    def test_trials_may_be_running(self, lag: int) -> None:
        walk = self.walk(lag=lag)
        architectures = walk.go(self.steps)
        assert len(architectures) > lag
        for architecture in architectures:
            walk.space.validate(architecture)

    @pytest.mark.parametrize("state", [State.FAILED, State.PRUNED])
    def test_trials_may_fail(self, state: State) -> None:
        walk = self.walk()
        for architecture in walk.go(self.steps, state):
            walk.space.validate(architecture)
        assert len(walk.history) > 1

    def test_some_trials_may_fail(self) -> None:
        walk = self.walk()
        ends = [State.FINISHED, State.FAILED, State.PRUNED]
        for position in range(self.steps):
            walk.step(ends[position % 3])
        assert len(walk.history.finished) > 1

    def test_several_objectives(self) -> None:
        strategy = self.make()
        if not strategy.several_objectives:
            pytest.skip(f"{strategy.name} optimises one objective")
        architectures = self.walk(objectives=2).go(self.steps)
        assert len(architectures) > 1

    def test_a_small_space_comes_to_an_end_or_repeats(self) -> None:
        walk = self.walk(tiny)
        architectures = walk.go(40)
        assert len(architectures) >= 2
        assert len(set(architectures)) <= 4

    def test_better_than_random(self) -> None:
        """Against random search at equal cost on a landscape of 4,096 with a known optimum.

        For each seed both search; the one with the greater height among its full evaluations wins,
        and ties are left out. Short evaluations, which are a noisy view of full ones, cost their
        epochs. The error rate is below 1%: a strategy that is only as good as random search passes
        this sign test with that probability.
        """
        if not self.better:
            pytest.skip(f"{self.make().name} does not claim it")
        wins = losses = 0
        for seed in range(self.seeds):
            ours = reached(search(self.make(), seed, self.budget))
            theirs = reached_by_random(seed, self.budget)
            wins, losses = wins + (ours > theirs), losses + (ours < theirs)
        assert sign_test(wins, losses) < 0.01, f"better in {wins}, worse in {losses}"
