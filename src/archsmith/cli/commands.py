"""The command line: thin wrappers around the public Python functions."""

from __future__ import annotations

import shlex
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._support.errors import InputError
from ..workflow.plan import SearchPlan
from .benchmark import benchmark
from .ending import show_result
from .features import features
from .list import list_
from .options import options_of, plan_of, takes
from .output import (
    figures,
    goes_on,
    interruptible,
    only_json,
    print_json,
    print_summary,
    process_start,
    say,
    study_json,
)
from .profile import profile
from .sample import sample
from .zeroshot import zeroshot

if TYPE_CHECKING:
    from ..workflow.run import Run

app = typer.Typer(
    name="archsmith",
    help="Neural architecture search for the PyTorch model you already write.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a search.")]
Number = Annotated[int | None, typer.Option("--trial", help="Trial number; default: the winner.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
SpaceName = Annotated[
    str | None,
    typer.Option("--space", help="Ready space by name, module:function or file.py:function."),
]


DataName = Annotated[
    str | None,
    typer.Option("--data", help="Where the study's data is now, if it has moved."),
]


def _config(context: typer.Context, path: Path | None) -> Path | None:
    """Take option defaults from a TOML file; options on the command line take precedence."""
    if path is None:
        return None
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), "a TOML file", error.strerror) from None
    except (ValueError, RecursionError) as error:  # not TOML, or not UTF-8
        raise InputError(str(path), "TOML", str(error)) from None
    parameters = {param.name: param for param in context.command.params}
    for name in values:
        if name not in parameters or name == "config":
            from .._support.errors import unknown

            raise unknown(
                f"option in {path.name}", name, [n for n in parameters if n and n != "config"]
            )
    for name, value in values.items():
        if value == "":
            raise InputError(f"{name} in {path.name}", "a value", "an empty string", "leave it out")
        if getattr(parameters[name], "multiple", False) and isinstance(value, str):
            values[name] = [value]
    context.default_map = {**(context.default_map or {}), **values}
    return path


