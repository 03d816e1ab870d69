"""The contract suite of weight sharing: what every one-shot method relies on in a space.

Test your own space in one line::

    class TestMine(SupernetContract):
        space, shape = Space(my_net, channels=3, classes=10), (1, 3, 32, 32)
"""

from __future__ import annotations

import copy
import pickle
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.trees import Spec, Tree, as_spec, call, example_of, first_tensor, leaves
from ..space import Space
from ..space.architecture import Architecture
from ..supernet.supernet import Supernet

#: Calls a model and gives the tensor that the loss is computed from.
Call = Callable[[nn.Module], Tensor]


class SupernetContract:
    """Subclass it, name the subclass ``Test…`` and set ``space`` and ``shape``.

    Attributes:
        space: the space to test.
        shape: of the model's input, the batch first; for several inputs, the tree that the model
            takes of their :class:`~archsmith._support.trees.TensorSpec`.
        dtype: name of the input's torch type, if ``shape`` is that of a single input.
        samples: number of random architectures in each test.
        batch: examples in an input.
        tolerance: relative tolerance of outputs; 0 requires bitwise equality. Gradients may differ
            by rounding: torch sums those of a part of a matrix in another order than of a whole.
        pickles: whether plain builds of the models can be pickled.
    """

    space: ClassVar[Space]
    shape: ClassVar[Spec | tuple[int, ...]]
    dtype: ClassVar[str] = "float32"
    samples: ClassVar[int] = 4
    batch: ClassVar[int] = 3
    tolerance: ClassVar[float] = 0.0
    pickles: ClassVar[bool] = True
    _made: ClassVar[Supernet]

    def run(self, model: nn.Module) -> Tensor:
        """The model's output, as one tensor."""
        return as_one(call(model, example_of(as_spec(self.shape, self.dtype), self.batch)))

    def net(self) -> Supernet:
        """A fresh copy of the supernet."""
        if "_made" not in type(self).__dict__:
            type(self)._made = Supernet(self.space)
        return copy.deepcopy(self._made)

    def drawn(self, seed: int = 0) -> list[Architecture]:
        """The default and random architectures."""
        rng = random.Random(seed)
        return [self.space.default(), *(self.space.sample(rng) for _ in range(self.samples))]

    def test_the_extracted_model_computes_what_the_subnet_does(self) -> None:
        net = self.net()
        for architecture in [*self.drawn(), net.survey.smallest, net.survey.largest]:
            for train in (False, True):
                same_outputs_and_gradients(net, architecture, self.run, train, self.tolerance)

    def test_gradients_stay_inside_the_slice(self) -> None:
        net = self.net()
        for architecture in [*self.drawn(1), net.survey.smallest]:
            gradients_inside(net, architecture, self.run)

    def test_what_was_not_on_the_path_does_not_move(self) -> None:
        for optimizer in OPTIMIZERS:
            only_the_path_moves(self.net(), self.drawn(2), self.run, optimizer)

    def test_the_extracted_model_is_a_plain_one(self) -> None:
        net = self.net()
        for architecture in self.drawn(3)[:3]:
            plain(net, architecture, self.run, self.tolerance, self.pickles)

    def test_a_save_and_load_gives_the_same(self) -> None:
        net = self.net()
        train_some(net, self.drawn(4)[:2], self.run, OPTIMIZERS[0])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.safetensors"
            net.save(path)
            back = Supernet.load(path, self.space)
        for architecture in self.drawn(5):
            one, two = (output(n.subnet(architecture).eval(), self.run) for n in (net, back))
            assert torch.equal(one, two)


#: Share of a tensor's largest value that gradients may differ by.
_ROUNDING = 1e-5
#: Smaller values count as this large: a bias before a norm has a gradient of rounding errors.
_SMALL = 1e-2
#: Optimisers that move weights by more than their gradient.
OPTIMIZERS: list[Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = [
    lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.1, nesterov=True),
    lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
]


def as_one(outputs: Tree) -> Tensor:
    """Outputs as one tensor: those of a mapping are concatenated, of a tuple (a recurrent layer's
    outputs and state) it is the first."""
    if isinstance(outputs, Mapping):
        return torch.cat([tensor.flatten(1) for tensor in leaves(outputs)], dim=1)
    one = first_tensor(outputs)
    assert one is not None
    return one


