"""Whether a builder still builds the models that a study began with, computing the same."""

from __future__ import annotations

import contextlib
import platform
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._support.errors import RunFolderError
from .._support.trees import Tree
from ..space.architecture import Architecture
from ..space.building import BuilderError, tell
from ..space.ordinary import ordinary
from .twice import built_twice, refuse_new_tensors, refuse_other_values

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space

#: Architectures that are compared in addition to the default, and from how many samples they are
#: chosen so that together they cover as many answers as possible.
_MORE, _SAMPLES = 5, 12
#: Seconds of processor time after which no further architecture is started.
_SECONDS = 1.0
#: Models with more parameters are too large to be run only for this comparison.
_LARGEST = 50_000_000
#: Architectures of a record that are compared at most; a record may come from anybody.
_MOST = 16
#: Examples in a batch: the fewest for which batch normalisation is meaningful.
_BATCH = 4
#: Tolerance factor for outputs of a training pass, which normalises over so few examples.
_LOOSER = 10.0


def identify(space: Space) -> dict[str, Any]:
    """What the space builds, as JSON values for :func:`check_identity` to compare.

    For the default and a few more architectures: classes, tensors and options of all modules, and
    some numbers that they compute, in evaluation and in training mode, with weights determined by
    names and shapes. Models of more than 50 million parameters are not run.

    Raises:
        SpaceError: the builder does not build the same model twice, or forward adds parameters or
            buffers.
    """
    with ordinary():
        return {"machine": _machine(), "models": _sketches(space)}


def check_identity(space: Space, recorded: Mapping[str, Any], where: str) -> None:
    """Refuse a space whose models differ from those that :func:`identify` recorded.

    Module options are compared only under the same version of torch; what is random in training,
    such as dropout, only on the same kind of processor, too.

    Raises:
        RunFolderError: the models differ; names the module, or the architecture whose outputs
            differ and by how much.
        SpaceError: as :func:`identify`.
    """
    with ordinary():
        try:
            for model in recorded["models"][:_MOST]:
                changed = _changed(space, model, recorded["machine"])
                if changed:
                    break
            else:
                return
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunFolderError(
                where,
                "a record of what the builder builds",
                f"a damaged one ({error!r})",
                "restore study.db from a copy, or start in another run folder",
            ) from error
    raise RunFolderError(
        where,
        f"the models of {space.name} as they were when this began",
        changed,
        "restore the builder as it was, or start in another run folder",
    )


def _changed(space: Space, recorded: Mapping[str, Any], machine: Mapping[str, str]) -> str:
    """How an architecture's model differs from its record; empty if it does not."""
    from ..space.sketch import difference

    this_machine = _machine()
    architecture = Architecture.from_json(recorded["architecture"])
    now = _sketch(space, architecture)
    which = tell(architecture) if architecture else "the only architecture"
    if recorded["modules"] != now["modules"]:
        line, _ = _first_other(space, architecture, recorded["modules"], now["modules"])
        return f"for {which}, another {line}"
    if machine["torch"] == this_machine["torch"] and recorded["options"] != now["options"]:
        line, options = _first_other(space, architecture, recorded["options"], now["options"])
        return f"for {which}, {line} with other options: {options}"
    for pass_, outputs in (("computes", "outputs"), ("trains", "outputs or gradients in training")):
        before, after = recorded.get(pass_), now.get(pass_)
        if before is None or after is None or None in (before["within"], after["within"]):
            continue
        drawn = before.get("drawn"), after.get("drawn")
        if any(drawn) and (machine != this_machine or not all(drawn)):
            if drawn[0] == drawn[1]:
                continue
            return f"for {which}, training that is {'random now' if drawn[1] else 'not random now'}"
        looser = 1.0 if pass_ == "computes" else _LOOSER
        within = looser * max(before["within"], after["within"])
        by = difference(before["outputs"], after["outputs"])
        if by > within:
            return f"for {which}, other {outputs} at the same weights (by {by:.2g} of their size)"
    return ""


