"""Known spaces: counted, enumerated, sampled, changed."""

from __future__ import annotations

import itertools
import math
import pickle
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import archsmith as nas

from . import builders as b

KNOWN = [
    (b.chain, 5**6),
    (b.looped, b.LOOPED),
    (b.switched, 4**20),
    (b.entangled, b.ENTANGLED),
    (b.nested, b.NESTED),
    (b.connected, 10 * 6),
]
ALL = [builder for builder, _ in KNOWN] + [b.recursive, b.continuous]


@pytest.mark.parametrize(("builder", "count"), KNOWN)
def test_size_is_exact(builder, count):
    assert nas.Space(builder).size() == nas.Size(count, True)


@pytest.mark.slow
@pytest.mark.parametrize(("builder", "count"), [pair for pair in KNOWN if pair[1] < 20_000])
def test_enumerate_gives_each_architecture_once(builder, count):
    space = nas.Space(builder)
    found = list(space.enumerate())
    assert len(found) == len(set(found)) == count
    for architecture in found[:: max(1, count // 50)]:
        space.validate(architecture)


@pytest.mark.slow
def test_size_of_unbounded_and_continuous_spaces_says_what_it_is():
    unbounded = nas.Space(b.recursive).size()
    assert not unbounded.exact
    assert "estimate" in str(unbounded)
    assert nas.Space(b.continuous).size().count == math.inf


def test_an_unbounded_space_is_enumerated_lazily():
    lengths = [len(a) for a in itertools.islice(nas.Space(b.recursive).enumerate(), 12)]
    assert sorted(lengths) == list(range(1, 13))


def test_uniform_over_architectures():
    # looped: 16 of the 22 kernel combinations have depth 4; per decision it would be 1 in 3.
    space, rng = nas.Space(b.looped), random.Random(0)
    depths = Counter(space.sample(rng, uniform="architectures")["depth"] for _ in range(3000))
    assert depths[4] / 3000 == pytest.approx(16 / 22, abs=0.03)
    plain = Counter(space.sample(rng)["depth"] for _ in range(3000))
    assert plain[4] / 3000 == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.slow
def test_uniform_over_architectures_reaches_all_alike():
    space, rng = nas.Space(b.nested), random.Random(1)
    counts = Counter(space.sample(rng, uniform="architectures") for _ in range(84 * 60))
    assert len(counts) == b.NESTED
    assert max(counts.values()) < 60 * 1.8
    with pytest.raises(nas.SpaceError, match="counted"):
        nas.Space(b.continuous).sample(rng, uniform="architectures")


@pytest.mark.parametrize("builder", ALL)
def test_tree_operations_stay_inside_the_space(builder):
    space, rng = nas.Space(builder), random.Random(3)
    for _ in range(60):
        first, second = space.sample(rng), space.sample(rng)
        changed = space.mutate(first, rng)
        for architecture in (first, changed, space.cross(first, second, rng)):
            # A space of its own knows nothing, so that this asks the builder itself.
            nas.Space(builder).validate(architecture)
        assert changed != first


@pytest.mark.slow
@pytest.mark.parametrize("builder", ALL)
def test_sampling_does_not_depend_on_what_the_tree_knows(builder):
    seasoned = nas.Space(builder)
    seasoned.size()
    for seed in range(30):
        fresh = nas.Space(builder)
        assert fresh.sample(random.Random(seed)) == seasoned.sample(random.Random(seed))


def test_mutation_changes_one_decision_and_what_hangs_on_it():
    space, rng = nas.Space(b.looped), random.Random(0)
    parent = nas.Architecture({"depth": 2, "width": 8, "kernel0": 3, "kernel1": 5, "head": "a"})
    for _ in range(200):
        child = space.mutate(parent, rng)
        changed = [n for n in parent if n in child and child[n] != parent[n]]
        assert len(changed) == 1
        if changed != ["depth"]:
            assert child.keys() == parent.keys()


def test_neighbours_are_all_single_steps():
    space = nas.Space(b.chain)
    start = space.default()
    near = set(space.neighbours(start))
    assert len(near) == 6 * 4
    assert all(sum(a[n] != start[n] for n in start) == 1 for a in near)


def test_cross_takes_from_the_parents():
    space, rng = nas.Space(b.chain), random.Random(0)
    first, second = space.sample(rng), space.sample(rng)
    child = space.cross(first, second, rng)
    assert all(child[name] in (first[name], second[name]) for name in child)


def test_encode_marks_inactive_decisions():
    space = nas.Space(b.looped)
    columns = space.columns()
    shallow = nas.Architecture({"depth": 1, "width": 8, "kernel0": 5, "head": "b"})
    row = dict(zip(columns, space.encode(shallow), strict=True))
    assert row["kernel0?"] == 1.0
    assert (row["kernel0=3"], row["kernel0=5"]) == (0.0, 1.0)
    assert row["kernel3?"] == row["kernel3=3"] == row["kernel3=5"] == 0.0
    codes = {space.encode(a).tobytes() for a in space.enumerate()}
    assert len(codes) == b.LOOPED


def test_validate_names_the_decision_and_the_mend():
    space = nas.Space(b.looped)
    good = dict(space.default())
    with pytest.raises(nas.SpaceError, match=r"width: expected one of \(8, 16\), got 9"):
        space.validate(nas.Architecture({**good, "width": 9}))
    with pytest.raises(nas.SpaceError, match=r"head: expected one of .* got no answer"):
        space.validate(nas.Architecture({k: v for k, v in good.items() if k != "head"}))
    with pytest.raises(nas.SpaceError, match="did you mean 'kernel0'"):
        space.validate(nas.Architecture({**good, "kernel00": 3}))
    with pytest.raises(nas.SpaceError, match="one of"):
        space.validate(nas.Architecture({**good, "width": True}))


def test_a_space_travels_by_pickle():
    space = nas.Space(b.nested, channels=4)
    copy = pickle.loads(pickle.dumps(space))
    assert copy.arguments == {"channels": 4}
    assert copy.fingerprint == space.fingerprint
    assert copy.fingerprint != nas.Space(b.nested, channels=5).fingerprint


def fingerprint(ask) -> str:
    def build() -> nn.Module:
        ask()
        return nn.Identity()

    return nas.Space(build).fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: nas.real("x", 0, 1), lambda: nas.real("x", 0, 1.00000001)),
        (lambda: nas.real("x", 0.1, 1), lambda: nas.real("x", 0.1, 1, log=True)),
        (lambda: nas.real("x", 0.1, 1), lambda: nas.real("x", 0.1, 1, default=0.5)),
        (lambda: nas.integer("x", 1, 3), lambda: nas.integer("x", 1, 3, default=2)),
        (lambda: nas.integer("x", 1, 3), lambda: nas.integer("x", 1, 3, log=True)),
        (lambda: nas.choose("x", [1, 2]), lambda: nas.choose("x", [1, 2], default=2)),
        (lambda: nas.choose("x", [1, 2]), lambda: nas.choose("x", [1.0, 2.0])),
        (
            lambda: nas.choose("x", [1, 2]) == 2 and nas.choose("y", [3, 5]),
            lambda: nas.choose("x", [1, 2]) == 2 and nas.choose("y", [3, 7]),
        ),
    ],
)
def test_fingerprints_tell_apart_what_differs_anywhere(one, other):
    assert fingerprint(one) == fingerprint(one)
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.slow
@pytest.mark.parametrize("builder", ALL)
def test_a_fingerprint_does_not_depend_on_what_was_sampled(builder):
    seasoned, rng = nas.Space(builder), random.Random(5)
    for _ in range(80):
        seasoned.sample(rng)
    seasoned.size()
    assert seasoned.fingerprint == nas.Space(builder).fingerprint


