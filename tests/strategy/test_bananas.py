"""BANANAS and its ensemble: the contract, closed forms, limits."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import History, State, Trial
from archsmith.predictor.ensemble import Ensemble
from archsmith.predictor.feedforward import FeedForward
from archsmith.strategy.bananas import Bananas, LinearThompson
from archsmith.testing.strategy import StrategyContract

from .toys import BEST, SCORE, TRADE, against_random, best, milliseconds, play, stack, worth

search = partial(play, measure=worth)


class TestBananas(StrategyContract):
    seeds, budget = 20, 30
    make = staticmethod(lambda: Bananas(candidates=20, steps=80))  # 400 take seconds a fit


class TestLinearThompson(StrategyContract):
    seeds, budget = 20, 40
    make = staticmethod(lambda: LinearThompson(candidates=20))


def quick() -> LinearThompson:
    """With fewer mutants than by default: the tests are about direction."""
    return LinearThompson(candidates=25)


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(stack)


@pytest.mark.slow
def test_finds_the_optimum_of_12288_in_most_runs(space):
    """In all runs where this was written; random search in about 1 %."""
    assert (
        sum(
            best(search(quick(), space, 100, seed, objectives=[SCORE])) == BEST for seed in range(5)
        )
        >= 3
    )


@pytest.mark.slow
def test_better_than_random_search_within_a_limit(space):
    """Half of the architectures cost more, those most like the best; they end pruned."""
    limits = (Limit("cost", "<=", 4.5),)
    assert (
        against_random(quick, space, 60, 20, measure=worth, objectives=[SCORE], limits=limits)
        < 0.01
    )


def test_several_objectives_find_both_ends(space):
    """The best score of all and the least cost of all are within reach at once."""
    front = search(quick(), space, 120, 0, objectives=TRADE).front()
    assert max(t.metrics["score"] for t in front) >= 8.0
    assert min(t.metrics["cost"] for t in front) <= 2.0


@pytest.mark.slow
def test_graph_features_tell_what_single_answers_do_not():
    """The value lies in a sum modulo 5, which says nothing of any one answer."""

    def rest(architecture) -> int:
        return sum(architecture.values()) % 5

    def plain() -> nn.Module:
        for i in range(6):
            nas.choose(f"x{i}", list(range(5)))
        return nn.Identity()

    @nas.graph_form(lambda a: str(list(a.values())), lambda a: {f"rest {rest(a)}": 1.0})
    def with_features() -> nn.Module:
        return plain()

    def hits(builder, seed: int) -> int:
        """How many of the last 30 of 60 trials have the best sum."""
        space = nas.Space(builder)
        history = History([Objective("score", "maximize")], key=space.canonical)
        strategy = LinearThompson(candidates=25, noise=0.1)
        for number in range(60):
            proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
            trial = Trial(number, proposal.architecture, state=State.FINISHED)
            history.add(trial)
            trial.metrics = {"score": float(rest(trial.architecture))}
            history.close(trial)
        return sum(rest(t.architecture) == 4 for t in history.finished[30:])

    told = sum(hits(with_features, seed) for seed in range(6))
    untold = sum(hits(plain, seed) for seed in range(6))
    assert told > 1.25 * untold, (told, untold)


@pytest.mark.slow
def test_mutants_that_the_builder_refuses_are_left_out():
    """One pair in 36, of a space whose new questions make the builder run."""

    def picky() -> nn.Module:
        a, b = nas.choose("a", list(range(6))), nas.choose("b", list(range(6)))
        nas.choose(f"c{a}{b}", list(range(100)))
        if (a, b) == (5, 5):
            raise ValueError("5 and 5 do not go together")
        return nn.Identity()

    def rising(architecture) -> float:
        return float(architecture["a"] + architecture["b"])

    found = []
    for seed in range(3):
        history = play(quick(), nas.Space(picky), 40, seed, measure=rising)
        assert len(history.finished) == 40
        found.append(max(t.metrics["accuracy"] for t in history.finished))
    assert sorted(found)[1] >= 8.0


def test_what_the_space_was_used_for_changes_nothing():
    """A space of more answers than a first look takes in, new and sampled from before."""

    def wide() -> nn.Module:
        top = nas.choose("top", list(range(150)))
        for i in range(4):
            nas.choose(f"of{top}-{i}", list(range(6)))
        return nn.Identity()

    def value(architecture) -> float:
        return random.Random(architecture.id).random()

    def run(space: nas.Space) -> list[str]:
        history = play(LinearThompson(start=4, candidates=10), space, 14, measure=value)
        return [t.architecture.id for t in history.trials]

    used = nas.Space(wide)
    for i in range(300):
        used.sample(random.Random(i))
    assert run(used) == run(nas.Space(wide))


def test_fast_enough_after_500_trials(space):
    """100 ms a proposal are allowed on an idle core; it takes about 10."""
    assert milliseconds(LinearThompson(), space) < 100


@pytest.mark.parametrize("wrong", [{"start": 1}, {"candidates": 0}, {"parents": 0}, {"noise": 0.0}])
def test_refuses_arguments_that_make_no_sense(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        LinearThompson(**wrong)


@pytest.mark.slow
def test_the_papers_ensemble_is_fitted_after_every_ten(space, monkeypatch):
    fitted = []
    real = Bananas.ensemble
    monkeypatch.setattr(
        Bananas,
        "ensemble",
        lambda self, rows, scores: fitted.append(len(scores)) or real(self, rows, scores),
    )
    search(Bananas(candidates=10), space, 35, 0, objectives=[SCORE])
    assert fitted == [10, 20, 30]


class TestFeedForward:
    def test_it_minimises_the_absolute_error(self):
        """Of a target that is 0 in most rows and 9 in a few, the median; squares give the mean."""
        targets = np.array([0.0, 0.0, 9.0] * 20)
        found = FeedForward(np.ones((60, 1)), targets, 0).predict(np.ones((1, 1)))
        assert found.shape == (5, 1)
        assert np.abs(found).max() < 1.0

    def test_gradients_are_those_of_differences(self):
        rng = np.random.default_rng(0)
        rows, targets = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 6))
        net = FeedForward(rows[0], targets[0], 0, members=2, layers=2, width=4, steps=0)
        for bias in net._biases:  # at 0 a unit that nothing reaches has two slopes
            bias += rng.normal(size=bias.shape)

        def error() -> float:
            return float(np.abs(net._activations(rows)[-1][..., 0] - targets).mean(axis=1).sum())

        exact = net._gradients(rows, targets)
        for value, gradient in zip([*net._weights, *net._biases], exact, strict=True):
            place = tuple(int(rng.integers(n)) for n in value.shape)
            before = error()
            value[place] += 1e-6
            assert (error() - before) / 1e-6 == pytest.approx(gradient[place], abs=1e-4)
            value[place] -= 1e-6

    def test_networks_agree_where_there_are_rows_and_part_elsewhere(self):
        rng = np.random.default_rng(1)
        rows = rng.uniform(-1, 1, size=(80, 2))
        net = FeedForward(rows, rows[:, 0] - 0.5 * rows[:, 1], 3)
        near, far = net.predict(rows), net.predict(8 * rows)
        assert np.abs(near.mean(axis=0) - (rows[:, 0] - 0.5 * rows[:, 1])).mean() < 0.15
        assert far.std(axis=0).mean() > 2 * near.std(axis=0).mean()

    def test_the_seed_decides(self):
        rows = np.random.default_rng(2).normal(size=(12, 3))
        one, two, other = (FeedForward(rows, rows[:, 0], s, steps=5) for s in (1, 1, 2))
        assert np.array_equal(one.predict(rows), two.predict(rows))
        assert not np.array_equal(one.predict(rows), other.predict(rows))


def test_nothing_left_in_a_space_that_was_used_up():
    def four() -> nn.Module:
        nas.choose("a", [0, 1])
        nas.choose("b", [0, 1])
        return nn.Identity()

    space = nas.Space(four)
    history = History([Objective("score", "maximize")], key=space.canonical)
    strategy = LinearThompson(start=2)
    for number in range(4):
        proposal = strategy.propose(space, history, random.Random(number))
        trial = Trial(number, proposal.architecture, state=State.FINISHED)
        history.add(trial)
        trial.metrics = {"score": float(number)}
        history.close(trial)
    assert len(history.seen) == 4
    assert strategy.propose(space, history, random.Random(9)) is None


class TestEnsemble:
    def test_one_column_is_the_textbook_posterior(self):
        """y = w x + noise, w ~ N(0, 1): precision n / noise + 1 for a column of unit variance."""
        rows = np.array([[-1.0], [1.0]] * 8)
        targets = rows[:, 0] * 0.75
        mean, spread = Ensemble(rows, targets, noise=0.5).predict(np.array([[2.0], [0.0]]))
        precision = 16 / 0.5 + 1
        assert mean == pytest.approx([2 * 0.75 * (16 / 0.5) / precision, 0.0])
        assert spread == pytest.approx([2 / precision**0.5, 0.0])

    def test_equals_the_posterior_by_inverse(self):
        """More columns than rows, one of them constant."""
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(7, 12))
        rows[:, 3] = 2.0
        targets, new = rng.normal(size=7), rng.normal(size=(5, 12))
        mean, spread = Ensemble(rows, targets, noise=0.3).predict(new)
        scale = np.where(rows.std(axis=0) > 1e-6, rows.std(axis=0), 1.0) * 12**0.5
        x, z = (rows - rows.mean(axis=0)) / scale, (new - rows.mean(axis=0)) / scale
        cover = np.linalg.inv(x.T @ x / 0.3 + np.eye(12))
        expected = targets.mean() + z @ cover @ x.T @ (targets - targets.mean()) / 0.3
        assert mean == pytest.approx(expected)
        assert spread == pytest.approx(np.sqrt(np.einsum("ij,jk,ik->i", z, cover, z)))

    def test_one_row_and_no_columns(self):
        mean, spread = Ensemble(np.ones((1, 2)), np.array([0.5]), 0.5).predict(np.ones((3, 2)))
        assert mean == pytest.approx([0.5] * 3)
        assert spread == pytest.approx([0.0] * 3)
        mean, _ = Ensemble(np.ones((2, 0)), np.array([0.0, 1.0]), 0.5).predict(np.ones((1, 0)))
        assert mean == pytest.approx([0.5])
