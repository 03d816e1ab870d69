"""A search in time begins with a network as large as the time can train."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from torch import nn

import archsmith as nas
from archsmith.task.problem import Problem, open_problem
from archsmith.train.lasting import LONG
from archsmith.workflow import sizing
from archsmith.workflow.sizing import STEPS


def free(_: nas.Architecture) -> float:
    """Without limits."""
    return 0.0


def enlarged(space: nas.Space) -> Iterator[nas.Architecture]:
    return sizing.enlarged(space, space.default(), free)


def affordable(
    problem: Problem, seconds: float, pace: Callable[[nas.Architecture], float]
) -> nas.Architecture:
    return sizing.affordable(problem, seconds, pace, problem.space.default(), free)


def chain() -> nn.Module:
    """Widths up to twice the default, depths up to 3, and a kernel."""
    channels: list[int] = [3]
    layers: list[nn.Module] = []
    kernel: int = nas.choose("kernel", [3, 5])
    for stage, usual in enumerate((16, 32)):
        width: int = nas.choose(f"width{stage}", [8, 16, 24, 32, 48, 64], default=usual)
        for _ in range(nas.choose(f"depth{stage}", [1, 2, 3])):
            layers.append(nn.Conv2d(channels[-1], width, kernel, padding="same"))
            channels.append(width)
    return nn.Sequential(*layers)


def changes(space: nas.Space) -> list[tuple[object, ...]]:
    names = ("width0", "width1", "depth0", "depth1")
    return [tuple(larger[name] for name in names) for larger in enlarged(space)]


def test_widths_grow_in_proportion_and_then_depths():
    assert changes(nas.Space(chain)) == [
        (24, 48, 1, 1),
        (32, 64, 1, 1),
        (32, 64, 2, 2),
        (32, 64, 3, 3),
    ]
    assert {larger["kernel"] for larger in enlarged(nas.Space(chain))} == {3}


def parameters(architecture: nas.Architecture) -> int:
    model = nas.Space(chain).build(architecture, device="meta")
    return sum(p.numel() for p in model.parameters())


def within(architecture: nas.Architecture, bound: int) -> float:
    return max(0.0, parameters(architecture) / bound - 1)


def test_within_a_limit_widths_grow_as_far_as_it_allows_and_depth_makes_them_narrower():
    space, bound = nas.Space(chain), 12_000
    first = space.default()
    sizes = list(sizing.enlarged(space, first, lambda a: within(a, bound)))
    assert [parameters(size) <= bound for size in sizes] == [True] * len(sizes)
    assert [(s["depth0"], s["depth1"]) for s in sizes] == [(1, 1), (2, 2), (3, 3)]
    assert (sizes[0]["width0"], sizes[0]["width1"]) == (24, 48)
    assert [s["width1"] for s in sizes[1:]] == sorted(
        (s["width1"] for s in sizes[1:]), reverse=True
    )


def test_from_a_default_that_breaks_the_limit_only_depth_grows():
    space, bound = nas.Space(chain), 3_000
    assert parameters(space.default()) > bound
    narrow = space.complete({"width0": 8, "width1": 24})
    sizes = list(sizing.enlarged(space, narrow, lambda a: within(a, bound)))
    assert [(s["depth0"], s["depth1"]) for s in sizes] == [(2, 2)]
    assert within(sizes[0], bound) == 0


def test_a_space_without_sizes_has_none():
    def fixed() -> nn.Module:
        nas.choose("seed", [8, 16, 32])  # a number that changes nothing
        return nn.Linear(2, nas.choose("kind", [1, 3]))

    assert list(enlarged(nas.Space(fixed))) == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    import numpy as np

    rng, labels = np.random.default_rng(0), np.arange(400) % 2
    images = rng.integers(0, 256, (400, 32, 32, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photos") / "photos.npz"
    np.savez(path, x=images, y=labels)
    return open_problem(None, str(path))


def test_the_largest_that_the_time_can_train_is_taken(photos):
    space, least = photos.space, max(STEPS, LONG * len(photos.data.train) / 30)
    sizes = [space.default(), *enlarged(space)]
    assert len(sizes) > 3
    paces = {size: 2.0**place for place, size in enumerate(sizes)}
    assert photos.recipe.augment
    for place, size in enumerate(sizes):
        for slack in (1.01, 1.99):
            assert affordable(photos, least * 2**place * slack, paces.__getitem__) == size
    assert affordable(photos, 1.0, paces.__getitem__) == space.default()


def test_a_size_that_cannot_be_trained_ends_the_series(photos):
    sizes = [photos.space.default(), *enlarged(photos.space)]

    def pace(architecture: nas.Architecture) -> float:
        if architecture == sizes[2]:
            raise RuntimeError("out of memory")
        return 1e-9

    assert affordable(photos, 100.0, pace) == sizes[1]


def test_a_builder_that_rejects_a_size_ends_the_series():
    def heads() -> nn.Module:
        width: int = nas.choose("width", [8, 12, 16, 24, 32], default=8)
        if width > 16:
            raise ValueError("too wide")
        return nn.Linear(2, width)

    widths = [larger["width"] for larger in enlarged(nas.Space(heads))]
    assert widths == [12, 16]


def test_where_examples_are_not_augmented_the_default_stays():
    for source in ("digits", "iris"):
        problem = open_problem(None, source)
        assert affordable(problem, 1e9, lambda _: 1e-3) == problem.space.default()
