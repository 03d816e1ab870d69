"""Relaxations in the training loop: resumed, and in mixed spaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from archsmith.supernet.session import Session
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.training import train_supernet

from ..training_toys import IMAGES, RECIPE, digits, operations, same, session_of, space_of, values
from .toys import METHODS, linking, sized


def go(name: str, builder: Any, folder: Path | None = None, **options: Any) -> tuple[Session, Any]:
    method = METHODS[name](eigenvalue=name == "darts", **options.pop("settings", {}))
    session = train_supernet(
        Supernet(space_of(builder)),
        method,
        IMAGES,
        digits(),
        RECIPE,
        seed=3,
        checkpoint=folder,
        **options,
    )
    return session, method


def stop_after(epoch: int) -> Callable[[Any], None]:
    def told(row: Any) -> None:
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return told


def timeless(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in curve]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_stopped_and_resumed_search_equals_a_straight_one(name: str, tmp_path: Path) -> None:
    builder = linking if name == "pc-darts" else sized
    straight, method = go(name, builder)
    with pytest.raises(KeyboardInterrupt):
        go(name, builder, tmp_path, on_epoch=stop_after(2))
    torch.randn(7)  # global numbers drawn in between do not matter
    resumed, again = go(name, builder, tmp_path)
    assert timeless(resumed.curve) == timeless(straight.curve)
    assert same(values(resumed), values(straight))
    assert same(again.alphas.values(), method.alphas.values())
    assert again.visits() == method.visits()
    assert again.derive(resumed, 5) == method.derive(straight, 5)


def test_a_search_that_wants_to_stop_is_over(tmp_path: Path) -> None:
    class Stops(METHODS["darts"]):  # type: ignore[name-defined,misc]
        def end_epoch(self, session: Session, epoch: int) -> dict[str, float]:
            told: dict[str, float] = super().end_epoch(session, epoch)
            if epoch == 2:
                self.stopped = "enough"
            return told

    method = Stops()
    session = train_supernet(
        Supernet(space_of(operations)),
        method,
        IMAGES,
        digits(),
        RECIPE,
        seed=0,
        checkpoint=tmp_path,
    )
    assert len(session.curve) == 2
    told = session.curve[-1]
    assert {"entropy", "free_share"} <= told.keys()
    assert "eigenvalue" not in told  # three steps an epoch: it would cost more than they do


@pytest.mark.slow
def test_a_search_that_was_over_is_read_with_all_that_it_learned(tmp_path: Path) -> None:
    session, method = go("darts", sized, tmp_path)
    again_session, again = go("darts", sized, tmp_path)
    assert again_session.step == session.step
    assert again.alphas.names == method.alphas.names
    assert "depth.1.op" in again.alphas
    assert again.derive(again_session, 6) == method.derive(session, 6)


def test_a_network_that_needs_more_than_was_seen_makes_room() -> None:
    # As where the survey has not met the largest values of an option together.
    method = METHODS["darts"]()
    session = session_of(sized, holdout=method.holdout)
    method.begin(session)
    key, whole = next((k, p) for k, p in session.supernet.stored() if p.shape == (8, 8))
    session.supernet.put(key, whole.detach()[:4, :4].clone(), True)
    small = session.supernet.get(key)
    session.supernet.version += 1
    for batch in [batch for epoch in range(1, 5) for batch in session.epoch(epoch)]:
        method.step(session, batch)
        session.step += 1
    grown = session.supernet.get(key)
    assert grown is not None
    assert grown.shape == (8, 8)
    assert grown is not small
    assert any(grown is p for group in session.optimizer.param_groups for p in group["params"])
