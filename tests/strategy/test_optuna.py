"""Optuna's samplers as strategies: by their contract, and by what they are told."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import History, State, Trial
from archsmith.space.decision import Categorical, Integer, Real, Subset
from archsmith.strategy import optuna as adapter
from archsmith.strategy.optuna import SAMPLERS, OptunaSampler, by_name
from archsmith.strategy.random import RandomSearch
from archsmith.strategy.suggestions import parameters, read, write
from archsmith.testing.strategy import StrategyContract, continuous

from .toys import ACCURACY, chain, play, total


def end(history, trial, **metrics):
    trial.metrics = metrics
    trial.state = State.PRUNED if history.violation(metrics) > 0 else State.FINISHED
    history.close(trial)


DECISIONS = [
    Categorical("op", "a", ("a", None, 3)),
    Categorical("only", "a", ("a",)),
    Integer("few", 8, 8, 64, 8),
    Integer("uneven", 1, 1, 99, 7),
    Integer("scale", 1, 1, 4096, 1, True),
    Integer("steps", 8, 8, 4096, 8, True),
    Real("rate", 0.1, 1e-4, 1.0, True),
    Subset("links", ("a", "b"), ("a", "b", "c", "d"), (1, 2)),
    Subset("wide", tuple(range(3)), tuple(range(10)), (3, 4)),
]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: d.name)
def test_answers_come_back_from_their_values(decision):
    rng = random.Random(0)
    for _ in range(50):
        answer = decision.draw(rng)
        values = write(decision, answer)
        assert len(values) == len(parameters(decision))
        assert read(decision, values, rng) == answer


@pytest.mark.parametrize("taken", [[], [0], list(range(10)), [1, 3, 5, 7, 9]])
def test_subsets_of_a_forbidden_size_are_mended(taken):
    decision = DECISIONS[-1]
    answer = read(decision, [int(i in taken) for i in range(10)], random.Random(0))
    decision.check(answer)
    assert set(answer) <= set(taken) or set(taken) <= set(answer)


def test_a_missing_optuna_says_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(adapter.importlib, "import_module", missing)
    with pytest.raises(nas.InputError, match=r"pip install 'archsmith\[optuna\]'"):
        OptunaSampler()


def test_unknown_samplers_are_refused_with_the_nearest():
    with pytest.raises(nas.InputError, match="did you mean 'GPSampler'"):
        by_name("GpSampler")


optuna = pytest.importorskip("optuna", reason="optuna is not installed")


class Contract(StrategyContract):
    steps = 16


class TestTPE(Contract):
    seeds, budget = 12, 50
    make = staticmethod(OptunaSampler)


class TestGP(Contract):
    seeds, budget = 7, 18  # it has to win them all
    steps = 10  # the last one or two from the Gaussian process; each takes a part of a second
    make = staticmethod(lambda: OptunaSampler("GPSampler", {"n_startup_trials": 8}))


class TestNSGAII(Contract):
    make = staticmethod(lambda: OptunaSampler("NSGAIISampler", {"population_size": 5}))


class TestNSGAIII(Contract):
    make = staticmethod(lambda: OptunaSampler("NSGAIIISampler", {"population_size": 5}))


class TestRandom(Contract):
    better = False
    make = staticmethod(by_name("RandomSampler"))


class TestQMC(Contract):
    seeded = better = False
    make = staticmethod(by_name("QMCSampler"))


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain, edges=6)


@pytest.mark.slow
def test_genetic_samplers_go_on_through_generations(space):
    """Without their generations told, all draws would be random: those average 12."""
    strategy = OptunaSampler("NSGAIISampler", {"population_size": 10})
    late = [total(t.architecture) for t in play(strategy, space, 120, 0).trials[-30:]]
    assert statistics.mean(late) > 16


def ridge() -> nn.Module:
    nas.real("x", 0.0, 1.0)
    nas.real("y", 1e-4, 1.0, log=True)
    nas.choose("op", ["a", "b"])
    return nn.Identity()


@pytest.mark.slow
def test_cma_es_closes_in_on_numbers():
    pytest.importorskip("cmaes", reason="cmaes is not installed")

    def measure(a):
        return -((a["x"] - 0.7) ** 2) - ((math.log10(a["y"]) + 1) / 4) ** 2 / 4

    history = play(OptunaSampler("CmaEsSampler"), nas.Space(ridge), 100, 0, measure=measure)
    late = [t.metrics["accuracy"] for t in history.trials[-20:]]
    drawn = [measure(nas.Space(ridge).sample(random.Random(i))) for i in range(100)]
    assert statistics.mean(late) > statistics.mean(drawn) / 4
    assert {t.architecture["op"] for t in history.trials[-20:]} == {"a", "b"}


def test_a_missing_cmaes_says_what_to_install(monkeypatch):
    load = adapter.importlib.import_module

    def missing(name):
        if name == "cmaes":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return load(name)

    monkeypatch.setattr(adapter.importlib, "import_module", missing)
    with pytest.raises(nas.InputError, match="expected cmaes, got not installed"):
        OptunaSampler("CmaEsSampler")


def test_cma_es_says_what_it_cannot_serve(space):
    pytest.importorskip("cmaes", reason="cmaes is not installed")
    strategy = OptunaSampler("CmaEsSampler")
    with pytest.raises(nas.InputError, match="a range of numbers"):
        strategy.check(space, History([ACCURACY]))
    two = History((ACCURACY, Objective("params", "minimize")))
    with pytest.raises(nas.InputError, match="one objective"):
        strategy.check(nas.Space(continuous), two)


def told(strategy, space, history):
    return strategy._memo.at(space, history).study.get_trials()


def test_what_optuna_is_told(space):
    limits = [Limit("params", "<=", 10), Limit("accuracy", ">=", 0.1)]
    history = History([ACCURACY], limits, key=space.canonical)
    rng = random.Random(0)
    for number in range(5):
        history.add(Trial(number, space.sample(rng)))
    trials = history.trials
    end(history, trials[1], params=5.0, accuracy=0.5)
    end(history, trials[0], params=20.0)
    trials[2].state = State.FAILED
    history.close(trials[2])
    end(history, trials[3], params=1.0, accuracy=math.nan)
    frozen = told(OptunaSampler(), space, history)
    assert [t.state.name for t in frozen] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert frozen[0].constraints == {"params<=10": -0.5, "accuracy>=0.1": -4.0}
    assert frozen[0].values == [0.5]
    assert frozen[1].constraints["params<=10"] == 1.0
    assert frozen[1].values == [0.5], "the worst so far"
    assert list(frozen[0].params.values()) == list(trials[1].architecture.values())


def test_limits_are_kept_to(space):
    def measure(a):
        return {"cost": total(a), "accuracy": total(a)}

    def kept(strategy):
        return len(
            play(strategy, space, 60, measure=measure, limits=[Limit("cost", "<=", 6)]).finished
        )

    assert kept(OptunaSampler()) > 2 * kept(RandomSearch())


def test_running_trials_are_kept_away_from(space, monkeypatch):
    """The sampler sees them as running, with what they try."""
    strategy, seen = OptunaSampler(), []
    history = play(strategy, space, 12, 0)
    for number in range(12, 15):
        history.add(Trial(number, space.sample(random.Random(number)), state=State.RUNNING))
    ask = adapter._asked

    def spy(space, study, rng):
        seen.append([t for t in study.get_trials() if t.state.name == "RUNNING"])
        return ask(space, study, rng)

    monkeypatch.setattr(adapter, "_asked", spy)
    strategy.propose(space, history, random.Random(0))
    assert [list(t.params.values()) for t in seen[0]] == [
        list(t.architecture.values()) for t in history.running.values()
    ]


def test_options_that_a_sampler_does_not_take_are_refused():
    with pytest.raises(nas.InputError, match="optuna, TPESampler"):
        OptunaSampler("TPESampler", {"population": 3})


def test_optunas_own_settings_are_left_alone(space):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    play(OptunaSampler(), space, 3, 0)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_there(name):
    assert hasattr(optuna.samplers, name)
