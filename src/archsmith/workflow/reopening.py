"""Opens a recorded study again, but only what is safe to open.

A run folder may come from anybody. Registered spaces and data sets are opened by name; a file or
a module only if the record carries the user's own signature, or if the caller names it.
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
from ..task.tune import RecipeQuestions, tuned
from ..zoo import spaces
from .kept_backbone import with_kept

if TYPE_CHECKING:
    from ..data.splits import TensorSplit

#: Largest number of values in an input whose size comes from a record alone.
_MOST = 1 << 28
#: Examples of the validation part that are kept with a study.
EXAMPLES = 64

#: Entries of a record that decide what is imported, opened or called.
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
    """A signature of all that reopening a record depends on; empty if none can be made."""
    return sign(_signed_part(meta))


def is_own(meta: Mapping[str, Any]) -> bool:
    """Whether this user's key signed the record in its present state."""
    return signed(_signed_part(meta), meta.get("signature"))


def _signed_part(meta: Mapping[str, Any]) -> dict[str, Any]:
    # Records of older versions have no searched recipe, and were signed without it.
    searched = {"tune": meta["tune"]} if meta.get("tune") else {}
    return {name: meta.get(name) for name in _SIGNED} | searched


def reopen(
    meta: Mapping[str, Any],
    space: SpaceLike | None = None,
    data: Any = None,
    where: str = "run folder",
) -> Problem:
    """The problem of a recorded study, on its device if that is available, else on another one.

    Args:
        space: replaces the one that the record names.
        data: likewise.
        where: the folder, for messages.

    Raises:
        InputError: the record names something that is neither registered nor signed, or that is
            missing; the data is not what the study was begun on; or space or data cannot be opened.
        RunFolderError: the space has other decisions than the study's, or builds other models.
    """
    _check_named(meta, space, data, where, ("space", "data"))
    source = data if data is not None else meta["data"]
    options = ReadOptions(**meta["read"])
    _, opened = read_data(source, meta["task"], options, recorded=True)
    now = {"digest": opened.digest(), "facts": opened.facts, "summary": opened.summary}
    if change := data_change(meta, now):
        raise InputError(
            f"data {source}" if isinstance(source, str | Path) else "data",
            f"what the study in {where} was begun on",
            f"other data: {change}",
            "restore it, or say where the original data is now: --data PATH; new data needs a "
            "new search in another run folder",
        )
    return _build_problem(
        meta, space, replace(opened, facts=meta.get("facts", opened.facts)), where
    )


def outline(meta: Mapping[str, Any], folder: Path, space: SpaceLike | None = None) -> Problem:
    """The problem with the examples that a run folder keeps, without opening the data.

    Each part holds the examples that :func:`keep_examples` kept, or is empty if they are missing.

    Raises:
        InputError: as :func:`reopen`, about the space; or facts that the task cannot work with.
    """
    import torch

    from ..data.splits import TensorSplit

    _check_named(meta, space, None, str(folder), ("space",))
    facts = checked_facts(meta, str(folder))
    part = _load_examples(folder, find_task(meta["task"]), facts)
    part = part or TensorSplit(torch.empty(0), torch.empty(0))
    name, source, task, summary = meta["name"], meta["data"], meta["task"], tuple(meta["summary"])
    return _build_problem(
        meta, space, Data(name, source, task, part, part, part, facts, summary), str(folder)
    )


