"""An architecture that was found small, trained large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._support.errors import InputError
from ..space.beside import model_part
from .plan import SearchPlan
from .run import Run

#: The name among arguments of a builder that stands for the size of the images.
RESOLUTION = "resolution"


def enlarged(
    run: Run, scale: Mapping[str, Any], to: str | Path, number: int | None = None
) -> SearchPlan:
    """The plan that trains an architecture of a study in a space with other arguments, on images of
    another size: search small, use large (Zoph et al. 2018, arXiv:1707.07012).

    Args:
        scale: arguments of the builder, such as the number of cells, and ``resolution``, the size
            of the images in pixels.
        to: a new run folder.
        number: of the trial; the winner if not given.

    Raises:
        InputError: nothing to change, no such trial, or the study's own folder.
    """
    if not scale:
        raise InputError("scale", "arguments of the space, or resolution=224", "none")
    if Path(to).absolute() == run.folder.absolute():
        raise InputError("to", "another run folder than the study's", str(to))
    problem, (architecture, _) = run.problem, run.chosen(number)
    offered = problem.task.arguments(problem.data.facts)
    own = {name: v for name, v in problem.space.arguments.items() if name not in offered}
    changed = {name: value for name, value in scale.items() if name != RESOLUTION}
    size = scale.get(RESOLUTION, problem.options.image_size)
    return SearchPlan(
        problem.reference,
        problem.source,
        task=problem.task.name,
        read=replace(problem.options, image_size=size),
        device=problem.device,
        seed=run.meta["seed"],
        arguments=own | changed,
        start=model_part(problem.space, architecture),
        strategy="random",
        trials=1,
        epochs=1,  # of the only trial, which chooses nothing
        finalists=1,
        run=to,
    )