@app.command()
@takes(*options_of(SearchPlan))
def search(
    data: Annotated[
        str,
        typer.Argument(
            help="Data set by name (digits, fashion-mnist), image folder, .npz, .csv or .parquet."
        ),
    ] = "digits",
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file that sets these options.", callback=_config, is_eager=True),
    ] = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Search for the best architecture, train it, compare it with the default and write a report.

    Running the same command on the same run folder continues an interrupted search.
    """
    from ..workflow.search import run_plan
    from .screen import Screen

    options["run"] = folder = options["run"] or _default_folder(data, options["space"])
    with interruptible(goes_on(folder)), only_json(as_json), Screen() as screen:
        arguments = {"command": _command(), "listener": screen.listener(folder)}
        arguments["began"] = process_start()
        plan = plan_of(SearchPlan, options, data=data, **arguments)
        result = run_plan(plan)
    show_result(result, folder, as_json)
    if result.interrupted:
        raise typer.Exit(130)
    if plan.final_count and result.best is None:
        raise typer.Exit(1)


@app.command()
def show(run: RunFolder, as_json: Json = False) -> None:
    """Show the best trial, the Pareto front and the state of a study."""
    opened = _open(run)
    if as_json:
        print_json(study_json(opened))
        return
    print_summary(opened)


@app.command()
def report(
    run: RunFolder,
    to: Annotated[
        Path | None, typer.Option(help="Output file; default: report.html in RUN.")
    ] = None,
    space: SpaceName = None,
    data: DataName = None,
) -> None:
    """Write one self-contained HTML page about a study."""
    opened = _open(run, space, data)
    if space is not None or data is not None:
        # A wrong --space or --data is an error; it must not merely shorten the page.
        _ = opened.outline if data is None else opened.problem
    say(opened.report(to))
    for line in opened.left_out:
        say(f"left out: {line}", error=True)


@app.command()
def train(
    run: RunFolder,
    trial: Number = None,
    test: Annotated[
        bool,
        typer.Option("--test", help="Also score a trial other than the winner on the test part."),
    ] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            help="Train it larger, in a new run folder: arguments of its space and the size of the "
            "images, such as cells=6,filters=36,resolution=224."
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Run folder for --scale.")] = None,
    space: SpaceName = None,
    data: DataName = None,
    as_json: Json = False,
) -> None:
    """Train an architecture to the end; the winner is scored on the test part as well."""
    from .screen import Screen

    if scale is not None or to is not None:
        _train_larger(_open(run, space, data), trial, scale or "", to, as_json)
        return

    with interruptible(goes_on(run)), only_json(as_json), Screen() as screen:
        opened = _open(run, space, data)
        epochs = opened.meta["recipe"]["epochs"]
        final = opened.train(trial, screen.training("the architecture", epochs), test)
    for problem in opened.problems:
        say(problem, error=True)
    if as_json:
        print_json(final.to_json())
        return
    part, metrics = ("test", final.test) if final.test else ("validation", final.validation)
    say(f"trial {final.number}: {figures(metrics, f'{part} ')}, {figures(final.costs)}")
    flag = "" if trial is None else f" --trial {trial}"
    say(f"next: archsmith export {run}{flag} --to DIR")


def _train_larger(
    opened: Run, trial: int | None, scale: str, to: Path | None, as_json: bool
) -> None:
    from .._support.options import values_of
    from ..workflow.larger import enlarged
    from ..workflow.search import run_plan
    from .screen import Screen

    if to is None:
        raise InputError("train --scale", "a new run folder: --to FOLDER", "none")
    plan = enlarged(opened, values_of(scale, "scale"), to, trial)
    with interruptible(goes_on(to)), only_json(as_json), Screen() as screen:
        plan = replace(plan, command=_command(), listener=screen.listener(to))
        result = run_plan(plan)
    show_result(result, to, as_json)


@app.command()
def trust(
    run: RunFolder,
    sample: Annotated[int, typer.Option(help="Number of random architectures to compare.")] = 20,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of each training; default: the recipe's.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(help="Read stand-alone values from this table instead of training."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The table's file.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set of the table.")] = None,
    space: SpaceName = None,
    data: DataName = None,
    as_json: Json = False,
) -> None:
    """Measure whether shared weights rank architectures as stand-alone training does."""
    from ..bench import read_table
    from ..workflow.trust import measure_trust
    from .screen import Screen

    for option, value in (("--file", file), ("--dataset", dataset)):
        if value is not None and table is None:
            raise InputError(option, "the table that it belongs to", "none", "--table NAME")
    with interruptible(goes_on(run)), only_json(as_json), Screen() as screen:
        opened = _open(run, space, data)
        reference = read_table(table, file, dataset) if table else None
        measured = measure_trust(
            opened, sample, epochs=epochs, table=reference, on_judged=screen.judged
        )
        page, why = opened.try_report()
    if as_json:
        print_json(measured.to_json())
        return
    for sentence in measured.verdict.sentences:
        say(sentence)
    say(why or f"report: {page}", error=page is None)


@app.command()
def export(
    run: RunFolder,
    to: Annotated[Path, typer.Option(help="Folder to write the files to.")],
    trial: Number = None,
    onnx: Annotated[
        bool | None,
        typer.Option(
            "--onnx/--no-onnx", help="Require or skip ONNX; default: write it if possible."
        ),
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Format to write (archsmith list formats), may be repeated; default: all.",
        ),
    ] = None,
    space: SpaceName = None,
    data: DataName = None,
    as_json: Json = False,
) -> None:
    """Write a trained architecture as safetensors, pt2 and ONNX, each checked after reloading."""
    opened = _open(run, space, data)
    final, parity = opened.export(to, trial, "auto" if onnx is None else onnx, format_ or None)
    if as_json:
        print_json(parity.to_json())
        return
    for check in parity.checks:
        say(f"{check.file}: agrees within {check.max_abs_difference:.1e}")
    for name, why in parity.absent.items():
        say(f"{name}: not written, {why}")
    say(f"trial {final.number} is in {to}; start with {to / 'README.md'}")


@app.command()
def predict(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that export wrote.")],
    input: Annotated[
        Path, typer.Argument(metavar="INPUT", help="An image, a table, ... as in training.")
    ],
    support: Annotated[
        Path | None, typer.Option(help="Folder with a folder of examples for each new class.")
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option(
            help="Few-shot learner (archsmith list learners) for --support; default: prototypical."
        ),
    ] = None,
    space: SpaceName = None,
) -> None:
    """Predict with an exported model and print one JSON document."""
    from ..export import predict as run_predict
    from ..export import predict_from_support

    if learner is not None and support is None:
        expected = "the examples that it learns from"
        raise InputError("--learner", expected, "none", "--support FOLDER")
    live = _exported_space(folder, space) if space else None
    if support is None:
        print_json(run_predict(folder, input, space=live))
    else:
        answers = predict_from_support(folder, support, input, learner or "prototypical", live)
        print_json(answers)


app.command()(benchmark)
app.command()(profile)
app.command()(features)
app.command()(sample)
app.command()(zeroshot)
app.command(name="list")(list_)


def _open(folder: Path, space: str | None = None, data: str | None = None) -> Run:
    from ..workflow.run import Run

    return Run(folder, space, data)


def _exported_space(folder: Path, space: str) -> Any:
    from .._support.signing import check_arguments
    from ..export.bundle import read_record
    from ..task.problem import open_space

    arguments = read_record(folder)["space"]["arguments"]
    check_arguments(f"{folder}, architecture.json", arguments)
    return open_space(space, {}, arguments)


def _default_folder(data: str, space: str | None) -> Path:
    path = Path(data)
    name = path.resolve().stem if path.exists() else data
    end = f"-{space.rpartition(':')[2]}" if space else ""
    return Path("runs") / f"{name}{end}"


def _command() -> str:
    return shlex.join(["archsmith", *sys.argv[1:]])
