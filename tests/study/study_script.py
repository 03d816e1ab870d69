"""A search as a process of its own, for tests that kill it. Settings come as JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import study_toys as toys

from archsmith.study import Inline, Processes, Progress, SqliteStore, Study


def main() -> None:
    settings = json.loads(sys.argv[1])
    log = settings.get("log")

    def told(progress: Progress) -> None:
        if progress.kind == "epoch" and progress.trial.number == settings.get("held"):
            (Path(settings["folder"]) / "held").touch()
            threading.Event().wait()
        # One line for each acknowledged end; a small appending write is whole or not at all.
        if log and progress.kind == "ended":
            trial = progress.trial
            line = f"{trial.number} {trial.architecture.id} {trial.metrics.get('accuracy')}\n"
            handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(handle, line.encode())
            os.close(handle)

    workers = settings["workers"]
    with SqliteStore(settings["folder"]) as store:
        result = Study(
            toys.space(),
            toys.Climb(),
            toys.Toy(settings.get("pause", 0.02), epochs=2),
            toys.ACCURACY,
            store=store,
            executor=Inline() if workers == 1 else Processes(workers),
            trials=settings["trials"],
            on_event=told,
        ).run()
    print(result.stopped)


if __name__ == "__main__":
    main()