def output(model: nn.Module, run: Call) -> Tensor:
    """A model's output, with the same dropout each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return run(model)


def same_outputs_and_gradients(
    net: Supernet, architecture: Architecture, run: Call, train: bool, tolerance: float = 0.0
) -> None:
    """Assert that subnet and extracted model agree in outputs, gradients and buffers afterwards."""
    net.zero_grad()
    own, lent = net.extract(architecture).train(train), net.subnet(architecture).train(train)
    trained = {name: p for name, p in lent.named_parameters() if p.requires_grad}
    for parameter in trained.values():
        parameter.retain_grad()
    one, two = output(own, run), output(lent, run)
    assert_same(one, two, tolerance, f"output for {architecture}")
    assert bool(two.isfinite().all()), f"output for {architecture} is not finite"
    for out in (one, two):
        if out.requires_grad:
            torch.autograd.backward(out.float().square().mean())
    owned = {name: p for name, p in own.named_parameters() if p.requires_grad}
    assert owned.keys() == trained.keys()
    for name, parameter in owned.items():
        there = trained[name].grad
        if parameter.grad is None:
            assert there is None or not bool(there.any()), f"gradient of {name}"
        else:
            assert there is not None, f"no gradient of {name}"
            what = f"gradient of {name}, {architecture}"
            assert_same(parameter.grad, there, max(tolerance, _ROUNDING), what)
    states = own.state_dict(), lent.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert_same(tensor, states[1][name], tolerance, f"{name} afterwards, {architecture}")


def gradients_inside(net: Supernet, architecture: Architecture, run: Call) -> None:
    """Assert that stored tensors off the path have no gradient, and used ones only in the slice."""
    net.zero_grad()
    torch.autograd.backward(output(net.subnet(architecture).train(), run).float().square().mean())
    stored = {key: t for key, t in net.stored() if t.requires_grad}
    parts = [p.sum() for p in net.subnet(architecture).parameters() if p.requires_grad]
    marks = torch.autograd.grad(sum(parts), list(stored.values()), allow_unused=True)  # type: ignore[arg-type]
    for (key, tensor), mark in zip(stored.items(), marks, strict=True):
        if mark is None:
            assert tensor.grad is None, f"gradient of {key}, which {architecture} does not use"
        elif tensor.grad is not None:
            assert not bool(tensor.grad[mark == 0].any()), f"gradient of {key} outside the slice"


def train_some(
    net: Supernet,
    architectures: list[Architecture],
    run: Call,
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
) -> torch.optim.Optimizer:
    """Train a step on each architecture; returns the optimiser, with its momentum."""
    optimizer = make(list(net.parameters()))
    for architecture in architectures:
        step(net, architecture, run, optimizer)
    return optimizer


def step(
    net: Supernet, architecture: Architecture, run: Call, optimizer: torch.optim.Optimizer
) -> None:
    """One training step on one path."""
    out = output(net.subnet(architecture).train(), run)
    if out.requires_grad:
        torch.autograd.backward(out.float().square().mean())
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def only_the_path_moves(
    net: Supernet,
    architectures: list[Architecture],
    run: Call,
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
) -> None:
    """Assert that a step moves only what its path uses, although everything has momentum."""
    for architecture in architectures:
        net.subnet(architecture)  # adds what the survey has not met yet
    optimizer = train_some(net, [net.survey.largest, *architectures], run, make)
    for architecture in architectures:
        before = {key: tensor.detach().clone() for key, tensor in net.stored()}
        used = {id(t) for t in used_by(net, architecture)}
        step(net, architecture, run, optimizer)
        for key, tensor in net.stored():
            if id(tensor) not in used:
                assert torch.equal(tensor, before[key]), f"{key} moved with {architecture}"


def used_by(net: Supernet, architecture: Architecture) -> list[Tensor]:
    """The stored tensors that an architecture uses a part of."""
    model = net.subnet(architecture)
    lent = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    at = {t.untyped_storage().data_ptr() for t in lent.values() if t.numel()}
    keys = net.space.parameter_keys(architecture)
    tags = "".join(f"{name}={architecture[name]}|" for name in net.splits)
    named = {tags + key for key in keys.values()}
    return [t for key, t in net.stored() if key in named or t.untyped_storage().data_ptr() in at]


def plain(
    net: Supernet, architecture: Architecture, run: Call, tolerance: float, pickles: bool
) -> None:
    """Assert that an extracted model is a plain one, with the user's classes, names and weights."""
    model = net.extract(architecture).eval()
    for module in model.modules():
        assert not type(module).__module__.startswith(("archsmith.space", "archsmith.supernet"))
    built = net.space.build(architecture, seed=1).eval()
    built.load_state_dict(model.state_dict())
    expected = output(model, run)
    assert_same(expected, output(built, run), tolerance, f"{architecture}, built and loaded")
    for parameter in model.parameters():
        assert parameter.is_leaf
        assert parameter.is_contiguous()
    if pickles:
        back = pickle.loads(pickle.dumps(model))
        assert torch.equal(output(back, run), expected)


def assert_same(one: Tensor, two: Tensor, tolerance: float, what: str) -> None:
    """Assert that two tensors are equal, bitwise or within a tolerance."""
    assert one.shape == two.shape, f"{what}: {tuple(one.shape)} and {tuple(two.shape)}"
    one, two = one.detach(), two.detach()
    if torch.equal(one, two):
        return
    apart = float((one.float() - two.float()).abs().max())
    allowed = tolerance * max(float(one.float().abs().max()), _SMALL)
    assert apart <= allowed, f"{what}: difference {apart:.3g}, allowed {allowed:.3g}"
