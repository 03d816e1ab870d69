"""A recorded study opened again: of what its record names, only what may be.

A run folder may come from anybody. What is registered here is opened by its name; a file or a
module only where the record carries the user's own signature, or where the caller names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import InputError
from .._support.registry import absolute
from .._support.signing import check_arguments, sign, signed
from .._support.trees import (
    Tree,
    filled,
    leaves,
    spec_from_json,
    spec_of,
    spec_to_json,
    specs,
    take,
)
from .._support.weights import read, write
from ..data import datasets
from ..hardware.options import LatencyOptions
from ..history.trial import Fidelity
from ..space import Space
from ..study.identity import models_of
from ..study.meta import same_decisions
from ..study.sameness import data_change
from ..task import task as find_task
from ..task.base import Data, ReadOptions, Recipe, Task
from ..task.problem import Problem, SpaceLike, open_space, pick_device, read_data
from ..zoo import spaces

if TYPE_CHECKING:
    from ..data.splits import TensorSplit

#: Numbers of an input, at most, where a record alone says so.
_MOST = 1 << 28
#: Of the validation part, kept with a study.
EXAMPLES = 64

#: What a record may have imported, opened or called.
_SIGNED = (
    "reference",
    "arguments",
    "data",
    "read",
    "task",
    "recipe",
    "fidelity",
    "device",
    "latency",
)


def signature_of(meta: Mapping[str, Any]) -> str:
    """A signature of all that opening a record again depends on; empty where none can be made."""
    return sign({name: meta.get(name) for name in _SIGNED})


def is_own(meta: Mapping[str, Any]) -> bool:
    """Whether this user's key signed the record, as it stands."""
    return signed({name: meta.get(name) for name in _SIGNED}, meta.get("signature"))


def reopen(
    meta: Mapping[str, Any],
    space: SpaceLike | None = None,
    data: Any = None,
    where: str = "run folder",
) -> Problem:
    """The problem of a recorded study, on its device if that is here, else on what is.

    Args:
        space: in place of what the record names.
        data: likewise.
        where: the folder, for messages.

    Raises:
        InputError: the record names something that is neither registered nor signed, or that is
            gone; the data is not what the study was begun on; and whatever is wrong with what is
            opened.
        RunFolderError: the space asks for other decisions than the study's, or builds other models.
    """
    _check_named(meta, space, data, where, ("space", "data"))
    source = data if data is not None else meta["data"]
    options = ReadOptions(**meta["read"])
    _, found = read_data(source, meta["task"], options, recorded=True)
    now = {"digest": found.digest(), "facts": found.facts, "summary": found.summary}
    if change := data_change(meta, now):
        raise InputError(
            f"data {source}" if isinstance(source, str | Path) else "data",
            f"what the study in {where} was begun on",
            f"other data: {change}",
            "bring it back to what it was, or say where that is now: --data PATH; new data is a "
            "new search, in another run folder",
        )
    return _opened(meta, space, replace(found, facts=meta.get("facts", found.facts)), where)


def outline(meta: Mapping[str, Any], folder: Path, space: SpaceLike | None = None) -> Problem:
    """The problem without its data, of what a run folder keeps of that.

    Each part is the examples that :func:`keep_examples` kept, and empty where they are gone.

    Raises:
        InputError: as :func:`reopen`, of the space; or facts that the task cannot work with.
    """
    import torch

    from ..data.splits import TensorSplit

    _check_named(meta, space, None, str(folder), ("space",))
    facts = checked_facts(meta, str(folder))
    part = _kept_examples(folder, find_task(meta["task"]), facts)
    part = part or TensorSplit(torch.empty(0), torch.empty(0))
    name, source, task, summary = meta["name"], meta["data"], meta["task"], tuple(meta["summary"])
    return _opened(
        meta, space, Data(name, source, task, part, part, part, facts, summary), str(folder)
    )


