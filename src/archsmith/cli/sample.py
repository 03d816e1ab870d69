"""The command ``archsmith sample``: new images from a generative model, or text from a language
model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._support.errors import InputError
from .output import interruptible, say

if TYPE_CHECKING:
    from torch import nn

    from ..task.base import Task

_IMAGES, _TEXT = 64, 500  # how many images, and how many tokens


def sample(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder that export wrote, or run folder of a search."),
    ],
    count: Annotated[
        int | None,
        typer.Option(
            help=f"Number of images, or of tokens of a text; default: {_IMAGES} or {_TEXT}."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--class", help="Class of the images; default: all in turn.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Text to continue; default: a new line.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Divides the logits of a text; 0 takes the likeliest; default: 0.8."),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Tokens are drawn from the likeliest of this probability; default: 0.95."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise, or of the draws.")] = 0,
    to: Annotated[
        Path | None,
        typer.Option(help="File to write: .png, default samples.png; a text is printed without."),
    ] = None,
    space: Annotated[str | None, typer.Option(help="The model's space, if it is your own.")] = None,
) -> None:
    """Draw images from a generative model (--task generation) and write them as one picture, or
    continue a text by a language model."""
    from ..task.generation import Generation
    from ..task.language import LanguageModelling

    task, facts, model = _model(folder, space)
    texts: dict[str, Any] = {"prompt": prompt, "temperature": temperature, "top_p": top_p}
    given = {name: value for name, value in texts.items() if value is not None}
    if isinstance(task, LanguageModelling):
        _refuse({"class": label}, "generates images", folder)
        options: dict[str, Any] = given | {"count": _TEXT if count is None else count, "seed": seed}
        _write_text(task, facts, model(), options, to)
    elif isinstance(task, Generation):
        _refuse(given, "writes text", folder)
        options = {"label": label, "count": _IMAGES if count is None else count, "seed": seed}
        _draw_images(task, facts, model(), options, to or Path("samples.png"))
    else:
        hint = "search with --task generation, or on a text"
        raise InputError(
            str(folder), "a model that generates images or text", "another model", hint
        )


def _write_text(
    task: Any,
    facts: Mapping[str, Any],
    model: nn.Module,
    options: Mapping[str, Any],
    to: Path | None,
) -> None:
    from ..task.writing import Order

    order = Order(**options)
    if to is not None and (to.is_dir() or not to.resolve().parent.is_dir()):
        raise InputError("--to", "a file in an existing folder", str(to))
    with interruptible("nothing was written"):
        text = order.prompt + task.write(model.eval(), order, facts)
    if to is None:
        say(text)
        return
    to.write_text(text, encoding="utf-8")
    say(f"{len(text)} characters: {to}")


def _draw_images(
    task: Any, facts: Mapping[str, Any], model: nn.Module, options: Mapping[str, Any], to: Path
) -> None:
    import torch

    from .._support.trees import take
    from ..export.programs import live
    from ..task.generation import Order
    from ..task.generation_picture import sheet

    if to.suffix.lower() != ".png" or not to.resolve().parent.is_dir():
        raise InputError("--to", "a .png file in an existing folder", str(to))
    order, run = Order(**options), live(task.deployable(model, facts))
    with interruptible("nothing was written"):
        inputs = task.noise_for(order, facts)
        places = torch.split(torch.arange(order.count), task.judged_at_once)
        images = torch.cat([run(take(inputs, some)) for some in places])
        sheet(images, inputs.get("label"), facts["class_names"]).save(to)
    say(f"{order.count} images: {to}")


def _refuse(options: Mapping[str, Any], what: str, folder: Path) -> None:
    for name, value in options.items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(flag, f"a model that {what}", f"another model in {folder}")


def _model(
    folder: Path, space: str | None
) -> tuple[Task, Mapping[str, Any], Callable[[], nn.Module]]:
    """Task, facts and a function that gives the model of an export, or of the winner of a run."""
    from ..export.predict import load_model
    from ..export.record import read_record
    from ..task import task as find_task
    from ..task.problem import open_space
    from ..workflow.finalist import model_of
    from ..workflow.run import Run

    if (folder / "architecture.json").exists():
        record = read_record(folder)
        arguments = record["space"]["arguments"]
        opened = open_space(space, {}, arguments) if space else None
        return find_task(record["task"]), record["facts"], lambda: load_model(folder, space=opened)
    run = Run(folder, space)
    architecture, number = run.chosen(None)
    final = run.trained(architecture)
    if final is None:
        hint = f"archsmith train {folder}"
        raise InputError(f"trial {number}", "an architecture trained to the end", "none", hint)
    problem = run.outline
    return problem.task, problem.data.facts, lambda: model_of(problem, final)
