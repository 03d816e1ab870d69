"""No strategy is forgotten: each that is registered passes the shipped suite in this folder."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from archsmith.strategy import strategies
from archsmith.testing.strategy import StrategyContract

WRAPPERS = ["advised", "distinct", "keep-limits", "start-from"]


@pytest.fixture(scope="module")
def tested() -> set[str]:
    """Names of the strategies whose suites pytest collects here."""
    names = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        try:
            module = importlib.import_module(f"{__package__}.{path.stem}")
        except pytest.skip.Exception:  # an extra that is not installed
            continue
        for name, found in vars(module).items():
            if name.startswith("Test") and isinstance(found, type):
                names |= {found.make().name} if issubclass(found, StrategyContract) else set()
    return names


@pytest.mark.parametrize("name", [*strategies.names(), *WRAPPERS])
def test_it_has_a_contract(name, tested):
    if name in strategies.names() and not strategies.get(name).__module__.startswith("archsmith."):
        pytest.skip("comes from another package, with its own tests")
    assert name in tested, f"no subclass of StrategyContract makes {name}"