def test_a_fingerprint_runs_the_builder_once_and_takes_failing_answers():
    runs = []

    def build() -> nn.Module:
        runs.append(0)
        if nas.choose("a", [1, 2]) == 2:
            raise ValueError("not with 2")
        return nn.Identity()

    space = nas.Space(build)
    first, count = space.fingerprint, len(runs)
    assert space.fingerprint == first
    assert len(runs) == count
    assert nas.Space(build).fingerprint == first


def takes_anything(**_: object) -> nn.Module:
    return nn.Linear(2, nas.choose("width", [1, 2]))


class Plain:
    """An object whose text holds its address."""


#: Values whose text differs between processes, or is no JSON.
ODD = {
    "function": b.chain,
    "module_class": nn.ReLU,
    "method": Plain().__init__,
    "object": Plain(),
    "dtype": torch.float16,
    "sizes": (1, np.int64(2)),
    "names": frozenset({"a", "b", "c"}),
    "by_number": {1: nn.GELU, "x": math.inf},
}


@pytest.mark.processes
def test_arguments_of_any_kind_are_told_alike_in_every_process():
    space = nas.Space(takes_anything, **ODD)
    assert space.plain_arguments() == {
        "function": f"{b.__name__}:chain",
        "module_class": "torch.nn.modules.activation:ReLU",
        "method": "builtins:object.__init__",
        "object": f"{__name__}:Plain",
        "dtype": "torch.float16",
        "sizes": [1, 2],
        "names": ["a", "b", "c"],
        "by_number": {"1": "torch.nn.modules.activation:GELU", "x": "inf"},
    }
    code = (
        f"from {__name__} import ODD, nas, takes_anything\n"
        "print(nas.Space(takes_anything, **ODD).fingerprint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == space.fingerprint
    again = nas.Space(takes_anything, **space.plain_arguments())
    assert again.fingerprint == space.fingerprint, "what a record brings back is the same space"
    assert nas.Space(takes_anything, **ODD, more=1).fingerprint != space.fingerprint


def test_a_wrong_argument_is_told_at_once():
    with pytest.raises(nas.SpaceError, match=r"nested.*chanels"):
        nas.Space(b.nested, chanels=3)


def random_builder(seed: int, most: int = 7):
    """A builder made at random: nested scopes, conditions on earlier answers, loops."""

    def build() -> nn.Module:
        rng = random.Random(seed)
        answers: list[object] = []

        def level(depth: int) -> nn.Module:
            parts: list[nn.Module] = []
            for i in range(rng.randint(1, 3)):
                kind = rng.choice(["choose", "integer", "one_of", "repeat", "subset", "if"])
                # The shape of the program may depend on the seed alone, so every branch draws
                # from a generator of its own.
                own = random.Random(rng.random())
                name = f"{kind}{depth}{i}"
                if kind == "choose":
                    answers.append(nas.choose(name, list(range(own.randint(1, 4)))))
                elif kind == "integer":
                    answers.append(nas.integer(name, 0, own.randint(1, 3)))
                elif kind == "subset":
                    answers.append(len(nas.subset(name, ["a", "b", "c"], k=(1, 2))))
                elif kind == "one_of":
                    inner = own.randint(1, 3)
                    parts.append(
                        nas.one_of(
                            name,
                            {
                                "lin": lambda inner=inner: nn.Linear(
                                    2, nas.choose("out", [1, 2][:inner])
                                ),
                                "id": nn.Identity,
                            },
                        )
                    )
                elif kind == "repeat" and depth < 2:
                    parts.append(
                        nas.repeat(
                            name,
                            [0, 1, 2],
                            lambda j: nas.one_of("op", {"relu": nn.ReLU, "tanh": nn.Tanh}),
                        )
                    )
                elif kind == "if" and answers and own.choice(answers) in (1, 2):
                    answers.append(nas.choose(name, ["x", "y"]))
            return nn.Sequential(*parts)

        return nn.Sequential(*(level(d) for d in range(2)))

    return build


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_random_spaces_count_what_they_enumerate(seed):
    space = nas.Space(random_builder(seed))
    size = space.size()
    assert size.exact
    if size.count <= 3000:
        found = set(space.enumerate())
        assert len(found) == size.count
        # What the tree says is there, the builder must take, and the other way round.
        rng, other = random.Random(seed), nas.Space(random_builder(seed))
        assert all(other.sample(rng) in found for _ in range(30))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_random_spaces_build_what_they_sample(seed):
    space, rng = nas.Space(random_builder(seed)), random.Random(seed)
    for _ in range(5):
        architecture = space.sample(rng)
        model = space.build(architecture, device="meta")
        assert not any(
            type(module).__module__.startswith("archsmith") for module in model.modules()
        )
        keys = space.parameter_keys(architecture)
        assert keys.keys() == model.state_dict().keys()
        assert len(set(keys.values())) == len(keys)


def test_a_built_model_is_seeded_and_plain():
    space = nas.Space(b.nested)
    architecture = nas.Architecture({"depth": 1, "depth.0.op": "conv", "depth.0.op.conv.kernel": 3})
    before = torch.random.get_rng_state()
    first = space.build(architecture, seed=5)
    assert torch.equal(before, torch.random.get_rng_state())
    again = space.build(architecture, seed=5)
    other = space.build(architecture, seed=6)
    weights = [next(model.parameters()) for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert pickle.loads(pickle.dumps(first))(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def refuses_pairs() -> nn.Module:
    """Some pairs do not go together, and a question that only they ask comes before it is told."""
    a, b = nas.choose("a", [0, 1, 2]), nas.choose("b", [0, 1, 2])
    nas.choose(f"c{a}{b}", [0, 1])
    if a == b == 1:
        raise ValueError("not both 1")
    return nn.Identity()


def test_what_the_builder_refuses_is_left_out_of_lists_and_counts():
    space = nas.Space(refuses_pairs)
    size = space.size()
    assert not size.exact
    assert 12 < size.count < 20
    found = list(space.enumerate())
    assert len(found) == len(set(found)) == 16
    near = {(a["a"], a["b"]) for a in space.neighbours(space.complete({"a": 0, "b": 1}))}
    assert near == {(2, 1), (0, 0), (0, 2), (0, 1)}
    assert space.columns()


def test_a_builder_that_refuses_its_default_is_told():
    def broken() -> nn.Module:
        nas.choose("a", [1, 2])
        raise ValueError("never")

    for ask in (nas.Space.size, nas.Space.columns, lambda s: list(s.enumerate())):
        with pytest.raises(nas.SpaceError, match="never"):
            ask(nas.Space(broken))


def test_what_a_builder_prints_is_shown_once(capsys):
    def talkative():
        print("building")
        return nn.Linear(nas.choose("width", [2, 3]), 1)

    space = nas.Space(talkative)
    first = space.sample(random.Random(0))
    assert capsys.readouterr().out == "building\n"
    space.build(first)
    space.size()
    nas.Supernet(space)
    print("and other texts go on")
    assert capsys.readouterr().out == "and other texts go on\n"


def test_a_builder_that_raises_has_had_its_say(capsys):
    def talkative():
        print("building")
        raise ValueError("no")

    space = nas.Space(talkative)
    for _ in range(2):
        with pytest.raises(nas.SpaceError, match="no"):
            space.build(nas.Architecture({}))
    assert capsys.readouterr().out == "building\n"


def test_a_builder_is_not_heard_again_in_another_process(capsys):
    space = nas.Space(printing)
    space.default()
    space = pickle.loads(pickle.dumps(space))
    capsys.readouterr()
    space.build(space.default())
    assert capsys.readouterr().out == ""


def printing():
    print("building")
    return nn.Linear(nas.choose("width", [2, 3]), 1)
