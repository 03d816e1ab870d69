"""Writing, replacing and deleting files safely: only archsmith's own names, never through links.

A run folder or an export may come from somebody else, and a folder in it may be a link to
something valuable. Only files whose names archsmith writes are deleted, in a folder that is not a
link, and replacing affects the entry itself, never what it points to.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from .errors import InputError, RunFolderError
from .visible import visible

#: Names under which files are written before they replace the final one.
_TEMPORARY = re.compile(r".+\.(\d+)\.tmp")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which then replaces ``path`` atomically.

    If ``path`` is a link, the link itself is replaced. After an error nothing is left behind.
    """
    half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    half.unlink(missing_ok=True)
    # Create the file, so that writing cannot follow a link that somebody placed there.
    os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    mode = stat.S_IMODE(os.stat(half).st_mode)
    try:
        yield half
        # safetensors creates a file of its own there that only the owner may read.
        os.chmod(half, mode)
        os.replace(half, path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, with control characters made visible."""
    with replacing(path) as half:
        half.write_text(visible(text), encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Append a line to a file that is not a link."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def check_links(folder: Path) -> None:
    """Refuse to work in a run folder that contains links.

    Raises:
        RunFolderError: an entry of the folder is a link.
    """
    for entry in os.scandir(folder):
        if entry.is_symlink():
            raise RunFolderError(
                entry.path,
                "a file or folder of the run folder's own",
                f"a link to {os.readlink(entry.path)}",
                "its target was not touched: put it here in place of the link, or choose "
                "another run folder",
            )


def check_folder(folder: Path) -> None:
    """Refuse a folder that is a link; a missing one is fine.

    Raises:
        InputError: the folder is a link.
    """
    if folder.is_symlink():
        raise _link_error(folder)


def sweep(folder: Path, own: re.Pattern[str], keep: Collection[str] = ()) -> None:
    """Delete the files in a folder whose full name matches ``own``; all others stay.

    Raises:
        InputError: the folder is a link.
    """
    with _open_folder(folder) as place:
        for name in os.listdir(place) if place is not None else ():
            if own.fullmatch(name) and name not in keep and _is_file(name, place):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=place)


def sweep_halves(folder: Path) -> None:
    """Delete temporary files in a folder whose process has ended.

    Raises:
        InputError: the folder is a link.
    """
    with _open_folder(folder) as place:
        for name in os.listdir(place) if place is not None else ():
            half = _TEMPORARY.fullmatch(name)
            if half and not _alive(int(half[1])) and _is_file(name, place):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=place)


def remove_folder(folder: Path, own: re.Pattern[str]) -> None:
    """Delete the files of a folder whose names match ``own``, and the folder when it is empty.

    Raises:
        InputError: the folder is a link.
    """
    sweep(folder, own)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Lock a folder while working in it. Yields whether nobody else holds the lock.

    The lock also ends with the process.
    """
    import fcntl

    with _open_folder(folder) as place:
        try:
            if place is not None:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            place = None
        yield place is not None


@contextlib.contextmanager
def _open_folder(folder: Path) -> Iterator[int | None]:
    """A file descriptor of a folder, ``None`` if it does not exist."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if not os.path.lexists(folder):  # a parent is no folder: the caller reports that
            raise
        raise _link_error(folder, str(error.strerror)) from None
    try:
        yield place
    finally:
        os.close(place)


def _link_error(folder: Path, reason: str = "") -> InputError:
    got = f"a link to {os.readlink(folder)}" if folder.is_symlink() else reason
    return InputError(str(folder), "a folder of its own", got, "nothing in it was touched")


def _is_file(name: str, place: int | None) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return process != os.getpid()
