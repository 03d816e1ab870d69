"""What scores of a few architectures say, as a feature of all."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import kendalltau
from torch import nn

import archsmith as nas
from archsmith.history.trial import History, State, Trial
from archsmith.predictor.blocks import blocks_of
from archsmith.space.listed import ListedSpace
from archsmith.strategy import strategies
from archsmith.strategy.advised import Advised
from archsmith.strategy.learned_advice import with_advice
from archsmith.strategy.random import RandomSearch
from archsmith.strategy.surrogate import Rising
from archsmith.zoo.nasbench201 import nasbench201


def widths():
    """4,096 architectures."""
    for place in range(6):
        nas.choose(f"w{place}", [1, 2, 4, 8])
    return nn.Identity()


def many():
    """A space that is too large to list."""
    for place in range(9):
        nas.choose(f"w{place}", [1, 2, 4, 8])
    return nn.Identity()


def total(architecture):
    """A proxy that is a function of the answers."""
    return float(sum((place + 1) * answer for place, answer in enumerate(architecture.values())))


def pool_of(space, count, seed=0):
    rng = random.Random(seed)
    return [space.sample(rng) for _ in range(count)]


@pytest.mark.slow
def test_described_adds_features_and_leaves_the_rest():
    space = nas.Space(widths)
    told = nas.described(space, lambda a: {"advice:total": total(a)})
    some = pool_of(space, 5)
    assert [told.graph_features(a) for a in some] == [{"advice:total": total(a)} for a in some]
    assert [told.canonical(a) for a in some] == [space.canonical(a) for a in some]
    assert space.graph_features(some[0]) == {}
    assert told.fingerprint == space.fingerprint
    assert told.size() == space.size()
    # Advice is no way to be alike; other features are.
    assert len(blocks_of(told)) == len(blocks_of(space))
    assert len(blocks_of(nas.described(space, lambda a: {"mine": total(a)}))) == 1 + len(
        blocks_of(space)
    )


@pytest.mark.slow
@pytest.mark.parametrize("listed", [True, False])
def test_the_trend_is_standard_over_the_space(listed):
    space = nas.Space(widths) if listed else nas.Space(many)
    told = nas.described(space, lambda a: {"advice:total": total(a)})
    some = pool_of(space, 500)
    trend = blocks_of(told).trend(some)
    assert abs(trend.mean()) < 0.2
    assert trend.std() == pytest.approx(1.0, abs=0.15)
    assert kendalltau(trend, [total(a) for a in some]).statistic == pytest.approx(1.0)
    assert not blocks_of(space).trend(some).any()


def test_a_trend_is_followed_as_far_as_values_bear_it_out():
    rng = np.random.default_rng(0)
    advice = rng.standard_normal(60)
    with_it = Rising.of(advice, 2.0 * advice + 5.0)
    assert with_it.slope == pytest.approx(2.0, rel=0.1)
    assert with_it(advice[:1])[0] == pytest.approx(
        with_it.slope * (advice[0] - advice.mean())
    )  # nothing is added on average
    assert Rising.of(advice, rng.standard_normal(60)).slope < 0.3
    assert Rising.of(advice, -advice).slope == 0.0  # more is better, by contract
    assert Rising.of(advice[:2], 2.0 * advice[:2]).slope < 1.0  # two values are not much
    assert Rising.of(np.zeros(9), rng.standard_normal(9)).slope == 0.0


def test_described_keeps_the_features_and_graphs_of_a_form():
    space = nas.Space(nasbench201, channels=3, classes=10)
    told = nas.described(space, lambda _: {"mine": 1.0})
    cell = space.default()
    assert told.graph_features(cell) == {**space.graph_features(cell), "mine": 1.0}
    assert told.canonical(cell) == space.canonical(cell)
    few = nas.described(ListedSpace(space, pool_of(space, 3)), lambda _: {"mine": 1.0})
    assert few.size().count == 3
    assert few.graph_features(cell)["mine"] == 1.0


def test_scores_of_a_pool_are_learned_for_all():
    space = nas.Space(widths)
    pool = pool_of(space, 50)
    told = with_advice(space, pool, [total(a) for a in pool], "total")
    unseen = [a for a in pool_of(space, 200, seed=1) if a not in pool]
    found = [told.graph_features(a)["advice:total"] for a in unseen]
    assert kendalltau(found, [total(a) for a in unseen]).statistic > 0.85
    # Far tails, such as a proxy that grows exponentially has, change nothing: ranks are learned.
    steep = with_advice(space, pool, [np.exp(total(a)) for a in pool], "total")
    assert steep.graph_features(unseen[0]) == told.graph_features(unseen[0])


@pytest.mark.parametrize("scores", ["noise", "equal", "none", "infinite"])
def test_scores_that_say_nothing_are_no_feature(scores):
    space, rng = nas.Space(widths), random.Random(3)
    pool = pool_of(space, 0 if scores == "none" else 40)
    given = {
        "noise": [rng.random() for _ in pool],
        "equal": [1.0 for _ in pool],
        "none": [],
        "infinite": [-np.inf for _ in pool],
    }[scores]
    assert with_advice(space, pool, given, "total") is space


class Watches(RandomSearch):
    """Keeps what it is shown."""

    def propose(self, space, history, rng):
        self.shown = space.graph_features(space.default())
        return super().propose(space, history, rng)


@pytest.mark.parametrize("feature", [True, False])
def test_the_strategy_is_shown_what_the_scores_say(feature):
    space, watches = nas.Space(widths), Watches()
    advised = Advised(watches, lambda given: [total(a) for a in given], warm=0, feature=feature)
    advised.propose(space, History([nas.Objective("accuracy", "maximize")]), random.Random(0))
    assert set(watches.shown) == ({"advice:advice"} if feature else set())


def hidden(architecture):
    """What is searched for: as the scores say, but for one decision that turns it round."""
    values = list(architecture.values())
    return total(architecture) / 170 - (values[5] == 8) * 0.4


def searched(strategy, trials):
    space, seeds = nas.Space(widths), random.Random(0)
    history = History([nas.Objective("accuracy", "maximize")], key=space.canonical)
    for number in range(trials):
        seed = seeds.getrandbits(32)
        proposal = strategy.propose(space, history, random.Random(seed))
        trial = Trial(number, proposal.architecture, seed=seed, state=State.FINISHED)
        trial.metrics = {"accuracy": hidden(proposal.architecture)}
        history.add(trial)
        history.close(trial)
    return max(t.metrics["accuracy"] for t in history.finished)


@pytest.mark.slow
def test_a_surrogate_does_not_follow_advice_that_is_wrong_in_part():
    best = max(hidden(a) for a in nas.Space(widths).enumerate())
    advice = lambda given: [total(a) for a in given]  # noqa: E731
    found = searched(Advised(strategies.get("bayesian")(), advice, feature=True), 30)
    assert found == pytest.approx(best, abs=0.02)
