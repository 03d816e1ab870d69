"""What the terminal shows at the end of a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .output import print_json, print_summary, say, study_json

if TYPE_CHECKING:
    from ..workflow.result import SearchResult


def show_result(result: SearchResult, folder: Path, as_json: bool) -> None:
    """Show the result of a search, or that it was interrupted."""
    from ..workflow.run import Run

    if as_json:
        print_json(study_json(Run(folder, result.problem.space)))
        return
    if result.interrupted:
        done = len(result.history.finished)
        say(
            f"interrupted: {done} finished trials are kept in {folder}; "
            "run the same command again to continue"
        )
        _say_report(result)
        return
    print_summary(Run(folder, result.problem.space))
    _say_report(result)


def _say_report(result: SearchResult) -> None:
    if result.report is not None:
        say(f"report: {result.report}")
    else:
        say(result.problems[-1], error=True)
