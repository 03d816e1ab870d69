"""A search under limits that few architectures keep."""

from __future__ import annotations

import functools

import pytest
from torch import nn

import archsmith as nas
from archsmith.history.trial import State
from archsmith.study import check_limits
from archsmith.workflow import search as searching

BUDGET = {"epochs": 1, "final_epochs": 1, "finalists": 0, "seed": 3}


def deep(features: int, outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    width = features
    for i in range(5):
        following = nas.integer(f"width{i}", 4, 64, default=32)
        layers += [nn.Linear(width, following), nn.ReLU()]
        width = following
    return nn.Sequential(*layers, nn.Linear(width, outputs))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_only_the_default_breaks_a_tight_limit(strategy):
    limits = ["params<=1020", "params>=1000"]
    result = nas.search(deep, "iris", limits=limits, strategy=strategy, trials=6, **BUDGET)
    states = [trial.state for trial in result.history.trials]
    assert states[0] is State.PRUNED, "the default is compared all the same"
    assert states[1:] == [State.FINISHED] * 6
    assert all(1000 <= t.metrics["params"] <= 1020 for t in result.history.finished)


@pytest.mark.slow
def test_a_limit_that_nothing_was_found_to_keep_is_warned_of_and_tried(monkeypatch):
    few = functools.partial(check_limits, looks=20)
    monkeypatch.setattr(searching, "check_limits", few)
    with pytest.warns(UserWarning, match=r"params<=100 was found: .* as the smallest.*examined"):
        result = nas.search(
            deep, "iris", limits=["params<=100"], strategy="random", trials=1, **BUDGET
        )
    assert result.best is None
    assert "50 trials were pruned" in result.stopped
