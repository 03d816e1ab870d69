"""Passes through a model that proxies share: each runs only once, when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from .._support.allocator import keep_memory
from .._support.trees import Tree, call, clone, first_tensor, leaves, map_tensors, move, take
from .batch import Batch, CannotScore
from .layers import (
    CONVOLUTIONS,
    TABLES,
    device_of,
    samples_first,
    seeded,
    weights_of,
    working_copy,
)

#: Names of the results of the shared pass.
SHARED = ("gradients", "products", "jacobian", "kernel", "patterns")

_ATEN = torch.ops.aten
#: Piecewise linear functions with a kink at zero, and their smooth relatives.
_KINKED = frozenset(
    overload
    for packet in (
        _ATEN.relu,
        _ATEN.relu_,
        _ATEN.hardtanh,
        _ATEN.hardtanh_,
        _ATEN.leaky_relu,
        _ATEN.leaky_relu_,
        _ATEN.threshold,
        _ATEN.threshold_,
        _ATEN._prelu_kernel,
        _ATEN.gelu,
        _ATEN.gelu_,
        _ATEN.silu,
        _ATEN.silu_,
        _ATEN.elu,
        _ATEN.elu_,
        _ATEN.mish,
        _ATEN.mish_,
        _ATEN.hardswish,
        _ATEN.hardswish_,
    )
    for overload in (packet.default,)
)


class Passes:
    """One model, one batch and one seed, and the results of passes so far.

    Args:
        model: it is not changed.
        batch: moved to the model's device.
        seed: every pass starts with generators seeded by it.
        wanted: results that the shared pass should compute in addition to the one that starts it.
    """

    def __init__(
        self, model: nn.Module, batch: Batch, seed: int = 0, wanted: frozenset[str] = frozenset()
    ) -> None:
        keep_memory()
        self.original, self.seed, self.wanted = model, seed, wanted
        self.device = device_of(model)
        inputs, targets = move((batch.inputs, batch.targets), self.device)
        self.batch = replace(batch, inputs=inputs, targets=targets)
        self.told: dict[str, Any] = {}

    @cached_property
    def model(self) -> nn.Module:
        """The copy that the shared pass runs; its weights must not be changed."""
        return working_copy(self.original)

    def fresh(self) -> nn.Module:
        """A new copy, which the caller may change."""
        return working_copy(self.original)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run with seeded generators, gradients, and attention that can be differentiated twice."""
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with seeded(self.seed, self.device), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(before)

    def fed(self, start: int = 0, end: int | None = None) -> Tree:
        """A copy of a slice of the inputs, since a model may write into its inputs."""
        return clone(take(self.batch.inputs, slice(start, end)))

    def loss(self, output: Any, start: int = 0, end: int | None = None) -> Tensor:
        """The loss of a model's output on a slice of the batch.

        Raises:
            CannotScore: the batch has no loss, or the output has no tensor.
        """
        name, loss = type(self.original).__name__, self.batch.loss
        if loss is None:
            expected = "a loss of outputs and targets"
            got = "a loss that takes the model"
            raise CannotScore(name, expected, got, "score by zen or naswot")
        chosen = output if self.batch.whole else first_tensor(output)
        if chosen is None:
            raise CannotScore(name, "a model that returns a tensor", repr(type(output)))
        return loss(chosen, take(self.batch.targets, slice(start, end)))

    def noise(self, count: int | None = None) -> Tree:
        """Standard normal inputs of the shape of the batch's, ``count`` or as many; for inputs that
        are indices, the first of the batch.

        Call it inside :meth:`running`.
        """

        def sample(inputs: Tensor) -> Tensor:
            if not inputs.is_floating_point():
                return inputs[:count].clone()
            sizes = (count or len(inputs), *inputs.shape[1:])
            return torch.randn(sizes, dtype=inputs.dtype).to(self.device)

        return map_tensors(sample, self.batch.inputs)

    @property
    def gradients(self) -> dict[str, Tensor]:
        """Gradients of the loss for each of :func:`~.layers.weights_of`; zeros for weights that do
        not affect it."""
        gradients: dict[str, Tensor] = self._shared_result("gradients")
        return gradients

    @property
    def products(self) -> list[Tensor]:
        """For each convolution and linear layer that ran, (n, channels): its output times the
        gradient of the loss with respect to it, summed over positions."""
        products: list[Tensor] = self._shared_result("products")
        return products

    @property
    def jacobian(self) -> NDArray[np.float64]:
        """Gradient of the sum of all outputs with respect to the inputs, or to their embeddings,
        (n, d)."""
        jacobian: NDArray[np.float64] = self._shared_result("jacobian")
        return jacobian

    @property
    def kernel(self) -> NDArray[np.float64] | None:
        """For each pair of examples, the number of activations whose signs agree, (n, n); ``None``
        if there was no activation."""
        kernel: NDArray[np.float64] | None = self._shared_result("kernel")
        return kernel

    @property
    def patterns(self) -> NDArray[np.uint8] | None:
        """For each activation of the model, the examples for which it is positive, as bits
        (activations, ceil(n / 8)); ``None`` if there was no activation."""
        patterns: NDArray[np.uint8] | None = self._shared_result("patterns")
        return patterns

    def _shared_result(self, name: str) -> Any:
        if name not in self.told:
            self.told |= _run_shared_pass(self, (self.wanted | {name}) - set(self.told))
        return self.told[name]


