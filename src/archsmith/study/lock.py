"""One process writes to a run folder; the lock says whether it is alive."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import RunFolderError


class RunLock:
    """An exclusive lock on ``FOLDER/study.lock``, let go by the system when its holder dies.

    Raises:
        RunFolderError: another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        import fcntl

        path = folder / "study.lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
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

    def release(self) -> None:
        """Let go. The file stays: removing it could take it from under somebody else's lock."""
        os.close(self._file)
