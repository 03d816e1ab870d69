from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith._support.errors import SpaceError
from archsmith.space.architecture import Architecture
from archsmith.space.building import parameter_keys
from archsmith.space.decision import Subset
from archsmith.supernet.relax.mixture import Mix, MixingWeights, Mixture, Scaled, child_name
from archsmith.supernet.relax.narrow import PartialMixture, narrow
from archsmith.supernet.relax.reading import RelaxedReading, labels_of
from archsmith.supernet.supernet import Supernet
from archsmith.zoo.nasbench201 import nasbench201

from ..training_toys import nested, operations, session_of
from .toys import METHODS, linking, sized


def one_hot(run: RelaxedReading, architecture: Architecture) -> dict[str, Mix]:
    mixes = {}
    for name, decision in run.relaxed.items():
        answer = architecture.get(name, decision.default)
        chosen = answer if isinstance(decision, Subset) else (answer,)
        assert isinstance(chosen, tuple)
        mixes[name] = Mix(torch.tensor([float(label in chosen) for label in labels_of(decision)]))
    return mixes


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [False, True], ids=["all computed", "drawn alone"])
@pytest.mark.parametrize(
    ("builder", "arguments", "shape"),
    [
        (nasbench201, {"channels": 3, "width": 4, "cells": 1}, (4, 3, 8, 8)),
        (operations, {"channels": 1}, (4, 1, 8, 8)),
        (nested, {"channels": 1}, (4, 1, 8, 8)),
        (sized, {"channels": 1}, (4, 1, 8, 8)),
        (linking, {"channels": 1}, (4, 1, 8, 8)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_hot_mixtures_are_the_single_path_exactly(
    builder: Any, arguments: Any, shape: Any, drawn: bool
) -> None:
    space = nas.Space(builder, classes=10, **arguments)
    net = Supernet(space, seed=1)
    rng = random.Random(2)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        architecture = space.sample(rng)
        if builder is linking:  # its other candidates are noise, which nothing sees
            architecture = Architecture({"links": ("b", "d")})
        source = MixingWeights()
        run = RelaxedReading(source, lambda d, _, a=architecture: a.get(d.name, d.default))
        mixed = net.lend(net.read(run), run)
        single = net.subnet(architecture, own_buffers=True)
        mixes = one_hot(run, architecture)
        if drawn:
            mixes = {
                name: Mix(mix.weights, tuple(mix.weights.nonzero()[:, 0].tolist()))
                for name, mix in mixes.items()
            }
        source.set(mixes)
        for mode in (True, False):
            torch.manual_seed(0)
            expected = single.train(mode)(x)
            torch.manual_seed(0)
            assert torch.equal(mixed.train(mode)(x), expected)


def test_keys_are_those_of_single_paths() -> None:
    space = nas.Space(sized, channels=1, classes=10)
    run = RelaxedReading(MixingWeights(), lambda d, _: {"width": 8, "depth": 2}[d.name])
    model = space.run(run)
    keys = set(parameter_keys(run, model).values())
    whole: set[str] = set()
    for one in ("deep", "skip"):
        for act in ("relu", "tanh"):
            answers = {"width": 8, "depth": 2} | {f"depth.{i}.op": one for i in (0, 1)}
            answers |= {f"depth.{i}.op.deep.act": act for i in (0, 1)}
            whole |= set(space.parameter_keys(space.complete(answers)).values())
    assert keys == whole
    assert run.inside["depth.1.op.deep.act"] == (("depth.1.op", "deep"),)
    assert run.inside["depth.1.op"] == ()
    assert run.free["depth.0.op"] == {1}
    assert run.free["depth.0.op.deep.act"] == {0, 1}
    assert run.valued == ("width", "depth")


def test_a_decision_asked_in_many_places_is_mixed_alike() -> None:
    space = nas.Space(nasbench201, channels=3, classes=10, width=4, cells=2)
    run = RelaxedReading(MixingWeights())
    space.run(run, "meta")
    assert list(run.relaxed) == ["0>1", "0>2", "1>2", "0>3", "1>3", "2>3"]
    assert len(run.mixtures) == 6 * 6
    assert {m.decision for m in run.mixtures} == set(run.relaxed)


class Pair(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, more: float = 0.0) -> Any:
        return {"a": (x * self.factor, [x + more]), "b": x - self.factor}


def test_nested_outputs_are_mixed_part_by_part() -> None:
    source = MixingWeights()
    mixture = Mixture("d", {"two": Pair(2.0), "three": Pair(3.0)}, source)
    source.set({"d": Mix(torch.tensor([0.25, 0.5]), scale=torch.tensor(2.0))})
    x = torch.ones(2)
    out = mixture(x, more=1.0)
    assert torch.equal(out["a"][0], x * (0.25 * 2 + 0.5 * 3) * 2)
    assert torch.equal(out["a"][1][0], x * 0.75 * 2 * 2)
    assert torch.equal(out["b"], 2 * (0.25 * (x - 2) + 0.5 * (x - 3)))
    source.set({"d": Mix(torch.tensor([0.0, 1.0]), drawn=(1,))})
    assert torch.equal(mixture(x)["b"], x - 3)


class Text(nn.Module):
    def forward(self, x: Tensor) -> str:
        return "text"


def test_what_cannot_be_mixed_says_so() -> None:
    source = MixingWeights()
    source.set({"d": Mix(torch.tensor([0.5, 0.5]))})
    with pytest.raises(SpaceError, match=r"d: .*can be mixed.*got str from"):
        Mixture("d", {"one": Text(), "two": Text()}, source)(torch.ones(2))
    with pytest.raises(SpaceError, match=r"\(2, 3\) from 'one' and \(2, 1\) from 'two'"):
        # They would broadcast: the sum of a row would silently be taken for a column.
        Mixture("d", {"one": nn.Identity(), "two": nn.Linear(3, 1)}, source)(torch.ones(2, 3))


def test_labels_that_a_module_has_for_itself() -> None:
    source = MixingWeights()
    labels = ("forward", "train", "weights", "3x3", "decision", "options")
    mixture = Mixture("d", {label: nn.Identity() for label in labels}, source)
    names = [name for name, _ in mixture.named_children()]
    assert names == list(mixture.names)
    assert names[2:4] == ["weights", "3x3"]
    assert child_name("train") == "train_"
    source.set({"d": Mix(torch.full((6,), 1 / 6))})
    assert torch.allclose(mixture(torch.ones(3)), torch.ones(3))


def test_a_candidate_that_is_not_drawn_gives_zeros_and_is_not_computed() -> None:
    source, ran = MixingWeights(), []
    inner = nn.Linear(3, 5)
    inner.register_forward_hook(lambda *_: ran.append(1))
    scaled = Scaled("d", "a", 0, inner, source)
    x = torch.ones(2, 3)
    source.set({"d": Mix(torch.tensor([1.0, 0.0]), drawn=(0,))})
    assert torch.equal(scaled(x), inner.forward(x))
    source.set({"d": Mix(torch.tensor([0.0, 1.0]), drawn=(1,))})
    before = len(ran)
    assert torch.equal(scaled(x), torch.zeros(2, 5))
    assert len(ran) == before
    assert torch.equal(scaled(torch.ones(4, 3)), torch.zeros(4, 5))
    assert len(ran) == before + 1  # a shape that was not seen yet


def test_a_partial_mixture_shuffles_as_the_paper_does() -> None:
    source = MixingWeights()
    mixture = PartialMixture("d", {"a": nn.Identity(), "b": nn.Identity()}, source, 4)
    source.set({"d": Mix(torch.tensor([2.0, 1.0]))})
    x = torch.arange(8.0).view(1, 8, 1, 1).expand(2, 8, 3, 3)
    out = mixture(x)
    # Channels 0 and 1 went through the options; groups of four take one of each part.
    assert out[0, :, 0, 0].tolist() == [0.0, 2.0, 4.0, 6.0, 3.0, 3.0, 5.0, 7.0]
    pooled = PartialMixture("d", {"a": nn.AvgPool2d(2), "b": nn.MaxPool2d(2)}, source, 4)
    assert pooled(torch.ones(2, 8, 4, 4)).shape == (2, 8, 2, 2)


def test_channels_of_linear_layers_are_the_last_dimension() -> None:
    source = MixingWeights()
    linear = nn.Linear(8, 8)
    narrow(linear, 4, "d=a")
    assert (linear.in_features, linear.out_features) == (2, 2)
    mixture = PartialMixture("d", {"a": linear, "b": nn.Identity()}, source, 4)
    nn.init.eye_(linear.weight)
    nn.init.zeros_(linear.bias)
    source.set({"d": Mix(torch.tensor([0.5, 0.5]))})
    x = torch.randn(2, 5, 8)
    out = mixture(x)
    assert torch.allclose(out[..., 0], x[..., 0])
    assert torch.equal(out[..., 1], x[..., 2])


@pytest.mark.parametrize(
    ("wide", "slim", "shape"),
    [
        (nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(2, 4, 3, padding=1), (2, 2, 5, 5)),
        (nn.Conv1d(8, 8, 3, groups=8), nn.Conv1d(2, 2, 3, groups=2), (2, 2, 5)),
        (nn.Conv2d(8, 16, 1, groups=2), nn.Conv2d(2, 4, 1, groups=2), (2, 2, 5, 5)),
        (
            nn.ConvTranspose2d(8, 4, 2, bias=False),
            nn.ConvTranspose2d(2, 1, 2, bias=False),
            (2, 2, 5, 5),
        ),
        (nn.BatchNorm2d(8), nn.BatchNorm2d(2), (2, 2, 5, 5)),
        (nn.GroupNorm(2, 8), nn.GroupNorm(2, 2), (2, 2, 5)),
        (nn.GroupNorm(8, 8), nn.GroupNorm(2, 2), (2, 2, 5)),
        (nn.LayerNorm(8), nn.LayerNorm(2), (4, 2)),
        (nn.LayerNorm((8, 3)), nn.LayerNorm((2, 3)), (4, 2, 3)),
        (nn.RMSNorm(8), nn.RMSNorm(2), (4, 2)),
        (nn.PReLU(8), nn.PReLU(2), (4, 2)),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, nn.Module) else "",
)
def test_narrow_layers_are_those_of_a_quarter(
    wide: nn.Module, slim: nn.Module, shape: tuple[int, ...]
) -> None:
    narrow(wide, 4, "d=a")
    assert repr(wide) == repr(slim)
    wide.load_state_dict(slim.state_dict())
    x = torch.randn(shape)
    assert torch.equal(wide(x), slim(x))


def inner_choice(channels: int, classes: int) -> nn.Module:
    """A choice of convolutions that have a choice of activations inside."""

    def conv(kernel: int) -> nn.Module:
        act = nas.one_of("act", {"relu": nn.ReLU, "prelu": lambda: nn.PReLU(8)})
        return nn.Sequential(act, nn.Conv2d(8, 8, kernel, padding=kernel // 2))

    options = {"one": lambda: conv(1), "three": lambda: conv(3)}
    return nn.Sequential(nn.Conv2d(channels, 8, 1), nas.one_of("op", options))


def test_options_inside_narrow_options_see_all_of_those_channels() -> None:
    space = nas.Space(inner_choice, channels=1, classes=10)
    net, source = Supernet(space), MixingWeights()
    run = RelaxedReading(source, partial=4)
    model = net.lend(net.read(run), run)
    assert [type(m) for m in run.mixtures] == [Mixture, Mixture, PartialMixture]
    assert {name: tuple(p.shape) for name, p in model.named_parameters()} == {
        "0.weight": (8, 1, 1, 1),
        "0.bias": (8,),
        "1.one.0.prelu.weight": (2,),
        "1.one.1.weight": (2, 2, 1, 1),
        "1.one.1.bias": (2,),
        "1.three.0.prelu.weight": (2,),
        "1.three.1.weight": (2, 2, 3, 3),
        "1.three.1.bias": (2,),
    }
    source.set({name: Mix(torch.tensor([0.5, 0.5])) for name in run.relaxed})
    assert model(torch.randn(2, 1, 4, 4)).shape == (2, 8, 4, 4)


class Recurrent(nn.Module):
    """An LSTM or a GRU over the rows of an image; what they keep beside their outputs differs."""

    def __init__(self, channels: int, classes: int, use: str = "") -> None:
        super().__init__()
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
        made = {
            name: lambda kind=kind: kind(8, 6, batch_first=True) for name, kind in kinds.items()
        }
        self.rnn, self.use = nas.one_of("rnn", made), use
        self.head = nn.Linear(6, classes)

    def forward(self, x: Tensor) -> Tensor:
        out, state = self.rnn(x[:, 0])
        if self.use == "method":
            out = out + (state[0] if isinstance(state, tuple) else state).transpose(0, 1)
        elif self.use == "function":
            out = out + torch.tanh(state).transpose(0, 1)
        elif self.use == "again":
            out, _ = self.rnn(x[:, 0], state)
        elif self.use == "sum":
            out = out + 0.0 * state
        return self.head(out[:, -1])


@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_options_that_differ_in_what_nobody_uses_are_mixed(name: str) -> None:
    method = METHODS[name]()
    session = session_of(Recurrent, holdout=method.holdout)
    method.begin(session)
    before = {key: tensor.detach().clone() for key, tensor in session.supernet.stored()}
    for batch, _ in zip(session.epoch(1), range(3), strict=False):
        method.step(session, batch)
        session.step += 1
    moved = {k for k, t in session.supernet.stored() if not torch.equal(t, before[k])}
    assert {key.split(".")[0] for key in moved} >= {"head", "rnn=lstm"} or name == "gdas"


@pytest.mark.parametrize("use", ["method", "function", "again", "sum"])
@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_what_options_do_not_have_in_common_is_refused_where_it_is_used(name, use) -> None:
    method = METHODS[name]()
    net = Supernet(nas.Space(Recurrent, channels=1, classes=10, use=use))
    with pytest.raises(SpaceError) as refused:
        method.try_out(net, torch.zeros(2, 1, 8, 8))
    assert "((1, 2, 6), (1, 2, 6)) from 'lstm' and (1, 2, 6) from 'gru'" in str(refused.value)
    assert "use only what all options return" in str(refused.value)


class Named(NamedTuple):
    out: Tensor
    more: Tensor | None


class Gives(nn.Module):
    def __init__(self, kind: str, factor: float) -> None:
        super().__init__()
        self.kind, self.factor = kind, factor

    def forward(self, x: Tensor) -> Any:
        y = self.factor * x
        return {"named": Named(y, None), "list": [y, {"y": y}], "attention": (y, None)}[self.kind]


@pytest.mark.parametrize("kind", ["named", "list", "attention"])
@pytest.mark.parametrize("scale", [None, 2.0])
def test_structures_are_mixed_part_by_part(kind: str, scale: float | None) -> None:
    source = MixingWeights()
    mixture = Mixture("op", {"one": Gives(kind, 1.0), "three": Gives(kind, 3.0)}, source)
    whole = None if scale is None else torch.tensor(scale)
    source.set({"op": Mix(torch.tensor([0.5, 0.5]), scale=whole)})
    found, factor = mixture(torch.ones(2)), 2.0 * (scale or 1.0)
    assert torch.equal(found[0], torch.full((2,), factor))
    if kind == "named":
        assert isinstance(found, Named)
    if kind == "list":
        assert torch.equal(found[1]["y"], torch.full((2,), factor))
    else:
        assert found[1] is None
