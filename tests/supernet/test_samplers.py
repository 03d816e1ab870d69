from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.space.architecture import Architecture
from archsmith.supernet.attentive import Attentive, AttentiveNAS
from archsmith.supernet.fair import Fair, FairNAS
from archsmith.supernet.method import Moment, SampledPath, Sampler
from archsmith.supernet.progressive import OFA, PAPER, Progressive, downwards, resize
from archsmith.supernet.sandwich import BigNAS, Sandwich
from archsmith.supernet.supernet import Supernet
from archsmith.supernet.survey_records import Survey
from archsmith.supernet.uniform import SPOS, Uniform
from archsmith.train import schedule

from .training_toys import (
    digits,
    elastic,
    first_batch,
    moment,
    nested,
    operations,
    session_of,
    space_of,
    values,
)


def counts(paths: list[SampledPath]) -> dict[str, Counter[Any]]:
    """How often each answer of each decision is on the paths."""
    found: dict[str, Counter[Any]] = {}
    for path in paths:
        for name, answer in path.architecture.items():
            found.setdefault(name, Counter())[answer] += 1
    return found


def updates(sampler: Sampler, space: nas.Space, number: int) -> list[list[SampledPath]]:
    return [sampler.paths(moment(space, step=step)) for step in range(number)]


def test_uniform_is_one_path_and_draws_each_answer_evenly() -> None:
    drawn = updates(Uniform(), space_of(operations), 900)
    assert {len(paths) for paths in drawn} == {1}
    for counted in counts([paths[0] for paths in drawn]).values():
        assert len(counted) == 3
        # Three deviations of a binomial of 900 draws, and a bit.
        assert all(abs(count - 300) < 50 for count in counted.values())


def test_one_update_trains_each_answer_exactly_once() -> None:
    drawn = updates(Fair(), space_of(operations), 20)
    for paths in drawn:
        assert len(paths) == 3
        for counted in counts(paths).values():
            assert counted == {"conv3": 1, "conv1": 1, "skip": 1}
    orders = {tuple(str(path.architecture["op0"]) for path in paths) for paths in drawn}
    assert len(orders) > 3


def test_fewer_answers_are_never_two_draws_apart() -> None:
    seen: list[SampledPath] = []
    for paths in updates(Fair(), space_of(elastic), 25):
        assert len(paths) == 3
        assert counts(paths)["width"] == {2: 1, 4: 1, 8: 1}
        seen += paths
        for counted in counts(seen).values():
            assert max(counted.values()) - min(counted.values()) <= 1
    assert counts(seen)["rate"].total() == 75


def test_fairness_where_decisions_have_conditions() -> None:
    seen: list[SampledPath] = []
    for paths in updates(Fair(), space_of(nested), 40):
        seen += paths
        kernels = counts(seen).get("op.deep.kernel", Counter())
        assert max(kernels.values(), default=0) - min(kernels.values(), default=0) <= 1
        ops = counts(seen)["op"]
        assert max(ops.values()) - min(ops.values()) <= 1
        # Three operations make three paths; where the kernel is asked, its answers make four.
        asked = any("op.deep.kernel" in path.architecture for path in paths[:3])
        assert len(paths) == (4 if asked else 3)
    assert len({path.architecture["rate"] for path in seen}) == len(seen)


def test_fewer_paths_spread_the_fairness_over_updates() -> None:
    drawn = updates(Fair(paths=1), space_of(operations), 30)
    assert {len(paths) for paths in drawn} == {1}
    for start in range(0, 30, 3):
        three = [paths[0] for paths in drawn[start : start + 3]]
        assert set(counts(three)["op1"].values()) == {1}


def test_decks_go_on_where_they_were() -> None:
    space = space_of(elastic)
    straight = Fair()
    expected = [straight.paths(moment(space, step=step)) for step in range(6)]
    stopped = Fair()
    for step in range(3):
        stopped.paths(moment(space, step=step))
    resumed = Fair()
    resumed.load_state(stopped.state())
    assert [resumed.paths(moment(space, step=step)) for step in range(3, 6)] == expected[3:]


def test_a_sandwich_has_both_ends_and_the_largest_teaches() -> None:
    space = space_of(elastic)
    survey = Supernet(space).survey
    assert survey.largest["width"] == 8
    assert survey.smallest["width"] == 2
    for step in range(10):
        first, second, *rest = Sandwich(3).paths(moment(space, survey, step=step))
        assert first == SampledPath(survey.largest)
        assert second == SampledPath(survey.smallest, soft=True)
        assert len(rest) == 3
        assert all(path.soft for path in rest)
        for path in rest:
            space.validate(path.architecture)
    assert len(Sandwich(0).paths(moment(space, survey))) == 2


