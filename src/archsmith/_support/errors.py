"""The error classes. Each says where, what was expected, what it got, and how to fix it."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator

from .visible import visible


class ArchsmithError(Exception):
    """Base of everything archsmith raises on purpose.

    The message reads ``where: expected X, got Y``, with the hint on a line of its own, for example
    ``stage2.block1.kernel: expected one of (3, 5, 7), got 4``.

    Names of files, classes and paths are part of it, so control characters are made
    :func:`visible`.

    Args:
        where: the decision, file, option or trial that the error is about.
        expected: what would have been right.
        got: what it was instead; left out of the message if ``None``.
        hint: what the reader can do about it.
    """

    exit_status = 1

    def __init__(
        self, where: str, expected: str, got: str | None = None, hint: str | None = None
    ) -> None:
        self.where, self.expected, self.got, self.hint = where, expected, got, hint
        text = f"{where}: expected {expected}"
        if got is not None:
            text += f", got {got}"
        if hint:
            text += f"\n  hint: {hint}"
        super().__init__(visible(text))

    def __reduce__(self) -> tuple[type[ArchsmithError], tuple[str, str, str | None, str | None]]:
        # Exceptions come from worker processes; the default would pass on only the message.
        return type(self), (self.where, self.expected, self.got, self.hint)


class Unwind(BaseException):
    """Leaves user code on purpose; no ``except Exception`` there may swallow it."""


class InputError(ArchsmithError):
    """The caller's input was wrong: exit status 2."""

    exit_status = 2


class SpaceError(InputError):
    """A search space is invalid, or an architecture does not belong to it."""


class DataError(InputError):
    """Data cannot be read, or is not suitable for a task."""


class UnknownNameError(InputError):
    """A name that is not registered; the message suggests the nearest one."""


class LimitError(InputError):
    """A limit that no architecture in the space can meet."""


class RunFolderError(InputError):
    """A run folder that belongs to another study, another process or a newer archsmith."""


class MissingExtraError(InputError):
    """An optional dependency is not installed."""


class StoreError(ArchsmithError):
    """The record of a study could not be written or read (a full disk, a damaged file)."""


class DamagedError(StoreError, InputError):
    """A record whose values are not what archsmith writes: exit status 2."""


class WorkError(ArchsmithError):
    """The work itself failed: every trial failed, a worker kept dying, an export did not agree."""


#: Exceptions that values of the wrong kind, size or depth raise when they are read.
MISFITS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@contextlib.contextmanager
def undamaged(where: str, expected: str, hint: str | None = None) -> Iterator[None]:
    """Reading values from a file: exceptions inside the block mean that the file is damaged.

    Raises:
        DamagedError: instead of Python's exception about an invalid value.
    """
    try:
        yield
    except MISFITS as error:
        line = next(iter(str(error).splitlines()), "")[:200]
        raise DamagedError(where, expected, f"{type(error).__name__}: {line}", hint) from error


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """An error for an unregistered name that suggests the nearest one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else None
    listed = ", ".join(names) if names else "(none registered)"
    return UnknownNameError(kind, f"one of: {listed}", repr(name), hint)
