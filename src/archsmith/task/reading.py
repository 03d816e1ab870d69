"""Reading options that would do nothing are refused, so that nobody trusts in what was ignored."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from .._support.errors import InputError

if TYPE_CHECKING:
    from .base import Data, ReadOptions, Task

_SPLIT = ("seed", "validation", "test")
_FLAGS = {"seed": "--split-seed", "image_size": "--image-size"}


def expect_used(task: Task, source: str, options: ReadOptions) -> None:
    """Raises InputError for an option that the task makes nothing of when it reads this source."""
    used = task.uses(source)
    if used is None:
        return
    for name in _given(options):
        if name not in used and name not in _SPLIT:
            takes = ", ".join(sorted(used)) or "none beside those of the split"
            raise _idle(name, options, f"an option that {task.name} reads {source} by ({takes})")


def expect_drawn(data: Data, options: ReadOptions) -> None:
    """Raises InputError for an option of the split where the source brings the part itself."""
    if data.drawn is None:
        return
    for name in _given(options):
        if name in ("validation", "test") and name not in data.drawn:
            raise _idle(name, options, f"no share, since {data.name} brings a {name} part")
        if name == "seed" and not data.drawn:
            raise _idle(name, options, f"no seed, since {data.name} brings all parts")


def _given(options: ReadOptions) -> list[str]:
    return [f.name for f in fields(options) if getattr(options, f.name) != f.default]


def _idle(name: str, options: ReadOptions, expected: str) -> InputError:
    flag = _FLAGS.get(name, f"--{name}")
    got = f"{getattr(options, name)!r}, which would do nothing"
    return InputError(f"reading {name.replace('_', ' ')}", expected, got, f"leave {flag} out")
