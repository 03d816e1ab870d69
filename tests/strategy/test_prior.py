"""Priors of choices in strategies: they lead at first, and less and less."""

from __future__ import annotations

import json
import math
import random
from hashlib import sha256

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare
from torch import nn

import archsmith as nas
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.strategy import strategies
from archsmith.strategy.parzen import Parzen
from archsmith.strategy.prior import BETA, PriorFactors, draw_entrant


def net() -> nn.Module:
    width = nas.choose("width", [4, 8, 16, 32], default=8)
    options = {"lin": lambda: nn.Linear(width, width), "skip": nn.Identity, "act": nn.ReLU}
    return nn.Sequential(
        nn.Linear(2, width),
        nas.repeat("depth", [0, 1, 2, 3], lambda i: nas.one_of("op", options)),
        nn.Linear(width, nas.integer("out", 1, 9)),
    )


SIDE = 20
BEST = (4, 13)


def plane(centre: tuple[int, int] | None = None) -> nn.Module:
    """400 architectures; the prior falls with the distance from its centre."""
    for axis, name in enumerate("xy"):
        middle = centre[axis] if centre else 0
        prior = [math.exp(-0.5 * ((i - middle) / 2) ** 2) + 1e-3 for i in range(SIDE)]
        nas.choose(name, range(SIDE), prior=prior if centre else None)
    return nn.Identity()


def height(architecture: nas.Architecture) -> float:
    """Smooth, largest at BEST."""
    x, y = (float(architecture[name]) for name in "xy")
    return -math.hypot(x - BEST[0], y - BEST[1])


def run(strategy: nas.Strategy, space: nas.Space, trials: int, seed: int = 0) -> list[Trial]:
    history = History([Objective("height", "maximize")], epochs=(1, 3, 9), key=space.canonical)
    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(f"{seed} {number}"))
        assert proposal is not None
        trial = Trial(number, proposal.architecture, proposal.fidelity or Fidelity(9))
        trial.note = proposal.note
        history.add(trial)
        trial.state, trial.metrics = State.FINISHED, {"height": height(trial.architecture)}
        history.close(trial)
    return history.trials


def best(trials: list[Trial]) -> float:
    return max(t.metrics["height"] for t in trials)


def found(trials: list[Trial]) -> int:
    """The number of trials until the best was tried; one more than all if it never was."""
    places = (t.number + 1 for t in trials if t.metrics["height"] == 0.0)
    return next(places, len(trials) + 1)


def test_the_factor_is_pibos():
    space = nas.Space(plane, centre=(3, 3))
    likely = nas.Architecture({"x": 3, "y": 3})
    unlikely = nas.Architecture({"x": 3, "y": 9})
    here, there = (math.exp(-0.5 * (d / 2) ** 2) + 1e-3 for d in (0, 6))
    factors = PriorFactors()
    for trials in (1, 10, 1000):
        one, other = factors.factors(space, [likely, unlikely], trials)
        assert other / one == pytest.approx((there / here) ** (BETA / trials))
    assert other / one > 0.95  # a prior that is nearly forgotten


def test_there_is_none_without_priors():
    space = nas.Space(plane)
    assert PriorFactors().factors(space, [space.default()], 3) is None


def test_the_share_of_entrants_from_the_prior_falls():
    space = nas.Space(plane, centre=(3, 3))
    for ended in (0, 10, 90):
        history = History([Objective("height", "maximize")])
        for number in range(ended):
            trial = Trial(number, space.default())
            history.add(trial)
            history.close(trial)
        notes = [draw_entrant(space, history, random.Random(i)).note for i in range(400)]
        share = BETA / (BETA + ended)
        assert binomtest(notes.count("from the prior"), 400, share).pvalue > 0.01, ended


def test_random_search_draws_from_the_prior():
    space = nas.Space(plane, centre=(3, 3))
    near = [
        abs(t.architecture["x"] - 3) <= 4
        for seed in range(10)
        for t in run(nas.RandomSearch(), space, 10, seed)
    ]
    assert sum(near) > 90  # 0.97 of the prior lies there, and 0.4 of the space


@pytest.mark.parametrize("multivariate", [True, False])
def test_the_density_without_trials_is_the_prior(multivariate):
    def builder() -> nn.Module:
        nas.choose("kind", ["a", "b"], prior=[4, 1])
        return nn.Identity()

    space, rng = nas.Space(builder), random.Random(0)
    density = Parzen(space, [], [], multivariate)
    kinds = [density.draw(space, rng)["kind"] for _ in range(2000)]
    assert chisquare([kinds.count("a"), kinds.count("b")], [1600, 400]).pvalue > 0.01
    a, b = (nas.Architecture({"kind": kind}) for kind in "ab")
    assert density.scores(space, [a, b]) == pytest.approx([0.0, 0.0])
    # One good trial: its kernel stays with probability 0.7, and twice that relative to uniform.
    density = Parzen(space, [a], [], multivariate)
    for architecture, kernel, prior in ((a, 1.4, 1.6), (b, 0.6, 0.4)):
        expected = math.log((kernel + prior) / 2 / prior)
        assert density.score(space, architecture) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bayesian", "tpe", "hyperband", "asha", "bohb"])
def test_a_right_prior_helps(name):
    without, with_it = (
        np.mean([best(run(strategies.get(name)(), space, 15, seed)) for seed in range(8)])
        for space in (nas.Space(plane), nas.Space(plane, centre=BEST))
    )
    assert with_it > without
    assert with_it >= -1.5


@pytest.mark.slow
def test_a_wrong_prior_is_overruled():
    wrong = nas.Space(plane, centre=(17, 2))
    runs = [run(nas.BayesianOptimization(), wrong, 60, seed) for seed in range(3)]
    assert all(found(trials) <= 60 for trials in runs)
    for trials in runs:
        misled = [math.dist((t.architecture["x"], t.architecture["y"]), (17, 2)) for t in trials]
        # The first trials are the prior's; the last half is not.
        assert np.mean(misled[:10]) < 6 < np.mean(misled[30:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("bayesian", "09bc3bbf53fe33f1"),
        ("bohb", "8fb45c2e0dd2a9d1"),
        ("evolution", "351222b7eaf6adb1"),
        ("hyperband", "4ad07a2497c9a571"),
        ("random", "b1c3f504c179adf4"),
        ("tpe", "c11404ec82069f78"),
    ],
)
def test_without_priors_proposals_are_as_before_there_were_any(name, digest):
    """Values of commit 72cc0cd, which had no priors."""
    space, strategy = nas.Space(net), strategies.get(name)()
    history = History([Objective("accuracy", "maximize")], epochs=range(1, 10))
    ids = []
    for number in range(40):
        proposal = strategy.propose(space, history, random.Random(number))
        assert proposal is not None
        epochs = proposal.fidelity.epochs if proposal.fidelity else 9
        ids.append(f"{proposal.architecture.id}@{epochs}")
        trial = Trial(number, proposal.architecture, Fidelity(epochs))
        history.add(trial)
        trial.state = State.FINISHED
        trial.metrics = {"accuracy": (int(proposal.architecture.id, 16) % 1000) / 1000}
        history.close(trial)
    assert sha256(json.dumps(ids).encode()).hexdigest()[:16] == digest
