"""Passes through a model that proxies share: run when first asked for, once."""

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

#: What the shared pass can tell.
SHARED = ("gradients", "products", "jacobian", "kernel", "patterns")

_ATEN = torch.ops.aten
#: Piecewise linear functions with a bend at zero, and their smooth relatives.
_BENT = frozenset(
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
    """One model, one batch and one seed, and what was found out about them so far.

    Args:
        model: left as it is.
        batch: moved to the model's device.
        seed: every pass starts from generators seeded by it.
        wanted: what the shared pass should tell besides what is asked for first.
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
        """The copy that the shared pass runs through; nobody changes its weights."""
        return working_copy(self.original)

    def fresh(self) -> nn.Module:
        """A copy of the caller's own, to change at will."""
        return working_copy(self.original)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Seeded, with gradients, and with attention that can be differentiated twice."""
        before = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with seeded(self.seed, self.device), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(before)

    def fed(self, start: int = 0, end: int | None = None) -> Tree:
        """A copy of a part of the inputs: a model may write into what it is given."""
        return clone(take(self.batch.inputs, slice(start, end)))

    def loss(self, output: Any, start: int = 0, end: int | None = None) -> Tensor:
        """The loss of a model's output on a part of the batch."""
        name, loss = type(self.original).__name__, self.batch.loss
        if loss is None:
            expected = "a loss of outputs and targets"
            raise CannotScore(name, expected, "one that takes the model", "score by zen or naswot")
        told = output if self.batch.whole else first_tensor(output)
        if told is None:
            raise CannotScore(name, "a model that gives a tensor", repr(type(output)))
        return loss(told, take(self.batch.targets, slice(start, end)))

    def noise(self, count: int | None = None) -> Tree:
        """Standard normal inputs like the batch's, ``count`` or as many; where inputs are indices,
        the first of the batch.

        To be called while :meth:`running`.
        """

        def drawn(inputs: Tensor) -> Tensor:
            if not inputs.is_floating_point():
                return inputs[:count].clone()
            sizes = (count or len(inputs), *inputs.shape[1:])
            return torch.randn(sizes, dtype=inputs.dtype).to(self.device)

        return map_tensors(drawn, self.batch.inputs)

    @property
    def gradients(self) -> dict[str, Tensor]:
        """Of the loss, for each of :func:`~.layers.weights_of`; zeros where it does not depend."""
        found: dict[str, Tensor] = self._shared("gradients")
        return found

    @property
    def products(self) -> list[Tensor]:
        """For each convolution and linear layer that ran (n, channels): its output times the
        gradient of the loss by it, summed over positions."""
        found: list[Tensor] = self._shared("products")
        return found

    @property
    def jacobian(self) -> NDArray[np.float64]:
        """Gradient of the sum of all outputs by the inputs, or by their embeddings, (n, d)."""
        found: NDArray[np.float64] = self._shared("jacobian")
        return found

    @property
    def kernel(self) -> NDArray[np.float64] | None:
        """How many activations agree on being positive, for each two examples, (n, n); ``None``
        where no activation was seen."""
        found: NDArray[np.float64] | None = self._shared("kernel")
        return found

    @property
    def patterns(self) -> NDArray[np.uint8] | None:
        """For each activation of the model the examples for which it is positive, as bits
        (activations, ceil(n / 8)); ``None`` where none was seen."""
        found: NDArray[np.uint8] | None = self._shared("patterns")
        return found

    def _shared(self, name: str) -> Any:
        if name not in self.told:
            self.told |= _shared_pass(self, (self.wanted | {name}) - set(self.told))
        return self.told[name]


def _shared_pass(passes: Passes, wanted: frozenset[str] | set[str]) -> dict[str, Any]:
    """One forward pass, and the backward passes that are wanted."""
    count = len(passes.batch)
    codes = _Codes(count, "kernel" in wanted, "patterns" in wanted)
    outputs = _Outputs(passes.model if "products" in wanted else None)
    inputs = passes.fed()
    backwards = wanted & {"gradients", "products", "jacobian"}
    with passes.running(), outputs, _Source(passes.model, inputs, "jacobian" in wanted) as source:
        with codes, torch.set_grad_enabled(bool(backwards)):
            output = call(passes.model, source.fed)
        told: dict[str, Any] = codes.told()
        if wanted & {"gradients", "products"}:
            loss = passes.loss(output)
            weights = weights_of(passes.model)
            of = [*weights.values(), *(tensor for _, tensor in outputs.seen)]
            found = gradient(loss, of, retain_graph="jacobian" in wanted)
            told["gradients"] = dict(zip(weights, found[: len(weights)], strict=True))
            told["products"] = outputs.products(found[len(weights) :], count)
        if "jacobian" in wanted:
            tensor = first_tensor(output)
            assert tensor is not None
            (rows,) = gradient(tensor.sum(), [source.tensor])
            told["jacobian"] = rows.detach().reshape(count, -1).cpu().double().numpy()
    return {name: told.get(name) for name in wanted}


def gradient(value: Tensor, of: Sequence[Tensor], **options: Any) -> list[Tensor]:
    """``torch.autograd.grad``, with zeros for what the value does not depend on."""
    able = [tensor for tensor in of if tensor.requires_grad]
    if not value.requires_grad or not able:
        return [torch.zeros_like(tensor) for tensor in of]
    found = iter(torch.autograd.grad(value, able, allow_unused=True, **options))
    given = [next(found) if tensor.requires_grad else None for tensor in of]
    return [torch.zeros_like(t) if g is None else g for t, g in zip(of, given, strict=True)]


class _Codes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every activation function, called as a module or not, by what it is given."""

    def __init__(self, count: int, kernel: bool, patterns: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count, self.wants_kernel, self.wants_patterns = count, kernel, patterns
        self.kernel: Tensor | None = None
        self.patterns: list[NDArray[np.uint8]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        if func in _BENT and (self.wants_kernel or self.wants_patterns):
            self._see(args[0])
        return func(*args, **(kwargs or {}))

    def _see(self, given: Tensor) -> None:
        rows = samples_first(given, self.count)
        if rows is None:
            return
        positive = rows.reshape(self.count, -1) > 0
        if self.wants_kernel:
            signs = positive.to(torch.float32).mul_(2).sub_(1)
            # Agreements less disagreements; of all that makes agreements.
            agree = ((signs @ signs.T).double() + signs.shape[1]) / 2
            self.kernel = agree if self.kernel is None else self.kernel + agree
        if self.wants_patterns:
            bits = np.packbits(positive.cpu().numpy(), axis=0)
            self.patterns.append(np.ascontiguousarray(bits.T))

    def told(self) -> dict[str, Any]:
        return {
            "kernel": None if self.kernel is None else self.kernel.cpu().numpy(),
            "patterns": np.concatenate(self.patterns) if self.patterns else None,
        }


class _Outputs:
    """Keeps the outputs of convolutions and linear layers, and hands copies on, since what comes
    next may write into them."""

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
        """A layer that ran several times (over time) is summed over its runs."""
        sums: dict[nn.Module, Tensor] = {}
        for (module, output), slope in zip(self.seen, gradients, strict=True):
            both = samples_first(output.detach() * slope, count)
            if both is None:
                continue
            if isinstance(module, CONVOLUTIONS):
                channels = both.flatten(2).sum(2) if both.dim() > 2 else both
            else:
                channels = both.reshape(count, -1, both.shape[-1]).sum(1)
            sums[module] = sums[module] + channels if module in sums else channels
        return list(sums.values())

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


class _Source:
    """What a Jacobian is taken by: the inputs, or the embedding of inputs that are indices."""

    def __init__(self, model: nn.Module, inputs: Tree, wanted: bool) -> None:
        self.fed, self._tensor, self._hooks = inputs, None, list[Any]()
        self._shapes = [tensor.shape for tensor in leaves(inputs)]
        numbers = next((t for t in leaves(inputs) if t.is_floating_point()), None)
        if wanted and numbers is not None:
            tensor = self._tensor = numbers.detach().clone().requires_grad_()
            # A leaf may not be written into.
            self.fed = map_tensors(lambda t: tensor.clone() if t is numbers else t, inputs)
        elif wanted:
            self._hooks = [
                module.register_forward_hook(self._looked_up)
                for module in model.modules()
                if isinstance(module, TABLES)
            ]

    _tensor: Tensor | None

    @property
    def tensor(self) -> Tensor:
        if self._tensor is None:
            raise CannotScore(
                "jacobian",
                "inputs that are numbers, or that an embedding looks up",
                "neither",
                "score by gradients of weights instead: grad_norm, snip, plain",
            )
        return self._tensor

    def _looked_up(self, module: nn.Module, given: Any, output: Tensor) -> Tensor | None:
        if self._tensor is not None or given[0].shape not in self._shapes:
            return None  # the first table that is asked for the inputs themselves
        self._tensor = output if output.requires_grad else output.requires_grad_()
        return output.clone()

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()
