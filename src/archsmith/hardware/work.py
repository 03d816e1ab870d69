"""What a forward pass does, operation by operation: the features of a latency predictor."""

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
        kind: what is called, convolutions by kernel and groups: ``convolution 3x3``.
        key: kind, shapes and all other arguments: operations of one key take equally long.
        flops: as :mod:`torch.utils.flop_counter` counts them.
        bytes: of the tensors that are read and written.
        arguments: to call it again with tensors of the same shapes; its tensors are on ``meta``.
    """

    kind: str
    key: str
    flops: float
    bytes: float
    function: Any = field(compare=False, repr=False)
    arguments: tuple[Any, ...] = field(compare=False, repr=False)
    named: Mapping[str, Any] = field(compare=False, repr=False)


def operations(model: nn.Module, example: Tree) -> list[Operation]:
    """The operations of one forward pass, in order; views, which move no data, left out.

    The pass is observed on ``meta``, as :func:`~archsmith.hardware.cost.cost` does.

    Args:
        example: an input with the batch first; what is recorded holds for a batch of that size.
    """
    return observed(model, example, _start).found


def features(
    found: Sequence[Operation], architecture: Mapping[str, Answer] | None = None
) -> dict[str, float]:
    """Numbers that tell how long a pass takes, by name.

    For each kind of operation ``calls``, ``flops`` and ``bytes``, the sums over the pass; and the
    architecture's answers, under names that begin with ``answer``: numbers as they are, 1.0 for
    any other answer that was given.
    """
    told: dict[str, float] = {}
    for operation in found:
        amounts = {"calls": 1.0, "flops": operation.flops, "bytes": operation.bytes}
        for name, amount in amounts.items():
            if amount:
                column = f"{name} {operation.kind}"
                told[column] = told.get(column, 0.0) + amount
    for name, answer in (architecture or {}).items():
        if isinstance(answer, int | float) and not isinstance(answer, bool):
            told[f"{ANSWER}{name}"] = float(answer)
        else:
            told[f"{ANSWER}{name}={answer}"] = 1.0
    return told


#: What names of an architecture's answers begin with.
ANSWER = "answer "


def _start(state: Iterable[Tensor], example: Tree) -> _Recorder:
    return _Recorder()


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation that makes a tensor of its own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else None
        fast = isinstance(first, Tensor) and first.is_meta
        result = quick(func, args) if fast else None
        if result is None:
            result = func(*args, **kwargs)
        if not _view(func):
            operation = _operation(func, args, kwargs, result)
            if operation.bytes:
                self.found.append(operation)
        return result


def _view(func: Any) -> bool:
    """Whether an operation gives its input in another shape and computes nothing."""
    if func in (_ATEN.detach.default, _ATEN._unsafe_view.default):
        return True
    returns = func._schema.returns
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in func._schema.arguments)
    return not writes and any(one.alias_info is not None for one in returns)


def _operation(func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> Operation:
    formula = flop_registry.get(func.overloadpacket)
    flops = float(formula(*args, **kwargs, out_val=result)) if formula is not None else 0.0
    read = [*_inside(args), *_inside(kwargs.values())]
    moved = sum(_bytes(t) for t in (*read, *leaves(result)))
    kind = _kind(func, args)
    given = ", ".join([*map(_spelled, args), *(f"{n}={_spelled(v)}" for n, v in kwargs.items())])
    plain = tuple(map(_on_meta, args)), {n: _on_meta(v) for n, v in kwargs.items()}
    return Operation(kind, f"{kind}({given})", flops, float(moved), func, *plain)


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


def _inside(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        yield from leaves(value)


def _spelled(value: Any) -> str:
    if isinstance(value, Tensor):
        shape = "x".join(map(str, value.shape))
        dense = "" if value.is_contiguous() else f" strides {value.stride()}"
        return f"{str(value.dtype).removeprefix('torch.')}[{shape}{dense}]"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return repr(value)


def _on_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to("meta")
    if isinstance(value, list | tuple):
        return type(value)(map(_on_meta, value))
    return value
