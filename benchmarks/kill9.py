"""Kill a search at random moments, resume it each time, and see what was lost.

    python benchmarks/kill9.py [--kills 10] [--trials 80] [--json kill9.json] [-- OPTION...]

Starts ``archsmith search digits --workers 2``, kills its main process with SIGKILL at a random
moment, every other time a worker shortly before it, and starts the same command again. Options
after ``--`` go to the command. At the end: no trial that a reader once saw ended is lost or
changed, none is running, as many ended as planned, and no worker outlived its parent.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from archsmith._support.errors import RunFolderError
from archsmith.history.trial import State, as_json
from archsmith.study import Record, SqliteStore

#: Share of the kills that do not wait for trials, so that some fall into the start.
EARLY = 0.2
#: Seconds that workers have to notice that their parent is gone.
PATIENCE = 15.0


@dataclass
class Kill:
    """One kill: seconds after the start or after a trial's end, whom, and what was found."""

    moment: float
    worker_too: bool
    ended_before: int
    ended_after: int
    running_after: int
    orphans: int
    lost: int


def read(folder: Path) -> Record:
    """The state of the study, as any reader finds it; empty where it has not begun."""
    try:
        with SqliteStore(folder, read=True) as store:
            return store.record()
    except RunFolderError:
        return Record()


def ended(record: Record) -> dict[int, dict[str, Any]]:
    """Ended trials by number, whole."""
    return {trial.number: as_json(trial) | {"curve": trial.curve} for trial in record.ended}


def lost(acknowledged: dict[int, dict[str, Any]], record: Record) -> list[int]:
    """Trials that were seen ended and now are not, or not as they were."""
    now = ended(record)
    return [number for number, trial in acknowledged.items() if now.get(number) != trial]


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The worker processes of a search."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def reached(process: subprocess.Popen[bytes], folder: Path, wanted: int) -> bool:
    """Wait until so many more trials have ended; whether the search still runs then."""
    enough = len(read(folder).ended) + wanted
    while process.poll() is None and len(read(folder).ended) < enough:
        time.sleep(0.1)
    return process.poll() is None


def kill(
    command: list[str],
    folder: Path,
    acknowledged: dict[int, dict[str, Any]],
    rng: random.Random,
    worker_too: bool,
    longest: float,
    most: int,
) -> Kill | None:
    """Start, kill, look. ``None`` where the search ended before its moment came."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wanted = 0 if rng.random() < EARLY else rng.randint(1, most)
        if not reached(process, folder, wanted):
            return None
        moment = rng.uniform(0.0, longest)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
            return None
        workers = workers_of(process)
        if worker_too and workers:
            rng.choice(workers).kill()
            time.sleep(rng.uniform(0.0, 1.0))
            workers += workers_of(process)
        before = ended(read(folder))
    finally:
        process.kill()
        process.wait()
    acknowledged |= before
    left = psutil.wait_procs(set(workers), timeout=PATIENCE)[1]
    record = read(folder)
    running = sum(trial.state is State.RUNNING for trial in record.trials)
    gone = lost(acknowledged, record)
    return Kill(moment, worker_too, len(before), len(record.ended), running, len(left), len(gone))


def verdict(
    kills: list[Kill],
    wanted: int,
    planned: int,
    acknowledged: dict[int, dict[str, Any]],
    record: Record,
    status: int,
) -> dict[str, bool]:
    """What must hold at the end."""
    states = [trial.state for trial in record.trials]
    counted = states.count(State.FINISHED) + states.count(State.FAILED)
    return {
        "as many kills as asked for": len(kills) == wanted,
        "no acknowledged trial lost or changed": not lost(acknowledged, record),
        "no worker outlived its parent": not any(kill.orphans for kill in kills),
        "no trial left running or waiting": all(state.ended for state in states),
        "as many trials ended as planned": counted == planned,
        "one session for each start": len(record.sessions) <= wanted + 1,
        "the last run ended well": status == 0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--longest", type=float, default=4.0, help="seconds after a trial's end")
    parser.add_argument("--most", type=int, default=6, help="trials before a kill")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("options", nargs="*", help="for archsmith search, after --")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        command = [
            str(Path(sys.executable).with_name("archsmith")),
            "search",
            "digits",
            "--workers",
            "2",
            "--trials",
            str(given.trials),
            "--run",
            str(folder),
            "--epochs",
            "2",
            "--final-epochs",
            "2",
            "--finalists",
            "1",
            *given.options,
        ]
        acknowledged: dict[int, dict[str, Any]] = {}
        kills: list[Kill] = []
        print(
            f"{'kill':>4} {'at, s':>6} {'worker':>6} {'ended':>6} {'after':>6} {'running':>7} "
            f"{'orphans':>7} {'lost':>4}"
        )
        for number in range(given.kills):
            done = kill(
                command, folder, acknowledged, rng, bool(number % 2), given.longest, given.most
            )
            if done is None:
                print("the search ended before its next kill; give it more --trials")
                break
            kills.append(done)
            print(
                f"{number + 1:4} {done.moment:6.2f} {done.worker_too!s:>6} "
                f"{done.ended_before:6} {done.ended_after:6} {done.running_after:7} "
                f"{done.orphans:7} {done.lost:4}",
                flush=True,
            )
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        record = read(folder)
    checks = verdict(kills, given.kills, given.trials, acknowledged, record, status)
    for name, holds in checks.items():
        print(f"{'yes' if holds else 'NO':>4}  {name}")
    if given.json:
        document = {
            "command": command[1:],
            "kills": [asdict(k) for k in kills],
            "acknowledged": len(acknowledged),
            "ended": len(record.ended),
            "attempts": sum(trial.attempts for trial in record.trials),
            "checks": checks,
        }
        given.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
