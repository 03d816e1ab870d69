"""The curvature that foretells a collapse: exact, of the same examples, and without a trace."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import archsmith as nas
from archsmith.data.splits import Batch
from archsmith.supernet.relax.curvature import hessian_product, largest_eigenvalue
from archsmith.supernet.relax.darts import DARTS
from archsmith.supernet.relax.mixture import Mix

from ..training_toys import first_batch, operations, session_of
from .toys import trained


def matrix(product: Any, size: int) -> Tensor:
    return torch.stack([product(row) for row in torch.eye(size)])


@pytest.mark.slow
def test_the_hessian_of_a_network_is_exact_and_symmetric() -> None:
    method = DARTS()
    session = session_of(operations, holdout=0.5)
    method.begin(session)
    method.alphas.put({name: torch.tensor([0.4, -0.2, 0.1]) for name in method.alphas.names})
    child = method.child(session)
    child.model.eval()
    halves = session.probe(32, 16)
    assert [len(inputs) for inputs, _ in halves] == [16, 16]

    def loss(batch: Any) -> Tensor:
        method.source.set({n: Mix(method.probabilities(d)) for n, d in method.relaxed.items()})
        return session.task.loss(child.model, batch)

    def whole(flat: Tensor) -> Tensor:
        parts = zip(method.relaxed, flat.split(3), strict=True)
        method.source.set({name: Mix(torch.softmax(part, 0)) for name, part in parts})
        both = Batch(*(torch.cat(kind) for kind in zip(*halves, strict=True)))
        return session.task.loss(child.model, both)

    alphas = method.alphas.tensors()
    found = matrix(hessian_product([partial(loss, half) for half in halves], alphas), 9)
    exact: Any = torch.autograd.functional.hessian(whole, torch.cat(list(alphas)).detach())
    size = float(exact.abs().max())
    assert size > 1e-4
    assert torch.allclose(found, exact, atol=1e-4 * size)
    assert torch.allclose(found, found.T, atol=1e-5 * size)
    first = torch.randn(9, generator=torch.Generator().manual_seed(0))
    largest = largest_eigenvalue(
        hessian_product([partial(loss, h) for h in halves], alphas), first, 9
    )
    assert largest == pytest.approx(float(torch.linalg.eigvalsh(exact)[-1]), rel=1e-3)


@pytest.mark.parametrize(
    "values",
    [
        [5.0, 1.0, -9.0, 0.5],
        [-1.0, -2.0, -3.0],
        [2.0, 2.0, 2.0],
        [0.0, 0.0],
        [7.0],
        [1.0, 1.001, 0.0, -1.0, 0.3],
    ],
    ids=str,
)
def test_the_largest_eigenvalue_is_found_in_as_many_products_as_rows(values: list[float]) -> None:
    generator = torch.Generator().manual_seed(1)
    size = len(values)
    turn, _ = torch.linalg.qr(torch.randn(size, size, generator=generator))
    symmetric = turn @ torch.diag(torch.tensor(values)) @ turn.T
    first = torch.randn(size, generator=generator)
    found = largest_eigenvalue(lambda v: symmetric @ v, first, 20)
    assert found == pytest.approx(max(values), rel=1e-4, abs=1e-5)


def test_a_few_products_do_where_one_direction_stands_apart() -> None:
    generator = torch.Generator().manual_seed(2)
    turn, _ = torch.linalg.qr(torch.randn(40, 40, generator=generator))
    spectrum = torch.cat([torch.tensor([1.0]), torch.linspace(-0.2, 0.2, 39)])
    symmetric = turn @ torch.diag(spectrum) @ turn.T
    first = torch.randn(40, generator=generator)
    assert largest_eigenvalue(lambda v: symmetric @ v, first, 5) == pytest.approx(1.0, rel=1e-2)


@pytest.mark.slow
def test_the_eigenvalue_of_a_network_leaves_no_trace_and_is_the_same_again() -> None:
    method = DARTS(eigenvalue=True)
    session, told = trained(method, operations, epochs=1)
    child = method.child(session)
    before = {name: tensor.clone() for name, tensor in session.supernet.stored()}
    alphas, held = method.alphas.values(), session.held_batches
    state = torch.random.get_rng_state()
    first = method.curvature(session, child)
    assert first.keys() == {"eigenvalue", "probe_loss"}
    assert first == {key: told[0][key] for key in first}
    assert first["eigenvalue"] != 0.0
    session.step += 5  # another augmentation, other held-out batches
    session.held()
    assert method.curvature(session, child) == first
    session.held_batches = held
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[n], t) for n, t in session.supernet.stored())
    assert all(torch.equal(alphas[n], v) for n, v in method.alphas.values().items())
    assert all(p.grad is None for p in session.supernet.parameters())
    method.step(session, first_batch(session))


def attending(channels: int, classes: int) -> nn.Module:
    """Torch's fused attention has no second derivative."""
    layer = partial(nn.TransformerEncoderLayer, 8, 2, 16, batch_first=True)
    return nn.Sequential(
        nn.Flatten(2),
        nn.Unflatten(2, (8, 8)),
        nn.Flatten(1, 2),
        nas.one_of("op", {"attend": layer, "skip": nn.Identity}),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


def recurrent(channels: int, classes: int) -> nn.Module:
    def last(kind: type[nn.Module]) -> nn.Module:
        return Last(kind(8, 8, batch_first=True))

    kinds = {"lstm": partial(last, nn.LSTM), "gru": partial(last, nn.GRU)}
    return nn.Sequential(nn.Flatten(1, 2), nas.one_of("op", kinds), nn.Linear(8, classes))


class Last(nn.Module):
    """The last step of a recurrent layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)[0][:, -1]
        return out


class Fused(nn.Module):
    """Attention by a kernel without a second derivative, whatever is allowed around it."""

    def forward(self, x: Tensor) -> Tensor:
        heads = x.view(-1, 2, 4, 8)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            out = nn.functional.scaled_dot_product_attention(heads, heads, heads)
        return out.flatten(1)


def once(channels: int, classes: int) -> nn.Module:
    options = {"linear": lambda: nn.Linear(64, 64), "skip": nn.Identity}
    return nn.Sequential(nn.Flatten(), nas.one_of("op", options), Fused(), nn.Linear(64, classes))


@pytest.mark.parametrize("builder", [attending, recurrent])
def test_layers_with_fused_kernels_are_differentiated_twice(builder: Any) -> None:
    _, told = trained(DARTS(eigenvalue=True), builder, epochs=1)
    assert abs(told[0]["eigenvalue"]) > 1e-6


def test_a_network_that_cannot_be_is_searched_without() -> None:
    method = DARTS(eigenvalue=True)
    session, told = trained(method, once, epochs=2)
    assert ["eigenvalue" in row for row in told] == [False, False]
    assert not method.stopped
    assert method.derive(session, 1)
