"""Limits on latency through a whole search: predicted, kept with the study, measured again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError, RunFolderError
from archsmith.evaluate.latency import LatencyEvaluator
from archsmith.hardware.predictor import LatencyPredictor
from archsmith.history.trial import History, State, Trial
from archsmith.task.problem import open_problem
from archsmith.workflow import finalists as finals
from archsmith.workflow.finalist import noise
from archsmith.workflow.latency import measured_latency

OPTIONS = nas.LatencyOptions(seconds=0.004)
SPACE = f"{Path(__file__).parent / 'oneshot_space.py'}:small"


def net(features: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 6, 8, 10, 12, 14, 16, 18, 20, 22])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))


@pytest.mark.slow
def test_a_finalist_that_breaks_its_limit_when_measured_again_is_not_trained(monkeypatch):
    measured: list[int] = []
    trained: list[int] = []

    def remeasure(self, architecture) -> dict[str, float]:
        measured.append(architecture["width"])
        # The first two that are looked at take longer than they did.
        return {"latency_ms": 99.0 if len(measured) <= 2 else 1.0}

    real = finals.train_to_end

    def train(problem, architecture, *more):
        trained.append(architecture["width"])
        final = real(problem, architecture, *more)
        final.costs["latency_ms"] = 1.0
        return final

    monkeypatch.setattr(LatencyEvaluator, "remeasure", remeasure)
    monkeypatch.setattr(finals, "train_to_end", train)
    result = nas.search(
        net,
        "iris",
        limits={"latency_ms": 50},
        trials=5,
        epochs=1,
        final_epochs=1,
        finalists=1,
        strategy="random",
        latency=OPTIONS,
    )
    assert result.best is not None
    assert measured[2] == trained[0]
    assert not set(measured[:2]) & set(trained) - {result.default.architecture["width"]}
    assert sum("measured again, takes 99 ms" in problem for problem in result.problems) == 2


@pytest.mark.slow
def test_where_nobody_keeps_the_limit_again_the_nearest_is_trained_and_told(monkeypatch):
    monkeypatch.setattr(
        LatencyEvaluator, "remeasure", lambda self, a: {"latency_ms": 60.0 + float(a["width"])}
    )
    real = finals.train_to_end
    trained: list[int] = []

    def train(problem, architecture, *more):
        trained.append(architecture["width"])
        final = real(problem, architecture, *more)
        final.costs["latency_ms"] = 60.0 + architecture["width"]
        return final

    monkeypatch.setattr(finals, "train_to_end", train)
    result = nas.search(
        net,
        "iris",
        limits={"latency_ms": 50},
        trials=5,
        epochs=1,
        final_epochs=1,
        finalists=1,
        strategy="random",
        latency=OPTIONS,
    )
    assert trained[0] == min(t.architecture["width"] for t in result.history.finished)
    assert any("no finalist keeps latency_ms<=50" in problem for problem in result.problems)


@pytest.mark.slow
def test_a_predictor_is_kept_with_its_study_and_goes_on(monkeypatch, tmp_path):
    made: list[LatencyPredictor] = []
    real = LatencyPredictor.measure.__func__

    def measure(cls, *arguments, **named):
        made.append(real(cls, *arguments, **named))
        return made[-1]

    monkeypatch.setattr(LatencyPredictor, "measure", classmethod(measure))
    told: list[tuple[int, int]] = []

    def search(trials: int, **more):
        return nas.search(
            net,
            "iris",
            minimize="latency_ms",
            trials=trials,
            epochs=1,
            finalists=0,
            run=tmp_path / "run",
            strategy="random",
            latency=nas.LatencyOptions(seconds=0.004, samples=10),
            **more,
        )

    search(2, listener=nas.Listener(measured=lambda *d: told.append(d)))
    again = search(4)
    assert len(made) == 1, "the second session takes the first one's"
    assert told[-1] == (40, 40)
    guess = made[0].predict([t.architecture for t in again.history.trials])
    assert [t.metrics["latency_ms"] for t in again.history.trials] == pytest.approx(list(guess))
    content = nas.Run(tmp_path / "run").content(pictures=False)
    assert "predicted" in content.surroundings["latency of a trial"]
    assert "latency_error" not in content.columns()
    with pytest.raises(RunFolderError, match="latency"):
        nas.search(
            net,
            "iris",
            minimize="latency_ms",
            trials=4,
            epochs=1,
            finalists=0,
            run=tmp_path / "run",
            strategy="random",
            latency="batch=2",
        )


def test_a_space_too_small_for_a_predictor_is_measured_or_refused():
    def tiny(features: int, classes: int) -> nn.Module:
        return nn.Sequential(nn.Linear(features, nas.choose("width", [classes])))

    search = {"space": tiny, "data": "iris", "minimize": "latency_ms", "trials": 1, "finalists": 0}
    with pytest.raises(InputError, match="samples=0 measures every trial"):
        nas.search(**search, latency="samples=8")
    result = nas.search(**search, epochs=1, latency=OPTIONS)
    assert "latency_spread" in result.history.finished[0].metrics


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["gdas", "spos"])
def test_one_shot_searches_keep_a_limit_by_a_predictor(monkeypatch, strategy):
    """The planted latency is the number of convolutions and one; two of them are too many."""

    def cost(architecture: nas.Architecture) -> float:
        return 1.0 + sum(str(answer).startswith("conv") for answer in architecture.values())

    monkeypatch.setattr(
        "archsmith.hardware.predictor.measure_all",
        lambda space, architectures, *_, **__: [cost(a) for a in architectures],
    )
    asked: list[nas.Architecture] = []

    def remeasure(self, architecture) -> dict[str, float]:
        asked.append(architecture)
        return {"latency_ms": cost(architecture)}

    monkeypatch.setattr(LatencyEvaluator, "remeasure", remeasure)
    result = nas.search(
        SPACE,
        "digits",
        strategy=strategy,
        limits={"latency_ms": 2.1},
        trials=3,
        epochs=1,
        finalists=0,
        latency=OPTIONS,
    )
    assert result.history.finished
    assert all(cost(t.architecture) <= 2.1 for t in result.history.finished)
    assert all("latency_error" in t.metrics for t in result.history.finished)
    assert bool(asked) == (strategy == "gdas"), "what is derived is measured"
    derived = [t for t in result.history.trials if "number" in t.note]
    assert all(cost(t.architecture) <= 2.1 for t in derived)


@pytest.mark.slow
def test_a_derived_architecture_that_breaks_its_limit_by_the_clock_gives_way(monkeypatch):
    monkeypatch.setattr(
        "archsmith.hardware.predictor.measure_all",
        lambda space, architectures, *_, **__: [1.0 + 0.001 * n for n in range(len(architectures))],
    )
    slow: list[nas.Architecture] = []

    def remeasure(self, architecture) -> dict[str, float]:
        if not slow:
            slow.append(architecture)
        return {"latency_ms": 9.0 if architecture == slow[0] else 1.0}

    monkeypatch.setattr(LatencyEvaluator, "remeasure", remeasure)
    result = nas.search(
        SPACE,
        "digits",
        strategy="darts",
        limits={"latency_ms": 2.0},
        trials=3,
        epochs=1,
        finalists=0,
        latency=OPTIONS,
    )
    derived = [t.architecture for t in result.history.trials if "number" in t.note]
    assert derived
    assert slow[0] not in derived


def test_a_clock_that_stayed_noisy_is_told():
    history = History((nas.Objective("accuracy", "maximize"),))
    for number, spread in enumerate((0.1, 0.9)):
        trial = Trial(number, nas.Architecture({"width": number}), nas.Fidelity(), 0)
        trial.state, trial.metrics = State.FINISHED, {"accuracy": 1.0, "latency_spread": spread}
        history.add(trial)
    assert len(noise(history, None)) == 1
    assert "noisy clock: the latency of 1 trial (1)" in noise(history, None)[0]


def test_what_is_measured_again_is_measured_as_the_problem_says():
    problem = open_problem(net, "iris", device="cpu", latency=nas.LatencyOptions("exported", 2, 1))
    found = measured_latency(problem).measure(problem.space.default(), confirm=True)
    assert (found.runtime, found.batch, found.threads) == ("exported", 2, 1)
    metrics = measured_latency(problem).remeasure(problem.space.default())
    assert (metrics["latency_batch"], metrics["latency_threads"]) == (2, 1)
    assert torch.get_num_threads() >= 1
