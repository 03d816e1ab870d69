"""What a study works on: data, task, space, recipe and device, as one value stored with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError, SpaceError
from .._support.registry import absolute, load_from
from ..hardware.options import LatencyOptions
from ..history.trial import Fidelity
from ..space import Space
from ..space.building import refuse_instance
from . import task as find_task
from . import task_for
from .base import Data, ReadOptions, Recipe, Task
from .fidelity import enough, least_epochs
from .reading import expect_drawn, expect_used
from .tune import RecipeQuestions, RecipeSpace, tuned

if TYPE_CHECKING:
    from torch import nn

    from .._support.trees import Tree

#: A space: a registered name, ``module:function``, a builder, or the space itself.
SpaceLike = str | Callable[..., Any] | Space


@dataclass
class Problem:
    """Everything that evaluating an architecture depends on.

    Attributes:
        source: what the data is read from.
        options: how it is read and split.
        task, data, space: the opened objects.
        reference: name of the space in a run folder, with the absolute path of a file.
        recipe: of a full training.
        fidelity: of a trial.
        subset: seed of the subset of the data that all trials of a study share; with ``None`` each
            trial draws its own, as in studies that older versions of archsmith started.
        device: torch device.
        latency: how latency is measured or predicted.
        round: seconds of what counts as an epoch, if trainings are compared after equal time: of
            processor time on a CPU. 0.0 if an epoch is a pass over the data.
        side: factor of the side of the images of a trial, where the task has images.
        tune: the fields of the recipe that the space decides as well.
    """

    source: str
    options: ReadOptions
    task: Task
    data: Data
    space: Space
    reference: str
    recipe: Recipe
    fidelity: Fidelity
    device: str
    latency: LatencyOptions = field(default_factory=LatencyOptions)
    subset: int | None = None
    round: float = 0.0
    side: float = 1.0
    tune: RecipeQuestions | None = None

    @property
    def least_epochs(self) -> int:
        """The fewest epochs of a trial: fewer would be too few steps to compare models.

        It is below the full number of epochs where possible, even if the steps are then too few.
        """
        if self.subset is None or self.round:
            return 1
        full = self.fidelity.epochs or self.recipe.epochs
        least = least_epochs(self.fidelity.share, len(self.data.train), self.recipe)
        return max(1, min(least, full - 1))

    def example(self) -> Tree:
        """A prepared input, a batch of one example."""
        return self.task.example(self.data.facts)

    def forward_on_meta(self, model: nn.Module, _: object = None) -> None:
        """Run the model on a batch of zeros; on the ``meta`` device nothing is computed.

        The batch is created on the device of the model, or on the CPU for a model without tensors.

        Raises:
            ValueError: the model does not take the task's inputs, or its outputs do not fit it.
            Exception: whatever the model raises.
        """
        import torch

        from .._support.trees import call, move
        from .outputs import expect_inputs

        tensors = chain(model.parameters(), model.buffers())
        device = next((tensor.device for tensor in tensors), "cpu")
        batch = move(self.task.example(self.data.facts, batch=2), device)
        expect_inputs(model, batch)
        with torch.no_grad():
            outputs = call(model.eval(), batch)
        self.task.expect_outputs(outputs, self.data.facts)

    def to_json(self) -> dict[str, Any]:
        """What :func:`archsmith.workflow.reopening.reopen` needs."""
        extra: dict[str, Any] = {"round": self.round} if self.round else {}
        extra |= {"side": self.side} if self.side != 1 else {}
        extra |= {"tune": self.tune.to_json()} if self.tune else {}
        return {
            "data": self.source,
            "digest": self.data.digest(),
            # What prediction and export need, so that they do not have to read the data.
            "facts": self.data.facts,
            "read": self.options.to_json(),
            "task": self.task.name,
            "reference": self.reference,
            "recipe": self.recipe.to_json(),
            "fidelity": asdict(self.fidelity),
            "subset": self.subset,
            "device": self.device,
            "latency": asdict(self.latency),
            # What reports show, so that a study can be viewed without its data and its space.
            "name": self.data.name,
            "summary": list(self.data.summary),
            "default": self.space.default().to_json(),
            "metrics": [asdict(metric) for metric in self.task.metrics],
        } | extra


def open_problem(
    space: SpaceLike | None,
    source: Any,
    *,
    task: str | Task | None = None,
    options: ReadOptions | None = None,
    arguments: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    final_epochs: int | None = None,
    epochs: int | None = None,
    share: float | None = None,
    device: str = "auto",
    latency: LatencyOptions | None = None,
    tune: RecipeSpace | None = None,
    recorded: bool = False,
) -> Problem:
    """Open data, task and space, and fill in defaults.

    Args:
        source: a name, a path or the data itself; for an :class:`~archsmith.task.own.OwnTask`
            always the data itself.
        tune: fields of the recipe that become decisions of the space.
        recorded: whether the options are those of a stored study; then options without effect are
            not refused.

    Raises:
        InputError: a name, a path, an option or the data is wrong.
    """
    options = options or ReadOptions()
    _check_arguments(space, arguments)
    device = pick_device(device)
    if isinstance(space, str):
        builder_of(space)  # raises for a wrong name before the data is read
    opened_task, data = read_data(source, task, options, recorded)
    chosen_space = space if space is not None else opened_task.default_space
    if not chosen_space:
        raise InputError("space", "a builder or a space, since the data is your own", "none")
    recipe = recipe or opened_task.recipe(data)
    if final_epochs is not None:
        if final_epochs < 1:
            raise InputError("final epochs", "1 or more", str(final_epochs))
        recipe = replace(recipe, epochs=final_epochs)
    opened_space = open_space(chosen_space, opened_task.arguments(data.facts), arguments)
    questions = tune.around(recipe) if tune else None
    if questions is not None:
        opened_space = tuned(opened_space, questions)
    opened_space.builder.expect(opened_task.example(data.facts, 2))
    return Problem(
        data.source,
        options,
        opened_task,
        data,
        opened_space,
        absolute(chosen_space) if isinstance(chosen_space, str) else opened_space.reference,
        recipe,
        merge(enough(opened_task.search_fidelity(data), len(data.train), recipe), epochs, share),
        device,
        latency or LatencyOptions(),
        tune=questions,
    )


def read_data(
    source: Any, task: str | Task | None, options: ReadOptions, recorded: bool = False
) -> tuple[Task, Data]:
    """The task and its data, from a name, a path or the data itself.

    Args:
        recorded: as in :func:`open_problem`.

    Raises:
        InputError: a source that no task, or not this task, can read.
    """
    from .own import OwnTask

    if isinstance(task, OwnTask):
        from ..data.objects import parts_of

        return task, task.data_of(parts_of(source, options.validation, options.test, options.seed))
    if isinstance(source, str | Path):
        return _read(str(source), task, options, recorded)
    from ..data.objects import as_file

    with as_file(source) as path:
        opened_task, data = _read(str(path), task, options, recorded)
        # The file is temporary, so it cannot serve as a source; the data itself is passed on.
        return opened_task, replace(data, source="", name="data")


def _read(
    source: str, task: str | Task | None, options: ReadOptions, recorded: bool
) -> tuple[Task, Data]:
    opened_task = find_task(task) if task else task_for(source, options)
    if not recorded:
        expect_used(opened_task, source, options)
    data = opened_task.read(source, options)
    if not recorded:
        expect_drawn(data, options)
    return opened_task, data


def merge(base: Fidelity, epochs: int | None, share: float | None) -> Fidelity:
    """The task's fidelity with its epochs and share replaced by those that are given.

    Raises:
        InputError: epochs below 1, or a share outside (0, 1].
    """
    if share is not None and not 0 < share <= 1:
        raise InputError("share", "a number above 0 and up to 1", f"{share:g}")
    if epochs is not None and epochs < 1:
        raise InputError("epochs", "1 or more", str(epochs))
    return Fidelity(epochs or base.epochs, base.share if share is None else share)


def pick_device(name: str) -> str:
    """An available torch device; ``auto`` is the GPU if there is one, else the CPU.

    Raises:
        InputError: the device is not available on this machine.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=name).item()  # fails for devices without values, such as meta
    except Exception as error:
        line = str(error).splitlines()[0]
        raise InputError("device", "auto, cpu, or a device of this machine", name, line) from None
    return name


