"""Spaces of which only listed architectures exist."""

from __future__ import annotations

import pickle
import random
from collections import Counter

import numpy as np
import pytest

from archsmith._support.errors import SpaceError
from archsmith.history.objective import Objective
from archsmith.history.trial import History, State, Trial
from archsmith.space import Space
from archsmith.space.architecture import Architecture
from archsmith.space.decision import Decision
from archsmith.space.listed import ListedSpace
from archsmith.strategy.evolution import RegularizedEvolution
from archsmith.strategy.random import RandomSearch

from . import builders

#: Builder, how many to list of it.
CASES = {
    "chain": (builders.chain, 60),
    "looped": (builders.looped, 40),
    "entangled": (builders.entangled, 9),
    "nested": (builders.nested, 30),
    "connected": (builders.connected, 25),
    "recursive": (builders.recursive, 5),
    "continuous": (builders.continuous, 30),
}


def listed(name: str, seed: int = 0) -> tuple[Space, list[Architecture]]:
    builder, count = CASES[name]
    whole = Space(builder)
    rng = random.Random(seed)
    found: dict[Architecture, None] = {}
    while len(found) < count:
        found.setdefault(whole.sample(rng))
    return ListedSpace(whole, list(found), f"{count} of it"), list(found)


@pytest.fixture(params=CASES)
def case(request):
    return listed(request.param)


def test_everything_stays_inside_the_list(case):
    space, listing = case
    inside = set(listing)
    rng = random.Random(1)
    for _ in range(100):
        a, b = space.sample(rng), space.sample(rng)
        assert {a, b} <= inside
        child = space.mutate(a, rng)
        assert child in inside
        assert child != a
        assert space.cross(a, b, rng) in inside
        assert space.walk(lambda decision, _: decision.draw(rng)) in inside
        near = list(space.neighbours(a))
        assert set(near) <= inside
        assert a not in near
        assert len(near) == len(set(near)) >= min(8, len(listing) - 1)
    assert space.default() in inside
    assert space.complete(listing[3]) == listing[3]


def test_enumerate_and_size(case):
    space, listing = case
    assert list(space.enumerate()) == listing
    assert (space.size().count, space.size().exact) == (len(listing), True)
    for architecture in listing:
        space.validate(architecture)


def test_walks_reach_exactly_the_list(case):
    space, listing = case
    reached: Counter[Architecture] = Counter()

    def everywhere(prefix: dict) -> None:
        met: list[Decision] = []

        def policy(decision, so_far):
            if decision.name in prefix:
                assert dict(so_far) == {k: v for k, v in prefix.items() if k in so_far}
                return prefix[decision.name]
            met.append(decision)
            raise _Stop

        try:
            reached[space.walk(policy)] += 1
        except _Stop:
            for answer in met[0].answers():
                everywhere({**prefix, met[0].name: answer})

    everywhere({})
    assert reached == Counter(listing)


class _Stop(Exception):
    pass


def test_a_walk_meets_the_decisions_of_the_architecture_in_order(case):
    space, listing = case
    for architecture in listing:
        met = []

        def policy(decision, so_far, architecture=architecture, met=met):
            met.append(decision.name)
            return architecture[decision.name]

        assert space.walk(policy) == architecture
        assert met == [d.name for d in space.decisions(architecture)]


def test_an_answer_that_is_not_listed_there_is_refused(case):
    space, _ = case
    with pytest.raises(SpaceError):
        space.walk(lambda decision, _: "no such answer")


def test_draws_are_even_over_the_list():
    space, listing = listed("nested")
    rng = random.Random(0)
    draws = 6000
    counts = Counter(space.sample(rng) for _ in range(draws))
    mean = draws / len(listing)
    # Pearson's statistic with n - 1 degrees of freedom: mean n - 1, deviation sqrt(2(n - 1)).
    chi = sum((counts[a] - mean) ** 2 / mean for a in listing)
    assert abs(chi - 29) < 4 * (2 * 29) ** 0.5


def test_default_and_complete_give_the_nearest():
    space, listing = listed("chain")
    whole = Space(builders.chain)
    wanted = whole.sample(random.Random(5))
    for answers, found in ((whole.default(), space.default()), (wanted, space.complete(wanted))):
        apart = [np.abs(whole.encode(a) - whole.encode(answers)).sum() for a in listing]
        mine = np.abs(whole.encode(found) - whole.encode(answers)).sum()
        assert mine == min(apart)
    inside = ListedSpace(Space(builders.chain), [whole.default(), wanted])
    assert inside.default() == whole.default()


def test_neighbours_are_the_nearest(case):
    space, listing = case
    for a in listing[:5]:
        near = set(space.neighbours(a))
        apart = {b: float(np.abs(space.encode(a) - space.encode(b)).sum()) for b in listing}
        farthest = max(apart[b] for b in near)
        assert all(b in near or b == a for b in listing if apart[b] < farthest - 1e-3)


