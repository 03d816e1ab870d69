"""Scores of untrained architectures as advice for a search."""

from __future__ import annotations

import json
import random

import pytest
from torch import nn

import archsmith as nas
from archsmith.task.problem import open_problem
from archsmith.workflow.advice import FILE, ProxyAdvice


def net(channels, classes):
    """Nine architectures; the widest ones have the most parameters."""
    width = nas.choose("width", [4, 8, 16])
    kernel = nas.choose("kernel", [1, 3, 5])
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )


def plain(channels, classes):
    """Choices that no proxy of weights can tell apart."""
    nas.choose("nothing", [1, 2, 3])
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))


@pytest.fixture(scope="module")
def problem():
    return open_problem(net, "digits")


def all_of(problem):
    return list(problem.space.enumerate())


def params(problem, architecture):
    return sum(p.numel() for p in problem.space.build(architecture, device="meta").parameters())


def test_a_single_proxy_gives_its_scores(problem):
    architectures = all_of(problem)
    advice = ProxyAdvice(problem, "params")
    assert advice(architectures) == [params(problem, a) for a in architectures]


def test_a_proxy_of_ranks_ranks_among_the_first_pool_too(problem):
    from archsmith.proxy.vote import Vote

    architectures = all_of(problem)
    advice = ProxyAdvice(problem, Vote(["params", "l2_norm"]))
    whole = dict(zip(architectures, advice(architectures), strict=True))
    two = random.Random(0).sample(architectures, 2)
    # Asked for alone they have the ranks that they have in the pool.
    assert advice(two) == [whole[a] for a in two]
    assert max(whole, key=whole.__getitem__) == max(architectures, key=lambda a: params(problem, a))


def test_scores_are_remembered_and_a_torn_line_is_passed_over(problem, tmp_path):
    architectures = all_of(problem)
    first = ProxyAdvice(problem, "grad_norm", tmp_path)(architectures)
    file = tmp_path / FILE
    assert len(file.read_text().splitlines()) == len(architectures)
    with file.open("a") as end:
        end.write('{"graph": "torn')
    again = ProxyAdvice(problem, "grad_norm", tmp_path)
    again._score = None  # nothing is left to be scored
    assert again(architectures) == first
    # Another seed has other weights, and so other scores.
    other = ProxyAdvice(problem, "grad_norm", tmp_path, seed=1)
    assert other(architectures[:1]) != first[:1]


def test_a_proxy_that_tells_nothing_apart_gives_no_advice():
    from archsmith.proxy.vote import Vote

    alike = open_problem(plain, "digits")
    advice = ProxyAdvice(alike, Vote(["params", "l2_norm"]))
    assert advice(all_of(alike)) == [0.0, 0.0, 0.0]


@pytest.mark.slow
def test_a_search_starts_from_what_the_proxy_likes_and_resumes(tmp_path):
    told = []

    def run(trials):
        return nas.search(
            net,
            "digits",
            strategy="random",
            proxy="params",
            trials=trials,
            epochs=1,
            finalists=0,
            run=tmp_path,
            listener=nas.Listener(scored=lambda *n: told.append(n)),
        )

    first = run(3)
    notes = [trial.note for trial in first.history.trials]
    assert notes[0].startswith("to start from")
    assert notes[1:] == ["warm start by params"] * 2
    sizes = [trial.metrics["params"] for trial in first.history.trials[1:]]
    assert sizes == sorted(sizes, reverse=True)
    assert told
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert len({line["graph"] for line in lines}) == len(lines)
    straight = nas.search(
        net, "digits", strategy="random", proxy="params", trials=6, epochs=1, finalists=0
    )
    resumed = run(6)
    assert [t.architecture for t in resumed.history.trials] == [
        t.architecture for t in straight.history.trials
    ]
    with pytest.raises(nas.InputError, match="advised"):
        nas.search(net, "digits", strategy="random", trials=6, epochs=1, finalists=0, run=tmp_path)


def test_wrong_names_and_kinds_are_refused_before_any_work(tmp_path):
    with pytest.raises(nas.InputError, match="did you mean 'naswot'"):
        nas.search(net, "digits", proxy="nasswot", trials=2, run=tmp_path)
    with pytest.raises(nas.InputError, match="a strategy whose trials are trained"):
        nas.search(net, "digits", strategy="spos", proxy="params", trials=2, run=tmp_path)
    assert not list(tmp_path.glob("*.jsonl"))
    with pytest.raises(nas.InputError, match="proxy naswot"):
        nas.search(plain, "digits", proxy="naswot", trials=2)


@pytest.mark.slow
def test_a_limit_on_a_proxy_filters_before_training(problem):
    """Half of the space is below the median score, and none of it is trained."""
    from archsmith.evaluate.proxy import ProxyEvaluator

    judge = ProxyEvaluator(
        problem.space, problem.source, problem.options, problem.task.name, ["synflow"]
    )
    true = {a: judge.scores(a)["synflow"] for a in all_of(problem)}
    middle = sorted(true.values())[4]
    result = nas.search(
        net,
        "digits",
        strategy="grid",
        limits=[f"synflow>={middle!r}"],
        trials=9,
        epochs=1,
        finalists=0,
    )
    trials = result.history.trials
    assert {t.architecture: t.metrics["synflow"] for t in trials} == pytest.approx(true)
    trained = {t.architecture for t in trials if "accuracy" in t.metrics}
    assert trained == {a for a, score in true.items() if score >= middle}


def test_a_proxy_is_an_objective_beside_the_quality():
    result = nas.search(
        net, "digits", strategy="random", maximize="epe_nas", trials=2, epochs=1, finalists=0
    )
    assert [o.metric for o in result.history.objectives] == ["accuracy", "epe_nas"]
    assert all("epe_nas" in t.metrics for t in result.history.finished)


def test_a_misspelled_proxy_in_a_limit_is_offered_the_right_one():
    with pytest.raises(nas.ArchsmithError, match="did you mean 'swap'"):
        nas.search(net, "digits", limits=["swep>=4"], trials=1)
