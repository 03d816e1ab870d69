"""REINFORCE: by its contract, by what its policy learns, and against a known landscape."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter
from itertools import combinations

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import History, State, Trial
from archsmith.space.decision import Categorical, Integer, Real, Subset
from archsmith.strategy.controller import LSTMPolicy
from archsmith.strategy.questions import Question, ask, told
from archsmith.strategy.random import RandomSearch
from archsmith.strategy.reinforce import Reinforce, Rewards, TablePolicy, standardised
from archsmith.testing.strategy import StrategyContract

from .toys import ACCURACY, chain, play, total


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain, edges=6)


class TestTable(StrategyContract):
    make = staticmethod(Reinforce)


class TestLSTM(StrategyContract):
    steps, seeds, budget = 24, 12, 80
    make = staticmethod(lambda: Reinforce("lstm"))


def test_the_scale_of_the_objective_does_not_matter(space):
    plain = play(Reinforce(), space, 60, 3)
    percent = play(Reinforce(), space, 60, 3, measure=lambda a: 64 * total(a) - 1024)
    loss = (Objective("perplexity", "minimize"),)
    turned = play(
        Reinforce(), space, 60, 3, measure=lambda a: {"perplexity": 128 - total(a)}, objectives=loss
    )
    assert [t.architecture for t in plain.trials] == [t.architecture for t in percent.trials]
    assert [t.architecture for t in plain.trials] == [t.architecture for t in turned.trials]


def test_pruned_trials_lead_to_the_limit(space):
    limits = [Limit("cost", "<=", 3)]

    def cost(architecture):
        return {"cost": total(architecture), "accuracy": total(architecture)}

    ours = play(Reinforce(), space, 150, 0, measure=cost, limits=limits)
    random_ = play(RandomSearch(), space, 150, 0, measure=cost, limits=limits)
    assert len(ours.finished) > 10 > 2 * len(random_.finished)


def test_weights_set_the_trade_off(space):
    goals = (Objective("accuracy", "maximize"), Objective("cost", "minimize"))

    def measure(architecture):
        return {"accuracy": total(architecture), "cost": total(architecture)}

    def average(weights):
        history = play(Reinforce(weights=weights), space, 120, 0, measure=measure, objectives=goals)
        return sum(t.metrics["cost"] for t in history.trials[-30:]) / 30

    assert average([1, 0]) > 18 > 14 > average(None) > 10 > 6 > average([0, 1])


@pytest.mark.slow
def test_repeats_are_proposed_when_allowed(space):
    history = play(Reinforce(repeats=True, learning_rate=1.0), space, 150, 0)
    assert len(history.seen) < 120
    assert len(play(Reinforce(learning_rate=1.0), space, 150, 0).seen) == 150


def test_without_a_baseline_the_reward_itself_teaches(space):
    history = play(Reinforce(baseline=0.0), space, 150, 0)
    worth = [t.metrics["accuracy"] for t in history.trials]
    assert sum(worth[-30:]) / 30 > sum(worth[:30]) / 30 + 3


DECISIONS = [
    Categorical("op", "a", ("a", "b", "c")),
    Integer("few", 8, 8, 64, 8),
    Integer("many", 1, 1, 1000),
    Integer("scale", 1, 1, 4096, 1, True),
    Real("rate", 0.1, 1e-4, 1.0, True),
    Real("share", 0.5, 0.0, 1.0),
    Subset("links", ("a", "b"), ("a", "b", "c", "d"), (2,)),
    Subset("wide", tuple(range(3)), tuple(range(10)), (3, 4)),
]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: d.name)
def test_answers_come_from_draws_and_go_back_to_them(decision):
    rng = random.Random(0)
    for _ in range(200):
        drawn = []

        def choose(question: Question, drawn=drawn) -> int:
            arm = rng.randrange(len(question.arms))
            drawn.append((question, arm))
            return arm

        answer = ask(decision, choose, rng)
        decision.check(answer)
        if decision.name not in ("many", "scale"):  # rounded, perhaps over the edge of a bin
            assert told(decision, answer) == drawn
        else:
            assert [question for question, _ in told(decision, answer)] == [drawn[0][0]]


@pytest.mark.slow
def test_untaught_draws_of_subsets_are_even():
    """Chi-square over the 210 subsets; 0.999 quantile for 209 degrees of freedom is 276."""
    decision, rng = Subset("wide", (0, 1, 2, 3), tuple(range(10)), (4,)), random.Random(1)

    def choose(question: Question) -> int:
        chances = [math.exp(p) for p in question.prior]
        return rng.choices(range(len(chances)), chances)[0]

    counts = Counter(ask(decision, choose, rng) for _ in range(21_000))
    assert set(counts) == set(combinations(range(10), 4))
    assert sum((n - 100) ** 2 / 100 for n in counts.values()) < 276


def mixed() -> nn.Module:
    nas.real("rate", 1e-4, 1.0, log=True)
    nas.integer("units", 1, 1000)
    nas.subset("links", list(range(10)), 3)
    return nn.Identity()


def test_ranges_and_subsets_are_learned():
    """The optimum 3 is at rate 1e-2, 800 units and links 0, 1, 2."""

    def measure(architecture):
        rate = 1 - abs(math.log10(architecture["rate"]) + 2) / 2
        units = 1 - abs(architecture["units"] - 800) / 800
        return rate + units + len(set(architecture["links"]) & {0, 1, 2}) / 3

    space = nas.Space(mixed)
    late = [play(Reinforce(), space, 300, seed, measure=measure).trials[-50:] for seed in range(3)]
    found = [t.metrics["accuracy"] for trials in late for t in trials]
    drawn = [measure(space.sample(random.Random(i))) for i in range(500)]
    assert sum(drawn) / len(drawn) < 1.5
    assert sum(found) / len(found) > 2.3


QUESTION = Question("op", ("a", "b", "c"), (0.0, 0.0, 0.0))


def test_a_step_is_the_gradient_of_the_log_probability():
    policy = TablePolicy(0.1, entropy=0.0)
    policy.learn([(QUESTION, 1)], 2.0)
    assert policy.logits((), QUESTION) == pytest.approx([-0.2 / 3, 0.4 / 3, -0.2 / 3])


def test_entropy_pulls_the_policy_back_to_even():
    policy = TablePolicy(0.1, entropy=1.0)
    policy.table[("op", "a")] = 2.0
    for _ in range(500):
        policy.learn([(QUESTION, 0)], 0.0)
    logits = policy.logits((), QUESTION)
    assert max(logits) - min(logits) < 0.05


@pytest.mark.slow
def test_an_lstm_learns_what_depends_on_what_was_drawn_before():
    """``b`` is right after ``x`` and wrong after ``y``; a table cannot tell."""
    first = Question("first", ("x", "y"), (0.0, 0.0))
    second = Question("second", ("a", "b"), (0.0, 0.0))
    policy, rng = LSTMPolicy(0.01, entropy=0.0), random.Random(0)
    for _ in range(300):
        draws = [(first, rng.randrange(2)), (second, rng.randrange(2))]
        policy.learn(draws, 1.0 if draws[0][1] != draws[1][1] else -1.0)
    a, b = policy.logits((("first", "x"),), second)
    assert b > a + 1
    a, b = policy.logits((("first", "y"),), second)
    assert a > b + 1


def test_an_lstm_is_the_same_whatever_was_drawn_in_between():
    policies = [LSTMPolicy(0.01, 0.05), LSTMPolicy(0.01, 0.05)]
    questions = [Question(f"q{i}", tuple(range(9)), (0.0,) * 9) for i in range(9)]
    for question in reversed(questions):
        policies[1].logits((), question)
    for policy in policies:
        for i in range(30):
            policy.learn([(questions[j], (i * j) % 9) for j in (i % 9, i % 4)], (-1) ** i)
    for question in questions:
        assert policies[0].logits((), question) == policies[1].logits((), question)


def test_rewards_are_robust_and_signed():
    assert standardised([1.0], 1.0) == 0.0
    assert standardised([1.0, 2.0, 3.0, 4.0, 5.0], 1.0) == pytest.approx(2 * 1.349 / 2)
    assert standardised([1.0, 2.0, 3.0, 4.0, 1e9], 1e9) == -3.0
    assert standardised([1.0, 1.0, 1.0, 1.0, 2.0], 2.0) == -3.0
    history = History([ACCURACY], [Limit("params", "<=", 10)])
    rewards = Rewards(history, None)

    def of(state, **metrics):
        return rewards.of(Trial(0, nas.Architecture({}), state=state, metrics=metrics))

    assert of(State.FAILED) == -1.0
    assert of(State.FINISHED, accuracy=math.nan) == -1.0
    assert of(State.PRUNED, params=20.0) == -1.0
    assert of(State.PRUNED, params=90.0) == -2.0
    assert of(State.PRUNED, params=11.0) == -1.0
    assert of(State.FINISHED, accuracy=0.5) == 0.0


def test_a_table_needs_no_torch():
    code = (
        "import sys\nfrom archsmith.strategy.reinforce import Reinforce\nReinforce()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "options",
    [
        {"controller": "tabel"},
        {"optimizer": "rmsprop"},
        {"controller": "lstm", "optimizer": "sgd"},
        {"learning_rate": 0.0},
        {"baseline": 1.0},
        {"entropy": -0.1},
        {"weights": []},
        {"weights": [1.0, -1.0]},
        {"weights": [math.nan, 1.0]},
        {"weights": [math.inf, 1.0]},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"entropy": math.inf},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(nas.InputError, match="reinforce"):
        Reinforce(**options)


def test_weights_must_fit_the_objectives(space):
    with pytest.raises(nas.InputError, match="one for each objective"):
        Reinforce(weights=[0.5, 0.5]).check(space, History([ACCURACY]))