def test_methods_have_the_papers_samplers() -> None:
    fair, big, plain = FairNAS(), BigNAS(), SPOS()
    assert (fair.sampler.averaged, big.sampler.averaged) == (False, True)
    assert isinstance(plain.sampler, Uniform)
    session = session_of(elastic)
    for method, paths in ((fair, 3), (big, 4), (plain, 1)):
        method.step(session, first_batch(session))
        assert (
            sum(count for (name, _), count in method.visits().items() if name == "width") == paths
        )


def by_width(architecture: Architecture) -> float:
    return {2: 100.0, 4: 200.0, 8: 300.0}[int(str(architecture["width"]))]


def by_kernel(architecture: Architecture) -> float:
    return float(str(architecture["kernel"]))


@pytest.mark.parametrize(("pick", "extreme"), [("worst", max), ("best", min)])
def test_attention_goes_to_the_highest_or_lowest_loss(pick: str, extreme: Any) -> None:
    space = space_of(elastic)
    sampler = Attentive(random_paths=1, candidates=5, pick=pick)
    scored: list[Architecture] = []

    def score(architecture: Architecture) -> float:
        scored.append(architecture)
        return by_kernel(architecture)

    chosen = []
    for step in range(20):
        scored.clear()
        now = moment(space, Survey(), step=step, score=score, cost=by_width)
        path = sampler.paths(now)[2]
        assert path.soft
        assert len(scored) == 5
        assert by_kernel(path.architecture) == extreme(map(by_kernel, scored))
        # About the same size: widths do not mix but at the seams between them.
        assert len({a["width"] for a in scored}) <= 2
        chosen.append(by_kernel(path.architecture))
    ideal = extreme((1.0, 5.0))
    assert sum(kernel == ideal for kernel in chosen) >= 14


def test_a_pool_is_the_same_for_a_training_that_was_resumed() -> None:
    space = space_of(elastic)

    def now(step: int) -> Moment:
        return moment(space, Survey(), step=step, score=by_kernel, cost=by_width)

    straight, resumed = Attentive(), Attentive()
    expected = [straight.paths(now(step)) for step in range(95, 105)]
    assert [resumed.paths(now(step)) for step in range(98, 105)] == expected[3:]


def test_attentive_scores_leave_no_trace() -> None:
    session = session_of(elastic)
    method = AttentiveNAS()
    batch = first_batch(session)
    now = method._moment(session, session.prepare(batch))
    before = values(session)
    losses = [now.score(session.supernet.survey.largest) for _ in range(2)]
    assert losses[0] == losses[1] > 0
    assert all(torch.equal(before[key], tensor) for key, tensor in values(session).items())
    model = session.supernet.extract(session.supernet.survey.largest)
    assert now.cost(session.supernet.survey.largest) == sum(p.numel() for p in model.parameters())
    method.step(session, batch)
    assert method.visits()[("width", 8)] >= 1


def allowed(progress: float, space: nas.Space, survey: Survey) -> dict[str, int | None]:
    return Progressive(alone=0.4).allowed(moment(space, survey, progress=progress))


def test_phases_free_kernel_then_depth_then_width_step_by_step() -> None:
    space = space_of(elastic)
    survey = Supernet(space).survey
    assert survey.effects["kernel"] == "kernel"
    # A phase lasts 0.2. Kernel and width have a stage of a sixth of it and the rest, depth has one.
    table = {
        0.40: (2, 1, 1),
        0.43: (2, 1, 1),
        0.44: (None, 1, 1),
        0.59: (None, 1, 1),
        0.61: (None, None, 1),
        0.79: (None, None, 1),
        0.80: (None, None, 2),
        0.83: (None, None, 2),
        0.84: (None, None, None),
        1.0: (None, None, None),
    }
    for progress, (kernel, depth, width) in table.items():
        expected = {"kernel": kernel, "depth": depth, "width": width}
        assert allowed(progress, space, survey) == expected, progress


def test_shrinking_draws_what_is_allowed_and_all_of_it() -> None:
    space = space_of(elastic)
    survey = Supernet(space).survey
    alone = Progressive(alone=0.4).paths(moment(space, survey, progress=0.39))
    assert alone == [SampledPath(survey.largest)]

    def drawn(progress: float) -> dict[str, set[Any]]:
        sampler = Progressive(alone=0.4, count=60)
        paths = sampler.paths(moment(space, survey, progress=progress))
        assert all(path.soft for path in paths)
        return {name: set(counted) for name, counted in counts(paths).items()}

    early = drawn(0.41)
    assert early["kernel"] == {5, 3}
    assert early["depth"] == {2}
    assert early["width"] == {8}
    assert early["pool"] == {"mean", "most"}
    assert early["rate"] == {0.0, 0.1}
    middle = drawn(0.82)
    assert middle["kernel"] == {5, 3, 1}
    assert middle["depth"] == {1, 2}
    assert middle["width"] == {8, 4}
    assert drawn(0.95)["width"] == {8, 4, 2}


