"""The largest eigenvalue of the Hessian of a loss in a few variables, by exact derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...data.splits import Batch
from ..session import Session, by_batch
from .child import unmoved

#: A product with a symmetric matrix: (n,) to (n,).
Product = Callable[[Tensor], Tensor]


_PRODUCTS = 4  # enough for four digits of the eigenvalues that were measured


_PROBE = 128  # held-out examples
_PART = 64  # of them at a time


def held_curvature(
    session: Session, model: nn.Module, mix: Callable[[], None], alphas: Sequence[Tensor]
) -> tuple[float, float] | None:
    """The :func:`curvature` of the held-out loss in the alphas.

    On the same examples each time, in float32, without dropout, normalised by batch.

    Args:
        mix: sets the mixing weights from the alphas, with a graph.
    """
    devices = [session.device] if session.device.type == "cuda" else []

    def loss(batch: Batch) -> Tensor:
        mix()
        with torch.random.fork_rng(devices=devices):  # the same noise each time
            torch.manual_seed(session.seed)
            return session.task.loss(model, batch, session.recipe.label_smoothing)

    losses = [partial(loss, batch) for batch in session.probe(_PROBE, _PART)]
    by_batch(model)
    with unmoved(model):
        return curvature(model, losses, alphas, seed=session.seed)


def curvature(
    model: nn.Module,
    losses: Sequence[Callable[[], Tensor]],
    variables: Sequence[Tensor],
    *,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The largest eigenvalue of the Hessian of the mean of some losses, and that mean.

    ``None`` if a layer of the model cannot be differentiated twice, or memory does not suffice.

    Args:
        model: the model that the losses use.
        losses, variables: as :func:`hessian_product` takes them.
        seed: of the vector that the search for the eigenvalue starts from.
    """
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(sum(v.numel() for v in variables), generator=generator)
    try:
        with twice_differentiable(model):
            product = hessian_product(losses, variables)
            largest = largest_eigenvalue(product, first.to(variables[0].device), _PRODUCTS)
            with torch.no_grad():
                mean = sum(float(loss()) for loss in losses) / len(losses)
    except RuntimeError:  # torch raises nothing more specific for either
        return None
    return largest, mean


def hessian_product(losses: Sequence[Callable[[], Tensor]], variables: Sequence[Tensor]) -> Product:
    """Products with the Hessian of the mean of some losses, by differentiating twice.

    The graph of one loss at a time is in memory, and built again for each product.

    Args:
        losses: at the current values of the variables; the same functions at each call.
        variables: leaves; concatenated in what the product takes and returns.
    """
    sizes = [v.numel() for v in variables]

    def product(direction: Tensor) -> Tensor:
        parts = [
            d.view_as(v) for d, v in zip(torch.split(direction, sizes), variables, strict=True)
        ]
        total = torch.zeros_like(direction)
        for loss in losses:
            slopes = torch.autograd.grad(loss(), variables, create_graph=True, allow_unused=True)
            along = [(s * p).sum() for s, p in zip(slopes, parts, strict=True) if s is not None]
            if not along or not (whole := torch.stack(along).sum()).requires_grad:
                continue  # linear in the variables, or without them
            columns = torch.autograd.grad(whole, variables, allow_unused=True)
            flat = [
                (torch.zeros_like(v) if f is None else f).reshape(-1)
                for f, v in zip(columns, variables, strict=True)
            ]
            total += torch.cat(flat).detach() / len(losses)
        return total

    return product


def largest_eigenvalue(product: Product, first: Tensor, iterations: int) -> float:
    """The largest eigenvalue of a symmetric matrix, by Lanczos with full orthogonalisation.

    Exact after as many iterations as the matrix has rows; a few suffice if it is well separated.

    Args:
        first: starting vector, (rows,); not zero.
        iterations: products at most.
    """
    basis = [first / first.norm()]
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    for _ in range(min(iterations, first.numel())):
        image = product(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        vectors = torch.stack(basis)
        for _ in range(2):  # once leaves rounding errors behind
            image = image - vectors.T @ (vectors @ image)
        length = float(image.norm())
        if not length > 1e-6 * max(map(abs, diagonal)):
            break  # the basis spans all further images
        off_diagonal.append(length)
        basis.append(image / length)
    rows = len(diagonal)
    small = torch.zeros(rows, rows, dtype=torch.float64)
    small.diagonal().copy_(torch.tensor(diagonal))
    if rows > 1:
        small.diagonal(1).copy_(torch.tensor(off_diagonal[: rows - 1]))
        small.diagonal(-1).copy_(torch.tensor(off_diagonal[: rows - 1]))
    return float(torch.linalg.eigvalsh(small)[-1])


@contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Inside, torch uses kernels that have second derivatives; fused ones have none."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield
