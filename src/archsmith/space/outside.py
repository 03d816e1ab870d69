"""Choices asked without an active reading: in a builder called directly, or by mistake."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from .._support.errors import SpaceError

_HERE = os.path.dirname(os.path.abspath(__file__))
_INLINE = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
_CALL = ("_call_impl", os.path.join("torch", "nn", "modules", "module.py"))


def refuse_outside(name: str, place: str, readings: list[frozenset[int | None]]) -> None:
    """Raise :class:`SpaceError` if a choice is asked where no reading can ever answer it.

    A builder that is called directly gets its defaults. At import, in a ``forward``, in a data
    loading worker or in a thread started by a builder, no reading can answer, and silently taking
    the default there would look as if it had been searched.

    Args:
        readings: for each active reading, the threads that were running when it began.
    """
    got, hint = _mistake(readings)
    if got:
        raise SpaceError(
            name, "a choice that is asked while the model is built", f"one {got}, at {place}", hint
        )


def _mistake(readings: list[frozenset[int | None]]) -> tuple[str, str]:
    """Where it is asked and what to do; empty if it may be a builder called directly."""
    frames = [f for f in _frames() if not f.f_code.co_filename.startswith(_HERE)]
    for frame, inner in zip(frames[1:], frames, strict=False):
        if frame.f_code.co_name == _CALL[0] and frame.f_code.co_filename.endswith(_CALL[1]):
            return (
                f"asked in {inner.f_code.co_qualname}, which runs when the model is used",
                "ask in __init__ and keep the answer: self.value = nas.choose(...)",
            )
    asking = next((f for f in frames if f.f_code.co_name not in _INLINE), None)
    if asking is not None and not asking.f_code.co_flags & inspect.CO_OPTIMIZED:
        kind = "at import" if asking.f_code.co_name == "<module>" else "in the body of a class"
        return (
            f"asked {kind}, or as the default of an argument, which runs once",
            "ask inside the function, or the __init__ of the class, that is given as the space",
        )
    if _in_data_worker():
        return "asked in a process that loads data", "ask in the builder and hand the answer over"
    if any(threading.get_ident() not in threads for threads in readings):
        return (
            "asked in a thread that was started while a builder ran",
            "ask in the builder's own thread and hand the answers over",
        )
    return "", ""


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _in_data_worker() -> bool:
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None
