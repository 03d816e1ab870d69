"""One process writes to a run folder; the lock says whether it is alive."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from .._support.errors import RunFolderError, StoreError

#: Locks that this process holds.
_HELD: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _release_in_copies() -> None:
    """Release locks in a forked copy, which might outlive the study."""
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_release_in_copies)


class RunLock:
    """An exclusive lock on ``FOLDER/study.lock``, released by the system when its holder dies.

    Raises:
        RunFolderError: another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        import fcntl

        path = folder / "study.lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise RunFolderError(
                str(folder), "a folder that can be written", str(error), "choose another run folder"
            ) from error
        try:
            # flock, not lockf: it also separates two studies in one process, and closing another
            # descriptor of the same file does not release it.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise RunFolderError(
                str(folder),
                "a run folder that no other process is working in",
                f"one that process {holder} holds",
                f"wait until it ends, stop it (kill {holder}), or choose another run folder",
            ) from None
        except OSError as error:
            os.close(self._file)
            raise RunFolderError(
                str(folder),
                "a folder on a file system that can lock files",
                str(error),
                "choose a run folder on a local disk",
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        self._folder, self._pid, self._file_id = folder, os.getpid(), _file_id(self._file)
        _HELD.add(self)

    def check(self) -> None:
        """Refuse to write if this process's open files may have been replaced by others.

        Raises:
            StoreError: this is a forked copy of the process that works in the folder, or its files
                were closed. Files opened after that may have reused their descriptors and would be
                written to.
        """
        if os.getpid() != self._pid:
            raise StoreError(
                str(self._folder),
                "one process that writes",
                "a forked copy of it",
                "end the copy with os._exit",
            )
        if _file_id(self._file) != self._file_id:
            raise StoreError(
                str(self._folder),
                "files that stay open",
                "an evaluator or a builder that closed files that were not its own",
                "use workers=2, which runs it in another process",
            )

    def release(self) -> None:
        """Release the lock. The file stays: another process may already have locked it."""
        import fcntl

        if _file_id(self._file) == self._file_id:
            if os.getpid() == self._pid:  # closing is not enough if a copy still has it open
                fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
        _HELD.discard(self)


def _file_id(file: int) -> tuple[int, int] | None:
    """Device and inode of an open file; ``None`` if the descriptor is closed."""
    try:
        status = os.fstat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
