"""The command ``archsmith profile``: what can be learned about a space before a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._support.errors import InputError
from ..profiling.plan import ProfilePlan
from .options import options_of, plan_of, takes
from .output import interruptible, only_json, print_json, results_console, say

if TYPE_CHECKING:
    from ..profiling.result import Profile

#: Exit status for a space in which something does not build or run: a search would refuse it too.
_BROKEN = 2


@takes(*options_of(ProfilePlan, without=("space", "seed", "unreadable")))
def profile(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE", help="Ready space by name, module:function or file.py:function."
        ),
    ],
    data: Annotated[
        str, typer.Option(help="Data set by name, folder or file, as for search.")
    ] = "digits",
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    to: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
    **options: Any,
) -> None:
    """Examine a space before a search: size, costs, limits, faults, duplicates, times, next steps.

    Exits with status 2 if something in the space does not build or run, as for other wrong input.
    """
    from ..profiling.run import run_plan
    from .screen import Screen

    _check_page(to)
    with (
        interruptible("a profile saves nothing before it is done"),
        only_json(as_json),
        Screen() as screen,
    ):
        arguments = {"space": space, "data": data, "seed": seed, "on_step": screen.step}
        result = run_plan(plan_of(ProfilePlan, options, **arguments))
    if to is not None:
        result.write(to)
    if as_json:
        print_json(result.to_json())
    else:
        _print(result)
        if to is not None:
            say(f"page: {to}")
    if not result.sound:
        raise typer.Exit(_BROKEN)


def _check_page(path: Path | None) -> None:
    if path is not None and not path.resolve().parent.is_dir():
        raise InputError("--to", "a file in an existing folder", str(path))
    if path is not None and path.is_dir():
        raise InputError("--to", "a file", f"the folder {path}", f"--to {path / 'profile.html'}")


def _print(result: Profile) -> None:
    from ..profiling.text import profile_text

    results_console(140).print(profile_text(result))
    if result.advice.command:
        say(f"\n{result.advice.command}")
