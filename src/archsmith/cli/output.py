"""What commands print: a JSON document, a summary, or one line when they are interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import WorkError
from .._support.visible import visible
from ..space.plain import finite

if TYPE_CHECKING:
    from .._support.console import PlainConsole
    from ..workflow.run import Run


def say(text: object = "", *, error: bool = False) -> None:
    """Print a text on standard output, or standard error, safe for a terminal."""
    print(visible(str(text)), file=sys.stderr if error else sys.stdout)


def results_console(width: int) -> PlainConsole:
    """The console for tables on standard output; lines are not wrapped in files and pipes."""
    from .._support.console import PlainConsole

    return PlainConsole() if sys.stdout.isatty() else PlainConsole(width=width)


@contextlib.contextmanager
def interruptible(after: str) -> Iterator[None]:
    """Turn Ctrl-C into one line, which ends with ``after``, and exit status 130."""
    from typer import Exit

    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted: {after}", error=True)
        raise Exit(130) from None
    except SystemExit as error:
        # Commands end with typer.Exit, so this comes from user code that runs outside a trial.
        # Passing its status on could report success.
        raise WorkError(
            "the command",
            "builders and models that return",
            f"SystemExit: {error.code}",
            "remove sys.exit from them",
        ) from error


def goes_on(folder: Path) -> str:
    """How to continue an interrupted search."""
    return f"run the same command again to continue with {folder}"


@contextlib.contextmanager
def only_json(wanted: bool) -> Iterator[None]:
    """Reserve standard output for the document; builders and workers print to standard error."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def print_json(document: Any) -> None:
    say(json.dumps(finite(document), indent=2, allow_nan=False))


def figures(metrics: dict[str, float], prefix: str = "") -> str:
    from ..history.numbers import metric_name, with_unit

    return ", ".join(f"{prefix}{metric_name(n)} {with_unit(n, v)}" for n, v in metrics.items())


def print_summary(run: Run) -> None:
    from .._support.console import PlainConsole
    from ..report.text import summary

    console = PlainConsole()
    with run.undamaged():
        shown = summary(run.content(pictures=False), console.width)
    console.print(shown)


def process_start() -> float:
    """The moment at which this process began, by ``time.monotonic()``: loading torch takes seconds
    that count in a time budget."""
    import psutil

    return time.monotonic() - max(0.0, time.time() - float(psutil.Process().create_time()))


def study_json(run: Run) -> dict[str, Any]:
    with run.undamaged():
        return _study_json(run)


def _study_json(run: Run) -> dict[str, Any]:
    from ..history.trial import as_json

    objectives, limits = run.goals
    best = run.history.best()
    notes = run.record.notes
    return {
        "space": run.meta["space"],
        "data": run.meta["data"],
        "strategy": run.meta["strategy"],
        "seed": run.meta["seed"],
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in objectives],
        "limits": [str(limit) for limit in limits],
        "seconds": round(run.record.seconds, 3),
        "best": as_json(best) if best else None,
        "front": [trial.number for trial in run.history.front()],
        "winner": notes.get(f"final.{notes.get('winner')}"),
        "default": notes.get(f"final.{notes.get('default')}"),
        "seeds": {
            role: [
                {"seed": one.seed, "validation": one.validation, "test": one.test}
                for one in run.repeats(role)
            ]
            for role in ("winner", "default")
        },
        "comparison": run.comparison.to_json() if run.comparison else None,
        "baselines": [one.to_json() for one in run.baselines],
        "problems": notes.get("problems") or [],
        "supernet": notes.get("supernet"),
        "trust": run.trust.to_json() if run.trust else None,
        "trials": [as_json(trial) for trial in run.history.trials],
    }