def open_space(
    space: SpaceLike, offered: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Space:
    """A space of the builder, with the arguments that it asks for by name.

    Args:
        offered: what the task knows about the data (``channels``, ``classes``, ...).
        given: the user's arguments; they take precedence over ``offered``.

    Raises:
        SpaceError: arguments together with a space, an argument that the builder does not take, or
            a required one that is neither offered nor given.
    """
    _check_arguments(space, given)
    if isinstance(space, Space):
        return space
    builder = builder_of(space) if isinstance(space, str) else space
    refuse_instance(builder)
    if not callable(builder):
        raise SpaceError("space", "a name, a builder or a Space", type(builder).__name__)
    parameters = inspect.signature(builder).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    arguments = {n: v for n, v in offered.items() if n in parameters or takes_all}
    for name in given or {}:
        if name not in parameters and not takes_all:
            raise SpaceError(
                f"arguments of {getattr(builder, '__name__', builder)}",
                f"one of: {', '.join(parameters) or '(it takes none)'}",
                repr(name),
            )
    arguments |= given or {}
    missing = [
        name
        for name, p in parameters.items()
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and name not in arguments
    ]
    if missing:
        raise SpaceError(
            f"argument {missing[0]!r} of {getattr(builder, '__name__', builder)}",
            f"a name that the data offers ({', '.join(offered)}), a default, or a value",
            None,
            f"give it a default, or wrap it: nas.Space(builder, {missing[0]}=...)",
        )
    return Space(builder, **arguments)


def builder_of(name: str) -> Callable[..., Any]:
    """A registered builder, ``module:function``, or ``file.py:function``.

    Raises:
        UnknownNameError: a name that is not registered.
        SpaceError: no such file, one that does not import, or no builder in it.
    """
    from ..zoo import spaces

    if ":" not in name:
        registered: Callable[..., Any] = spaces.get(name)
        return registered
    builder: Callable[..., Any] = load_from(name)
    if not callable(builder):
        raise SpaceError(name, "a function or module class", type(builder).__name__)
    return builder


def _check_arguments(space: object, arguments: object) -> None:
    if arguments is not None and not isinstance(arguments, Mapping):
        raise SpaceError("arguments", "a mapping from name to value", _type_of(arguments))
    if arguments and isinstance(space, Space):
        raise SpaceError(
            f"space {space.name}",
            "arguments inside a Space, or together with a builder",
            "both",
            f"nas.Space(builder, {', '.join(f'{name}=...' for name in arguments)})",
        )


def _type_of(value: object) -> str:
    return type(value).__name__
