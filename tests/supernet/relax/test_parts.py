"""Alphas, the detector of collapse and expected costs."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.space.architecture import Architecture
from archsmith.supernet.relax.collapse import (
    Watch,
    entropy_share,
    free_share,
)
from archsmith.supernet.relax.darts import DARTS
from archsmith.supernet.relax.expected_cost import ExpectedCost
from archsmith.supernet.relax.mixture import MixingWeights
from archsmith.supernet.relax.reading import RelaxedReading, size_of
from archsmith.supernet.relax.weights import Alphas, rate_for
from archsmith.zoo.nasbench201 import nasbench201

from ..training_toys import operations, session_of
from .toys import linking


def test_the_rate_keeps_the_reach_of_the_paper() -> None:
    assert rate_for(19_500) == pytest.approx(3.08e-4, rel=0.01)
    assert rate_for(10**6) == 3e-4
    assert rate_for(1000) == 6e-3
    assert rate_for(1) == 0.1


def test_alphas_learn_as_torchs_adam_and_resume() -> None:
    one, two = (Alphas(0.1, seed=3) for _ in range(2))
    reference = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))]
    adam = torch.optim.Adam(reference, lr=0.1, betas=(0.5, 0.999), weight_decay=1e-3)
    one.add("a", 3)
    one.add("b", 2)
    one.add("a", 3)
    assert one.names == ("a", "b")
    assert 0 < float(one["a"].detach().abs().max()) < 0.01
    one.put({"a": torch.zeros(3), "b": torch.zeros(2)})
    generator = torch.Generator().manual_seed(0)

    def step(alphas: Alphas) -> None:
        grads = [torch.randn(3, generator=generator), torch.randn(2, generator=generator)]
        alphas.learn(grads)
        for parameter, grad in zip(reference, grads, strict=True):
            parameter.grad = grad.clone()

    for _ in range(3):
        step(one)
        adam.step()
    assert torch.allclose(one["a"], reference[0])
    two.add("a", 3)
    two.load_state(one.state())
    assert two.names == ("a", "b")  # one that was not there has joined
    step(two)
    adam.step()
    assert torch.allclose(two["a"], reference[0])
    assert torch.allclose(two["b"], reference[1])
    assert not torch.equal(two["b"], one["b"])


def test_entropy_and_the_share_of_free_options() -> None:
    assert entropy_share([torch.full((5,), 0.2), torch.full((2,), 1.0)]) == pytest.approx(1.0)
    assert entropy_share([torch.tensor([1.0, 0.0, 0.0])]) == 0.0
    assert entropy_share([torch.tensor([1.0])]) == 0.0
    leading = {"a": [0], "b": [2], "c": [1], "all": [0], "sub": [0, 3]}
    free = {
        name: frozenset(places)
        for name, places in {"a": {0, 1}, "b": {0}, "c": set(), "all": {0, 1}, "sub": {3}}.items()
    }
    sizes = {"a": 3, "b": 3, "c": 2, "all": 2, "sub": 4}
    assert free_share(leading, free, sizes) == pytest.approx(2 / 4)


def snapshot(epoch: int) -> dict[str, Tensor]:
    return {"d": torch.tensor([float(epoch)])}


def watched(
    eigenvalues: list[float],
    losses: list[float],
    epochs: int | None = None,
    shares: Sequence[float] | None = None,
) -> tuple[Watch, int, str]:
    """A watch that has seen a trajectory, at which epoch it stopped, and why."""
    watch = Watch()
    for epoch, (value, loss) in enumerate(zip(eigenvalues, losses, strict=True), start=1):
        progress = epoch / (epochs or len(eigenvalues))
        told = json.loads(json.dumps(watch.state() | {"kept": []}))
        again = Watch()
        again.load_state(told | {"kept": watch.kept})  # as after a stop
        share = 0.6 if shares is None else shares[epoch - 1]
        reason = again.look(share, snapshot(epoch), eigenvalue=value, loss=loss, progress=progress)
        watch = again
        if reason:
            return watch, epoch, reason
    return watch, 0, ""


def test_a_growing_eigenvalue_stops_and_goes_back_four_epochs() -> None:
    values = [1.0] * 11 + [1.0 + 0.3 * k for k in range(1, 7)]
    watch, stopped, reason = watched(values, [0.5] * len(values), epochs=50_000)
    assert stopped == 0  # the first fifth of the training is still going on
    watch, stopped, reason = watched([0.0] * 4 + values, [0.5] * (4 + len(values)))
    # The mean of five against the five that ended four epochs before, from the fifth epoch on.
    means = [sum(values[i - 5 : i]) / 5 for i in range(5, len(values) + 1)]
    first = next(i for i in range(4, len(means)) if means[i - 4] / means[i] < 0.75)
    assert stopped == 4 + first + 5
    assert "eigenvalue of the held-out loss grew from 1 to 1." in reason
    assert float(watch.good["d"]) == stopped - 4


def test_a_growing_eigenvalue_is_no_sign_while_the_loss_falls() -> None:
    values = [1.0] * 11 + [1.0 + 0.3 * k for k in range(1, 14)]
    falling = [0.5 * 0.98**k for k in range(len(values))]
    assert watched(values, falling)[1] == 0
    assert watched(values, [0.5] * 15 + [0.5 * 1.01**k for k in range(9)])[1] > 0


def test_a_growing_eigenvalue_is_no_sign_where_free_options_do_not_gain() -> None:
    values = [1.0] * 11 + [1.0 + 0.3 * k for k in range(1, 14)]
    level = [0.5] * len(values)
    for shares, stops in (
        ([0.0] * 24, False),
        ([0.3] * 24, False),
        ([0.4] * 12 + [0.2] * 12, False),
        ([0.2] * 12 + [0.4] * 12, True),
        ([0.6] * 24, True),
        ([0.7] * 12 + [0.6] * 12, True),
    ):
        assert bool(watched(values, level, shares=shares)[1]) == stops


@pytest.mark.parametrize(
    "values",
    [
        [0.2, 0.5, 0.9, 1.0, 1.0] + [1.0] * 15,  # as the weights learn
        [1.0 + 0.05 * k for k in range(30)],  # slowly
        [1.0, 1.6, 0.7, 1.2] * 8,  # noise around a level
        [3.0 - 0.1 * k for k in range(30)],
        [-2.0] * 10 + [-1.0] * 10,  # no maximum to fall off
    ],
)
def test_what_is_no_sign_stops_nothing(values: list[float]) -> None:
    assert watched(values, [0.5] * len(values))[1:] == (0, "")


def test_what_earlier_versions_noted_counts_for_nothing() -> None:
    watch = Watch()
    watch.load_state({"eigenvalues": [1.0, 9.0], "shares": [0.1, 0.2], "kept": []})
    assert watch.eigenvalues == []
    assert watch.shares == [0.1, 0.2]


def test_free_options_that_lead_before_anything_is_learned_stop_nothing() -> None:
    watch = Watch(0.75)
    for epoch, share in enumerate([0.5, 1.0, 1.0, 1.0, 0.5, 0.5], start=1):
        assert watch.look(share, snapshot(epoch), progress=0.05 * epoch) == ""


def test_free_options_that_take_over_stop_and_go_back_to_before() -> None:
    watch = Watch(0.75)
    for epoch, share in enumerate([0.9, 0.9, 0.9, 0.9, 0.6, 0.8, 0.8], start=1):
        assert watch.look(share, snapshot(epoch)) == ""  # it was never good, or not for long
    resumed = Watch(0.75)
    resumed.load_state(watch.state())
    for each in (watch, resumed):
        reason = each.look(0.9, snapshot(8))
        assert "lead 90% of the decisions" in reason
        assert float(each.good["d"]) == 5.0


def test_a_search_that_collapses_ends_with_the_alphas_from_before() -> None:
    method = DARTS(free_bound=0.5, rate=1e-9, decay=0.0)
    session = session_of(operations, holdout=0.5, epochs=6)
    method.begin(session)
    good = torch.tensor([1.0, 0.0, 0.0])
    shares = []
    for epoch, alpha in enumerate(
        [good, good, good.flip(0), 2 * good.flip(0), 3 * good.flip(0)], start=1
    ):
        method.alphas.put({f"op{i}": alpha for i in range(3)})
        session.step = session.steps * epoch // 6
        shares.append(method.end_epoch(session, epoch)["free_share"])
        assert bool(method.stopped) == (epoch == 5)
    assert shares == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert torch.allclose(method.alphas["op1"].detach(), good)
    assert method.derive(session, 1)[0]["op0"] == "conv3"


def params(space: nas.Space) -> Any:
    def cost(architecture: Architecture) -> float:
        return float(sum(p.numel() for p in space.build(architecture, "meta").parameters()))

    return cost


def one_hot(run: RelaxedReading, architecture: Architecture) -> dict[str, Tensor]:
    weights = {}
    for name, decision in run.relaxed.items():
        row = torch.zeros(size_of(decision))
        if name in architecture:
            row[list(decision.answers()).index(architecture[name])] = 1.0
        weights[name] = row
    return weights


@pytest.mark.slow
def test_expected_parameters_of_nasbench201_are_exact() -> None:
    space = nas.Space(nasbench201, channels=3, classes=10, width=4, cells=1)
    run = RelaxedReading(MixingWeights())
    space.run(run, "meta")
    cost = params(space)
    expected = ExpectedCost(space, run.relaxed, run.inside, cost, limit=2000.0)
    rng = random.Random(0)
    drawn = [space.sample(rng) for _ in range(12)]
    for architecture in drawn:
        weights = one_hot(run, architecture)
        assert float(expected(weights)) == pytest.approx(cost(architecture), abs=0.1)
    # A mixture of architectures costs what they cost on average, where costs add up.
    alphas = {name: torch.zeros(5, requires_grad=True) for name in run.relaxed}
    weights = {name: torch.softmax(alpha, 0) for name, alpha in alphas.items()}
    assert float(expected(weights).detach()) == pytest.approx(
        sum(cost(a) for a in (space.sample(rng) for _ in range(300))) / 300, rel=0.1
    )
    penalty = expected.penalty(weights)
    beyond = float(expected(weights).detach()) / 2000.0 - 1.0
    assert float(penalty.detach()) == pytest.approx(beyond, rel=1e-5)
    penalty.backward()
    options = list(run.relaxed["0>1"].options)  # type: ignore[union-attr]
    slope = alphas["0>1"].grad
    assert slope is not None
    assert int(slope.argmax()) == options.index("nor_conv_3x3")
    loose = ExpectedCost(space, run.relaxed, run.inside, cost, limit=1e6)
    assert float(loose.penalty(weights).detach()) == 0.0


def inner(channels: int, classes: int) -> nn.Module:
    """A choice inside an option, whose costs add up."""

    def deep() -> nn.Module:
        sizes = {
            "one": lambda: nn.Linear(4, 4),
            "bottle": lambda: nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 4)),
        }
        return nn.Sequential(nn.Linear(4, 4), nas.one_of("size", sizes))

    return nn.Sequential(
        nas.one_of("op", {"skip": nn.Identity, "deep": deep, "flat": lambda: nn.Linear(4, 4)})
    )


def test_expected_costs_of_inner_choices_count_by_their_chance() -> None:
    space = nas.Space(inner, channels=1, classes=2)
    run = RelaxedReading(MixingWeights())
    space.run(run, "meta")
    cost = params(space)
    expected = ExpectedCost(space, run.relaxed, run.inside, cost, limit=1.0)
    for architecture in space.enumerate():
        assert float(expected(one_hot(run, architecture))) == pytest.approx(cost(architecture))
    mixed = {"op": torch.tensor([0.2, 0.5, 0.3]), "op.deep.size": torch.tensor([0.4, 0.6])}
    by_hand = 0.5 * (20 + 0.4 * 20 + 0.6 * 13) + 0.3 * 20
    assert float(expected(mixed)) == pytest.approx(by_hand, rel=1e-6)


def weighted_links(channels: int, classes: int) -> nn.Module:
    sizes = {"a": 1, "b": 2, "c": 3, "d": 4}
    links = {label: (lambda n=n: nn.Linear(4, n)) for label, n in sizes.items()}
    return nn.ModuleList(nas.subset("links", links, (1, 2)).values())


def test_expected_costs_of_subsets() -> None:
    for builder in (weighted_links, linking):
        space = nas.Space(builder, channels=1, classes=2)
        run = RelaxedReading(MixingWeights())
        space.run(run, "meta")
        cost = params(space)
        expected = ExpectedCost(space, run.relaxed, run.inside, cost, limit=1.0)
        for architecture in space.enumerate():
            chosen = architecture["links"]
            assert isinstance(chosen, tuple)
            weights = {"links": torch.tensor([float(label in chosen) for label in "abcd"])}
            assert float(expected(weights)) == pytest.approx(cost(architecture), rel=1e-5)
