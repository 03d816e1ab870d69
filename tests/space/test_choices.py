"""The choices themselves: names, defaults, sharing, and what is refused."""

from __future__ import annotations

import enum
import json
import random

import numpy as np
import pytest
import torch
from torch import nn

import archsmith as nas

from . import builders as b


def names_of(builder) -> list[str]:
    return list(nas.Space(builder).default())


def test_names_follow_scopes_blocks_and_options():
    def build() -> nn.Module:
        with nas.scope("stage1"):
            return nas.repeat(
                "depth",
                [2],
                lambda i: nas.one_of(
                    "op", {"conv": lambda: nn.Conv2d(1, 1, nas.choose("kernel", [3, 5]))}
                ),
            )

    assert names_of(build) == [
        "stage1.depth",
        "stage1.depth.0.op",
        "stage1.depth.0.op.conv.kernel",
        "stage1.depth.1.op",
        "stage1.depth.1.op.conv.kernel",
    ]


def test_a_name_asked_twice_is_one_decision():
    def build() -> nn.Module:
        return nn.Sequential(*(nn.Linear(nas.choose("w", [4, 8]), 4) for _ in range(3)))

    space = nas.Space(build)
    assert space.size().count == 2
    wide = space.build(nas.Architecture({"w": 8}))
    assert [layer.in_features for layer in wide] == [8, 8, 8]


def test_a_name_asked_with_other_options_shows_both_places():
    def build() -> nn.Module:
        nas.choose("w", [4, 8])
        nas.choose("w", [4, 16])
        return nn.Identity()

    with pytest.raises(nas.SpaceError) as caught:
        nas.Space(build).default()
    text = str(caught.value)
    assert text.count("test_choices.py:") == 2
    assert "(4, 8)" in text
    assert "(4, 16)" in text
    assert "nas.scope" in text


def test_defaults_and_labels():
    def build() -> nn.Module:
        activation = nas.choose("act", {"relu": nn.ReLU, "gelu": nn.GELU}, default="gelu")
        nas.integer("n", 0, 8, step=2, default=4)
        nas.real("x", 0.0, 1.0, default=0.25)
        nas.subset("s", ["a", "b", "c"], k=2, default=["a", "c"])
        return activation()

    space = nas.Space(build)
    assert dict(space.default()) == {"act": "gelu", "n": 4, "x": 0.25, "s": ("a", "c")}
    assert isinstance(space.build(space.default()), nn.GELU)
    assert isinstance(build(), nn.GELU), "a builder called by hand takes the defaults"


def test_only_the_chosen_option_is_built():
    built = []

    def option(name: str):
        def build() -> nn.Module:
            built.append(name)
            return nn.Identity()

        return build

    space = nas.Space(lambda: nas.one_of("op", {"a": option("a"), "b": option("b")}))
    model = space.build(nas.Architecture({"op": "b"}))
    assert built == ["b"]
    assert type(model) is nn.Identity


def test_subset_builds_the_chosen_by_label():
    space = nas.Space(b.connected)
    model = space.build(nas.Architecture({"inputs": (0, 2, 4), "branches": ("a", "c")}))
    assert list(model) == ["a", "c"]
    with pytest.raises(nas.SpaceError, match="in this order"):
        space.validate(nas.Architecture({"inputs": (2, 0, 4), "branches": ("a",)}))


def test_parameter_keys_spell_the_option():
    def build() -> nn.Module:
        return nn.Sequential(
            nas.repeat(
                "blocks",
                [1, 2],
                lambda i: nas.one_of(
                    "op",
                    {"conv3": lambda: nn.Conv2d(2, 2, 3), "conv5": lambda: nn.Conv2d(2, 2, 5)},
                ),
            ),
            nn.Linear(2, 2),
        )

    space = nas.Space(build)
    deep = nas.Architecture({"blocks": 2, "blocks.0.op": "conv3", "blocks.1.op": "conv5"})
    flat = nas.Architecture({"blocks": 1, "blocks.0.op": "conv3"})
    keys = space.parameter_keys(deep)
    assert keys["0.0.weight"] == "0.0=conv3.weight"
    assert keys["0.1.weight"] == "0.1=conv5.weight"
    assert space.parameter_keys(flat).items() <= keys.items()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: nas.choose("w", []), "at least one option"),
        (lambda: nas.choose("w", [1, 1]), "options that are all different"),
        (lambda: nas.choose("w", [nn.ReLU, nn.GELU]), "name them"),
        (lambda: nas.choose("w", [1, 2], default=3), "a default among"),
        (lambda: nas.choose("a.b", [1]), "without spaces, dots"),
        (lambda: nas.integer("n", 5, 1), "low <= high"),
        (lambda: nas.integer("n", 0, 4, log=True), "low >= 1"),
        (lambda: nas.real("x", 0.0, 1.0, log=True), "low > 0"),
        (lambda: nas.one_of("op", [nn.ReLU]), "a mapping"),
        (lambda: nas.one_of("op", {"a": nn.ReLU()}), "put lambda"),
        (lambda: nas.subset("s", [1, 2], k=3), "k from 0 to 2"),
        (lambda: nas.repeat("d", [-1], lambda i: nn.Identity()), "0 or more"),
    ],
)
def test_what_is_refused(ask, says):
    def build() -> nn.Module:
        ask()
        return nn.Identity()

    with pytest.raises(nas.SpaceError, match=says):
        nas.Space(build).default()


