"""References beside the winner: chosen, trained once, kept, scaled and compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith import train as training
from archsmith._support.cache import cache_folder
from archsmith.history.objective import Objective
from archsmith.history.paired import compare
from archsmith.report.page import render
from archsmith.study import MemoryStore
from archsmith.task import task
from archsmith.task.contracts import references_of
from archsmith.task.estimators import GradientBoosting
from archsmith.task.problem import Problem, open_problem
from archsmith.task.references import NetworkReference
from archsmith.train import score
from archsmith.workflow.baseline import Baseline, load, path_of, save
from archsmith.workflow.baselines import Baselines, chosen_references
from archsmith.workflow.listener import Listener
from archsmith.workflow.scaling import largest, nearest_scale

IMAGES = task("image-classification")
RESNET = references_of(IMAGES)[0]
ACCURACY = Objective("accuracy", "maximize")
BUDGET: dict[str, Any] = {"trials": 2, "epochs": 1, "final_epochs": 1, "finalists": 1}


def net(features: int, classes: int) -> nn.Module:
    width = nas.choose("width", [4, 6])
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))


def small(channels: int, classes: int) -> nn.Module:
    width = nas.choose("width", [6, 8])
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16 * width, classes),
    )


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of bright bars, whose place is their class, on noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = generator.integers(0, 60, (120, 12, 12, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] = 220
    path: Path = tmp_path_factory.mktemp("data") / "bars.npz"
    np.savez(path, images=images, labels=labels)
    return path


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What other tests trained is not found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def problem(bars: Path) -> Problem:
    return open_problem(small, bars, final_epochs=1)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Parameters of the references that are trained, in order."""
    sizes: list[int] = []
    train = training.train

    def watched(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
        sizes.append(sum(p.numel() for p in model.parameters()))
        return train(model, *args, **kwargs)

    monkeypatch.setattr(training, "train", watched)
    return sizes


def baselines(problem: Problem, cache: Path, **options: Any) -> Baselines:
    return Baselines(problem, MemoryStore(), 0, ACCURACY, cache=cache, **options)


# Choosing


def test_a_baseline_is_chosen_by_name() -> None:
    def names(name: str, of: str = "image-classification", finalists: int = 2) -> list[str]:
        return [r.name for r in chosen_references(name, task(of), finalists)]

    assert names("none") == names("none", finalists=0) == []
    assert names("auto") == ["resnet-20"]
    assert names("auto", "tabular-regression") == ["gradient-boosting"]
    assert names("wrn-16-4") == ["wrn-16-4"]
    assert names("auto", "translation") == names("auto", finalists=0) == []
    with pytest.raises(nas.InputError, match="did you mean 'resnet-20'"):
        names("resnet-2O")
    with pytest.raises(nas.InputError, match="one of: auto, none, quick, got 'resnet-20'"):
        names("resnet-20", "translation")
    with pytest.raises(nas.InputError, match="a winner to compare it with, got finalists=0"):
        names("resnet-20", finalists=0)


@pytest.mark.slow
def test_a_wrong_name_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(nas.InputError, match="gradient-boosting"):
        nas.search(net, "iris", baseline="resnet-20", run=tmp_path / "run", **BUDGET)
    assert not (tmp_path / "run").exists()


# Scaling


@pytest.mark.parametrize("value", [1e-3, 0.3, 0.9999, 1.0, 1.7, 4.0, 250.0])
def test_the_largest_scale_is_found_from_below(value: float) -> None:
    asked: list[float] = []

    def squared(scale: float) -> float:
        asked.append(scale)
        return scale**2

    found = largest(squared, value, halvings=12)
    assert found is not None
    assert 0.999 * value < found**2 <= value
    assert len(asked) <= 22


def test_steps_and_ends_of_the_range() -> None:
    assert largest(lambda scale: max(5.0, scale), 4.0, 5) is None
    assert largest(lambda scale: 1.0, 4.0, 20) == pytest.approx(16, rel=1e-3)
    stepped = largest(lambda scale: float(round(8 * scale)), 5.0, 12)
    assert stepped is not None
    assert round(8 * stepped) == 5


@pytest.mark.slow
@pytest.mark.parametrize("reference", references_of(IMAGES), ids=lambda r: r.name)
def test_a_network_meets_a_number_of_parameters(
    problem: Problem, reference: NetworkReference
) -> None:
    for target in (60_000, 700_000):
        scale = nearest_scale(reference, problem, "params", target, 0)
        assert scale is not None
        built = reference.build(IMAGES.arguments(problem.data.facts), 0, scale, "meta")
        size = sum(p.numel() for p in built.parameters())
        # MobileNet's widths are multiples of 8, so its sizes are further apart.
        near = 0.75 if reference.name.startswith("mobilenet") else 0.95
        assert near * target < size <= target


# Training and keeping


@pytest.mark.slow
def test_it_is_trained_by_the_recipe_and_scored_once(
    problem: Problem, tmp_path: Path, trained: list[int]
) -> None:
    rows: list[tuple[str, float, int]] = []

    def on_epoch(label: str, row: Mapping[str, float], epochs: int) -> None:
        rows.append((label, row["epoch"], epochs))

    longer = replace(problem, recipe=replace(problem.recipe, epochs=3))
    one = baselines(longer, tmp_path, on_epoch=on_epoch)
    baseline = one.train(RESNET)
    assert rows == [("resnet-20", 1, 3), ("resnet-20", 2, 3), ("resnet-20", 3, 3)]
    assert len(baseline.curve) == baseline.epochs == 3
    assert trained == [baseline.costs["params"]]
    data = problem.data
    # Approximately: kernels may add in another order where the memory lies otherwise.
    test, validation = (
        score(baseline.model, IMAGES, part, data.facts) for part in (data.test, data.validation)
    )
    assert test == pytest.approx(baseline.test, rel=1e-4)
    assert validation == pytest.approx(baseline.validation, rel=1e-4)
    assert float(baseline.parts["accuracy"].mean()) == pytest.approx(baseline.test["accuracy"])
    assert one.train(RESNET) is baseline


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.mark.slow
def test_time_decides_on_the_length(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def fits(*args: Any, until: float, clock: Clock, **kwargs: Any) -> training.Rounds:
        asked.append(args[4])
        return training.Rounds(2, until, clock)

    monkeypatch.setattr(training, "rounds_within", fits)
    clock = Clock()
    baseline = baselines(problem, tmp_path, seconds=32.0, clock=clock).train(RESNET, 0.25)
    assert asked == [4.0]  # a round is an eighth of the time
    assert 30 <= baseline.seconds <= 36
    assert baseline.epochs == 0
    assert len(baseline.curve) >= 8
    rates = [row["lr"] for row in baseline.curve]
    assert max(rates) == problem.recipe.lr
    assert rates[-1] < 0.3 * max(rates)  # the rate decays before the time is over


@pytest.mark.slow
def test_with_the_validation_part_no_epoch_is_scored(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    train = training.train

    def watched(model: nn.Module, of: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(len(data.train))
        return train(model, of, data, *args, **kwargs)

    monkeypatch.setattr(training, "train", watched)
    data = problem.data
    baseline = baselines(problem, tmp_path, together=True).train(RESNET, 0.25)
    assert seen == [len(data.train) + len(data.validation)]
    assert baseline.validation == {}
    assert "accuracy" not in baseline.curve[-1]
    assert baseline.test["accuracy"] == pytest.approx(float(baseline.parts["accuracy"].mean()))


@pytest.mark.slow
def test_a_table_is_fitted_to_the_validation_part_too(tmp_path: Path) -> None:
    iris = open_problem(net, "iris")
    reference = references_of(iris.task)[1]
    apart, together = (
        Baselines(iris, MemoryStore(), 0, ACCURACY, together=whole, cache=tmp_path).train(reference)
        for whole in (False, True)
    )
    assert apart.settings == together.settings  # chosen on the validation part, both times
    assert apart.validation
    assert together.validation == {}
    assert not torch.equal(apart.parts["loss"], together.parts["loss"])


@pytest.mark.slow
def test_another_run_finds_it_in_the_cache(
    problem: Problem, tmp_path: Path, trained: list[int]
) -> None:
    first = baselines(problem, tmp_path).train(RESNET, 0.25)
    again = baselines(problem, tmp_path).train(RESNET, 0.25)
    assert len(trained) == 1
    assert again == replace(first, checksum=again.checksum, weights=again.weights, parts={
        **again.parts
    })  # fmt: skip
    assert all(torch.equal(again.weights[n], t) for n, t in first.weights.items())
    assert all(torch.equal(again.parts[n], t) for n, t in first.parts.items())
    # What a training depends on has another key; what it does not has the same.
    same = baselines(problem, tmp_path)
    others = [
        baselines(replace(problem, recipe=replace(problem.recipe, lr=1e-3)), tmp_path),
        baselines(replace(problem, data=replace(problem.data, train=problem.data.test)), tmp_path),
        baselines(problem, tmp_path, seconds=60.0),
        baselines(problem, tmp_path, seconds=61.0),
        baselines(problem, tmp_path, together=True),
        Baselines(problem, MemoryStore(), 1, ACCURACY, cache=tmp_path),
    ]
    keys = [one.key(RESNET, 0.25) for one in [same, *others]] + [same.key(RESNET, 0.5)]
    assert keys[0] == first.key
    assert len(set(keys)) == len(keys)
    longer = replace(problem, recipe=replace(problem.recipe, epochs=9))
    limited = [baselines(one, tmp_path, seconds=60.0).key(RESNET) for one in (problem, longer)]
    assert limited[0] == limited[1]


@pytest.mark.slow
def test_a_damaged_file_in_the_cache_is_not_used(
    problem: Problem, tmp_path: Path, trained: list[int]
) -> None:
    first = baselines(problem, tmp_path).train(RESNET, 0.25)
    path = path_of(tmp_path, first.key)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(nas.InputError, match="an undamaged file"):
        load(tmp_path, first.key)
    again = baselines(problem, tmp_path).train(RESNET, 0.25)
    assert len(trained) == 2
    assert again.test == first.test
    assert load(tmp_path, first.key).test == first.test
    # A whole file in the wrong place is not the one that was asked for.
    shutil.copy(path, path_of(tmp_path, "0" * 16))
    with pytest.raises(nas.InputError, match="reference 0000000000000000"):
        load(tmp_path, "0" * 16)


def test_a_file_keeps_all_but_the_comparison(tmp_path: Path) -> None:
    weights, parts = {"w": torch.arange(3.0)}, {"accuracy": torch.ones(4)}
    one = Baseline("resnet-20", "abc", 0.5, 7, 3, "params", {"c": 1.0}, {"loss": 2.0})
    one = replace(one, weights=weights, parts=parts, curve=[{"epoch": 1}], seconds=2.5)
    again = load(tmp_path, "abc", save(tmp_path, one))
    assert torch.equal(again.weights["w"], weights["w"])
    assert torch.equal(again.parts["accuracy"], parts["accuracy"])
    assert again.to_json() == one.to_json() | {"at": "time"}
    assert Baseline.from_json(json.loads(json.dumps(one.to_json()))).to_json() == one.to_json()


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "archsmith"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the standard says to ignore it
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "archsmith"


# Searches


@pytest.mark.slow
def test_a_search_is_held_against_a_network(bars: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    found = nas.search(
        small, bars, baseline="auto", minimize="params", maximize="accuracy",
        limits={"latency_ms": 1000}, run=folder, **BUDGET,
    )  # fmt: skip
    assert found.best is not None
    by_kind = {one.at: one for one in found.baselines}
    assert by_kind["time"].costs["params"] > 2e5
    equal = by_kind["params"]
    assert 0.5 * found.best.costs["params"] < equal.costs["params"] <= found.best.costs["params"]
    told = "even the narrowest resnet-20 is slower than the winner"
    assert ("latency_ms" in by_kind) != (told in found.problems)
    for one in found.baselines:
        mine, other = (f.parts["accuracy"].double().numpy() for f in (found.best, one))
        assert one.comparison == compare("accuracy", "maximize", mine, other, against=one.label)
        assert one.label in one.words
    assert equal.label == "resnet-20 at the winner's parameters"
    reopened = nas.Run(folder)
    assert [one.to_json() for one in reopened.baselines] == [
        one.to_json() for one in found.baselines
    ]
    page = render(reopened.content())
    assert "Against models made by hand" in page
    assert equal.words.replace("'", "&#39;") in page


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on(bars: Path, tmp_path: Path, trained: list[int]) -> None:
    def interrupts(label: str, *_: object) -> None:
        if label != "resnet-20":
            raise KeyboardInterrupt

    arguments = BUDGET | {"baseline": "resnet-20", "run": tmp_path / "run"}
    listener = Listener(baseline=interrupts)
    first = nas.search(small, bars, **arguments, listener=listener)
    assert first.interrupted
    assert first.best is not None
    assert first.baselines == []
    assert len(trained) == 2
    shutil.rmtree(tmp_path / "cache")
    again = nas.search(small, bars, **arguments)
    assert not again.interrupted
    assert [one.at for one in again.baselines] == ["time", "params"]
    assert len(trained) == 3
    assert trained[1] == trained[2]


@pytest.mark.slow
def test_a_reference_that_fails_costs_nothing_else(
    bars: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(training, "train", fails)
    found = nas.search(small, bars, baseline="mobilenet-v3-small", run=tmp_path / "run", **BUDGET)
    assert found.best is not None
    assert found.baselines == []
    told = "reference mobilenet-v3-small could not be trained: out of memory"
    assert told in found.problems
    assert told in nas.Run(tmp_path / "run").record.notes["problems"]


@pytest.mark.slow
def test_a_table_is_held_against_boosting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit: Callable[..., Any] = GradientBoosting.fit
    fitted: list[object] = []

    def watched(self: GradientBoosting, *args: Any) -> Any:
        fitted.append(self)
        return fit(self, *args)

    monkeypatch.setattr(GradientBoosting, "fit", watched)
    folder = tmp_path / "run"
    found = nas.search(net, "iris", baseline="auto", run=folder, **BUDGET)
    (one,) = found.baselines
    assert one.name == one.label == "gradient-boosting"
    assert one.test["accuracy"] > 0.85
    assert one.comparison is not None
    assert one.comparison.examples == 30
    with pytest.raises(nas.InputError, match="a network with its weights"):
        _ = one.model
    again = nas.search(net, "iris", baseline="auto", run=folder, **BUDGET)
    assert len(fitted) == 1
    assert again.baselines[0].comparison == one.comparison
    # Fitted models are not cached: another run fits its own.
    nas.search(net, "iris", baseline="auto", run=tmp_path / "other", **BUDGET)
    assert len(fitted) == 2


def test_the_command_line_names_the_references(
    tmp_path: Path, archsmith: Callable[..., Any]
) -> None:
    refused = archsmith("search", "iris", "--baseline", "boosting", "--run", tmp_path / "run")
    assert refused.status == 2
    assert "did you mean 'gradient-boosting'?" in refused.err


@pytest.mark.slow
def test_show_prints_the_baselines(tmp_path: Path, archsmith: Callable[..., Any]) -> None:
    folder = tmp_path / "run"
    found = nas.search(net, "iris", baseline="logistic-regression", run=folder, **BUDGET)
    (told,) = json.loads(archsmith("show", folder, "--json").out)["baselines"]
    assert told["name"] == "logistic-regression"
    assert told["test"] == found.baselines[0].test
    assert told["comparison"]["words"] == found.baselines[0].words
    shown = " ".join(archsmith("show", folder).out.split())
    assert f"best of the search: {found.baselines[0].words}" in shown


@pytest.mark.slow
def test_tables_are_held_against_what_is_quick_to_fit(tmp_path: Path) -> None:
    found = nas.search(net, "iris", run=tmp_path / "run", **BUDGET)
    assert [one.name for one in found.baselines] == ["gradient-boosting", "logistic-regression"]
    assert all(one.comparison is not None for one in found.baselines)
    page = render(nas.Run(tmp_path / "run").content())
    assert "Against models made by hand" in page
    assert chosen_references("quick", task("image-classification"), 1) == ()
    assert chosen_references("quick", task("tabular-regression"), 0) == ()


@pytest.mark.slow
def test_without_a_baseline_nothing_is_told(tmp_path: Path) -> None:
    found = nas.search(net, "iris", baseline="none", run=tmp_path / "run", **BUDGET)
    assert found.baselines == []
    reopened = nas.Run(tmp_path / "run")
    assert reopened.baselines == []
    assert "Against models made by hand" not in render(reopened.content())
    assert not [name for name in reopened.record.notes if "baseline" in name]
