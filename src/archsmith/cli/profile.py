"""The command ``archsmith profile``: what can be known of a space before a search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .._support.errors import InputError
from .output import interruptible, only_json, print_json, results_console, say

if TYPE_CHECKING:
    from ..profiling import Profile

#: Of a space in which something does not build or run: a search would refuse it as wrong input.
_BROKEN = 2


def profile(
    space: Annotated[
        str,
        typer.Argument(metavar="SPACE", help="Ready space, module:function or file.py:function."),
    ],
    data: Annotated[str, typer.Option(help="What a search would be on.")] = "digits",
    task: Annotated[str | None, typer.Option(help="Task; found from the data if left out.")] = None,
    maximize: Annotated[list[str] | None, typer.Option(help="Metric to maximise.")] = None,
    minimize: Annotated[list[str] | None, typer.Option(help="Metric to minimise.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Hard limit, such as 'params<=200k'.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Random architectures looked at.")] = 100,
    time: Annotated[str, typer.Option(help="About how long it may take.")] = "30s",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    target: Annotated[str | None, typer.Option(help="Column to predict (tables).")] = None,
    image_size: Annotated[int | None, typer.Option(help="Size that images are brought to.")] = None,
    decimal: Annotated[
        Literal["point", "comma"] | None,
        typer.Option(help="Decimal sign of numbers like 1,288 that read in two ways (tables)."),
    ] = None,
    channels: Annotated[
        Literal["first", "last"] | None,
        typer.Option(help="Where channels stand, if sizes do not tell (.npz of images)."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Before paying: size, costs, limits, faults, doubles, times and what to do next.

    Exit status 2 where something in the space does not build or run, as for other wrong input.
    """
    from ..profiling import profile as run_profile
    from ..task.base import ReadOptions
    from .screen import Screen

    _check_page(to)
    with interruptible("a profile keeps nothing"), only_json(as_json), Screen() as screen:
        found = run_profile(
            space,
            data,
            task=task,
            maximize=maximize or (),
            minimize=minimize or (),
            limits=limit or (),
            samples=samples,
            time=time,
            device=device,
            seed=seed,
            read=ReadOptions(
                target=target, image_size=image_size, decimal=decimal, channels=channels
            ),
            on_step=screen.step,
        )
    if to is not None:
        found.write(to)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)
        if to is not None:
            say(f"page: {to}")
    if not found.sound:
        raise typer.Exit(_BROKEN)


def _check_page(path: Path | None) -> None:
    if path is not None and not path.resolve().parent.is_dir():
        raise InputError("--to", "a file in a folder that is there", str(path))
    if path is not None and path.is_dir():
        raise InputError("--to", "a file", f"the folder {path}", f"--to {path / 'profile.html'}")


def _print(found: Profile) -> None:
    from ..profiling.text import profile_text

    results_console(140).print(profile_text(found))
    if found.advice.command:
        say(f"\n{found.advice.command}")
