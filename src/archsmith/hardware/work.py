"""The operations of a forward pass, and features of them for a latency predictor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from .._support.trees import Tree, leaves
from ..space.architecture import Answer
from .cost import observed, quick

_ATEN = torch.ops.aten


@dataclass(frozen=True)
class Operation:
    """One call of a kernel.

    Attributes:
        kind: name of the kernel; of convolutions with size and groups: ``convolution 3x3``.
        key: kind, shapes and all other arguments: operations with the same key take equally long.
        flops: as :mod:`torch.utils.flop_counter` counts them.
        bytes: of the tensors that are read and written.
        function, arguments, named: the call, to repeat it with tensors of the same shapes; its own
            tensors are on ``meta``.
    """

    kind: str
    key: str
    flops: float
    bytes: float
    function: Any = field(compare=False, repr=False)
    arguments: tuple[Any, ...] = field(compare=False, repr=False)
    named: Mapping[str, Any] = field(compare=False, repr=False)


def operations(model: nn.Module, example: Tree) -> list[Operation]:
    """The operations of one forward pass, in order, without views, which move no data.

    The pass is recorded on ``meta``, as in :func:`~archsmith.hardware.cost.cost`.

    Args:
        example: an input with the batch first; the operations are those of a batch of that size.
    """
    return observed(model, example, _start_recorder).operations


def features(
    operations: Sequence[Operation], architecture: Mapping[str, Answer] | None = None
) -> dict[str, float]:
    """Features that determine how long a pass takes, by name.

    For each kind of operation the sums of ``calls``, ``flops`` and ``bytes`` over the pass; and the
    architecture's answers, under names that begin with ``answer``: numbers as they are, other
    answers as indicators (1.0).
    """
    values: dict[str, float] = {}
    for operation in operations:
        amounts = {"calls": 1.0, "flops": operation.flops, "bytes": operation.bytes}
        for name, amount in amounts.items():
            if amount:
                column = f"{name} {operation.kind}"
                values[column] = values.get(column, 0.0) + amount
    for name, answer in (architecture or {}).items():
        if isinstance(answer, int | float) and not isinstance(answer, bool):
            values[f"{ANSWER}{name}"] = float(answer)
        else:
            values[f"{ANSWER}{name}={answer}"] = 1.0
    return values


#: Prefix of the names of an architecture's answers.
ANSWER = "answer "


def _start_recorder(state: Iterable[Tensor], example: Tree) -> _Recorder:
    return _Recorder()


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records each operation that creates a tensor with storage of its own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else None
        fast = isinstance(first, Tensor) and first.is_meta
        result = quick(func, args) if fast else None
        if result is None:
            result = func(*args, **kwargs)
        if not _is_view(func):
            operation = _make_operation(func, args, kwargs, result)
            if operation.bytes:
                self.operations.append(operation)
        return result


def _is_view(func: Any) -> bool:
    """Whether an operation returns a view of its input without computing anything."""
    if func in (_ATEN.detach.default, _ATEN._unsafe_view.default):
        return True
    returns = func._schema.returns
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments)
    return not writes and any(one.alias_info is not None for one in returns)


def _make_operation(func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> Operation:
    formula = flop_registry.get(func.overloadpacket)
    flops = float(formula(*args, **kwargs, out_val=result)) if formula is not None else 0.0
    operands = [*_tensors_in(args), *_tensors_in(kwargs.values())]
    traffic = sum(_bytes(t) for t in (*operands, *leaves(result)))
    kind = _kind(func, args)
    signature = ", ".join(
        [*map(_format_argument, args), *(f"{n}={_format_argument(v)}" for n, v in kwargs.items())]
    )
    on_meta = tuple(map(_on_meta, args)), {n: _on_meta(v) for n, v in kwargs.items()}
    return Operation(kind, f"{kind}({signature})", flops, float(traffic), func, *on_meta)


def _kind(func: Any, args: Any) -> str:
    name = str(func.overloadpacket.__name__)
    if func is not _ATEN.convolution.default:
        return name
    weight, groups = args[1], args[8]
    kernel = "x".join(map(str, weight.shape[2:]))
    if groups == 1:
        return f"{name} {kernel}"
    return f"{name} {kernel} {'depthwise' if weight.shape[1] == 1 else 'grouped'}"


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _tensors_in(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        yield from leaves(value)


def _format_argument(value: Any) -> str:
    if isinstance(value, Tensor):
        shape = "x".join(map(str, value.shape))
        dense = "" if value.is_contiguous() else f" strides {value.stride()}"
        return f"{str(value.dtype).removeprefix('torch.')}[{shape}{dense}]"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format_argument, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return repr(value)


def _on_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, list | tuple):
        return type(value)(map(_on_meta, value))
    return value
