"""Optuna's samplers as strategies: by their contract, by what they are told, against random."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from torch import nn

import archsmith as nas
from archsmith.objective import Limit, Objective
from archsmith.space.decision import Categorical, Integer, Real, Subset
from archsmith.strategy import optuna as adapter
from archsmith.strategy.optuna import SAMPLERS, OptunaSampler, by_name
from archsmith.strategy.random import RandomSearch
from archsmith.strategy.suggestions import parameters, read, write
from archsmith.testing.strategy import StrategyContract, continuous
from archsmith.trial import History, State, Trial

ACCURACY = (Objective("accuracy", "maximize"),)


def chain() -> nn.Module:
    for i in range(6):
        nas.choose(f"edge{i}", list(range(5)))
    return nn.Identity()


def score(architecture: nas.Architecture) -> float:
    """The optimum of the 15,625 is 24, at all fours."""
    return float(sum(v for v in architecture.values() if isinstance(v, int)))


def end(history, trial, **metrics):
    trial.metrics = metrics
    trial.state = State.PRUNED if history.violation(metrics) > 0 else State.FINISHED
    history.close(trial)


def play(strategy, seed, trials, space, measure=score, limits=()):
    history = History(ACCURACY, limits, key=space.canonical)
    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(f"{seed}/{number}"))
        trial = Trial(number, proposal.architecture, note=proposal.note)
        history.add(trial)
        measured = measure(proposal.architecture)
        end(history, trial, **(measured if isinstance(measured, dict) else {"accuracy": measured}))
    return history


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
    make = staticmethod(OptunaSampler)


class TestGP(Contract):
    steps = 10  # the last one or two from the Gaussian process; each takes a part of a second
    make = staticmethod(lambda: OptunaSampler("GPSampler", {"n_startup_trials": 8}))


class TestNSGAII(Contract):
    make = staticmethod(lambda: OptunaSampler("NSGAIISampler", {"population_size": 5}))


class TestNSGAIII(Contract):
    make = staticmethod(lambda: OptunaSampler("NSGAIIISampler", {"population_size": 5}))


class TestRandom(Contract):
    make = staticmethod(by_name("RandomSampler"))


class TestQMC(Contract):
    seeded = False
    make = staticmethod(by_name("QMCSampler"))


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(chain)


def test_tpe_beats_random_search(space):
    """By a sign test over 10 seeds at 50 trials: p < 0.011 where it wins 9 of 10."""
    wins = draws = 0
    for seed in range(10):
        ours = play(OptunaSampler(), seed, 50, space).best().metrics["accuracy"]
        theirs = play(RandomSearch(), seed, 50, space).best().metrics["accuracy"]
        wins, draws = wins + (ours > theirs), draws + (ours == theirs)
    fair = 10 - draws
    chance = sum(math.comb(fair, k) for k in range(wins, fair + 1)) / 2**fair
    assert chance < 0.011, f"{wins} of {fair}"


def test_genetic_samplers_go_on_through_generations(space):
    """Without their generations told, all draws would be random: those average 12."""
    strategy = OptunaSampler("NSGAIISampler", {"population_size": 10})
    late = [score(t.architecture) for t in play(strategy, 0, 120, space).trials[-30:]]
    assert statistics.mean(late) > 16


def ridge() -> nn.Module:
    nas.real("x", 0.0, 1.0)
    nas.real("y", 1e-4, 1.0, log=True)
    nas.choose("op", ["a", "b"])
    return nn.Identity()


def test_cma_es_closes_in_on_numbers():
    pytest.importorskip("cmaes", reason="cmaes is not installed")

    def measure(a):
        return -((a["x"] - 0.7) ** 2) - ((math.log10(a["y"]) + 1) / 4) ** 2 / 4

    history = play(OptunaSampler("CmaEsSampler"), 0, 100, nas.Space(ridge), measure)
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
        strategy.check(space, History(ACCURACY))
    two = History((*ACCURACY, Objective("params", "minimize")))
    with pytest.raises(nas.InputError, match="one objective"):
        strategy.check(nas.Space(continuous), two)


def told(strategy, space, history):
    return strategy._memo.at(space, history).study.get_trials()


def test_what_optuna_is_told(space):
    limits = [Limit("params", "<=", 10), Limit("accuracy", ">=", 0.1)]
    history = History(ACCURACY, limits, key=space.canonical)
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
        return {"cost": score(a), "accuracy": score(a)}

    def kept(strategy):
        return len(play(strategy, 0, 60, space, measure, [Limit("cost", "<=", 6)]).finished)

    assert kept(OptunaSampler()) > 2 * kept(RandomSearch())


def test_running_trials_are_kept_away_from(space, monkeypatch):
    """The sampler sees them as running, with what they try."""
    strategy, seen = OptunaSampler(), []
    history = play(strategy, 0, 12, space)
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
    play(OptunaSampler(), 0, 3, space)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_there(name):
    assert hasattr(optuna.samplers, name)
