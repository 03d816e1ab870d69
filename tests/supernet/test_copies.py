"""Modules that are copied while the model is built keep what they are, and leave no trace."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.relax.mixture import Mix, MixingWeights, Mixture
from archsmith.supernet.relax.reading import RelaxedReading
from archsmith.supernet.supernet import Supernet
from archsmith.testing import supernet as promise

from . import training_toys as toys
from .relax.toys import METHODS

WIDTH = 4


def gated(kind: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), kind())


def operation() -> nn.Module:
    """Both options are made at one line: nothing but the mark tells them apart."""
    kinds = {"gate": nn.Sigmoid, "relu": nn.ReLU}
    return nas.one_of(
        "op", {label: functools.partial(gated, kind) for label, kind in kinds.items()}
    )


class Layer(nn.Module):
    def __init__(self, op: nn.Module | None = None) -> None:
        super().__init__()
        self.op = operation() if op is None else op

    def forward(self, x: Tensor, **_: object) -> Tensor:
        return x + self.op(x)


def thawed(layer: nn.Module) -> nn.Module:
    # A round trip needs values, which tensors on meta do not have.
    return pickle.loads(pickle.dumps(layer))


class Encoding(nn.TransformerEncoderLayer):
    """A layer of torch with an operation more; ``nn.TransformerEncoder`` clones it."""

    def __init__(self) -> None:
        super().__init__(WIDTH, 2, WIDTH, batch_first=True)
        self.op = operation()

    def forward(self, src: Tensor, *_: object, **__: object) -> Tensor:
        return self.op(super().forward(src))


def nested() -> nn.Module:
    inner = {"one": lambda: gated(nn.Tanh), "op": operation}
    return Layer(nas.one_of("outer", inner, default="op"))


COPIES: dict[str, Callable[[], nn.Module]] = {
    "none": lambda: nn.Sequential(Layer(), Layer()),
    "deepcopy": lambda: nn.Sequential(*(copy.deepcopy(layer) for layer in [Layer()] * 2)),
    "of a copy": lambda: nn.Sequential(copy.deepcopy(copy.deepcopy(Layer())), Layer()),
    "transformer": lambda: nn.TransformerEncoder(Encoding(), 2, enable_nested_tensor=False),
    "pickle": lambda: nn.Sequential(*(thawed(layer) for layer in [Layer()] * 2)),
    "the option": lambda: nn.Sequential(*(copy.deepcopy(op) for op in [operation()] * 2)),
    "beside it": lambda: nn.Sequential(*(lambda layer: (layer, copy.deepcopy(layer)))(Layer())),
    "one module twice": lambda: nn.Sequential(*[Layer()] * 2),
    "shallow": lambda: nn.Sequential(*(copy.copy(layer) for layer in [Layer()] * 2)),
    "nested": lambda: nn.Sequential(*(copy.deepcopy(layer) for layer in [nested()] * 2)),
    "taken apart": lambda: nn.Sequential(*operation()),
    "its parts copied": lambda: nn.Sequential(*(copy.deepcopy(part) for part in operation())),
}


def run(model: nn.Module) -> Tensor:
    return model(torch.linspace(-1.0, 1.0, 2 * 3 * WIDTH).view(2, 3, WIDTH))


@pytest.mark.slow
@pytest.mark.parametrize("how", COPIES)
def test_a_step_on_one_option_leaves_the_other_alone_in_copies_too(how):
    space = nas.Space(COPIES[how])
    net = Supernet(space)
    name = list(space.default())[-1]
    gate, relu = (space.complete({name: label}) for label in ("gate", "relu"))
    promise.only_the_path_moves(net, [gate, relu], run, promise.OPTIMIZERS[0])
    before = {key: tensor.detach().clone() for key, tensor in net.stored()}
    promise.step(net, gate, run, torch.optim.SGD(net.parameters(), 0.1))
    moved = {key for key, tensor in net.stored() if not torch.equal(tensor, before[key])}
    assert moved == {k for k in net.space.parameter_keys(gate).values() if k in before} != set()
    assert not any("=relu" in key for key in moved)
    for architecture in (gate, relu):
        promise.same_outputs_and_gradients(net, architecture, run, train=True)
        promise.plain(net, architecture, run, 0.0, pickles=True)


@pytest.mark.parametrize("how", COPIES)
def test_what_is_built_has_no_attribute_that_the_user_did_not_give_it(how):
    space = nas.Space(COPIES[how])
    by_hand = COPIES[how]()  # takes the defaults, with no reading going on
    for built in (space.build(space.default()), by_hand):
        attributes = [sorted(vars(module)) for module in built.modules()]
        assert attributes == [sorted(vars(module)) for module in by_hand.modules()]


def test_what_moves_a_copy_is_refused_as_what_moves_its_original():
    def net() -> nn.Module:
        layers: list[nn.Module] = []
        for stage in range(2):
            pattern = nn.Linear(WIDTH, WIDTH)
            count = nas.choose(f"depth{stage}", [1, 2])
            layers += [copy.deepcopy(pattern) for _ in range(count)]
        return nn.Sequential(*layers)

    with pytest.raises(nas.SpaceError, match="weights 1"):
        Supernet(nas.Space(net))


class Summed(nn.Module):
    def __init__(self, branches: nn.ModuleDict) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches.values()]).sum(0)


def mixed(channels: int, classes: int) -> nn.Module:
    """Mixtures copied in two ways, and candidates, in a network that is read anew at each step."""
    nas.choose("value", [1, 2])
    kinds = {"relu": lambda: gated(nn.ReLU), "tanh": lambda: gated(nn.Tanh), "skip": nn.Identity}
    layer = Layer(nas.one_of("op", kinds))
    sums = Summed(nas.subset("branches", kinds, k=2))
    copies = [copy.deepcopy(layer), thawed(layer), copy.deepcopy(sums), copy.deepcopy(sums)]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), *copies, nn.Linear(WIDTH, classes))


@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_copies_of_a_mixture_are_mixed_alike_each_with_weights_of_its_own(name):
    method = METHODS[name]()
    session = toys.session_of(mixed, holdout=method.holdout)
    method.begin(session)
    net = session.supernet
    before = {key: tensor.detach().clone() for key, tensor in net.stored()}
    for number, batch in enumerate(session.epoch(1)):
        method.step(session, batch)
        session.step += 1
        if number == 3:
            break
    assert set(method.relaxed) == {"op", "branches"}
    child = method.child(session).model
    assert {id(m.source) for m in child.modules() if isinstance(m, Mixture)} == {id(method.source)}
    for place in (2, 3):
        for label in ("relu", "tanh"):
            key = f"{place}.op={label}.0.weight"
            assert not torch.equal(before[key], net.get(key)), key
    assert not torch.equal(net.get("2.op=relu.0.weight"), net.get("3.op=relu.0.weight"))


def test_a_copied_mixture_at_a_corner_is_the_single_path():
    space = nas.Space(mixed, channels=1, classes=10)
    net, source = Supernet(space), MixingWeights()
    run = RelaxedReading(source)
    model = net.lend(net.read(run), run)
    architecture = space.complete({"op": "tanh", "branches": ("relu", "skip")})
    hot = {"op": [0.0, 1.0, 0.0], "branches": [1.0, 0.0, 1.0]}
    source.set({name: Mix(torch.tensor(weights)) for name, weights in hot.items()})
    x = torch.linspace(-1.0, 1.0, 128).view(2, 1, 8, 8)
    assert torch.equal(model(x), net.extract(architecture)(x))