def test_a_builder_that_raises_tells_the_decisions():
    def build() -> nn.Module:
        width = nas.choose("width", [8, 16])
        groups = nas.choose("groups", [1, 3])
        return nn.Conv2d(width, width, 3, groups=groups)

    space = nas.Space(build)
    with pytest.raises(nas.SpaceError, match="width=16, groups=3") as caught:
        space.build(nas.Architecture({"width": 16, "groups": 3}))
    assert "divisible" in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_builder_must_return_a_module():
    with pytest.raises(nas.SpaceError, match="NoneType"):
        nas.Space(lambda: None).default()


def test_a_builder_that_is_not_repeatable_is_refused():
    rng = random.Random(0)

    def build() -> nn.Module:
        nas.choose("a", [1, 2])
        if rng.random() < 0.5:
            nas.choose("b", [1, 2])
        return nn.Identity()

    with pytest.raises(nas.SpaceError, match="depend only on its arguments and its choices"):
        nas.Space(build).size()


def test_a_builder_that_meta_cannot_run_is_run_on_the_cpu():
    def build() -> nn.Module:
        rates = torch.linspace(0, 0.5, nas.choose("depth", [2, 4]))
        return nn.Sequential(*(nn.Dropout(rate.item()) for rate in rates))

    space = nas.Space(build)
    assert space.size().count == 2
    assert len(space.build(nas.Architecture({"depth": 4}))) == 4


@pytest.mark.parametrize(
    "read",
    [
        lambda t: t.tolist(),
        lambda t: list(t.numpy()),
        lambda t: [1, 2] if t.sum() > 0 else [3],
    ],
    ids=["tolist", "numpy", "bool"],
)
def test_constructors_may_read_values_in_any_way(read):
    def build() -> nn.Module:
        read(torch.linspace(0, 1, nas.choose("depth", [2, 4])))
        return nn.Linear(2, nas.choose("width", [1, 2]))

    space = nas.Space(build)
    state = torch.random.get_rng_state()
    architecture = space.sample(random.Random(0))
    assert set(space.parameter_keys(architecture)) == {"weight", "bias"}
    assert torch.equal(state, torch.random.get_rng_state()), "asking draws nothing of the caller's"


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (np.linspace(0, 1, 3), [0.0, 0.5, 1.0]),
        (np.arange(1, 4), [1, 2, 3]),
        ([True, np.float64(0.5), np.str_("a"), None], [True, 0.5, "a", None]),
        ([(np.int64(1), (np.float64(0.5), False)), (2,)], [(1, (0.5, False)), (2,)]),
        (list(Colour), ["red", "blue"]),
    ],
)
def test_options_are_plain_python(options, expected):
    def build() -> nn.Module:
        found.append(nas.choose("w", options))
        return nn.Identity()

    def types(value):
        return list(map(types, value)) if isinstance(value, tuple) else type(value)

    found: list[object] = []
    space = nas.Space(build)
    answers = [architecture["w"] for architecture in space.enumerate()]
    assert answers == expected
    assert list(map(types, answers)) == list(map(types, expected))
    assert {types(f) if not isinstance(f, tuple) else tuple for f in found} <= {
        *(type(e) for e in expected)
    }
    for architecture in space.enumerate():
        text = json.dumps(architecture.to_json())
        back = nas.Architecture.from_json(json.loads(text))
        assert back == architecture
        space.validate(back)


def test_numpy_numbers_elsewhere():
    def build() -> nn.Module:
        nas.integer("n", np.int64(1), np.int64(3), default=np.int64(2))
        nas.real("x", np.float64(0.5), np.float32(1), default=np.float64(0.75))
        nas.subset("s", np.arange(3), k=np.int64(2), default=np.array([0, 2]))
        return nas.repeat("d", np.arange(1, 3), lambda i: nn.Identity(), default=np.int64(2))

    default = nas.Space(build).default()
    assert dict(default) == {"n": 2, "x": 0.75, "s": (0, 2), "d": 2}
    assert [type(default[n]) for n in "nxd"] == [int, float, int]
    assert all(type(value) is int for value in default["s"])


def test_labels_of_a_mapping_need_not_be_strings():
    options = {1: nn.ReLU, (2, 3): nn.GELU, np.float64(0.5): nn.Tanh, Colour.RED: nn.ELU}

    def build() -> nn.Module:
        return nas.choose("act", options)()

    space = nas.Space(build)
    found = [type(space.build(architecture)) for architecture in space.enumerate()]
    assert found == [nn.ReLU, nn.GELU, nn.Tanh, nn.ELU]


def test_labels_of_modules_may_be_of_a_string_type():
    space = nas.Space(lambda: nas.one_of("op", {Colour.RED: nn.ReLU, Colour.BLUE: nn.GELU}))
    assert isinstance(space.build(nas.Architecture({"op": "blue"})), nn.GELU)


@pytest.mark.parametrize(("n", "sizes"), [(2, (0, 2)), (4, (0, 2)), (3, (0, 3)), (3, (1, 3))])
def test_a_changed_subset_is_another(n, sizes):
    decision = nas.space.Subset("s", (), tuple(range(n)), sizes)
    rng = random.Random(0)
    for answer in decision.answers():
        changed = [decision.change(answer, rng) for _ in range(40)]
        assert answer not in changed
        assert all(map(decision.accepts, changed))
