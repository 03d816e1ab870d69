"""Freeze-thaw search: the contract, its model against dense formulas, and what it spends on."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from archsmith._support.errors import InputError
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import Fidelity, History, KnownCosts, State, Trial
from archsmith.predictor.blocks import blocks_of, distances
from archsmith.predictor.gaussian import prior_kernel
from archsmith.space import Space, choose
from archsmith.space.architecture import Architecture
from archsmith.strategy.freeze_thaw import FreezeThaw
from archsmith.strategy.levels import _conditioned
from archsmith.strategy.spending import Spending
from archsmith.testing.strategy import StrategyContract

EPOCHS = (1, 30)


class TestFreezeThaw(StrategyContract):
    steps = 26  # past the random ones and the first two that rise
    seeds, budget = 12, 10
    make = staticmethod(FreezeThaw)


def chain():
    """Four layers of four kinds: 256 architectures."""
    from torch import nn

    for i in range(4):
        choose(f"layer{i}", [0, 1, 2, 3])
    return nn.Identity()


def level(architecture: Architecture) -> float:
    return sum(float(answer) for answer in architecture.values()) / 12


def run(
    trials: int,
    value: Callable[[Architecture, int], float],
    seconds: Callable[[Architecture, int], float] | None = None,
    limits: tuple[Limit, ...] = (),
    costs: KnownCosts | None = None,
    fails: Callable[[Architecture], bool] = lambda _: False,
    lag: int = 0,
    stop: Callable[[History], bool] = lambda _: False,
) -> History:
    space = Space(chain)
    history = History(
        [Objective("accuracy", "maximize")], limits, key=space.canonical, epochs=EPOCHS, costs=costs
    )
    strategy = FreezeThaw()
    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(number))
        if proposal is None or stop(history):
            break
        fidelity = proposal.fidelity
        assert fidelity is not None
        history.add(Trial(number, proposal.architecture, fidelity, note=proposal.note))
        if len(history.running) > lag:
            trial = history.trials[min(history.running)]
            epochs = trial.fidelity.epochs or 0
            trial.metrics = {"accuracy": value(trial.architecture, epochs)}
            if costs:
                trial.metrics |= costs(trial.architecture)
            if seconds:
                trial.metrics["seconds"] = seconds(trial.architecture, epochs)
            trial.state = State.FAILED if fails(trial.architecture) else State.FINISHED
            history.close(trial)
    return history


def test_the_first_to_rise_are_the_best_of_the_random_ones():
    history = run(22, lambda a, _: level(a))
    assert [t.fidelity.epochs for t in history.trials] == [1] * 20 + [30] * 2
    best = sorted(history.trials[:20], key=lambda t: -level(t.architecture))
    assert [t.architecture for t in history.trials[20:]] == [t.architecture for t in best[:2]]


@pytest.mark.slow
def test_short_trainings_that_tell_everything_leave_few_long_ones():
    """The optimum is one of 256, and only long trainings count."""

    def found(history: History) -> bool:
        return any(
            t.fidelity.epochs == 30 and level(t.architecture) == 1.0 for t in history.finished
        )

    history = run(80, lambda a, _: level(a), stop=found)
    assert found(history)
    assert sum(t.fidelity.epochs == 30 for t in history.finished) <= 6


@pytest.mark.slow
def test_recorded_seconds_lead_to_the_quick_ones():
    """The last layer changes the time up to 64-fold and nothing else."""

    def seconds(architecture: Architecture, epochs: int) -> float:
        return epochs * 4.0 ** float(architecture["layer3"])

    def value(architecture: Architecture, _: int) -> float:
        return sum(float(architecture[f"layer{i}"]) for i in range(3)) / 9

    def found(history: History) -> bool:
        return any(
            t.fidelity.epochs == 30 and value(t.architecture, 30) == 1.0 for t in history.finished
        )

    def spent(history: History) -> float:
        assert found(history)
        return sum(seconds(t.architecture, t.fidelity.epochs or 0) for t in history.trials[22:])

    with_seconds = run(80, value, seconds, stop=found)
    assert spent(with_seconds) < 0.3 * spent(run(80, value, stop=found))


@pytest.mark.filterwarnings("error")
def test_continued_trainings_may_cost_what_is_added():
    history = run(40, lambda a, _: level(a), lambda a, e: (1 + level(a)) * (29 if e == 30 else 1))
    assert sum(t.fidelity.epochs == 30 for t in history.finished) > 2
    assert len({(t.architecture, t.fidelity.epochs) for t in history.trials}) == 40


def test_limits_on_known_costs_are_kept():
    costs = KnownCosts(("params",), lambda a: {"params": 12 * level(a)}, looks=1000)
    history = run(40, lambda a, _: level(a), limits=(Limit("params", "<=", 7.0),), costs=costs)
    assert all(12 * level(t.architecture) <= 7.0 for t in history.trials[22:])


def test_what_failed_does_not_rise():
    history = run(45, lambda a, _: level(a), fails=lambda a: a["layer0"] == 3)
    failed = [t.architecture for t in history.ended if t.state is State.FAILED]
    assert failed
    assert len(set(failed)) == len(failed)


def test_running_trials_are_not_repeated():
    history = run(45, lambda a, _: level(a), lag=4)
    tried = [(t.architecture, t.fidelity.epochs) for t in history.trials]
    assert len(set(tried)) == 45


def test_start_is_checked():
    with pytest.raises(InputError, match="start"):
        FreezeThaw(start=1)
    with pytest.raises(InputError, match="eta"):
        FreezeThaw(eta=1)


def test_a_level_is_a_process_with_an_unknown_constant_and_a_slope_of_its_trend():
    """Against the dense formulas of Gaussian conditioning, for the same slope and variance."""
    space = Space(chain)
    pool = [space.sample(random.Random(i)) for i in range(30)]
    rows = blocks_of(space).rows(pool)
    kernel = prior_kernel(len(rows))
    whole = kernel(distances(rows, rows))
    at, rng = [0, 3, 5, 11, 20], np.random.default_rng(0)
    trend, values = rng.standard_normal(30), rng.standard_normal(5)
    found = _conditioned(kernel, whole[at].astype(np.float32), at, values, trend, 1.0)

    across = whole[at] + 25.0
    within = across[:, at] + (kernel.noise + 1e-5) * np.eye(5)
    inverse = np.linalg.inv(within)
    # A normal prior of mean 1 and variance 1 on the slope, relative to the process.
    slope = (trend[at] @ inverse @ values + 1.0) / (trend[at] @ inverse @ trend[at] + 1.0)
    rest = values - slope * trend[at]
    signal = (2.0 * 0.5 + rest @ inverse @ rest) / (2.0 + 5)
    assert slope > 0
    assert found.slope == pytest.approx(slope, rel=1e-4)
    np.testing.assert_allclose(found.means, rest @ inverse @ across + slope * trend, atol=1e-3)
    variances = signal * (26.0 - np.einsum("nm,nk,km->m", across, inverse, across))
    np.testing.assert_allclose(found.variances, np.maximum(variances, signal * 1e-4), atol=1e-3)
    assert found.noise == pytest.approx(kernel.noise * signal, rel=1e-4)


def test_a_falling_trend_counts_as_none():
    space = Space(chain)
    pool = [space.sample(random.Random(i)) for i in range(12)]
    rows = blocks_of(space).rows(pool)
    kernel = prior_kernel(len(rows))
    whole = kernel(distances(rows, rows)).astype(np.float32)
    trend = np.arange(12.0)
    found = _conditioned(kernel, whole, list(range(12)), -trend, trend, 1.0)
    assert found.slope == 0.0


def spent(seconds: list[tuple[int, int, float]]) -> Spending:
    """What trials of (architecture, epochs, seconds) say."""
    space = Space(chain)
    history = History([Objective("accuracy", "maximize")], epochs=(10, 50))
    spending = Spending(space, history)
    pool = list(space.enumerate())
    for number, (which, epochs, taken) in enumerate(seconds):
        trial = Trial(number, pool[which], Fidelity(epochs=epochs), state=State.FINISHED)
        trial.started, trial.ended = 100.0, 100.0 + taken
        spending.take(trial)
    return spending


def test_seconds_of_an_epoch_are_learned_from_first_trials():
    target = spent([(0, 10, 20.0), (1, 10, 40.0), (0, 50, 999.0), (2, 50, 400.0)]).target()
    assert target is not None
    np.testing.assert_allclose(np.exp(target.raw), [2.0, 4.0, 8.0])
    np.testing.assert_allclose(target.seconds(target.values), [2.0, 4.0, 8.0])


def test_equal_or_unknown_seconds_are_no_cost():
    assert spent([(0, 10, 20.0), (1, 10, 20.0), (2, 50, 100.0)]).target() is None
    assert spent([(0, 10, 0.0), (1, 10, 0.0)]).target() is None


@pytest.mark.parametrize(("taken", "continuing"), [(100.0, False), (80.0, True), (85.0, True)])
def test_what_continued_trainings_take_says_whether_they_begin_anew(taken, continuing):
    assert spent([(0, 10, 20.0), (0, 50, taken)]).continuing is continuing
    assert spent([(0, 10, 20.0)]).continuing is False
