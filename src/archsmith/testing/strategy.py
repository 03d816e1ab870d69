"""What every strategy must do. Subclass :class:`StrategyContract` in a test module:

class TestMyStrategy(StrategyContract):
    make = staticmethod(lambda: MyStrategy())
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from ..objective import Limit, Objective
from ..space import Space, choose, integer, one_of, real, repeat
from ..space.architecture import Architecture
from ..strategy.base import Strategy
from ..trial import Fidelity, History, Proposal, State, Trial, as_json


def _nothing() -> Any:
    from torch import nn

    return nn.Identity()


def flat() -> Any:
    """125 architectures, no conditions."""
    for name in "abc":
        choose(name, [0, 1, 2, 3, 4])
    return _nothing()


def nested() -> Any:
    """Conditional decisions, a repeated block and ranges."""
    integer("width", 8, 64, step=8)

    def wide() -> Any:
        choose("kernel", [3, 5, 7])
        return _nothing()

    repeat("depth", [1, 2, 3], lambda i: one_of("op", {"wide": wide, "skip": _nothing}))
    return _nothing()


def continuous() -> Any:
    """A range of real numbers."""
    real("rate", 1e-4, 1e-1, log=True)
    choose("on", [False, True])
    return _nothing()


def tiny() -> Any:
    """Four architectures."""
    choose("a", [0, 1])
    choose("b", [0, 1])
    return _nothing()


def single() -> Any:
    """One architecture, nothing to change."""
    choose("a", ["only"])
    return _nothing()


BUILDERS = [flat, nested, continuous, tiny, single]


def score(architecture: Architecture) -> float:
    """A fixed number in [0, 1) for each architecture."""
    return int(architecture.id[:6], 16) / 16**6


class Walk:
    """Lets a strategy propose and ends its trials, as a study would.

    ``lag`` trials are left running, as with that many more workers.
    """

    def __init__(
        self,
        strategy: Strategy,
        space: Space,
        objectives: int = 1,
        lag: int = 0,
        epochs: tuple[int, ...] = (1, 3, 9),
    ) -> None:
        goals = [Objective("accuracy", "maximize"), Objective("params", "minimize")]
        self.strategy, self.space, self.lag = strategy, space, lag
        self.history = History(
            goals[:objectives],
            [Limit("params", "<=", 0.9)],
            key=space.canonical,
            epochs=epochs,
        )

    def step(self, state: State = State.FINISHED) -> Proposal | None:
        number = len(self.history)
        proposal = self.strategy.propose(self.space, self.history, random.Random(number))
        if proposal is None:
            return None
        fidelity = proposal.fidelity or Fidelity()
        trial = Trial(number, proposal.architecture, fidelity, number, state=State.RUNNING)
        self.history.add(trial)
        if len(self.history.running) > self.lag:
            first = self.history.trials[min(self.history.running)]
            first.state, first.reason = state, "" if state is State.FINISHED else "broken"
            if state is State.FINISHED:
                value = score(first.architecture)
                first.metrics = {"accuracy": value, "params": (value * 7) % 1}
            self.history.close(first)
        return proposal

    def go(self, steps: int, state: State = State.FINISHED) -> list[Architecture]:
        proposals = [self.step(state) for _ in range(steps)]
        return [p.architecture for p in proposals if p is not None]


class StrategyContract:
    """Tests of a strategy. ``make`` gives a new one."""

    #: Proposals of a walk. A strategy with a start-up phase sets it longer than that phase.
    steps: ClassVar[int] = 60
    #: Whether proposals depend on the seed at all; a grid's do not.
    seeded: ClassVar[bool] = True

    @staticmethod
    def make() -> Strategy:
        """A new strategy to test."""
        raise NotImplementedError("a subclass says how to make its strategy")

    def walk(self, builder: Callable[..., Any] = flat, **options: Any) -> Walk:
        return Walk(self.make(), Space(builder), **options)

    def test_has_a_name(self) -> None:
        assert self.make().name

    @pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.__name__)
    def test_proposals_belong_to_the_space(self, builder: Callable[..., Any]) -> None:
        walk = self.walk(builder)
        found = walk.go(self.steps)
        assert found, "nothing was proposed"
        for architecture in found:
            walk.space.validate(architecture)
            again = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
            assert again == architecture

    @pytest.mark.parametrize("builder", [flat, nested], ids=lambda b: b.__name__)
    def test_same_history_and_seed_same_proposal(self, builder: Callable[..., Any]) -> None:
        assert self.walk(builder).go(self.steps) == self.walk(builder).go(self.steps)

    @pytest.mark.parametrize("builder", [flat, nested], ids=lambda b: b.__name__)
    def test_a_new_instance_goes_on_from_the_history(self, builder: Callable[..., Any]) -> None:
        through = self.walk(builder)
        expected = through.go(self.steps)
        resumed = self.walk(builder)
        for position in range(self.steps):
            # As after a kill at every single trial: a new strategy and a new space.
            resumed.strategy, resumed.space = self.make(), Space(builder)
            proposal = resumed.step()
            if position >= len(expected):
                assert proposal is None
                break
            assert proposal is not None
            assert proposal.architecture == expected[position]

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
        drawn = set()
        for seed in range(20):
            proposal = walk.strategy.propose(walk.space, walk.history, random.Random(seed))
            assert proposal is not None
            drawn.add(proposal.architecture)
        assert len(drawn) > 1 or not self.seeded

    @pytest.mark.parametrize("lag", [1, 3, 8])
    def test_trials_may_be_running(self, lag: int) -> None:
        walk = self.walk(lag=lag)
        found = walk.go(self.steps)
        assert len(found) > lag
        for architecture in found:
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
        found = self.walk(objectives=2).go(self.steps)
        assert len(found) > 1

    def test_a_small_space_comes_to_an_end_or_repeats(self) -> None:
        walk = self.walk(tiny)
        found = walk.go(40)
        assert len(found) >= 2
        assert len(set(found)) <= 4
