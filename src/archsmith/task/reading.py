"""Reading options that would have no effect are refused, so that nobody relies on them."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import TYPE_CHECKING

from .._support.errors import InputError

if TYPE_CHECKING:
    from .base import Data, ReadOptions, Task

_SPLIT = ("seed", "validation", "test")


def flags(options: ReadOptions) -> dict[str, object]:
    """Command-line options with their values, for the fields that differ from their defaults and
    have such an option."""
    chosen = [f for f in fields(options) if f.name in _non_defaults(options) and f.metadata]
    return {_flag(f): getattr(options, f.name) for f in chosen}


def _flag(field: Field[object]) -> str:
    name = field.metadata.get("flag") or field.name
    return f"--{name.replace('_', '-')}"


def expect_used(task: Task, source: str, options: ReadOptions) -> None:
    """Raises InputError for an option that the task ignores when it reads this source."""
    used = task.uses(source)
    if used is None:
        return
    for name in _non_defaults(options):
        if name not in used and name not in _SPLIT:
            takes = ", ".join(sorted(used)) or "only those of the split"
            expected = f"an option that {task.name} uses to read {source} ({takes})"
            raise _unused_option(name, options, expected)


def expect_drawn(data: Data, options: ReadOptions) -> None:
    """Raises InputError for an option of the split if the source has that part already."""
    if data.drawn is None:
        return
    for name in _non_defaults(options):
        if name in ("validation", "test") and name not in data.drawn:
            expected = f"no share, since {data.name} has its own {name} part"
            raise _unused_option(name, options, expected)
        if name == "seed" and not data.drawn:
            expected = f"no seed, since {data.name} has all parts"
            raise _unused_option(name, options, expected)


def _non_defaults(options: ReadOptions) -> list[str]:
    return [f.name for f in fields(options) if getattr(options, f.name) != f.default]


def _unused_option(name: str, options: ReadOptions, expected: str) -> InputError:
    flag = next(_flag(field) for field in fields(options) if field.name == name)
    got = f"{getattr(options, name)!r}, which would have no effect"
    return InputError(f"reading {name.replace('_', ' ')}", expected, got, f"leave {flag} out")
