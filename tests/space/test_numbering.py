"""Layers numbered through all stages, and builders that ask without end: what it costs to learn."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import archsmith as nas
from archsmith.space import Architecture, Decision
from archsmith.space.numbering import Plan, find_plan
from archsmith.space.reading import Reading, reading

from . import builders as b


def listed(builder: Callable[[], nn.Module]) -> set[Architecture]:
    """All architectures of a small space, by running the builder for each."""
    found: set[Architecture] = set()
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        prefix = waiting.pop()
        asked: list[int] = []

        def policy(decision: Decision, _: object, prefix=prefix, asked=asked) -> object:
            answers = list(decision.answers())
            asked.append(len(answers))
            return answers[prefix[len(asked) - 1] if len(asked) <= len(prefix) else 0]

        run = Reading(policy)
        with reading(run):
            builder()
        found.add(Architecture(run.answers))
        for place in range(len(prefix), len(asked)):
            begin = (*prefix, *(0 for _ in range(place - len(prefix))))
            waiting += [(*begin, other) for other in range(1, asked[place])]
    return found


class Counted:
    """A builder that counts its runs."""

    def __init__(self, build: Callable[[], nn.Module]) -> None:
        self.build, self.runs = build, 0

    def __call__(self) -> nn.Module:
        self.runs += 1
        return self.build()


def stages(count: int, name: str = "block{}.kernel", conditional: bool = False):
    """One flat list over stages of chosen depths, as in a ``features`` sequence."""

    def build() -> nn.Module:
        number = 0
        for stage in range(count):
            for _ in range(nas.choose(f"depth{stage}", [1, 2, 3])):
                *scopes, last = name.format(number).split(".")
                with nas.scope(scopes[0]) if scopes else nas.scope("all"):
                    first = nas.choose(last, [3, 5])
                    if conditional and first == 3:
                        nas.choose(f"expand{number}", [3, 4, 6])
                number += 1
        return nn.Identity()

    return build


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "name", "conditional", "stage"),
    [
        (7, "block{}.kernel", False, 2 + 4 + 8),
        (10, "block{}.kernel", False, 2 + 4 + 8),
        (7, "kernel{}", False, 2 + 4 + 8),
        (5, "features_{}.kernel", True, 4 + 16 + 64),
    ],
)
def test_a_flat_list_is_learned_like_a_loop_in_each_stage(count, name, conditional, stage):
    build = Counted(stages(count, name, conditional))
    space, rng = nas.Space(build), random.Random(0)
    drawn = [space.sample(rng) for _ in range(100)]
    assert build.runs <= 170
    assert space.size() == nas.Size(stage**count, True)
    assert build.runs <= 320
    drawn += [space.sample(rng, uniform="architectures") for _ in range(20)]
    drawn += [space.mutate(a, rng) for a in drawn[:40]]
    known, fresh = build.runs, nas.Space(stages(count, name, conditional))
    drawn += [space.sample(rng) for _ in range(200)]
    assert build.runs <= known + 20, "what was learned is used"
    for architecture in drawn:
        fresh.validate(architecture)
    assert not any(" " in column for column in space.columns())
    space.encode(drawn[0])


@pytest.mark.parametrize("conditional", [False, True])
def test_draws_of_a_flat_list_do_not_depend_on_what_the_tree_knows(conditional):
    seasoned = nas.Space(stages(4, conditional=conditional))
    seasoned.size()
    for seed in range(20):
        fresh = nas.Space(stages(4, conditional=conditional))
        assert fresh.sample(random.Random(seed)) == seasoned.sample(random.Random(seed))


@st.composite
def flat_builders(draw: st.DrawFn) -> Callable[[], nn.Module]:
    """Stages of chosen depths, blocks numbered through them, with what else such code does."""
    few = st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True)
    depths = draw(st.lists(few, min_size=1, max_size=3))
    ahead = draw(st.booleans())  # all depths are asked before the first block
    start = draw(st.integers(0, 1))
    skips = draw(st.booleans())  # a layer between stages takes a number and asks nothing
    widths = draw(st.booleans())  # each stage asks something else, too
    inner = draw(st.sampled_from(["one", "nested", "one_of", "adds"]))

    def build() -> nn.Module:
        number, chosen = start, [] if not ahead else list(map(depth, range(len(depths))))
        for stage in range(len(depths)):
            if widths:
                nas.choose(f"stage{stage}_width", [8, 16])
            for _ in range(chosen[stage] if ahead else depth(stage)):
                number += block(number)
            number += skips
        return nn.Identity()

    def depth(stage: int) -> int:
        return nas.choose(f"depth{stage}", depths[stage])

    def block(number: int) -> int:
        if inner == "one_of":
            nas.one_of(
                f"block{number}",
                {"conv": lambda: nn.Linear(1, nas.choose("width", [1, 2])), "skip": nn.Identity},
            )
            return 1
        with nas.scope(f"block{number}"):
            first = nas.choose("op", ["a", "b"])
            if inner == "nested" and first == "a":
                nas.choose("expand", [3, 6])
        # Code that appends a second layer for some answers shifts what comes after by that, too.
        return 2 if inner == "adds" and first == "b" else 1

    return build


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(flat_builders())
def test_flat_lists_are_what_the_builder_says(build):
    space = nas.Space(build)
    size = space.size()
    everything = listed(build)
    if size.exact:
        assert size.count == len(everything)
    if len(everything) <= 800:
        assert set(space.enumerate()) == everything
    rng = random.Random(0)
    for _ in range(30):
        assert (drawn := space.sample(rng)) in everything
        if len(everything) > 1:
            assert space.mutate(drawn, rng) in everything
    if size.exact:
        assert space.sample(rng, uniform="architectures") in everything


@pytest.mark.slow
def test_what_cannot_be_learned_is_asked_and_estimated_in_whole_numbers():
    depths = [1, 2, 3]

    def sums() -> nn.Module:
        for i in range(sum(nas.choose(f"depth{s}", depths) for s in range(8))):
            nas.choose(f"kernel{i}", [3, 5])
        return nn.Identity()

    build = Counted(sums)
    space, rng = nas.Space(build), random.Random(0)
    fresh = nas.Space(sums)
    for _ in range(100):
        fresh.validate(space.sample(rng))
    assert build.runs <= 240
    size = space.size()
    assert build.runs <= 1200
    assert isinstance(size.count, int)
    assert 14**8 / 4 < size.count < 14**8 * 4
    if not size.exact:
        assert str(size).endswith("(an estimate)")


def asked(build: Callable[[], nn.Module], seed: int) -> list[str]:
    return list(nas.Space(build).sample(random.Random(seed)))


@pytest.mark.parametrize("build", [b.chain, b.looped, b.switched, b.nested])
def test_numbers_that_do_not_shift_are_left(build):
    assert find_plan([asked(build, seed) for seed in range(32)]) == Plan()


def test_numbers_that_shift_are_found():
    runs = [asked(stages(4), seed) for seed in range(8)]
    assert find_plan(runs).follows == {"block#": "block#"}


@pytest.mark.slow
def test_a_tree_that_is_surprised_for_ever_keeps_a_bounded_memory():
    def fickle() -> nn.Module:
        # Which question comes last hangs on all answers together.
        bits = [nas.choose(f"bit{i}", [0, 1]) for i in range(12)]
        nas.choose(f"odd{hash(tuple(bits)) % 97}", [0, 1])
        return nn.Identity()

    space, rng = nas.Space(fickle), random.Random(0)
    for _ in range(300):
        space.sample(rng)
    assert len(space._tree._paths) <= len(space._tree._stored) + 1 <= 2100
    assert not space.size().exact


def endless() -> nn.Module:
    i = 0
    while nas.choose(f"more{i}", [True, False]):
        i += 1
    return nn.Identity()


def asks_again() -> nn.Module:
    while nas.choose("more", [True, False]):
        pass
    return nn.Identity()


def grows() -> nn.Module:
    """Ends for the default, and for little else."""
    waiting, number = 1, 0
    while waiting:
        waiting += nas.choose(f"parts{number}", [0, 5, 6]) - 1
        number += 1
    return nn.Identity()


@pytest.mark.slow
@pytest.mark.parametrize(
    "ask",
    [
        lambda: nas.Space(endless).size(),
        lambda: nas.Space(asks_again).default(),
        lambda: nas.Space(asks_again).build(Architecture({"more": True})),
        lambda: [nas.Space(grows).sample(random.Random(i)) for i in range(9)],
    ],
)
def test_questions_without_end_are_refused(ask):
    with pytest.raises(
        nas.SpaceError, match=r"a builder that stops.*(?s:.)*test_numbering\.py:\d+"
    ):
        ask()
