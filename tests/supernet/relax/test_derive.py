from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import WorkError
from archsmith.space.architecture import Answer, Architecture
from archsmith.space.decision import Categorical, Decision, Subset
from archsmith.supernet.relax.derive import best_first, derive, rank_subset
from archsmith.zoo.nasbench201 import nasbench201

from .toys import sized

SPACE = nas.Space(nasbench201, channels=3, classes=10, width=4, cells=1)


def chances(decision: Categorical, seed: int = 0) -> dict[Answer, float]:
    rng = random.Random(f"{seed} {decision.name}")
    raw = [rng.random() + 0.05 for _ in decision.options]
    return {o: r / sum(raw) for o, r in zip(decision.options, raw, strict=True)}


def ranking(decision: Decision) -> list[tuple[float, Answer]] | None:
    assert isinstance(decision, Categorical)
    known = chances(decision)
    return sorted(((math.log(p), o) for o, p in known.items()), key=lambda pair: -pair[0])


@pytest.mark.slow
def test_architectures_come_by_their_joint_probability() -> None:
    decisions = {d.name: d for d in SPACE.decisions(SPACE.default())}

    def probability(architecture: Any) -> float:
        return math.prod(chances(decisions[n])[a] for n, a in architecture.items())  # type: ignore[arg-type]

    options = [decisions[name].options for name in decisions]  # type: ignore[attr-defined]
    every = (dict(zip(decisions, answers, strict=True)) for answers in itertools.product(*options))
    expected = sorted((probability(answers) for answers in every), reverse=True)[:300]
    found = list(itertools.islice(best_first(SPACE, ranking), 300))
    assert len(set(found)) == 300
    assert [probability(a) for a in found] == pytest.approx(expected)


def test_the_enumeration_is_complete_and_ends() -> None:
    small = nas.Space(three, channels=1, classes=2)
    found = list(best_first(small, ranking))
    assert len(found) == len(set(found)) == 12


def three(channels: int, classes: int) -> nn.Module:
    names = {"a": "xyz", "b": "xy", "c": "xy"}
    for name, labels in names.items():
        nas.one_of(name, dict.fromkeys(labels, nn.Identity))
    return nn.Identity()


@pytest.mark.slow
def test_no_graph_comes_twice() -> None:
    found = derive(SPACE, ranking, 60)
    assert len({SPACE.canonical(a) for a in found}) == len(found) == 60


def test_inner_decisions_count_where_they_are_asked_alone() -> None:
    space = nas.Space(sized, channels=1, classes=10)

    def ranked(decision: Decision) -> list[tuple[float, Answer]] | None:
        if decision.name.endswith("act"):
            return [(-0.1, "tanh"), (-5.0, "relu")]
        if decision.name.endswith("op"):
            return [(-0.2, "deep"), (-1.0, "skip")]
        return None

    found = list(itertools.islice(best_first(space, ranked), 120))
    first = found[0]
    assert first == space.complete({"depth.0.op": "deep", "depth.0.op.deep.act": "tanh"})
    assert len({(a["width"], a["depth"]) for a in found}) >= 3  # way by way, other values

    def regret(architecture: Architecture) -> float:
        ops = [a for n, a in architecture.items() if n.endswith("op")]
        acts = [a for n, a in architecture.items() if n.endswith("act")]
        return 0.8 * ops.count("skip") + 4.9 * acts.count("relu")

    regrets = [regret(a) for a in found]
    assert regrets == sorted(regrets)
    assert regrets[-1] > 4.9


def test_only_what_keeps_the_limits_is_derived() -> None:
    def excess(architecture: Architecture) -> float:
        return max(0, list(architecture.values()).count("nor_conv_3x3") - 1)

    found = derive(SPACE, ranking, 10, excess=excess)
    assert len(found) == 10
    assert all(excess(a) == 0 for a in found)
    whole = [a for a in best_first(SPACE, ranking) if excess(a) == 0][:1]
    assert found[:1] == whole


def test_the_nearest_is_told_where_nothing_keeps_the_limits() -> None:
    def excess(architecture: Architecture) -> float:
        return 1.0 + list(architecture.values()).count("none")

    with pytest.raises(WorkError, match=r"of the 50 most probable.* nearest exceeds them by 100%"):
        derive(SPACE, ranking, 1, excess=excess, tries=50)


def test_subsets_are_ranked_by_their_members() -> None:
    decision = Subset("d", ("a", "b"), ("a", "b", "c", "d"), (1, 2))
    scores = {"a": 0.5, "b": -1.0, "c": 2.0, "d": 1.0}
    ranked = rank_subset(decision, list(scores.values()))
    assert ranked[0] == (3.0, ("c", "d"))
    assert ranked[1] == (2.5, ("a", "c"))
    assert len(ranked) == decision.cardinality
    assert [s for s, _ in ranked] == sorted((s for s, _ in ranked), reverse=True)
    for _, answer in ranked:
        decision.check(answer)
    many = Subset("d", tuple(range(2)), tuple(range(40)), (2,))
    best = rank_subset(many, [float(i % 7) for i in range(40)])
    assert best[0] == (12.0, (6, 13))
    assert len(best) == math.comb(6, 2)