@pytest.mark.parametrize("given", [None, PAPER])
def test_the_learning_rate_starts_again_with_each_phase(given) -> None:
    session = session_of(elastic, epochs=10)
    method = OFA(alone=0.4, rates=given)
    method.begin(session)
    assert session.restarts == pytest.approx((0.4, 0.6, 0.8))
    rates = []
    while session.step < session.steps:
        session.update()
        session.step += 1
        rates.append(session.rate / session.recipe.lr)
    peaks = (1.0, 0.37, 0.09, 0.09) if given else (1.0,) * 4  # largest, kernel, depth, width
    for peak, (first, last) in zip(peaks, ((0, 20), (20, 30), (30, 40), (40, 50)), strict=True):
        steps = last - first
        expected = [peak * schedule(i, steps, session.recipe.warmup) for i in range(steps)]
        assert rates[first:last] == pytest.approx(expected)


def test_a_space_of_operations_is_free_after_the_largest() -> None:
    space = space_of(operations)
    survey = Supernet(space).survey
    assert allowed(0.41, space, survey) == {}
    paths = Progressive(count=60).paths(moment(space, survey, progress=0.31))
    assert set(counts(paths)["op0"]) == {"conv3", "conv1", "skip"}


def test_answers_go_downwards_from_the_largest() -> None:
    assert downwards([16, 24, 32], 32) == [32, 24, 16]
    assert downwards([3, 1, 2], 1) == [1, 2, 3]
    assert downwards(["a", "b", "c"], "b") == ["b", "a", "c"]


def test_the_teacher_is_the_trained_largest_and_stays_as_it_was() -> None:
    session = session_of(elastic)
    method = OFA(alone=0.3)
    method.begin(session)
    batch = first_batch(session)
    while session.progress < 0.3:
        method.step(session, batch)
        session.step += 1
        assert method.state()["teacher"] is None
    assert method.visits() == dict.fromkeys(session.supernet.survey.largest.items(), session.step)
    trained = session.supernet.extract(session.supernet.survey.largest).state_dict()
    method.step(session, batch)
    session.step += 1
    for _ in range(3):
        method.step(session, batch)
    kept = method.state()["teacher"]
    assert all(torch.equal(kept[name], tensor) for name, tensor in trained.items())
    moved = session.supernet.extract(session.supernet.survey.largest).state_dict()
    assert any(not torch.equal(kept[name], moved[name]) for name in moved)


def images(side: int) -> Any:
    data = digits()
    bigger = {
        "train": replace(data.train, inputs=torch.zeros(160, 1, side, side, dtype=torch.uint8)),
        "facts": {**data.facts, "height": side, "width": side},
    }
    return replace(data, **bigger)


def flat(channels: int, classes: int) -> nn.Module:
    """Takes images of 32 pixels alone."""
    width = nas.choose("width", [2, 4])
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=4), nn.Flatten(), nn.Linear(64 * width, classes)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "sides"),
    [(8, ()), (23, ()), (24, (24, 20, 16)), (28, (28, 24, 20)), (32, (32, 28, 24))],
)
def test_resolutions_go_down_to_about_seven_tenths(side: int, sides: tuple[int, ...]) -> None:
    session = session_of(elastic)
    session.data = images(side)
    assert session.task.example(session.data.facts).shape[-1] == side
    method = OFA()
    method.begin(session)
    assert method.sides == sides
    if sides:
        inputs = torch.zeros(2, 1, side, side)
        seen = set()
        for session.step in range(40):
            seen.add(method.resized(session, inputs).shape[-1])
        assert seen == set(sides)


def test_resolutions_that_a_network_cannot_take() -> None:
    session = session_of(flat)
    session.data = images(32)
    method = OFA()
    method.begin(session)
    assert method.sides == (32,)
    with pytest.raises(InputError, match="24: mat1 and mat2"):
        OFA(resolutions=(32, 24)).begin(session)
    silent = OFA(resolutions=())
    silent.begin(session)
    assert silent.sides == ()


def test_images_keep_their_proportions() -> None:
    assert resize(torch.zeros(2, 3, 32, 48), 24).shape == (2, 3, 24, 36)
    constant = resize(torch.full((1, 1, 32, 32), 0.5), 24)
    assert torch.allclose(constant, torch.full((1, 1, 24, 24), 0.5))
    same = torch.zeros(1, 1, 8, 8)
    assert resize(same, 8) is same


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: FairNAS(paths=0), "fairnas, paths"),
        (lambda: BigNAS(random_paths=-1), "random_paths"),
        (lambda: AttentiveNAS(candidates=0), "candidates"),
        (lambda: AttentiveNAS(pick="middle"), "best or worst"),
        (lambda: AttentiveNAS(scored=1), "scored"),
        (lambda: OFA(alone=1.0), "alone"),
        (lambda: OFA(paths=0), "paths"),
        (lambda: OFA(resolutions=[0]), "resolutions"),
        (lambda: OFA(rates={"width": 0.0}), "rates"),
        (lambda: OFA(rates={"wide": 0.1}), "rates"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        make()
