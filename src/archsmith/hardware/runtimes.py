"""Runtimes of a model: plain torch, the exported program, ONNX Runtime."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from .._support.errors import InputError, MissingExtraError, unknown
from .._support.trees import Tree, arguments, leaves
from .options import NAMES
from .place import wait

#: Parts of torch that log while a model is traced.
_LOGGERS = ("onnx", "fx", "export", "_export", "_dynamo")
#: Runs one forward pass and returns when it has finished.
Pass = Callable[[], object]


def eager(model: nn.Module, inputs: Tree, threads: int) -> Pass:
    """The module itself, in plain torch."""
    device = next(leaves(inputs)).device
    by_position, by_keyword = arguments(inputs)

    def run() -> None:
        wait(device)
        model(*by_position, **by_keyword)
        wait(device)

    return run


def exported(model: nn.Module, inputs: Tree, threads: int) -> Pass:
    """The program of :func:`torch.export.export`, for inputs of exactly this shape.

    Raises:
        Exception: whatever torch raises if it cannot trace the model.
    """
    with quiet(), torch.no_grad():
        program = torch.export.export(model, *arguments(inputs)).module()
    return eager(program, inputs, threads)


def onnx(model: nn.Module, inputs: Tree, threads: int) -> Pass:
    """ONNX Runtime on the device of ``inputs``, a CPU or a GPU.

    The graph is the one that ``archsmith export`` writes, except that its batch size is fixed.

    Raises:
        MissingExtraError: the ``export`` extra is not installed.
        InputError: the installed onnxruntime does not support the device.
        Exception: whatever torch raises if an operation has no ONNX counterpart.
    """
    device = next(leaves(inputs)).device
    check_onnx(device)
    import onnxruntime

    by_position, by_keyword = arguments(inputs)
    with quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            model, by_position, kwargs=by_keyword, dynamo=True, verbose=False
        )
        buffer = io.BytesIO()
        program.save(buffer)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        buffer.getvalue(), sess_options=options, providers=[_provider(device)]
    )
    arrays = [tensor.cpu().numpy() for tensor in leaves(inputs)]
    feed = {spec.name: array for spec, array in zip(session.get_inputs(), arrays, strict=True)}
    return lambda: session.run(None, feed)


#: By the names that :class:`~.options.LatencyOptions` takes.
RUNTIMES: dict[str, Callable[[nn.Module, Tree, int], Pass]] = dict(
    zip(NAMES, (eager, exported, onnx), strict=True)
)


def check_runtime(name: str, device: str | torch.device = "cpu") -> None:
    """Refuse a runtime that is unknown, not installed or not available for the device.

    Raises:
        UnknownNameError: an unknown runtime; the message suggests the nearest name.
        MissingExtraError: a missing package; the message has the command that installs it.
        InputError: the runtime does not support the device on this machine.
    """
    if name not in RUNTIMES:
        raise unknown("runtime", name, RUNTIMES)
    if name == "onnx":
        check_onnx(torch.device(device))


def check_onnx(device: torch.device) -> None:
    """Refuse if ONNX Runtime is not installed or does not support the device.

    Raises:
        MissingExtraError: the ``export`` extra is not installed.
        InputError: the installed onnxruntime does not support the device.
    """
    require_onnx("runtime onnx")
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if _provider(device) not in available:
        raise InputError(
            "runtime onnx",
            f"a provider for {device.type}",
            f"only {', '.join(available)}",
            "pip install onnxruntime-gpu for NVIDIA GPUs, or use --device cpu",
        )


def has_onnx() -> bool:
    """Whether the ``export`` extra is installed."""
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


def require_onnx(where: str = "model.onnx") -> None:
    """Refuse if the ``export`` extra is not installed.

    Raises:
        MissingExtraError: it is not; the message has the command that installs it.
    """
    if not has_onnx():
        raise MissingExtraError(
            where,
            "onnx, onnxscript and onnxruntime",
            "none or not all of them",
            "pip install 'archsmith[export]'",
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence torch's notes to its own developers (missing torchvision, deprecated internals)."""
    loggers = [logging.getLogger(f"torch.{name}") for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        # If a program cannot be traced, torch prints all of it.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _provider(device: torch.device) -> str:
    return {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(
        device.type, f"one for {device.type}"
    )