def checked_facts(meta: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a record says of its data, where a task can work with it.

    Raises:
        InputError: it cannot; anybody may have written it.
    """
    import torch

    facts, task = meta["facts"], find_task(meta["task"])
    try:
        with torch.device("meta"):  # sizes may be anything
            example = task.example(facts, batch=2)
        task.arguments(facts)
        names = facts.get("class_names", [])
        count = sum(tensor.numel() for tensor in leaves(example))
        if count > _MOST or not all(isinstance(name, str) for name in names):
            raise ValueError(f"an input of {count:,} numbers, or names that are no texts")
        if names and len(names) != facts["classes"]:
            raise ValueError(f"{len(names)} names of {facts['classes']} classes")
    except Exception as error:
        raise InputError(
            f"{where}, facts",
            f"what {task.name} needs to know of its data",
            f"{type(error).__name__}: {error}",
            "name the data itself: --data PATH",
        ) from error
    return dict(facts)


def kept_values(
    meta: Mapping[str, Any],
) -> tuple[ReadOptions, Recipe, Fidelity, LatencyOptions]:
    """The options of a recorded study. Raises what Python does where they are no such thing."""
    recipe, fidelity = Recipe(**meta["recipe"]), Fidelity(**meta["fidelity"])
    return ReadOptions(**meta["read"]), recipe, fidelity, LatencyOptions(**meta.get("latency", {}))


def _opened(meta: Mapping[str, Any], space: SpaceLike | None, data: Data, where: str) -> Problem:
    try:
        device = pick_device(meta.get("device", "auto"))
    except InputError:
        device = pick_device("auto")
    options, recipe, fidelity, latency = kept_values(meta)
    task = find_task(meta["task"])
    wanted = space if space is not None else meta["reference"]
    # A live space has its own.
    given = None if isinstance(wanted, Space) else meta["arguments"]
    opened = open_space(wanted, task.arguments(data.facts), given)
    opened.builder.expect(task.example(data.facts, 2))
    problem = Problem(
        data.source,
        options,
        task,
        data,
        opened,
        absolute(wanted) if isinstance(wanted, str) else opened.reference,
        recipe,
        fidelity,
        device,
        latency,
        meta.get("subset"),
    )
    if "fingerprint" in meta:
        same_decisions(where, meta, problem.space.fingerprint)
        models_of(problem.space, meta, where)
    return problem


def _check_named(
    meta: Mapping[str, Any],
    space: SpaceLike | None,
    data: Any,
    where: str,
    needed: Sequence[str],
) -> None:
    reference, source = meta["reference"], meta["data"]
    if "data" not in needed:
        data = ""
    own = is_own(meta)
    wanted = []
    if space is None and not own and reference not in spaces.names():
        wanted.append(("space", f"the space {reference!r}"))
    if data is None and not own and source not in datasets.names():
        wanted.append(("data", f"the data {source!r}"))
    if wanted:
        flags = " ".join(f"--{name} {name.upper()}" for name, _ in wanted)
        python = ", ".join(f"{name}=..." for name, _ in wanted)
        raise InputError(
            where,
            "registered names, or a record that carries your own signature",
            f"{' and '.join(named for _, named in wanted)}, which a stranger may have written",
            f"look at it, and name what you trust yourself: {flags} (in Python: "
            f"nas.Run(folder, {python})); the study's own search command on the folder signs it",
        )
    if not own and not isinstance(space, Space):
        check_arguments(where, meta["arguments"])
    if data is None and not source:
        raise InputError(
            where,
            "the data that the study was begun on, which was given as objects",
            "none",
            "give the same search again, which goes on; or nas.Run(folder, data=...)",
        )
    if data is None and source not in datasets.names() and not Path(source).exists():
        raise InputError(
            where,
            f"the study's data at {source}",
            "nothing there",
            "say where it is now: --data PATH (in Python: nas.Run(folder, data=PATH))",
        )
    file = str(reference).rpartition(":")[0]
    if space is None and file.endswith(".py") and not Path(file).exists():
        raise InputError(
            where,
            f"the study's space at {file}",
            "nothing there",
            "say where it is now: --space FILE.py:FUNCTION (in Python: nas.Run(folder, space=...))",
        )


def keep_examples(folder: Path, data: Data) -> None:
    """Keep what an export is checked on, so that it can do without the data; once.

    Data that was given as objects is not kept: a study goes on when it is given again.
    """
    path = _examples_path(folder)
    if data.source and not path.exists():
        told = data.validation.head(EXAMPLES)._asdict()
        named = {}
        for part, tree in told.items():
            for n, tensor in enumerate(leaves(tree)):
                # A single tensor is called as in folders from before there were others.
                named[part if tensor is tree else f"{part}.{n:03}"] = tensor
        write(path, named, {"like": json.dumps(spec_to_json(spec_of(told)))})


def _kept_examples(folder: Path, task: Task, facts: Mapping[str, Any]) -> TensorSplit | None:
    """What :func:`keep_examples` kept; ``None`` where it is not there or not such as it was."""
    import torch

    from ..data.splits import TensorSplit

    try:
        tensors, meta = read(_examples_path(folder))
        like = spec_from_json(json.loads(meta["like"])) if "like" in meta else spec_of(tensors)
        part = TensorSplit(**filled(like, (tensors[name] for name in sorted(tensors))))
        with torch.device("meta"):
            wanted = _shapes(task.example(facts))
        shapes = _shapes(task.prepare(take(part.inputs, slice(2)), facts))
        counts = {len(tensor) for tensor in leaves((part.inputs, part.targets))}
    except Exception:
        # Anybody may have written the file; the data itself takes its place.
        return None
    return part if counts == {len(part)} and len(part) > 1 and shapes == wanted else None


def _shapes(tree: Tree) -> list[tuple[int, ...]]:
    return [spec.shape for spec in specs(spec_of(tree))]


def _examples_path(folder: Path) -> Path:
    return folder / "final" / "examples.safetensors"
