"""A space whose models answer another question than the task's is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

import archsmith as nas
from archsmith._support.errors import SpaceError


def test_a_profile_refuses_outputs_that_are_none_of_the_task() -> None:
    with pytest.raises(SpaceError, match=r"outputs of shape \(2, 64\), not \(2, 10\)"):
        nas.profile("embedder", "digits", time=5)


def test_a_search_refuses_them_before_anything_is_trained(tmp_path: Path) -> None:
    for strategy in ("random", "spos"):
        with pytest.raises(SpaceError, match=r"outputs of shape \(2, 64\), not \(2, 10\)"):
            nas.search("embedder", "digits", strategy=strategy, trials=1, run=tmp_path / strategy)


def test_values_are_expected_of_a_regression() -> None:
    with pytest.raises(SpaceError, match=r"outputs of shape \(2, 3\), not \(2, 1\)"):
        nas.search("mlp", "diabetes", arguments={"outputs": 3}, trials=1)
