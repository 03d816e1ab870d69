"""Normalisation of features: by example, or by statistics of a reference set."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..._support.errors import InputError, unknown

NORMALISATIONS = ("l2", "standard", "power")
_TINY = 1e-12


class Spread(NamedTuple):
    """Mean and standard deviation of each feature over a reference set, (d,) each."""

    mean: Tensor
    std: Tensor


def check_normalise(name: str | None) -> str | None:
    """The name itself, checked.

    Raises:
        UnknownNameError: an unknown name.
    """
    if name is not None and name not in NORMALISATIONS:
        raise unknown("normalise", name, NORMALISATIONS)
    return name


def spread_of(features: Tensor) -> Spread:
    """The spread of features (n, d); a constant feature keeps its scale."""
    wide = features.double()
    mean, std = wide.mean(dim=0), wide.std(dim=0, correction=0)
    std = torch.where(std <= 1e-7 * (1 + mean.abs()), torch.ones_like(std), std)
    return Spread(mean.float(), std.float())


def normalised(features: Tensor, how: str | None, spread: Spread | None = None) -> Tensor:
    """Features (n, d), normalised.

    Args:
        how: ``"l2"``: each example has length 1. ``"power"``: signed square root, then length 1
            (Perronnin et al. 2010; for few-shot features Hu et al. 2021, arXiv:2006.03806).
            ``"standard"``: mean 0 and deviation 1 of each feature over the reference set.
        spread: of the reference set, for ``"standard"``.

    Raises:
        InputError: the reference set has another number of features.
    """
    if how is None:
        return features
    if how == "standard":
        assert spread is not None
        if len(spread.mean) != features.shape[1]:
            got = f"{features.shape[1]}"
            raise InputError("normalise standard", f"{len(spread.mean)} features", got)
        return (features - spread.mean) / spread.std
    if how == "power":
        features = features.sign() * features.abs().sqrt()
    return nn.functional.normalize(features, dim=1, eps=_TINY)