def _first_other(space: Space, architecture: Architecture, was: str, now: str) -> tuple[str, str]:
    """The first module, with its options, whose digest (six digits) has changed."""
    from ..space.sketch import structure

    lines = structure(space.build(architecture, seed=0))
    place = next((i for i in range(0, len(now), 6) if was[i : i + 6] != now[i : i + 6]), len(now))
    if place // 6 < len(lines):
        return lines[place // 6]
    return "end of the model, which had more modules", ""


def _sketches(space: Space) -> list[dict[str, Any]]:
    began = time.process_time()
    default = space.default()
    sketches = [_sketch(space, default)]
    for architecture in _more_architectures(space, default):
        if time.process_time() - began > _SECONDS:
            break
        with contextlib.suppress(BuilderError):  # the checks before a search report it
            sketches.append(_sketch(space, architecture))
    return sketches


def _more_architectures(space: Space, default: Architecture) -> list[Architecture]:
    from ..supernet.determinism import cover

    rng, samples = random.Random(0), []
    for _ in range(_SAMPLES):
        with contextlib.suppress(BuilderError):
            samples.append(space.sample(rng))
    default_answers = set(default.items())
    return cover({other: {*other.items()} - default_answers for other in samples}, _MORE)


def _sketch(space: Space, architecture: Architecture) -> dict[str, Any]:
    """The record of an architecture, computed once for a space."""
    if architecture not in space.builder.sketches:
        space.builder.sketches[architecture] = _new_sketch(space, architecture)
    return space.builder.sketches[architecture]


def _new_sketch(space: Space, architecture: Architecture) -> dict[str, Any]:
    from ..space.sketch import digest, structure

    one, two = built_twice(space, architecture, often=not space.builder.sketches)
    lines = structure(one)
    sketch: dict[str, Any] = {
        "architecture": architecture.to_json(),
        "modules": "".join(digest(line) for line, _ in lines),
        "options": "".join(digest(options) for _, options in lines),
    }
    example = space.builder.input(_BATCH)
    if example is not None and sum(p.numel() for p in one.parameters()) <= _LARGEST:
        sketch |= _passes(architecture, one, two, example)
    return sketch


def _passes(
    architecture: Architecture, one: nn.Module, two: nn.Module, example: Tree
) -> dict[str, Any]:
    """What two builds compute with the same weights; refuses two that differ."""
    from ..space.sketch import (
        computed,
        difference,
        fill,
        inputs_like,
        outputs_at,
        random_names,
        trained,
    )

    began = time.process_time()
    inputs, names = inputs_like(example), [*one.state_dict()]
    random_tensors = random_names(one, two)
    for model in (one, two):
        fill(model, random_tensors)
    try:
        passes = {"computes": computed(one, inputs)}
        again = outputs_at(two, inputs)
        if time.process_time() - began < _SECONDS:
            passes["trains"] = trained(one, inputs)
    except Exception:
        return {}  # the checks before a search report a model that does not run
    refuse_new_tensors(architecture, names, one)
    distance = difference(passes["computes"]["outputs"], again)
    within = passes["computes"]["within"]
    if within is not None and distance > within:
        refuse_other_values(architecture, distance)
    return passes


def _machine() -> dict[str, str]:
    import torch

    kind = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"torch": torch.__version__, "processor": kind}


def models_of(space: Space, meta: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The ``models`` entry of a study's description, resumed or new.

    Args:
        meta: the description of the study in ``where``; empty for a new one. One from an older
            archsmith has no models: they are recorded from now on.

    Raises:
        RunFolderError: the space builds models that differ from the study's.
        SpaceError: it does not build the same model twice.
    """
    recorded: dict[str, Any] | None = meta.get("models")
    if recorded is None:
        return identify(space)
    # Changed decisions are reported when the study begins, with any other difference.
    if meta.get("fingerprint") == space.fingerprint:
        check_identity(space, recorded, where)
    return recorded