def checked_facts(meta: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The facts of a record's data, checked for the task.

    Raises:
        InputError: the task cannot work with them; anybody may have written the record.
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
    """The options of a recorded study. Malformed ones raise Python's own errors."""
    if meta.get("tune"):
        RecipeQuestions.from_json(meta["tune"])
    recipe, fidelity = Recipe(**meta["recipe"]), Fidelity(**meta["fidelity"])
    return ReadOptions(**meta["read"]), recipe, fidelity, LatencyOptions(**meta.get("latency", {}))


def _build_problem(
    meta: Mapping[str, Any], space: SpaceLike | None, data: Data, where: str
) -> Problem:
    try:
        device = pick_device(meta.get("device", "auto"))
    except InputError:
        device = pick_device("auto")
    options, recipe, fidelity, latency = kept_values(meta)
    task = find_task(meta["task"])
    reference = space if space is not None else meta["reference"]
    # A Space has its own arguments.
    arguments = None if isinstance(reference, Space) else with_kept(meta["arguments"], where)
    opened = open_space(reference, task.arguments(data.facts), arguments)
    tune = RecipeQuestions.from_json(meta["tune"]) if meta.get("tune") else None
    if tune is not None:
        opened = tuned(opened, tune)
    opened.builder.expect(task.example(data.facts, 2))
    problem = Problem(
        data.source,
        options,
        task,
        data,
        opened,
        absolute(reference) if isinstance(reference, str) else opened.reference,
        recipe,
        fidelity,
        device,
        latency,
        meta.get("subset"),
        float(meta.get("round", 0.0)),
        float(meta.get("side", 1.0)),
        tune,
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
    untrusted = []
    if space is None and not own and reference not in spaces.names():
        untrusted.append(("space", f"the space {reference!r}"))
    if data is None and not own and source not in datasets.names():
        untrusted.append(("data", f"the data {source!r}"))
    if untrusted:
        flags = " ".join(f"--{name} {name.upper()}" for name, _ in untrusted)
        python = ", ".join(f"{name}=..." for name, _ in untrusted)
        raise InputError(
            where,
            "registered names, or a record that carries your own signature",
            f"{' and '.join(named for _, named in untrusted)}, which a stranger may have written",
            f"check it, and name what you trust yourself: {flags} (in Python: "
            f"nas.Run(folder, {python})); the study's own search command on the folder signs it",
        )
    if not own and not isinstance(space, Space):
        check_arguments(where, meta["arguments"])
    if data is None and not source:
        raise InputError(
            where,
            "the data that the study was begun on, which was given as objects",
            "none",
            "give the same search again to continue it; or nas.Run(folder, data=...)",
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
    """Keep the examples that an export is checked on, so that it does not need the data; once.

    Nothing is kept of data given as objects: it is given again when a study is continued.
    """
    path = _examples_path(folder)
    if data.source and not path.exists():
        parts = data.validation.head(EXAMPLES)._asdict()
        named = {}
        for part, tree in parts.items():
            for n, tensor in enumerate(leaves(tree)):
                # A single tensor keeps the name that older run folders gave it.
                named[part if tensor is tree else f"{part}.{n:03}"] = tensor
        write(path, named, {"like": json.dumps(spec_to_json(spec_of(parts)))})


def _load_examples(folder: Path, task: Task, facts: Mapping[str, Any]) -> TensorSplit | None:
    """What :func:`keep_examples` kept; ``None`` if it is missing or does not fit the task."""
    import torch

    from ..data.splits import TensorSplit

    try:
        tensors, meta = read(_examples_path(folder))
        like = spec_from_json(json.loads(meta["like"])) if "like" in meta else spec_of(tensors)
        part = TensorSplit(**filled(like, (tensors[name] for name in sorted(tensors))))
        with torch.device("meta"):
            expected = _shapes(task.example(facts))
        shapes = _shapes(task.prepare(take(part.inputs, slice(2)), facts))
        counts = {len(tensor) for tensor in leaves((part.inputs, part.targets))}
    except Exception:
        # Anybody may have written the file; the data itself is used instead.
        return None
    return part if counts == {len(part)} and len(part) > 1 and shapes == expected else None


def _shapes(tree: Tree) -> list[tuple[int, ...]]:
    return [spec.shape for spec in specs(spec_of(tree))]


def _examples_path(folder: Path) -> Path:
    return folder / "final" / "examples.safetensors"
