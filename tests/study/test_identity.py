"""A study goes on with the builder that it began with, and with no other."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.errors import RunFolderError, SpaceError
from archsmith.study import SqliteStore
from archsmith.study.identity import check_identity, identify
from archsmith.workflow.run import Run


def space_of(builder: Callable[..., nn.Module]) -> nas.Space:
    space = nas.Space(builder)
    space.builder.expect(torch.zeros(2, 3, 6, 6))
    return space


class Act(nn.Module):
    """Without tensors and options: only what it computes tells two of them apart."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Branch(nn.Module):
    """Its first answer is what it gives; the rest runs in training alone."""

    def __init__(self, width: int, aside: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.last, self.aside = nn.Linear(width, 5), aside

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.aside(x) if self.training else x)


def net(
    act: Callable[[Tensor], Tensor] = torch.relu,
    seldom: Callable[[Tensor], Tensor] = torch.tanh,
    aside: Callable[[Tensor], Tensor] = torch.tanh,
    drop: float = 0.2,
    bias: bool = True,
    more: int = 0,
) -> nn.Module:
    width = nas.choose("width", [4, 6])
    op = nas.one_of(
        "op",
        {"act": lambda: Act(act), "other": lambda: Act(seldom), "pool": lambda: nn.AvgPool2d(1)},
    )
    return nn.Sequential(
        nn.Conv2d(3, width, 3, bias=bias),
        nn.BatchNorm2d(width),
        op,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(drop),
        *[nn.Identity() for _ in range(more)],
        Branch(width, aside),
    )


def made(**changed: object) -> nas.Space:
    def builder() -> nn.Module:
        return net(**changed)  # type: ignore[arg-type]

    return space_of(builder)


def test_the_same_builder_goes_on_and_leaves_generators_as_they_were():
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    known = json.loads(json.dumps(identify(made())))
    torch.manual_seed(7)
    torch.random.set_rng_state(states[0])
    check_identity(made(), known, "run")
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
    assert len(known["models"]) >= 3, "all three operations are looked at"
    assert len(json.dumps(known)) < 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"act": torch.sin}, "op='act', other outputs at the same weights"),
        ({"seldom": torch.sin}, "op='other', other outputs at the same weights"),
        ({"aside": torch.neg}, "other outputs or gradients in training"),
        ({"aside": lambda x: torch.tanh(x).detach()}, "other outputs or gradients in training"),
        ({"bias": False}, r"another 0: Conv2d \(weight 4x3x3x3 float32\)"),
        ({"more": 1}, "another 6: Identity"),
        ({"drop": 0.5}, r"5: Dropout with other options: p=0.5"),
    ],
)
def test_another_model_is_refused_and_what_changed_is_told(changed, told):
    known = identify(made())
    with pytest.raises(RunFolderError, match=told):
        check_identity(made(**changed), known, "run")


def test_what_rounds_otherwise_elsewhere_is_the_same():
    known = identify(made())
    for model in known["models"]:
        for name in ("computes", "trains"):
            model[name]["outputs"] = [x * (1 + 1e-5) for x in model[name]["outputs"]]
    check_identity(made(), known, "run")


def test_options_and_dropout_are_compared_under_one_version_of_torch_alone():
    known = identify(made())
    known["machine"] = {"torch": "1.0", "processor": "abacus"}
    for model in known["models"]:
        assert model["trains"]["drawn"]
        model["options"], model["trains"]["outputs"] = "", [0.0]
    check_identity(made(), known, "run")
    known["models"][0]["computes"]["outputs"][0] += 1.0
    with pytest.raises(RunFolderError, match="other outputs"):
        check_identity(made(), known, "run")


@pytest.mark.parametrize("damage", [{}, {"models": 3}, {"models": [{}], "machine": {}}])
def test_a_damaged_record_is_told(damage):
    with pytest.raises(RunFolderError, match="a damaged one"):
        check_identity(made(), damage, "run")


def drawn_width() -> nn.Module:
    width = random.choice([4, 6, 8, 10])
    return nn.Sequential(nn.Flatten(), nn.Linear(108, width), nn.Linear(width, 5))


_count = itertools.count(3)


def counted() -> nn.Module:
    width = next(_count)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, width), nn.Linear(width, 5))


