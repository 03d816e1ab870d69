"""Runs a command: errors that the user can fix become one sentence and an exit status."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence

from .._support.errors import ArchsmithError, InputError
from .commands import app
from .output import say

#: Failures of the disk or the machine; any other OSError is about the path that was given.
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def run() -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        _check(sys.argv[1:])
        app()
    except ArchsmithError as error:
        say(f"archsmith: {error}", error=True)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        where = os.fsdecode(error.filename) if not isinstance(error.filename, int) else "a file"
        say(
            f"archsmith: {where}: expected a usable path, got {error.strerror}",
            error=True,
        )
        sys.exit(1 if error.errno in _OURS else 2)


def _check(arguments: Sequence[str]) -> None:
    """Refuse empty values: as a path, one would mean the current folder."""
    for before, argument in zip(["", *arguments], arguments):
        name, equals, value = argument.partition("=")
        if not argument or (name.startswith("--") and equals and not value):
            where = name or (before if before.startswith("--") else "an argument")
            raise InputError(where, "a value", "an empty string", "leave it out, or give a value")
