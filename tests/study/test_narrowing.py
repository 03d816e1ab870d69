"""The default, narrowed evenly until it keeps a limit."""

from __future__ import annotations

import pytest
from torch import nn

import archsmith as nas
from archsmith.evaluate import Stages
from archsmith.evaluate.base import Evaluator, Price, Watch
from archsmith.evaluate.cost import CostEvaluator
from archsmith.history.objective import Limit
from archsmith.history.trial import Fidelity
from archsmith.space.architecture import Architecture
from archsmith.study.narrowing import narrowed
from archsmith.study.reach import check_limits

WIDTHS = [8, 16, 24, 32, 48, 64, 96, 128]


def chain() -> nn.Module:
    """Three linear layers of searched widths, and some layers of 8."""
    layers: list[nn.Module] = []
    before = 10
    for number, usual in enumerate((32, 64, 128)):
        width = nas.choose(f"width{number}", WIDTHS, default=usual)
        layers.append(nn.Linear(before, width))
        before = width
    layers += [nn.Linear(before, before) for _ in range(nas.choose("more", [1, 2, 3], default=3))]
    nas.choose("seed", [0, 1, 2], default=2)
    return nn.Sequential(*layers)


def chain_params(architecture: Architecture) -> int:
    a, b, c, more = (int(architecture[n]) for n in ("width0", "width1", "width2", "more"))  # type: ignore[call-overload]
    return 10 * a + a + a * b + b + b * c + c + more * (c * c + c)


def over(bound: float):
    return lambda architecture: max(0.0, chain_params(architecture) / bound - 1)


@pytest.mark.parametrize("bound", [50_000, 20_000, 8_000, 2_000])
def test_all_widths_shrink_together_and_nothing_else_changes(bound: int) -> None:
    space = nas.Space(chain)
    kept = narrowed(space, space.default(), over(bound))
    assert kept is not None
    assert (kept["more"], kept["seed"]) == (3, 2)
    assert 0.5 * bound <= chain_params(kept) <= bound
    ratios = [kept[f"width{n}"] / usual for n, usual in enumerate((32, 64, 128))]  # type: ignore[operator]
    # The grid of widths is coarse; a bottleneck would be far from the others.
    assert max(ratios) <= 4 * min(ratios)


def test_a_limit_that_no_width_keeps_gives_none() -> None:
    space = nas.Space(chain)
    assert narrowed(space, space.default(), over(300)) is None
    assert narrowed(space, space.default(), lambda _: 1.0) is None


def test_a_search_under_a_limit_starts_from_the_narrowed_default() -> None:
    space = nas.Space(chain)
    cost = CostEvaluator(space, (2, 10))
    reach = check_limits(space, Stages([cost], ()), [Limit("params", "<=", 20_000)])
    assert reach.kept == narrowed(space, space.default(), over(20_000))


def test_a_decision_that_narrow_networks_do_not_ask_is_no_obstacle():
    def gated() -> nn.Module:
        width: int = nas.choose("width", [16, 32, 64], default=64)
        layers: list[nn.Module] = [nn.Linear(4, width)]
        if width >= 32:
            hidden: int = nas.choose("hidden", [16, 32, 64], default=64)
            layers += [nn.Linear(width, hidden), nn.Linear(hidden, width)]
        return nn.Sequential(*layers)

    space = nas.Space(gated)

    def loss(architecture: Architecture) -> float:
        size = sum(p.numel() for p in space.build(architecture).parameters())
        return max(0.0, size / 500 - 1)

    kept = narrowed(space, space.default(), loss)
    assert kept is not None
    assert dict(kept) == {"width": 16}


class Clock(Evaluator):
    """A latency that follows from the widths alone."""

    price, provides, name = Price.MEASURED, ("latency_ms",), "clock"

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        return {"latency_ms": chain_params(architecture) / 10_000}


def test_what_breaks_a_measured_limit_is_narrowed_with_room_to_spare() -> None:
    space = nas.Space(chain)
    reach = check_limits(space, Stages([Clock()], ()), [Limit("latency_ms", "<=", 2.0)])
    assert reach.kept is not None
    assert not reach.doubt
    assert 0.9 <= chain_params(reach.kept) / 10_000 <= 1.8
    assert check_limits(space, Stages([Clock()], ()), [Limit("latency_ms", "<=", 9.0)]).kept is None
