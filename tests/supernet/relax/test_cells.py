"""Spaces of cells, whose edges are subsets with a choice of operations in each candidate."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import pytest
from torch import nn

from archsmith.supernet.session import Session, start
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.uniform import SPOS
from archsmith.zoo.darts import darts
from archsmith.zoo.enas import enas_micro

from ..training_toys import IMAGES, RECIPE, digits, first_batch, space_of
from .toys import METHODS


def tiny_darts(channels: int, classes: int) -> nn.Module:
    return darts(channels, classes, 8, 8, filters=4, cells=0, nodes=2)


def tiny_enas(channels: int, classes: int) -> nn.Module:
    return enas_micro(channels, classes, 8, 8, filters=4, cells=0, nodes=2)


@lru_cache
def supernet(builder: Any) -> Supernet:
    return Supernet(space_of(builder))


def session_of(builder: Any, holdout: float) -> Session:
    net = copy.deepcopy(supernet(builder))
    return start(net, IMAGES, digits(), RECIPE, seed=0, holdout=holdout)


@pytest.mark.slow
@pytest.mark.parametrize("builder", [tiny_darts, tiny_enas])
@pytest.mark.parametrize("name", ["darts", "gdas", "drnas", "pc-darts"])
def test_cells_are_relaxed(builder: Any, name: str) -> None:
    method = METHODS[name]()
    session = session_of(builder, method.holdout)
    method.check(session.supernet.space)
    method.begin(session)
    slots = {n for n in method.relaxed if not n.endswith(".op")}
    assert {n.rpartition(".")[2] for n in slots} <= {"inputs", "left", "right"}
    edges = {f"{n}.{label}.op" for n in slots for label in method.relaxed[n].labels}  # type: ignore[union-attr]
    assert set(method.relaxed) == slots | edges
    before = method.alphas.values()
    for _ in range(2):
        session.step += 10**6 if session.step == 0 else 1  # past what waits
        method.step(session, first_batch(session))
    assert any((before[n] != value).any() for n, value in method.alphas.values().items())
    found = method.derive(session, 3)
    assert found
    assert len({session.supernet.space.canonical(a) for a in found}) == len(found)
    for architecture in found:
        session.supernet.space.validate(architecture)


@pytest.mark.slow
@pytest.mark.parametrize("builder", [tiny_darts, tiny_enas])
def test_paths_through_cells_are_trained(builder: Any) -> None:
    method = SPOS()
    session = session_of(builder, method.holdout)
    method.begin(session)
    losses = [float(method.step(session, first_batch(session))) for _ in range(3)]
    assert all(loss < 10 for loss in losses)
    assert sum(method.visits().values())