class Projected(nn.Module):
    """A random projection that the state dict does not have."""

    def __init__(self, draw: Callable[[], Tensor], persistent: bool = False) -> None:
        super().__init__()
        self.register_buffer("matrix", draw(), persistent=persistent)
        self.last = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.flatten(1) @ self.matrix)


def by_torch() -> nn.Module:
    return Projected(lambda: torch.randn(108, 8))


def by_numpy() -> nn.Module:
    return Projected(
        lambda: torch.from_numpy(np.random.default_rng().normal(size=(108, 8))).float()
    )


def in_an_option() -> nn.Module:
    wide = nas.choose("wide", [False, True])
    return drawn_width() if wide else nn.Sequential(nn.Flatten(), nn.Linear(108, 5))


@pytest.mark.parametrize(
    ("builder", "told"),
    [
        (drawn_width, r"1: Linear .* in one run, 1: Linear"),
        (counted, r"1: Linear .* in one run, 1: Linear"),
        (in_an_option, r"wide=True: expected the same model each time"),
        (by_torch, "something outside the state dict differs"),
        (by_numpy, "something outside the state dict differs"),
    ],
)
def test_a_builder_that_draws_is_refused(builder, told):
    with pytest.raises(SpaceError, match=told) as caught:
        identify(space_of(builder))
    assert "draw nothing in a constructor" in str(caught.value)


def test_a_random_tensor_that_is_kept_with_the_weights_is_no_fault():
    def kept() -> nn.Module:
        return Projected(lambda: torch.randn(108, 8), persistent=True)

    known = identify(space_of(kept))
    check_identity(space_of(kept), known, "run")


class Centred(nn.Module):
    """Makes a buffer, or takes a parameter away, in its first forward pass."""

    def __init__(self, late: str) -> None:
        super().__init__()
        self.late, self.last, self.extra = late, nn.Linear(108, 5), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.late == "buffer" and not hasattr(self, "mean"):
            self.register_buffer("mean", torch.zeros(108))
        if self.late == "parameter" and not hasattr(self, "mean"):
            self.mean = nn.Parameter(torch.zeros(108))
        if self.late == "gone" and hasattr(self, "extra"):
            del self.extra
        return self.last(x.flatten(1))


@pytest.mark.parametrize(
    ("late", "told"),
    [
        ("buffer", "mean, which forward registers"),
        ("parameter", "mean, which forward registers"),
        ("gone", "extra.bias, which forward removes"),
    ],
)
def test_tensors_that_forward_makes_are_refused(late, told):
    with pytest.raises(SpaceError, match=told):
        identify(space_of(lambda: Centred(late)))


@pytest.mark.slow
def test_an_edited_model_is_refused_by_every_door_of_the_run_folder(tmp_path):
    def small(act: Callable[[Tensor], Tensor]) -> Callable[..., nn.Module]:
        def builder(channels: int, classes: int) -> nn.Module:
            width = nas.choose("width", [4, 6])
            return nn.Sequential(
                nn.Flatten(), nn.Linear(64, width), Act(act), nn.Linear(width, classes)
            )

        return builder

    def search(builder: Callable[..., nn.Module]) -> nas.SearchResult:
        return nas.search(
            builder, "digits", trials=1, epochs=1, share=0.1, final_epochs=1, finalists=1, run=run
        )

    run, edited = tmp_path / "run", small(lambda x: torch.sin(9 * x))
    first, again = search(small(torch.relu)), search(small(torch.relu))
    assert first.best is not None
    assert again.best is not None
    assert again.best.test == pytest.approx(first.best.test, rel=1e-3)
    for work in (
        lambda: search(edited),
        lambda: Run(run, edited).train(),
        lambda: Run(run, edited).export(tmp_path / "out"),
    ):
        with pytest.raises(RunFolderError, match="width=4, other outputs at the same weights"):
            work()
    assert not (tmp_path / "out").exists()
    # A study of an older archsmith kept nothing; what it builds is kept from now on.
    with SqliteStore(run) as store:
        old = store.meta()
        kept = old.pop("models")
        store.write_meta(old)
    search(small(torch.relu))
    assert Run(run).meta["models"] == kept
