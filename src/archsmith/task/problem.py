"""What a study works on: data, task, space, recipe, device. One value, kept with the study."""

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

if TYPE_CHECKING:
    from torch import nn

    from .._support.trees import Tree

#: What names a space: a registered name, ``module:function``, a builder, or a space itself.
SpaceLike = str | Callable[..., Any] | Space


@dataclass
class Problem:
    """Everything that evaluating an architecture depends on.

    Attributes:
        source: what the data is read from.
        options: how it is read and split.
        task, data, space: opened.
        reference: what names the space in a run folder; a file by its absolute path.
        recipe: of training to the end.
        fidelity: of a trial.
        subset: seed of the part of the data that all trials of a study use; without, each draws its
            own, as in studies that an older archsmith began.
        device: torch device.
        latency: how latency is found.
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

    @property
    def least_epochs(self) -> int:
        """The fewest epochs of a trial: less would be too few steps to tell models apart.

        There is one number below the full one, whatever that takes.
        """
        if self.subset is None:
            return 1
        full = self.fidelity.epochs or self.recipe.epochs
        least = least_epochs(self.fidelity.share, len(self.data.train), self.recipe)
        return max(1, min(least, full - 1))

    def example(self) -> Tree:
        """A prepared input of one example."""
        return self.task.example(self.data.facts)

    def forward_on_meta(self, model: nn.Module, _: object = None) -> None:
        """Raise what the model raises on a batch, or where its outputs are of another shape than
        the task needs; on ``meta`` nothing is computed.

        The batch is put where the model is, and on the CPU for a model without tensors.
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
        return {
            "data": self.source,
            "digest": self.data.digest(),
            # What prediction and export need of it, so that they can do without the data.
            "facts": self.data.facts,
            "read": self.options.to_json(),
            "task": self.task.name,
            "reference": self.reference,
            "recipe": asdict(self.recipe),
            "fidelity": asdict(self.fidelity),
            "subset": self.subset,
            "device": self.device,
            "latency": asdict(self.latency),
            # What pages show, so that a study can be looked at without its data and its space.
            "name": self.data.name,
            "summary": list(self.data.summary),
            "default": self.space.default().to_json(),
            "metrics": [asdict(metric) for metric in self.task.metrics],
        }


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
    recorded: bool = False,
) -> Problem:
    """Open data, task and space, and fill in what was left to defaults.

    Args:
        source: a name, a path, or where the task is an :class:`~archsmith.task.own.OwnTask` the
            data itself.
        recorded: the options are those of a study that goes on: what does nothing is let be.

    Raises:
        InputError: a name, a path, an option or the data is wrong.
    """
    options = options or ReadOptions()
    _check_arguments(space, arguments)
    device = pick_device(device)
    if isinstance(space, str):
        builder_of(space)  # a wrong name is told before the data is read
    found, data = read_data(source, task, options, recorded)
    wanted = space if space is not None else found.default_space
    if not wanted:
        raise InputError("space", "a builder or a space for data of one's own", "none")
    recipe = recipe or found.recipe(data)
    if final_epochs is not None:
        if final_epochs < 1:
            raise InputError("final epochs", "1 or more", str(final_epochs))
        recipe = replace(recipe, epochs=final_epochs)
    opened = open_space(wanted, found.arguments(data.facts), arguments)
    opened.builder.expect(found.example(data.facts, 2))
    return Problem(
        data.source,
        options,
        found,
        data,
        opened,
        absolute(wanted) if isinstance(wanted, str) else opened.reference,
        recipe,
        merge(enough(found.search_fidelity(data), len(data.train), recipe), epochs, share),
        device,
        latency or LatencyOptions(),
    )


def read_data(
    source: Any, task: str | Task | None, options: ReadOptions, recorded: bool = False
) -> tuple[Task, Data]:
    """The task and its data, of a name, a path or the data itself.

    Args:
        recorded: as in :func:`open_problem`.

    Raises:
        InputError: nothing that the task reads.
    """
    from .own import OwnTask

    if isinstance(task, OwnTask):
        from ..data.given import parts_of

        return task, task.data_of(parts_of(source, options.validation, options.test, options.seed))
    if isinstance(source, str | Path):
        return _read(str(source), task, options, recorded)
    from ..data.given import as_file

    with as_file(source) as path:
        found, data = _read(str(path), task, options, recorded)
        # It is no more there when somebody looks for it again; the data travels itself.
        return found, replace(data, source="", name="data")


def _read(
    source: str, task: str | Task | None, options: ReadOptions, recorded: bool
) -> tuple[Task, Data]:
    found = find_task(task) if task else task_for(source, options)
    if not recorded:
        expect_used(found, source, options)
    data = found.read(source, options)
    if not recorded:
        expect_drawn(data, options)
    return found, data


def merge(base: Fidelity, epochs: int | None, share: float | None) -> Fidelity:
    """The task's fidelity, with what is given in its place."""
    if share is not None and not 0 < share <= 1:
        raise InputError("share", "a number above 0 and up to 1", f"{share:g}")
    if epochs is not None and epochs < 1:
        raise InputError("epochs", "1 or more", str(epochs))
    return Fidelity(epochs or base.epochs, base.share if share is None else share)


def pick_device(name: str) -> str:
    """A torch device that is there; ``auto`` is the GPU if there is one.

    Raises:
        InputError: no such device here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=name).item()  # meta and its like hold no values
    except Exception as error:
        line = str(error).splitlines()[0]
        raise InputError("device", "auto, cpu, or a device of this machine", name, line) from None
    return name


def open_space(
    space: SpaceLike, offered: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> Space:
    """A space over the builder, with the arguments it asks for by name.

    Args:
        offered: what the task knows of the data (``channels``, ``classes``, ...).
        given: what the user says; it goes before what is offered.

    Raises:
        SpaceError: arguments beside a space, an argument that the builder does not take, or one
            that it needs and nothing gives.
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
                f"names among: {', '.join(parameters) or '(it takes none)'}",
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
            f"a name that the data offers ({', '.join(offered)}), a default, or a given value",
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
        found: Callable[..., Any] = spaces.get(name)
        return found
    loaded: Callable[..., Any] = load_from(name)
    if not callable(loaded):
        raise SpaceError(name, "a function or module class", type(loaded).__name__)
    return loaded


def _check_arguments(space: object, given: object) -> None:
    if given is not None and not isinstance(given, Mapping):
        raise SpaceError("arguments", "a mapping from name to value", _type_of(given))
    if given and isinstance(space, Space):
        raise SpaceError(
            f"space {space.name}",
            "arguments inside a Space, or beside a builder",
            "both",
            f"nas.Space(builder, {', '.join(f'{name}=...' for name in given)})",
        )


def _type_of(value: object) -> str:
    return type(value).__name__