@pytest.mark.parametrize("strategy", [RandomSearch, RegularizedEvolution])
def test_searches_see_the_whole_list_and_end(case, strategy):
    """Steps to the nearest need not lead everywhere; new draws do."""
    space, listing = case
    history, search = History([Objective("x", "maximize")], key=space.canonical), strategy()
    for number in range(len(listing) + 1):
        proposal = search.propose(space, history, random.Random(number))
        if proposal is None:
            break
        trial = Trial(number, proposal.architecture, state=State.FINISHED, metrics={"x": number})
        history.add(trial)
        history.close(trial)
    assert {t.architecture for t in history.trials} == set(listing)
    assert len(history) == len(listing)


def test_a_child_is_near_both():
    space, listing = listed("chain")
    rng = random.Random(0)
    children = [space.cross(listing[0], listing[1], rng) for _ in range(50)]
    assert sum(c in listing[:2] for c in children) < 25, "only where the child is one of them"
    assert len(set(children)) > 3
    alike = [sum(c[k] in (listing[0][k], listing[1][k]) for k in c) for c in children]
    anyone = [sum(c[k] in (listing[0][k], listing[1][k]) for k in c) for c in listing]
    assert np.mean(alike) > np.mean(anyone) + 1
    two = ListedSpace(Space(builders.chain), listing[:2])
    assert two.cross(listing[0], listing[1], rng) in listing[:2]


@pytest.mark.slow
def test_it_pickles(case):
    space, listing = case
    again = pickle.loads(pickle.dumps(space))
    assert list(again.enumerate()) == listing
    assert again.note == space.note
    assert again.fingerprint == space.fingerprint
    a, b = random.Random(2), random.Random(2)
    for architecture in listing[:5]:
        assert space.mutate(architecture, a) == again.mutate(architecture, b)
        assert np.array_equal(space.encode(architecture), again.encode(architecture))


def test_fingerprints_tell_lists_apart():
    space, listing = listed("chain")
    whole = Space(builders.chain)
    assert space.fingerprint != whole.fingerprint
    assert ListedSpace(whole, listing[:-1]).fingerprint != space.fingerprint
    assert ListedSpace(whole, listing[::-1]).fingerprint == space.fingerprint


def test_the_same_space_twice_gives_the_same_draws(case):
    space, listing = case
    other = ListedSpace(space._inner, listing, space.note)
    a, b = random.Random(3), random.Random(3)
    for _ in range(20):
        one, two = space.sample(a), other.sample(b)
        assert one == two
        assert space.mutate(one, a) == other.mutate(two, b)


def test_it_builds_what_is_listed_and_encodes_as_the_whole_space():
    space, listing = listed("continuous")
    whole = Space(builders.continuous)
    module = space.build(listing[0])
    assert len(module) == listing[0]["layers"] + 1
    assert space.columns() == whole.columns()
    assert np.array_equal(space.encode(listing[0]), whole.encode(listing[0]))
    assert space.name == whole.name
    assert space.canonical(listing[0]) == whole.canonical(listing[0])


def test_encodings_go_along_to_other_processes():
    space, listing = listed("recursive")
    list(space.neighbours(listing[0]))
    there = pickle.loads(pickle.dumps(space))
    assert np.array_equal(there._matrix, space._matrix)
    assert there.columns() == space.columns()
    assert list(there.neighbours(listing[1])) == list(space.neighbours(listing[1]))


def test_the_builder_is_asked_once_for_each_listed_architecture(monkeypatch):
    space, listing = listed("nested")
    asked = []
    known = space._inner.decisions
    monkeypatch.setattr(space._inner, "decisions", lambda a: asked.append(a) or known(a))
    for seed in range(50):
        rng = random.Random(seed)
        found = space.walk(lambda decision, _, rng=rng: decision.draw(rng))
        assert space.decisions(found) == known(found)
    assert len(asked) == len(set(asked)) <= len(listing)


def test_an_architecture_that_is_not_listed_does_not_belong():
    space, listing = listed("chain")
    whole = Space(builders.chain)
    other = next(a for a in whole.enumerate() if a not in set(listing))
    with pytest.raises(SpaceError, match=r"a listed architecture.*\n.*60 of it"):
        space.validate(other)
    with pytest.raises(SpaceError, match="a listed architecture"):
        list(space.neighbours(other))
    with pytest.raises(SpaceError, match="a listed architecture"):
        space.mutate(other, random.Random(0))
    with pytest.raises(SpaceError, match="a listed architecture"):
        space.build(other)


def test_a_list_of_one():
    whole = Space(builders.chain)
    space = ListedSpace(whole, [whole.default()])
    assert space.default() == space.sample(random.Random(0)) == whole.default()
    assert list(space.neighbours(whole.default())) == []
    with pytest.raises(SpaceError, match="two listed"):
        space.mutate(whole.default(), random.Random(0))
    assert space.size().count == 1


def test_what_cannot_be_listed():
    whole = Space(builders.chain)
    with pytest.raises(SpaceError, match="at least one"):
        ListedSpace(whole, [])
    with pytest.raises(SpaceError, match="1 twice"):
        ListedSpace(whole, [whole.default(), whole.default()])


def test_a_list_of_a_list():
    space, listing = listed("looped")
    fewer = ListedSpace(space, listing[:7], "seven")
    assert list(fewer.enumerate()) == listing[:7]
    assert fewer.walk(lambda decision, _: decision.default) in listing[:7]
    assert fewer.note == "seven"
