"""Static cost of a model: parameters, FLOPs, and memory of weights and activations, computed on the
``meta`` device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from .._support.trees import Tree, arguments, leaves, move

#: Names of the values that :func:`cost` returns.
STATIC = ("params", "flops", "memory_mb", "weights_mb", "peak_mb")

#: Called after each operation with the function, its arguments and its result.
OnCall = Callable[[Any, tuple[Any, ...], Mapping[str, Any], Any], None]
#: Called before a pass with the tensors of the model and the input.
Listen = Callable[[Iterable[Tensor], Tree], OnCall]

_Mode = TypeVar("_Mode", bound=TorchDispatchMode)


def cost(model: nn.Module, example: Tree, listen: Listen | None = None) -> dict[str, float]:
    """The cost of a model, without training or timing it.

    The forward pass runs in evaluation mode and without gradients on torch's ``meta`` device, which
    computes only shapes, whatever device the model is on. A model that cannot run there (it reads
    values, or has tensors that are neither parameters nor buffers) runs on its own device.

    >>> cost(nn.Linear(4, 2), torch.zeros(1, 4))["params"]
    10.0

    Args:
        model: any module with parameters of its own; its weights and mode stay as they are.
        example: one input with the batch first; costs are those of this batch. Use a batch of 1.
        listen: called with the tensors and the input before the pass, and returns a function that
            is called after each operation; called once more if a second pass is needed.

    Returns:
        ``params``: parameters, including frozen ones, a shared one counted once.
        ``flops``: floating-point operations of convolutions, matrix products and attention, as
        :mod:`torch.utils.flop_counter` counts them. A multiply-add is **two** operations, so this
        is twice what papers call multiply-adds or MACs (and often, loosely, FLOPs).
        Normalisation, activations, pooling and additions are not counted.
        ``memory_mb``: largest sum of live activations, in megabytes of 10^6 bytes. The input and
        every tensor that the pass creates count for as long as something refers to them; storage
        that several tensors share counts once. Weights, buffers and the scratch space inside
        kernels do not count. On a microcontroller this is what RAM must hold.
        ``weights_mb``: parameters and buffers in megabytes, a tied one counted once: what a
        microcontroller keeps in read-only memory.
        ``peak_mb``: the sum of both, which a process needs that keeps its weights in memory, too.

    Raises:
        Exception: whatever the model raises on an input of this shape.
    """

    def start(state: Iterable[Tensor], example: Tree) -> _Count:
        counter = _Count(state, listen(state, example) if listen else None)
        for tensor in leaves(example):
            counter.add(tensor)
        return counter

    counter = observed(model, example, start)
    params = sum(p.numel() for p in model.parameters())
    memory, weights = counter.peak / 1e6, weight_bytes(model) / 1e6
    values = (float(params), float(counter.flops), memory, weights, memory + weights)
    return dict(zip(STATIC, values, strict=True))


def weight_bytes(model: nn.Module) -> int:
    """Bytes of the parameters and buffers, a tied one counted once."""
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; afterwards the mode of each of its modules is restored."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def observed(
    model: nn.Module, example: Tree, start: Callable[[Iterable[Tensor], Tree], _Mode]
) -> _Mode:
    """Run the forward pass under a dispatch mode, as :func:`cost` does, and return the mode.

    Args:
        start: creates the mode for a run, from the model's tensors and the input on the device of
            that run. A second mode is created if the model cannot run on ``meta``.

    Raises:
        Exception: whatever the model raises on its own device.
    """
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    on_meta = {name: t if t.is_meta else t.detach().to("meta") for name, t in state.items()}
    with evaluating(model):
        if all(t.is_meta for t in state.values()):
            return _run(model, state, move(example, "meta"), start)
        try:
            return _run(model, on_meta, move(example, "meta"), start)
        except Exception:
            devices = {t.device for t in state.values() if not t.is_meta}
            return _run(model, state, move(example, next(iter(devices))), start)


def _run(
    model: nn.Module,
    state: Mapping[str, Tensor],
    example: Tree,
    start: Callable[[Iterable[Tensor], Tree], _Mode],
) -> _Mode:
    mode = start(state.values(), example)
    with torch.no_grad(), _unfused(), mode:
        torch.func.functional_call(model, dict(state), *arguments(example))
    return mode


@contextmanager
def _unfused() -> Iterator[None]:
    """Disable the fused inference path of ``nn.TransformerEncoderLayer``, which hides its parts."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up FLOPs, and records the largest sum of bytes of live storages.

    torch's ``FlopCounterMode`` has the same formulas, but decomposes operations such as batch norm
    to look for more: that creates temporaries that no kernel creates, and is four times slower.
    """

    def __init__(self, excluded: Iterable[Tensor], on_call: OnCall | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._on_call = on_call
        # Weak references are kept as long as the mode lives: while they exist, an address is not
        # reused for another storage, so that it identifies one storage.
        self._excluded = {ref.cdata: ref for ref in map(_reference, excluded)}
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.flops = self.peak = 0

    def add(self, tensor: Tensor) -> None:
        """Count a tensor from now on, as long as it is alive."""
        reference = _reference(tensor)
        if reference.cdata not in self._excluded:
            self._live.setdefault(reference.cdata, (reference, tensor.untyped_storage().nbytes()))
        self._update_peak()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = quick(func, args) if args and _on_meta(args[0]) else None
        if result is None:
            result = func(*args, **kwargs)
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        for tensor in leaves(result):
            self.add(tensor)
        if self._on_call is not None:
            self._on_call(func, args, kwargs, result)
        return result

    def _update_peak(self) -> None:
        expired = [key for key, (reference, _) in self._live.items() if _expired(reference)]
        for key in expired:
            del self._live[key]
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))


def _on_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_meta


_ATEN = torch.ops.aten
_ACTIVATIONS = frozenset(
    (
        _ATEN.relu.default,
        _ATEN.silu.default,
        _ATEN.gelu.default,
        _ATEN.elu.default,
        _ATEN.leaky_relu.default,
        _ATEN.hardswish.default,
        _ATEN.hardsigmoid.default,
        _ATEN.hardtanh.default,
        _ATEN.sigmoid.default,
        _ATEN.tanh.default,
    )
)


def quick(func: Any, args: Any) -> Any:
    """The result on ``meta`` of the most common operations that keep the shape, else ``None``.

    torch's own meta kernels of these are written in Python: each takes milliseconds, and the first
    one in a process imports sympy, which takes a second.
    """
    first = args[0]
    if not first.is_floating_point():
        return None
    if func in _ACTIVATIONS:
        return torch.empty_like(first)
    if func is _ATEN.native_batch_norm.default and args[5] is False:
        return torch.empty_like(first), first.new_empty(0), first.new_empty(0)
    if func is _ATEN.add.Tensor and _on_meta(args[1]):
        second = args[1]
        if (first.shape, first.dtype) == (second.shape, second.dtype):
            return torch.empty_like(first)
    return None


def _reference(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _expired(reference: StorageWeakRef) -> bool:
    return bool(reference.expired())  # type: ignore[no-untyped-call]