def _run_shared_pass(passes: Passes, wanted: frozenset[str] | set[str]) -> dict[str, Any]:
    """Run one forward pass, and the backward passes that the wanted results need."""
    count = len(passes.batch)
    codes = _Codes(count, "kernel" in wanted, "patterns" in wanted)
    outputs = _Outputs(passes.model if "products" in wanted else None)
    inputs = passes.fed()
    backwards = wanted & {"gradients", "products", "jacobian"}
    with passes.running(), outputs, _Source(passes.model, inputs, "jacobian" in wanted) as source:
        with codes, torch.set_grad_enabled(bool(backwards)):
            output = call(passes.model, source.fed)
        results: dict[str, Any] = codes.results()
        if wanted & {"gradients", "products"}:
            loss = passes.loss(output)
            weights = weights_of(passes.model)
            tensors = [*weights.values(), *(tensor for _, tensor in outputs.seen)]
            gradients = gradient(loss, tensors, retain_graph="jacobian" in wanted)
            results["gradients"] = dict(zip(weights, gradients[: len(weights)], strict=True))
            results["products"] = outputs.products(gradients[len(weights) :], count)
        if "jacobian" in wanted:
            tensor = first_tensor(output)
            assert tensor is not None
            (jacobian,) = gradient(tensor.sum(), [source.tensor])
            results["jacobian"] = jacobian.detach().reshape(count, -1).cpu().double().numpy()
    return {name: results.get(name) for name in wanted}


def gradient(value: Tensor, of: Sequence[Tensor], **options: Any) -> list[Tensor]:
    """``torch.autograd.grad``, with zeros for tensors that the value does not depend on."""
    differentiable = [tensor for tensor in of if tensor.requires_grad]
    if not value.requires_grad or not differentiable:
        return [torch.zeros_like(tensor) for tensor in of]
    gradients = iter(torch.autograd.grad(value, differentiable, allow_unused=True, **options))
    slots = [next(gradients) if tensor.requires_grad else None for tensor in of]
    return [torch.zeros_like(t) if g is None else g for t, g in zip(of, slots, strict=True)]


class _Codes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the signs of the inputs of every activation function, called as a module or not."""

    def __init__(self, count: int, kernel: bool, patterns: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count, self.wants_kernel, self.wants_patterns = count, kernel, patterns
        self.kernel: Tensor | None = None
        self.patterns: list[NDArray[np.uint8]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        if func in _KINKED and (self.wants_kernel or self.wants_patterns):
            self._record(args[0])
        return func(*args, **(kwargs or {}))

    def _record(self, tensor: Tensor) -> None:
        rows = samples_first(tensor, self.count)
        if rows is None:
            return
        positive = rows.reshape(self.count, -1) > 0
        if self.wants_kernel:
            signs = positive.to(torch.float32).mul_(2).sub_(1)
            # The product is agreements minus disagreements; with their sum, the number of
            # activations, it gives the agreements.
            agree = ((signs @ signs.T).double() + signs.shape[1]) / 2
            self.kernel = agree if self.kernel is None else self.kernel + agree
        if self.wants_patterns:
            bits = np.packbits(positive.cpu().numpy(), axis=0)
            self.patterns.append(np.ascontiguousarray(bits.T))

    def results(self) -> dict[str, Any]:
        return {
            "kernel": None if self.kernel is None else self.kernel.cpu().numpy(),
            "patterns": np.concatenate(self.patterns) if self.patterns else None,
        }


class _Outputs:
    """Keeps the outputs of convolutions and linear layers, and passes copies on, since the next
    layers may write into them."""

    def __init__(self, model: nn.Module | None) -> None:
        self.seen: list[tuple[nn.Module, Tensor]] = []
        self._hooks = [
            module.register_forward_hook(self._keep)
            for module in (model.modules() if model is not None else ())
            if isinstance(module, (*CONVOLUTIONS, nn.Linear))
        ]

    def _keep(self, module: nn.Module, _: Any, output: Tensor) -> Tensor:
        if not output.requires_grad:
            return output
        self.seen.append((module, output))
        return output.clone()

    def products(self, gradients: list[Tensor], count: int) -> list[Tensor]:
        """Outputs times gradients of each layer, summed over runs if it ran several times."""
        sums: dict[nn.Module, Tensor] = {}
        for (module, output), slope in zip(self.seen, gradients, strict=True):
            product = samples_first(output.detach() * slope, count)
            if product is None:
                continue
            if isinstance(module, CONVOLUTIONS):
                channels = product.flatten(2).sum(2) if product.dim() > 2 else product
            else:
                channels = product.reshape(count, -1, product.shape[-1]).sum(1)
            sums[module] = sums[module] + channels if module in sums else channels
        return list(sums.values())

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


class _Source:
    """What a Jacobian is taken with respect to: the inputs, or the embeddings of indices."""

    def __init__(self, model: nn.Module, inputs: Tree, wanted: bool) -> None:
        self.fed, self._tensor, self._hooks = inputs, None, list[Any]()
        self._shapes = [tensor.shape for tensor in leaves(inputs)]
        numbers = next((t for t in leaves(inputs) if t.is_floating_point()), None)
        if wanted and numbers is not None:
            tensor = self._tensor = numbers.detach().clone().requires_grad_()
            # A clone, since a model must not write into a leaf.
            self.fed = map_tensors(lambda t: tensor.clone() if t is numbers else t, inputs)
        elif wanted:
            self._hooks = [
                module.register_forward_hook(self._record_lookup)
                for module in model.modules()
                if isinstance(module, TABLES)
            ]

    _tensor: Tensor | None

    @property
    def tensor(self) -> Tensor:
        if self._tensor is None:
            raise CannotScore(
                "jacobian",
                "inputs that are numbers, or indices of an embedding",
                "neither",
                "score by gradients of weights instead: grad_norm, snip, plain",
            )
        return self._tensor

    def _record_lookup(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self._tensor is not None or args[0].shape not in self._shapes:
            return None  # only the first embedding of the inputs themselves is used
        self._tensor = output if output.requires_grad else output.requires_grad_()
        return output.clone()

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
