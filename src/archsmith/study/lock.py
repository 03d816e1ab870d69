"""One process writes to a run folder; the lock says whether it is alive."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from .._support.errors import RunFolderError, StoreError

#: Locks that this process holds.
_HELD: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _let_go_in_copies() -> None:
    """A forked copy that lives on must not hold a lock: it would outlive the study."""
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_copies)


class RunLock:
    """An exclusive lock on ``FOLDER/study.lock``, let go by the system when its holder dies.

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
            # flock, not lockf: it also keeps two studies of one process apart, and closing some
            # other file descriptor of the same file does not let it go.
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
        self._folder, self._pid, self._place = folder, os.getpid(), _place(self._file)
        _HELD.add(self)

    def check(self) -> None:
        """Refuse to write where the files that this process had open may be others by now.

        Raises:
            StoreError: this is a forked copy of the process that works in the folder, or somebody
                closed its files. What was opened after that has their numbers, and would be
                written to.
        """
        if os.getpid() != self._pid:
            raise StoreError(
                str(self._folder),
                "one process that writes",
                "a forked copy of it",
                "let the copy end by os._exit",
            )
        if _place(self._file) != self._place:
            raise StoreError(
                str(self._folder),
                "files that stay open",
                "that an evaluator or a builder closed files that were not its own",
                "use workers=2, which keeps it apart",
            )

    def release(self) -> None:
        """Let go. The file stays: removing it could take it from under somebody else's lock."""
        import fcntl

        if _place(self._file) == self._place:
            if os.getpid() == self._pid:  # closing is not enough where a copy has it open still
                fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
        _HELD.discard(self)


def _place(file: int) -> tuple[int, int] | None:
    """Which file a descriptor is of; ``None`` where it is closed."""
    try:
        known = os.fstat(file)
    except OSError:
        return None
    return known.st_dev, known.st_ino
