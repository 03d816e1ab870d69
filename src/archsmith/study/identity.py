"""Whether a builder is the one that a study began with: the same models, computing the same."""

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

#: Architectures that are looked at beside the default, picked from so many samples so that they
#: have as many of the answers as they can.
_BESIDE, _SAMPLES = 5, 12
#: Seconds of processor time after which no other architecture is begun.
_SECONDS = 1.0
#: Parameters of models that are too large to be run only to look at them.
_LARGEST = 50_000_000
#: Architectures of a record that are looked at; it may be anybody's.
_MOST = 16
#: Examples in a batch: as few as batch normalisation makes something of.
_BATCH = 4
#: How much more the outputs of a training pass may differ: normalisation over so few examples.
_LOOSER = 10.0


def identify(space: Space) -> dict[str, Any]:
    """What the space builds, as JSON values to be held against by :func:`check_identity`.

    Of the default and a few more architectures: classes, tensors and options of all modules, and
    some numbers of what they compute at weights that names and shapes fix, in evaluation and in
    training mode. Models of more than 50 million parameters are not run.

    Raises:
        SpaceError: the builder does not give the same model twice, or forward makes tensors.
    """
    with ordinary():
        return {"machine": _machine(), "models": _sketches(space)}


def check_identity(space: Space, known: Mapping[str, Any], where: str) -> None:
    """Refuse a space whose models are others than those that :func:`identify` told of.

    Options of modules are compared under the same version of torch, and what is random in
    training, such as dropout, on the same kind of processor too.

    Raises:
        RunFolderError: with the module, or the architecture whose outputs differ and by how much.
        SpaceError: as :func:`identify`.
    """
    with ordinary():
        try:
            for model in known["models"][:_MOST]:
                changed = _changed(space, model, known["machine"])
                if changed:
                    break
            else:
                return
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunFolderError(
                where,
                "a record of what the builder builds",
                f"a damaged one ({error!r})",
                "bring study.db back from a copy, or start in another run folder",
            ) from error
    raise RunFolderError(
        where,
        f"the models of {space.name} as they were when this began",
        changed,
        "bring the builder back to what it was, or start in another run folder",
    )


def _changed(space: Space, was: Mapping[str, Any], machine: Mapping[str, str]) -> str:
    """How an architecture's model differs from what was kept of it; empty where it does not."""
    from ..space.sketch import difference

    here = _machine()
    architecture = Architecture.from_json(was["architecture"])
    now = _sketch(space, architecture)
    which = tell(architecture) if architecture else "the only architecture"
    if was["modules"] != now["modules"]:
        line, _ = _first_other(space, architecture, was["modules"], now["modules"])
        return f"for {which}, another {line}"
    if machine["torch"] == here["torch"] and was["options"] != now["options"]:
        line, options = _first_other(space, architecture, was["options"], now["options"])
        return f"for {which}, {line} with other options: {options}"
    for pass_, said in (("computes", "outputs"), ("trains", "outputs or gradients in training")):
        before, after = was.get(pass_), now.get(pass_)
        if before is None or after is None or None in (before["within"], after["within"]):
            continue
        drawn = before.get("drawn"), after.get("drawn")
        if any(drawn) and (machine != here or not all(drawn)):
            if drawn[0] == drawn[1]:
                continue
            return f"for {which}, training that is {'random now' if drawn[1] else 'not random now'}"
        looser = 1.0 if pass_ == "computes" else _LOOSER
        within = looser * max(before["within"], after["within"])
        by = difference(before["outputs"], after["outputs"])
        if by > within:
            return f"for {which}, other {said} at the same weights (by {by:.2g} of their size)"
    return ""


def _first_other(space: Space, architecture: Architecture, was: str, now: str) -> tuple[str, str]:
    """The first module, with its options, whose digest (six digits) is another than it was."""
    from ..space.sketch import structure

    lines = structure(space.build(architecture, seed=0))
    place = next((i for i in range(0, len(now), 6) if was[i : i + 6] != now[i : i + 6]), len(now))
    if place // 6 < len(lines):
        return lines[place // 6]
    return "end of the model, which had more modules", ""


def _sketches(space: Space) -> list[dict[str, Any]]:
    began = time.process_time()
    default = space.default()
    found = [_sketch(space, default)]
    for architecture in _beside(space, default):
        if time.process_time() - began > _SECONDS:
            break
        with contextlib.suppress(BuilderError):  # the checks before a search tell of it
            found.append(_sketch(space, architecture))
    return found


def _beside(space: Space, default: Architecture) -> list[Architecture]:
    from ..supernet.steady import cover

    rng, drawn = random.Random(0), []
    for _ in range(_SAMPLES):
        with contextlib.suppress(BuilderError):
            drawn.append(space.sample(rng))
    known = set(default.items())
    return cover({other: {*other.items()} - known for other in drawn}, _BESIDE)


def _sketch(space: Space, architecture: Architecture) -> dict[str, Any]:
    """What is kept of an architecture; found out once for a space."""
    if architecture not in space.builder.sketches:
        space.builder.sketches[architecture] = _sketched(space, architecture)
    return space.builder.sketches[architecture]


def _sketched(space: Space, architecture: Architecture) -> dict[str, Any]:
    from ..space.sketch import digest, structure

    one, two = built_twice(space, architecture, often=not space.builder.sketches)
    lines = structure(one)
    found: dict[str, Any] = {
        "architecture": architecture.to_json(),
        "modules": "".join(digest(line) for line, _ in lines),
        "options": "".join(digest(options) for _, options in lines),
    }
    example = space.builder.input(_BATCH)
    if example is not None and sum(p.numel() for p in one.parameters()) <= _LARGEST:
        found |= _passes(architecture, one, two, example)
    return found


def _passes(
    architecture: Architecture, one: nn.Module, two: nn.Module, example: Tree
) -> dict[str, Any]:
    """What two builds compute at the same weights, which has to be the same."""
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
    drawn = random_names(one, two)
    for model in (one, two):
        fill(model, drawn)
    try:
        found = {"computes": computed(one, inputs)}
        again = outputs_at(two, inputs)
        if time.process_time() - began < _SECONDS:
            found["trains"] = trained(one, inputs)
    except Exception:
        return {}  # what does not run is told by the checks before a search
    refuse_new_tensors(architecture, names, one)
    by = difference(found["computes"]["outputs"], again)
    within = found["computes"]["within"]
    if within is not None and by > within:
        refuse_other_values(architecture, by)
    return found


def _machine() -> dict[str, str]:
    import torch

    kind = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"torch": torch.__version__, "processor": kind}


def models_of(space: Space, meta: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What the space builds, for the ``models`` of a study that goes on, or of a new one.

    Args:
        meta: of the study in ``where``; empty for a new one. One of an older archsmith has no
            models: they are kept from now on.

    Raises:
        RunFolderError: the space builds other models than the study's.
        SpaceError: it does not build the same model twice.
    """
    known: dict[str, Any] | None = meta.get("models")
    if known is None:
        return identify(space)
    # Other decisions are told when the study begins, with whatever else differs.
    if meta.get("fingerprint") == space.fingerprint:
        check_identity(space, known, where)
    return known
