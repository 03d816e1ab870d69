"""A search on a trained image classifier: where its architecture and weights come from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from .._support.errors import InputError, unknown
from .._support.weights import checksum_of
from ..export.predict import load_model
from ..export.record import read_record
from ..space import Architecture, Space
from ..space.beside import model_part
from ..space.plain import as_json
from ..task import task as find_task
from ..task import task_for
from ..task.image import LabelledImages
from ..task.options import ReadOptions
from ..task.problem import Problem, builder_of
from ..transfer.pretrained import backbone as packaged
from ..transfer.pretrained.base import IMAGENET, ImageInput
from ..transfer.pretrained.fit import fit_checkpoint
from ..zoo import spaces
from ..zoo.efficientnet_lite import VARIANTS
from ..zoo.named import architectures
from ..zoo.pretrained import TRAININGS, Pretrained
from .kept_backbone import ARGUMENT, keep, kept
from .plan import SearchPlan
from .run import Run

_KINDS = "a run folder, an export, ARCHITECTURE:FILE, or one of " + ", ".join(VARIANTS)

_MAKE = "archsmith search DATA --run RUN trains one"


def open_on_backbone(plan: SearchPlan, **trained: Any) -> Problem:
    """The plan's problem; if it has a backbone, in a space that builds on it, whose weights are
    then kept in the run folder.

    Args:
        trained: as in :meth:`~.plan.Plan.open`.

    Raises:
        InputError: as there; no such backbone, or a space or a task that takes none.
    """
    if plan.backbone is None:
        if plan.backbone_weights is not None:
            raise InputError("backbone weights", "a backbone", "none", "--backbone RUN")
        return plan.open(**trained)
    source, training = str(plan.backbone), _trainings(plan.backbone_weights)
    space = _space_of(plan)
    earlier = kept(plan.folder, source) if plan.folder else None
    found = (earlier or find_backbone(source)).having(training=training)
    arguments = {**(plan.own_arguments or {}), ARGUMENT: found}
    problem = replace(plan, space=space, arguments=arguments).open(**trained)
    facts = problem.data.facts
    if not {"mean", "std"} <= facts.keys():
        raise InputError("backbone", "a task with images", problem.task.name)
    # Only now is known how the task normalises its images.
    given = found.having(seen=[list(facts["mean"]), list(facts["std"])])
    opened = Space(problem.space.builder.function, **problem.space.arguments | {ARGUMENT: given})
    opened.builder.expect(problem.task.example(facts, 2))
    if plan.folder and earlier is None:
        keep(plan.folder, given, source)
    return replace(problem, space=opened)


def find_backbone(source: str) -> Pretrained:
    """The network of a run folder, an export, a package, or of an architecture and a checkpoint.

    Files are data: a folder is opened as :class:`~.recorded.Recorded` says, and its network must be
    of a registered space.

    Raises:
        InputError: no such network, or one that is no image classifier.
    """
    folder = Path(source)
    name, colon, file = source.partition(":")
    if (folder / "study.db").is_file():
        return _of_run(folder)
    if (folder / "architecture.json").is_file():
        return _of_export(folder)
    if source in VARIANTS:
        network = packaged(source)
        assert isinstance(network.prepare, ImageInput)
        mean, std = network.prepare.mean, network.prepare.std
        return _described(source, {}, {}, (mean, std), network.model.state_dict())
    if colon and not folder.exists():
        return _of_checkpoint(name, file)
    if folder.exists() or "/" in source:
        raise InputError(f"backbone {source}", _KINDS, _what(folder), _MAKE)
    raise unknown("backbone", source, VARIANTS)


def _of_run(folder: Path) -> Pretrained:
    run = Run(folder)
    _expect_classifier(str(folder), run.meta["task"])
    problem, (architecture, number) = run.outline, run.chosen(None)
    final = run.trained(architecture)
    if final is None:
        expected = "a network trained to the end"
        raise InputError(
            str(folder), expected, f"trial {number}, which is not", f"archsmith train {folder}"
        )
    architecture = model_part(problem.space, architecture)
    facts, own = problem.data.facts, problem.space
    _expect_registered(str(folder), own)
    normalised = facts["mean"], facts["std"]
    return _described(own.name, own.plain_arguments(), architecture, normalised, final.weights)


def _of_export(folder: Path) -> Pretrained:
    record = read_record(folder)
    _expect_classifier(str(folder), record["task"])
    model, facts, own = load_model(folder), record["facts"], record["space"]
    _refuse_nested(str(folder), own["arguments"])
    architecture = Architecture.from_json(record["architecture"])
    normalised = facts["mean"], facts["std"]
    return _described(own["name"], own["arguments"], architecture, normalised, model.state_dict())


def _of_checkpoint(name: str, file: str) -> Pretrained:
    """A published architecture, as published, with ImageNet's normalisation."""
    named = architectures.get(name)
    space, architecture = named.within()
    fit = fit_checkpoint(space.build(architecture, "meta"), file)
    if not fit.but_head or not fit.fits:
        raise InputError(
            file,
            f"tensors with the names that archsmith gives those of {name}, except for its head",
            str(fit),
            "rename them: nas.fit_checkpoint(model, file, rename={...}).load(model), and save "
            "model.state_dict()",
        )
    state = {ours: fit.state[theirs] for ours, theirs in fit.fits.items()}
    return _described(named.space, space.plain_arguments(), architecture, IMAGENET, state)


