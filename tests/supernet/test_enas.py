from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.space.architecture import Architecture
from archsmith.supernet.enas import ENAS, reward_of
from archsmith.supernet.session import Session

from .training_toys import first_batch, session_of


class Blind(nn.Module):
    """Nothing of its input comes out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.0


def seeing(channels: int, classes: int) -> nn.Module:
    """One place where one of three options lets the input through, and one that does not matter."""
    options: dict[str, Any] = {"blind": Blind, "sees": nn.Identity, "dark": Blind}
    nas.choose("idle", [0, 1])
    return nn.Sequential(
        nn.Flatten(), nas.one_of("eye", options), nn.Linear(64 * channels, classes)
    )


def chance(method: ENAS, name: str, answer: Any) -> float:
    rng = random.Random(0)
    drawn = Counter(method.learner.draw(rng)[name] for _ in range(300))
    return drawn[answer] / 300


def trained(epochs: int, **options: Any) -> tuple[Session, ENAS, list[dict[str, float]]]:
    session = session_of(seeing, holdout=ENAS.holdout)
    method = ENAS(**options)
    method.begin(session)
    told = []
    for epoch in range(1, epochs + 1):
        for batch in session.epoch(epoch):
            method.step(session, batch)
            session.step += 1
        told.append(method.end_epoch(session, epoch))
    return session, method, told


@pytest.mark.slow
def test_the_controller_goes_to_what_is_rewarded() -> None:
    session, method, told = trained(4, controller_steps=40, learning_rate=0.01)
    first = ENAS()
    first.begin(session)
    assert chance(first, "eye", "sees") == pytest.approx(1 / 3, abs=0.08)
    assert chance(method, "eye", "sees") > 0.8
    assert told[-1]["reward"] > told[0]["reward"] + 0.1
    assert told[-1]["baseline"] > told[0]["baseline"]
    best, *rest = method.derive(session, 2)
    assert best["eye"] == "sees"
    assert len(rest) == 1
    assert best != rest[0]
    batch = session.held()
    rewards = {
        eye: reward_of(session, session.judge(Architecture({"idle": 0, "eye": eye}), batch))
        for eye in ("sees", "blind")
    }
    assert rewards["sees"] > rewards["blind"] + 0.2


@pytest.mark.slow
def test_weights_are_trained_on_what_the_controller_draws() -> None:
    session, method, _ = trained(4, controller_steps=40, learning_rate=0.01)
    before = method.visits()
    for _ in range(40):
        method.step(session, first_batch(session))
        session.step += 1
    new = method.visits() - before
    assert new[("eye", "sees")] >= 28


def test_a_controller_is_rebuilt_from_its_rewards() -> None:
    session, method, _ = trained(2, controller_steps=10)
    again = ENAS(controller_steps=10)
    again.begin(session)
    again.load_state(method.state())
    assert again.learner.average == method.learner.average
    for step in range(20):
        drawn = [m.learner.draw(random.Random(step)) for m in (method, again)]
        assert drawn[0] == drawn[1]
    assert again.visits() == method.visits()
    assert again.state() == method.state()
    mine, theirs = (m.end_epoch(session, 3) for m in (method, again))
    assert mine.keys() == theirs.keys() == {"reward", "baseline"}


def test_rewards_of_tasks_with_errors_are_the_negative_loss() -> None:
    session = session_of(seeing)
    assert reward_of(session, {"accuracy": 0.7, "loss": 2.0}) == 0.7
    assert reward_of(session, {"accuracy": float("nan"), "loss": 2.0}) == -1.0
    from archsmith.task import task

    session.task = task("tabular-regression")
    expected = 0.4 if session.task.metrics[0].direction == "maximize" else -2.0
    name = session.task.metrics[0].name
    assert reward_of(session, {name: 0.4, "loss": 2.0}) == expected


def test_derive_gives_no_more_than_there_are() -> None:
    session, method, _ = trained(1, controller_steps=2)
    found = method.derive(session, 50)
    assert len(found) == len(set(found)) <= 6


@pytest.mark.parametrize(
    "options",
    [
        {"controller_steps": 0},
        {"learning_rate": 0.0},
        {"baseline": 1.0},
        {"entropy": -1.0},
        {"draws": 0},
        {"derive_batches": 0},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"enas, {next(iter(options))}"):
        ENAS(**options)
