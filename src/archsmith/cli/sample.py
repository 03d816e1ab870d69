"""The command ``archsmith sample``: new images from a generative model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._support.errors import InputError
from .output import interruptible, say

if TYPE_CHECKING:
    from .._support.trees import Tree
    from ..task.contracts import Deployment


def sample(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder that export wrote, or run folder of a search."),
    ],
    count: Annotated[int, typer.Option(help="Number of images.")] = 64,
    label: Annotated[
        str | None, typer.Option("--class", help="Class of the images; default: all in turn.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    to: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("samples.png"),
    space: Annotated[str | None, typer.Option(help="The model's space, if it is your own.")] = None,
) -> None:
    """Draw images from a generative model (--task generation) and write them as one picture."""
    import torch

    from .._support.trees import take
    from ..task.generation import Generation, Order
    from ..task.generation_picture import sheet

    if to.suffix.lower() != ".png" or not to.resolve().parent.is_dir():
        raise InputError("--to", "a .png file in an existing folder", str(to))
    order = Order(label, count, seed)
    task, facts, run = _model(folder, space)
    if not isinstance(task, Generation):
        hint = "search with --task generation"
        raise InputError(str(folder), "a model that generates images", "another model", hint)
    with interruptible("nothing was written"):
        inputs = task.noise_for(order, facts)
        places = torch.split(torch.arange(count), task.judged_at_once)
        images = torch.cat([run(take(inputs, some)) for some in places])
        sheet(images, inputs.get("label"), facts["class_names"]).save(to)
    say(f"{count} images: {to}")


def _model(
    folder: Path, space: str | None
) -> tuple[Deployment, Mapping[str, Any], Callable[[Tree], Tree]]:
    """Task, facts and deployed model of an export, or of the winner of a run."""
    from ..export.predict import opened
    from ..export.programs import live
    from ..export.record import read_record
    from ..task.contracts import deployment_of
    from ..task.problem import open_space
    from ..workflow.finalist import model_of
    from ..workflow.run import Run

    if (folder / "architecture.json").exists():
        arguments = read_record(folder)["space"]["arguments"]
        record, task, deployed = opened(folder, open_space(space, {}, arguments) if space else None)
        return task, record["facts"], deployed
    run = Run(folder, space)
    architecture, number = run.chosen(None)
    final = run.trained(architecture)
    if final is None:
        hint = f"archsmith train {folder}"
        raise InputError(f"trial {number}", "an architecture trained to the end", "none", hint)
    problem = run.outline
    task, facts = deployment_of(problem.task), problem.data.facts
    return task, facts, live(task.deployable(model_of(problem, final), facts))