def _described(
    space: str,
    arguments: Mapping[str, Any],
    architecture: Mapping[str, Any],
    normalised: tuple[Any, Any],
    state: Mapping[str, Tensor],
) -> Pretrained:
    mean, std = (list(map(float, values)) for values in normalised)
    description = {
        "space": space,
        "arguments": as_json(arguments),
        "answers": as_json(architecture),
    }
    description |= {"mean": mean, "std": std, "checksum": checksum_of(state, {})}
    return Pretrained(description, dict(state))


def _space_of(plan: SearchPlan) -> Any:
    """The plan's space, or the task's space with a backbone."""
    if plan.space is None:
        if not plan.task and not isinstance(plan.data, str | Path):
            raise InputError("backbone", "the name of a task, or a space", "data alone", "task=...")
        options = plan.read or ReadOptions()
        task = find_task(plan.task) if plan.task else task_for(str(plan.data), options)
        if not task.backbone_space:
            expected = "a task on images with a ready space for it, or a space"
            raise InputError("backbone", expected, f"task {task.name}", "--space NAME")
        return task.backbone_space
    builder = builder_of(plan.space) if isinstance(plan.space, str) else plan.space
    if isinstance(builder, Space) or ARGUMENT not in inspect.signature(builder).parameters:
        raise InputError(
            "backbone",
            f"a space whose builder takes {ARGUMENT!r}, for zoo.backbone.backbone()",
            f"space {getattr(builder, '__name__', builder.__class__.__name__)}",
            "leave the space out, or classifier, segmenter",
        )
    return plan.space


def _trainings(wish: str | None) -> list[str]:
    names = [name.strip() for name in wish.split(",")] if wish is not None else list(TRAININGS)
    for name in names:
        if name not in TRAININGS:
            raise unknown("backbone weights", name, TRAININGS)
    return list(dict.fromkeys(names))


def _expect_classifier(where: str, task: str) -> None:
    if not isinstance(find_task(task), LabelledImages):
        expected = "an image classifier: of the task image-classification or multi-label"
        raise InputError(where, expected, f"a model of the task {task}", _KINDS)


def _expect_registered(where: str, space: Space) -> None:
    known = space.name in spaces.names() and Space(spaces.get(space.name), **space.arguments)
    if not known or known.reference != space.reference:
        raise InputError(
            where, "a network of a ready space (archsmith list spaces)", space.reference
        )
    _refuse_nested(where, space.arguments)


def _refuse_nested(where: str, arguments: Mapping[str, Any]) -> None:
    if arguments.get(ARGUMENT) is not None:
        expected = "a network that was trained from the start"
        raise InputError(where, expected, "one on a backbone", "give that backbone itself")


def _what(folder: Path) -> str:
    if folder.is_dir():
        return "a folder without a study.db or an architecture.json"
    return "a file, whose architecture is not known" if folder.exists() else "nothing there"
