"""The first training to the end begins where the search left the architecture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

import archsmith as nas
from archsmith.study import SqliteStore
from archsmith.task.base import Recipe

RECIPE = Recipe(epochs=12, batch_size=32, lr=1e-2, schedule="wsd", ema=0.9)
SEARCH = {"strategy": "asha", "trials": 5, "epochs": 9, "share": 1.0, "final_epochs": 12}


def net(channels: int, height: int, width: int, classes: int) -> nn.Module:
    hidden = nas.choose("hidden", list(range(4, 20)))
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


@pytest.mark.slow
@pytest.mark.parametrize("folder", [True, False])
def test_the_finalist_continues_its_last_trial(tmp_path: Path, folder: bool) -> None:
    result = nas.search(
        net,
        "digits",
        recipe=RECIPE,
        run=tmp_path / "run" if folder else None,
        finalists=1,
        final_seeds=2,
        **SEARCH,
    )
    assert result.best is not None
    assert not result.problems
    linked = [t for t in result.history.trials if t.continues is not None]
    assert linked
    assert all(t.note.startswith("promoted") for t in linked)
    if not folder:
        assert result.best.continued == pytest.approx(0.8 * 9, abs=0.05) or result.best.repeat == 1
        return
    run = nas.Run(tmp_path / "run")
    first, second = run.repeats("winner")
    assert first.continued == pytest.approx(0.8 * 9, abs=0.05)
    assert second.continued == 0
    for final, before in ((first, 7), (second, 0)):
        assert [row["epoch"] for row in final.curve] == list(range(1, 13))
        assert sum(row["seconds"] == 0 for row in final.curve) == before
    with SqliteStore(tmp_path / "run", read=True) as store:
        trial = store.record().trials[first.number]
    assert trial.fidelity.epochs == 9
    assert [row["train_loss"] for row in first.curve[:7]] == [
        row["train_loss"] for row in trial.curve[:7]
    ]


@pytest.mark.slow
def test_without_its_state_it_trains_from_the_start_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    nas.search(net, "digits", recipe=RECIPE, run=folder, finalists=0, **SEARCH)
    states = sorted((folder / "checkpoints").glob("*.state.safetensors"))
    assert states
    kept = states[0].read_bytes()
    run = nas.Run(folder)
    best = run.history.best()
    assert best is not None
    other = next(t for t in run.history.full if t is not best)
    assert run.train(other.number).continued > 0
    for path in states:
        path.write_bytes(kept[:-9])
    final = run.train(best.number)
    assert final.continued == 0
    assert any(f"trial {best.number} was trained to the end from" in p for p in run.problems)


@pytest.mark.slow
def test_strategies_that_promote_continue_by_default_and_older_studies_go_on_as_they_began(
    tmp_path: Path,
) -> None:
    few = {"epochs": 2, "final_epochs": 2, "share": 0.2, "finalists": 0, "trials": 1}
    ways = {"asha": "wsd", "hyperband": "wsd", "random": "cosine"}
    for strategy, schedule in ways.items():
        result = nas.search(net, "digits", strategy=strategy, run=tmp_path / strategy, **few)
        assert result.problem.recipe.schedule == schedule
    older = replace(nas.Run(tmp_path / "asha").problem.recipe, schedule="cosine")
    nas.search(net, "digits", strategy="asha", run=tmp_path / "older", recipe=older, **few)
    more = few | {"trials": 2}
    result = nas.search(net, "digits", strategy="asha", run=tmp_path / "older", **more)
    assert result.problem.recipe.schedule == "cosine"
    assert len(result.history) > 1


@pytest.mark.slow
def test_cosine_trains_as_before(tmp_path: Path) -> None:
    recipe = Recipe(epochs=12, batch_size=32, lr=1e-2)
    result = nas.search(net, "digits", recipe=recipe, run=tmp_path / "run", finalists=1, **SEARCH)
    assert result.best is not None
    assert result.best.continued == 0
    assert all(t.continues is None for t in result.history.trials)
    assert not [*(tmp_path / "run" / "checkpoints").glob("*.state.safetensors")]
