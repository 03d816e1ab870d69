"""First values of all shared weights, from whole models that have them at full size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..space.architecture import Architecture
from ..space.building import parameter_keys
from .lending import distinct
from .store import filled
from .survey_records import Survey

if TYPE_CHECKING:
    from ..space import Space


def first_values(
    space: Space, survey: Survey, seed: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """By key; where no single architecture has a tensor at full size, the rest is drawn."""
    stored = survey.stored
    waiting = {key for key in stored if key not in survey.constants}
    largest_first = sorted(survey.seen.values(), key=lambda seen: -seen.size)
    whole: dict[str, Tensor] = {}
    for seen in largest_first:
        fits = {k for k, shape in seen.shapes.items() if shape == stored[k].shape}
        if fits & waiting:
            whole |= _values(space, seen.architecture, fits & waiting, seed)
            waiting -= fits
    for seen in largest_first:  # full size in no single architecture
        if waiting & seen.shapes.keys():
            keys = waiting & seen.shapes.keys()
            whole |= _values(space, seen.architecture, keys, seed)
            waiting -= keys
    return {
        key: filled(whole[key], facts.shape, generator)
        for key, facts in stored.items()
        if key in whole
    }


def _values(
    space: Space, architecture: Architecture, wanted: set[str], seed: int
) -> dict[str, Tensor]:
    run, model = space.read(architecture, seed=seed)
    places = distinct(model, parameter_keys(run, model))
    return {key: place.tensor for key, place in places if key in wanted}
