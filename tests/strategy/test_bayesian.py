"""Bayesian optimisation: the contract, and what it finds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from archsmith._support.errors import InputError
from archsmith.history.objective import Limit, Objective
from archsmith.history.trial import History, State, Trial
from archsmith.predictor.blocks import Blocks, listing
from archsmith.space import Space, choose, graph_form, real
from archsmith.space.architecture import Architecture
from archsmith.strategy.bayesian import BayesianOptimization
from archsmith.strategy.surrogate import limits
from archsmith.testing.strategy import StrategyContract, flat, nested

from .toys import slowness


class TestBayesian(StrategyContract):
    steps = 22  # past the ten random ones
    seeds, budget = 12, 25
    make = staticmethod(lambda: BayesianOptimization())


def chain():
    """Six layers of five kinds: 15,625 architectures."""
    from torch import nn

    for i in range(6):
        choose(f"layer{i}", ["none", "skip", "conv1", "conv3", "pool"])
    return nn.Identity()


def large():
    """5^12 architectures: too many to list."""
    from torch import nn

    for i in range(12):
        choose(f"layer{i}", [0, 1, 2, 3, 4])
    return nn.Identity()


def run(
    space: Space,
    metrics: Callable[[Architecture], dict[str, float]],
    trials: int,
    objectives: tuple[Objective, ...] = (Objective("accuracy", "maximize"),),
    bounds: tuple[Limit, ...] = (),
    lag: int = 0,
    seed: int = 0,
) -> History:
    history = History(objectives, bounds, key=space.canonical)
    strategy = BayesianOptimization()
    for number in range(trials):
        proposal = strategy.propose(space, history, random.Random(seed * 1000 + number))
        assert proposal is not None
        history.add(Trial(number, proposal.architecture, seed=number, state=State.RUNNING))
        while len(history.running) > lag:
            trial = history.trials[min(history.running)]
            trial.metrics = metrics(trial.architecture)
            broken = history.violation(trial.metrics) > 0
            trial.state = State.PRUNED if broken else State.FINISHED
            history.close(trial)
    return history


def likeness(architecture: Architecture) -> dict[str, float]:
    """How many answers agree with a fixed architecture; conv3 costs the most."""
    goal = ["conv3", "skip", "conv1", "pool", "conv3", "none"]
    same = sum(a == b for a, b in zip(architecture.values(), goal, strict=True))
    cost = sum({"conv3": 9.0, "conv1": 1.0}.get(str(a), 0.0) for a in architecture.values())
    return {"accuracy": same / 6, "flops": cost + 1.0}


@pytest.mark.slow
def test_finds_the_best_of_a_separable_landscape():
    history = run(Space(chain), likeness, 40)
    best = history.best()
    assert best is not None
    assert best.metrics["accuracy"] == 1.0  # of 15,625; random search has it with chance 1 in 390


@pytest.mark.slow
def test_a_space_too_large_to_list_is_climbed():
    def rising(architecture: Architecture) -> dict[str, float]:
        return {"accuracy": sum(float(a) for a in architecture.values()) / 48}

    space = Space(large)
    assert not listing(space)
    best = run(space, rising, 35).best()
    assert best is not None
    assert best.metrics["accuracy"] > 0.95  # random draws are at 0.5 with a deviation of 0.1


@pytest.mark.slow
def test_limits_are_learned():
    limit = Limit("flops", "<=", 11.0)
    history = run(Space(chain), likeness, 50, bounds=(limit,))
    best = history.best()
    assert best is not None
    assert best.metrics["accuracy"] == pytest.approx(5 / 6)  # both conv3 of the goal cost 18
    proposed = history.ended[15:]
    broken = sum(t.state is State.PRUNED for t in proposed)
    assert broken <= len(proposed) * 0.4  # even draws break it six times in ten


@pytest.mark.slow
def test_limits_that_no_random_trial_keeps():
    """Until one is kept, the probability of keeping it leads."""
    limit = Limit("flops", "<=", 1.0)  # no convolution: 1 architecture in 21
    history = run(Space(chain), likeness, 30, bounds=(limit,), seed=3)
    assert len(history.finished) >= 10


@pytest.mark.slow
def test_two_objectives_cover_the_front():
    goals = (Objective("accuracy", "maximize"), Objective("flops", "minimize"))
    front = run(Space(chain), likeness, 60, objectives=goals).front()
    reached = {round(t.metrics["accuracy"] * 6): t.metrics["flops"] for t in front}
    assert reached == {3: 1.0, 4: 2.0, 5: 11.0, 6: 20.0}


@pytest.mark.slow
def test_three_objectives():
    goals = (
        Objective("accuracy", "maximize"),
        Objective("flops", "minimize"),
        Objective("depth", "minimize"),
    )

    def three(architecture: Architecture) -> dict[str, float]:
        deep = sum(a not in ("none", "skip") for a in architecture.values())
        return {**likeness(architecture), "depth": float(deep)}

    history = run(Space(chain), three, 25, objectives=goals)
    assert len(history.front()) >= 4


@pytest.mark.slow
def test_parallel_proposals_differ_and_still_find_it():
    history = run(Space(chain), likeness, 60, lag=7)
    assert len({t.architecture for t in history.trials}) == 60
    best = history.best()
    assert best is not None
    assert best.metrics["accuracy"] >= 5 / 6


def mirrored():
    """Two layers whose order does not matter: 15 graphs of 25 architectures."""
    from torch import nn

    choose("a", [0, 1, 2, 3, 4])
    choose("b", [0, 1, 2, 3, 4])
    return nn.Identity()


def test_each_graph_once_and_all_spellings_alike():
    both = graph_form(lambda a: str(sorted(a.values())), lambda a: {"sum": float(sum(a.values()))})
    space = Space(both(mirrored))
    assert len(listing(space)) == 15
    history = run(space, lambda a: {"accuracy": float(sum(a.values()))}, 15)
    assert len(history.seen) == 15
    strategy = BayesianOptimization()
    assert strategy.propose(space, history, random.Random(0)) is None
    blocks = Blocks(space)
    one, other = (space.complete({"a": a, "b": b}) for a, b in ((1, 3), (3, 1)))
    rows = blocks.rows([one, other])
    assert set(rows) >= {"answers", "ranks", "counts", "graph "}
    for block in rows.values():
        assert (block[0] == block[1]).all()


def test_inactive_decisions_set_architectures_apart():
    space = Space(nested)
    blocks = Blocks(space)
    short = space.complete({"depth": 1})
    skip = space.complete({"depth": 2, "depth.1.op": "skip"})
    wide = space.complete({"depth": 2, "depth.1.op": "wide"})
    answers = blocks.rows([short, skip, wide])["answers"]
    distance = ((answers[:, None] - answers[None]) ** 2).sum(-1)
    assert distance[0, 1] < distance[0, 2]
    assert distance[1, 2] > 0


@pytest.mark.slow
def test_real_decisions_close_to_each_other():
    """Trials gather at the best, where covariances are all but equal."""

    def three():
        from torch import nn

        for name in "abc":
            real(name, 0.0, 1.0)
        return nn.Identity()

    def bowl(architecture: Architecture) -> dict[str, float]:
        return {"accuracy": -sum((float(x) - 0.3) ** 2 for x in architecture.values())}

    best = run(Space(three), bowl, 60).best()
    assert best is not None
    assert best.metrics["accuracy"] > -1e-3


def test_graph_features_far_from_zero():
    def sizes(architecture) -> dict[str, float]:
        return {"size:all": 1e6 + 1000.0 * sum(architecture.values())}

    space = Space(graph_form(lambda a: str(dict(a)), sizes)(chained_numbers))
    best = run(space, lambda a: {"accuracy": float(sum(map(int, a.values())))}, 40).best()
    assert best is not None
    assert best.metrics["accuracy"] == 15.0


def chained_numbers():
    from torch import nn

    for i in range(5):
        choose(f"layer{i}", [0, 1, 2, 3])
    return nn.Identity()


@pytest.mark.slow
def test_draws_that_the_builder_refuses_are_left_out():
    """One in 36 of a space that keeps bringing up new questions, so that the builder runs."""

    def picky():
        from torch import nn

        a, b = choose("a", list(range(6))), choose("b", list(range(6)))
        choose(f"c{a}{b}", list(range(6)))
        choose(f"d{a}{b}", list(range(200)))
        if (a, b) == (3, 3):
            raise ValueError("3 and 3 do not go together")
        return nn.Identity()

    def near(architecture: Architecture) -> dict[str, float]:
        return {"accuracy": -sum(abs(float(architecture[name]) - 3) for name in "ab")}

    space = Space(picky)
    best = run(space, near, 30).best()
    assert best is not None
    assert best.metrics["accuracy"] == -1.0
    assert not listing(space)


def test_a_limit_s_scale_does_not_hang_on_later_trials():
    """Kernels are kept from when there were fewer."""
    history = History([Objective("accuracy", "maximize")], [Limit("params", "<=", 10.0)])
    scaled = []
    for number, params in enumerate([5.0, 20.0, 8.0, 40.0, 0.0]):
        trial = Trial(number, Architecture({"a": number}), state=State.FINISHED)
        trial.metrics = {"accuracy": 0.0, "params": params}
        history.add(trial)
        history.close(trial)
        scaled += [target.before(2).raw for target in limits(history)]
    assert len(scaled) == 4
    for raw in scaled:
        assert (raw == scaled[0]).all()


@pytest.mark.slow
def test_two_hundred_decisions_are_quick():
    def deep():
        from torch import nn

        for i in range(200):
            choose(f"layer{i}", [0, 1, 2, 3, 4])
        return nn.Identity()

    space = Space(deep)
    history = run(space, lambda a: {"accuracy": float(sum(map(int, a.values())))}, 12)
    strategy = BayesianOptimization()
    strategy.propose(space, history, random.Random(0))
    start = time.process_time()
    strategy.propose(space, history, random.Random(1))
    assert time.process_time() - start < 1.0 * slowness()  # 0.3 s on an idle core, once 2.4 s


@pytest.mark.slow
def test_a_proposal_late_in_a_study_is_quick():
    space = Space(chain)
    history = History([Objective("accuracy", "maximize")], key=space.canonical)
    rng = random.Random(0)
    while len(history) < 500:
        architecture = space.sample(rng)
        if history.new(architecture):
            trial = Trial(len(history), architecture, state=State.FINISHED)
            trial.metrics = likeness(architecture)
            history.add(trial)
            history.close(trial)
    strategy = BayesianOptimization()
    strategy.propose(space, history, random.Random(0))  # lists the space, estimates the kernel
    start = time.process_time()
    strategy.propose(space, history, random.Random(1))
    assert time.process_time() - start < 0.5 * slowness()  # 0.1 s on an idle core


def test_bad_arguments():
    with pytest.raises(InputError, match="start >= 2"):
        BayesianOptimization(start=1)


@pytest.mark.slow
def test_flat_space_to_its_end():
    history = run(Space(flat), lambda a: {"accuracy": float(sum(a.values()))}, 125)
    assert len(history.seen) == 125
    assert max(history.finished[:25], key=lambda t: t.metrics["accuracy"]).metrics["accuracy"] == 12


def timed(space: Space, per_second: bool, seconds: Callable[[Architecture], float]) -> History:
    history = History([Objective("accuracy", "maximize")], key=space.canonical)
    strategy = BayesianOptimization(per_second=per_second)
    for number in range(24):
        proposal = strategy.propose(space, history, random.Random(number))
        assert proposal is not None
        trial = Trial(number, proposal.architecture, state=State.FINISHED)
        trial.metrics = likeness(trial.architecture) | {"seconds": seconds(trial.architecture)}
        history.add(trial)
        history.close(trial)
    return history


@pytest.mark.slow
def test_a_second_is_spent_on_quick_trials():
    space = Space(chain)

    def seconds(architecture: Architecture) -> float:
        return likeness(architecture)["flops"]

    def spent(history: History) -> float:
        return sum(t.metrics["seconds"] for t in history.trials[10:])

    assert spent(timed(space, True, seconds)) < 0.5 * spent(timed(space, False, seconds))


@pytest.mark.slow
def test_equal_seconds_change_nothing():
    space = Space(chain)
    runs = [timed(space, per_second, lambda _: 3.0) for per_second in (False, True)]
    tried = [[t.architecture for t in history.trials] for history in runs]
    assert tried[0] == tried[1]
