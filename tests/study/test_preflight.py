"""Limits that nothing meets and shapes that do not fit, found before long work."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from torch import nn

from archsmith._support.errors import LimitError, SpaceError
from archsmith.evaluate.base import Evaluator, Price, Stages, Watch
from archsmith.history.objective import Limit
from archsmith.history.trial import Fidelity
from archsmith.space import Space, choose, integer, one_of, repeat
from archsmith.space.architecture import Architecture
from archsmith.study import check_limits, check_shapes
from archsmith.study.preflight import Reach, static_parts


def stack() -> nn.Module:
    """Widths from 1 to 64 in eight layers: random ones are never small."""
    width, layers = 4, []
    for position in range(8):
        following = integer(f"width{position}", 1, 64, default=16)
        layers.append(nn.Linear(width, following))
        width = following
    return nn.Sequential(*layers)


class Params(Evaluator):
    """Counts parameters on meta."""

    name = "params"
    price = Price.STATIC
    provides: tuple[str, ...] = ("params", "layers")

    def __init__(self, space: Space) -> None:
        self.space, self.asked = space, 0

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        self.asked += 1
        model = self.space.build(architecture, device="meta")
        layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
        count = float(sum(p.numel() for p in model.parameters()))
        return {"params": count, "layers": float(len(layers))}


class Dear(Params):
    name = "dear"
    price = Price.TRAINED
    provides = ("accuracy",)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        raise AssertionError("nothing dear runs before the search")


#: Widths of 1 throughout: 4 + 1, then 1 + 1 seven times.
SMALLEST = 19


def check(*limits: str, looks: int = 1000) -> Reach:
    space = Space(stack)
    evaluator = Stages([Params(space), Dear(space)])
    return check_limits(space, evaluator, [Limit.parse(t) for t in limits], looks=looks)


def test_only_static_evaluators_are_asked() -> None:
    space = Space(stack)
    params, dear = Params(space), Dear(space)
    assert static_parts(Stages([dear, params])) == [params]
    assert static_parts(dear) == []


def test_an_easy_limit_is_seen_at_once() -> None:
    reach = check("params<=1G", "accuracy>=0.99")
    assert reach.limits == (Limit.parse("params<=1G"),)
    assert reach.looked == 1
    assert reach.kept is None, "the default does"


def test_limits_on_metrics_that_need_training_are_left_to_the_search() -> None:
    reach = check("accuracy>=2")
    assert reach.limits == ()


@pytest.mark.slow
def test_where_not_all_was_looked_at_a_limit_is_in_doubt_and_not_refused() -> None:
    reach = check("params<=18", looks=500)
    assert reach.kept is None
    assert "no architecture that keeps params<=18 was found" in reach.doubt
    assert f"{reach.best['params']:g} as the smallest params found" in reach.doubt
    assert f"among {reach.looked:,} architectures examined, of 2.81e+14" in reach.doubt
    assert "raise the limit to" in reach.doubt
    assert "largest layers" in check("layers>=9", looks=100).doubt


def test_a_space_that_was_looked_at_whole_refuses() -> None:
    space = Space(pair)
    with pytest.raises(LimitError, match="got 36 as the smallest params found") as caught:
        check_limits(space, Params(space), [Limit.parse("params<=35")])
    assert "among 4 architectures examined" in str(caught.value)
    assert "raise the limit to 36" in str(caught.value)
    # However few are looked at before: the one that keeps the limit is met in the end.
    reach = check_limits(space, Params(space), [Limit.parse("params>=288")], looks=1)
    assert reach.kept == Architecture({"width": 32})


class Sums(Params):
    """The parameters of :func:`stack` without building it."""

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        widths = [4, *(int(str(architecture[f"width{i}"])) for i in range(8))]
        return {"params": float(sum(a * b + b for a, b in itertools.pairwise(widths)))}


BAND = ["params<=9050", "params>=9000"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_band_is_found_for_every_seed(seed: int) -> None:
    """Three in ten thousand keep it, and no single step from where a descent ends does."""
    space = Space(stack)
    params = Sums(space)
    limits = [Limit.parse(text) for text in BAND]
    reach = check_limits(space, params, limits, seed=seed)
    assert reach.kept is not None
    assert 9000 <= params.evaluate(reach.kept, Fidelity(), 0, Watch())["params"] <= 9050
    assert reach.looked <= 1000
    again = check_limits(space, params, limits, seed=seed)
    assert (again.kept, again.looked) == (reach.kept, reach.looked)


@pytest.mark.slow
def test_a_limit_that_only_a_descent_meets_passes() -> None:
    space = Space(stack)
    rng = random.Random(0)
    params = Params(space)
    samples = [space.sample(rng) for _ in range(64)]
    drawn = min(
        params.evaluate(s, Fidelity(), 0, Watch())["params"] for s in [*samples, space.default()]
    )
    assert drawn > 10 * SMALLEST, "samples alone would refuse this limit"
    reach = check(f"params<={SMALLEST}")
    assert reach.best == {"params": SMALLEST}
    assert reach.kept is not None
    assert params.evaluate(reach.kept, Fidelity(), 0, Watch())["params"] == SMALLEST


@pytest.mark.slow
def test_what_keeps_the_limits_is_the_same_each_time() -> None:
    found = [check("params<=400") for _ in range(2)]
    assert found[0].kept is not None
    assert found[0].kept == found[1].kept
    assert Params(Space(stack)).evaluate(found[0].kept, Fidelity(), 0, Watch())["params"] <= 400


@pytest.mark.parametrize("limit", ["params<=0", "latency_p90_ms<=-1", "memory_mb<=0", "flops<=0"])
def test_bounds_that_no_cost_can_keep_are_refused(limit: str) -> None:
    with pytest.raises(LimitError, match="a bound above 0"):
        check(limit)


class Clock(Params):
    """A latency that is the number of parameters in hundredths."""

    name = "clock"
    price = Price.MEASURED
    provides = ("latency_ms",)

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        count = super().evaluate(architecture, fidelity, seed, watch)["params"]
        return {"latency_ms": count / 100}


def test_measured_limits_are_in_doubt_where_they_are_far_away() -> None:
    space = Space(pair)  # 36 to 288 parameters, the default has the fewest
    params, clock = Params(space), Clock(space)

    def against(bound: str) -> Reach:
        return check_limits(space, Stages([params, clock]), [Limit.parse(f"latency_ms<={bound}")])

    assert "0.36 is the least latency_ms" in against("0.03").doubt
    assert against("0.04").doubt == "", "within ten times: the search may try"
    clock.asked = 0
    against("1")
    assert clock.asked == 1, "the default is near enough; nothing else is measured"


@pytest.mark.slow
def test_the_smallest_sample_counts_where_the_default_is_slow() -> None:
    space = Space(stack)
    evaluator = Stages([Params(space), Clock(space)])
    default = Clock(space).evaluate(space.default(), Fidelity(), 0, Watch())["latency_ms"]
    # The static limit brings small ones to light; the default alone is far beyond the bound.
    bound = Limit("latency_ms", "<=", default / 11)
    limits = [Limit.parse("params<=100"), bound]
    reach = check_limits(space, evaluator, limits)
    assert reach.kept is not None
    assert not reach.doubt


def test_limits_that_only_fail_together() -> None:
    with pytest.raises(LimitError, match="keeps them together") as caught:
        check_pair()
    assert "each can be kept alone" in str(caught.value)


def pair() -> nn.Module:
    return nn.Linear(8, choose("width", [4, 8, 16, 32]))


class Rising(Params):
    """Parameters, and a metric that rises with them."""

    provides = ("params", "power")

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        count = super().evaluate(architecture, fidelity, seed, watch)["params"]
        return {"params": count, "power": count}


def check_pair() -> None:
    space = Space(pair)
    limits = [Limit.parse("params<=100"), Limit.parse("power>=200")]
    check_limits(space, Rising(space), limits)


def test_looks_are_counted() -> None:
    reach = check("params<=18", looks=90)
    assert 90 <= reach.looked <= 160, "a limit, the samples, and what is under way"


def forward(model: nn.Module, architecture: Architecture) -> None:
    model(torch.zeros(2, 4, device="meta"))


def fits() -> nn.Module:
    width = choose("width", [8, 16, 32])
    return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))


def one_bad() -> nn.Module:
    """Only ``width=32`` does not fit; eight other decisions do not matter."""
    for position in range(8):
        choose(f"other{position}", [0, 1, 2])
    width = choose("width", [8, 16, 32])
    return nn.Sequential(nn.Linear(4, width), nn.Linear(min(width, 16), 2))


def two_bad() -> nn.Module:
    """``a`` and ``b`` must not both be away from the default, whatever the others are."""
    for position in range(4):
        choose(f"other{position}", [0, 1])
    both = choose("a", [0, 1]) and choose("b", [0, 1])
    return nn.Linear(5 if both else 4, 2)


def three_bad() -> nn.Module:
    for position in range(4):
        choose(f"other{position}", [0, 1])
    answers = [choose(name, [False, True]) for name in "abc"]
    return nn.Linear(5 if all(answers) else 4, 2)


def conditional() -> nn.Module:
    """A decision that only an option asks leads there."""

    def conv() -> nn.Module:
        return nn.Linear(4, 4 if choose("kernel", [1, 3]) == 1 else 5)

    block = repeat("depth", [1, 2], lambda i: one_of("op", {"skip": nn.Identity, "conv": conv}))
    return nn.Sequential(block, nn.Linear(4, 2))


def raises() -> nn.Module:
    choose("other", [0, 1, 2, 3])
    if choose("mode", ["fine", "broken"]) == "broken":
        raise KeyError("no such mode")
    return nn.Linear(4, 2)


def always_raises() -> nn.Module:
    choose("other", [7, 8])
    raise KeyError("never")


def default_bad() -> nn.Module:
    return nn.Linear(choose("inputs", [3, 4]), 2)


def test_a_space_that_fits() -> None:
    assert check_shapes(Space(fits), forward) == 3


@pytest.mark.parametrize(
    ("builder", "culprit"),
    [
        (one_bad, "one_bad with width=32: "),
        (two_bad, "two_bad with a=1, b=1: "),
        (three_bad, "three_bad with a=True, b=True, c=True: "),
        (raises, "raises with mode='broken': "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_fewest_decisions_are_named(builder: object, culprit: str) -> None:
    with pytest.raises(SpaceError) as caught:
        check_shapes(Space(builder), forward, samples=40)  # type: ignore[arg-type]
    assert str(caught.value).startswith(culprit)
    assert "the default answers work" in str(caught.value)


def test_a_decision_inside_an_option_is_named_with_its_option() -> None:
    with pytest.raises(SpaceError) as caught:
        check_shapes(Space(conditional), forward, samples=40)
    where = caught.value.where
    assert where.removeprefix("conditional with ") in (
        "depth.0.op='conv', depth.0.op.conv.kernel=3",
        "depth=2, depth.1.op='conv', depth.1.op.conv.kernel=3",
    )


def test_the_message_of_the_failure_is_kept() -> None:
    with pytest.raises(
        SpaceError, match="RuntimeError: a and b must have same reduction dim"
    ) as caught:
        check_shapes(Space(one_bad), forward, samples=40)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(SpaceError, match="no such mode"):
        check_shapes(Space(raises), forward, samples=40)


def test_a_default_that_fails_says_so() -> None:
    with pytest.raises(SpaceError, match="a default architecture that builds") as caught:
        check_shapes(Space(default_bad), forward)
    assert caught.value.where == "default_bad with inputs=3"
    with pytest.raises(SpaceError, match="a default architecture that builds") as caught:
        check_shapes(Space(always_raises), forward)
    assert caught.value.where == "always_raises with other=7"
    assert "KeyError: 'never'" in str(caught.value)
