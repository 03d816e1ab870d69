"""Whether a builder builds the same model each time for the same architecture."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from .._support.errors import SpaceError
from ..space.architecture import Architecture
from ..space.building import BuilderError, tell

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space

#: Builds to compare if the builder draws random numbers, and if it does not.
_DRAWING, _QUIET = 10, 4
_FIX = (
    "draw nothing in a constructor: give it a generator of a fixed seed, make it a decision "
    "(nas.choose), or keep a random tensor as a parameter or with register_buffer"
)


def built_twice(
    space: Space, architecture: Architecture, often: bool = True
) -> tuple[nn.Module, nn.Module]:
    """Two models of an architecture, their weights drawn from different seeds.

    Args:
        often: compare the structure of further builds; if the builder draws random numbers, that is
            done in any case.

    Raises:
        SpaceError: these two, or the further builds, differ in more than values.
    """
    one, draws = _build(space, architecture, 0, "cpu")
    two, _ = _build(space, architecture, 1, "cpu")
    _refuse_unlike(architecture, one, two)
    outlines: list[nn.Module] = []
    for seed in range(2, _DRAWING if draws else _QUIET if often else 2):
        try:
            # Compared with each other: torch omits some buffers on meta.
            outlines.append(_build(space, architecture, seed, "meta")[0])
            _refuse_unlike(architecture, outlines[0], outlines[-1])
        except BuilderError:  # constructors that read values cannot run there
            _refuse_unlike(architecture, one, _build(space, architecture, seed, "cpu")[0])
    return one, two


def refuse_other_values(architecture: Architecture, by: float) -> None:
    """Raise :class:`SpaceError`: a second build with the same weights has different outputs."""
    raise SpaceError(
        _where(architecture),
        "the same outputs from the same weights in a second build",
        f"outputs that differ by {by:.2g} of their size: something outside the state dict differs",
        _FIX,
    )


def refuse_new_tensors(architecture: Architecture, before: Sequence[str], model: nn.Module) -> None:
    """Raise :class:`SpaceError` if a model's tensors are not those it had when it was built."""
    after = [*model.state_dict()]
    new, gone = sorted({*after} - {*before}), sorted({*before} - {*after})
    if not new and not gone:
        return
    name = (new or gone)[0]
    raise SpaceError(
        _where(architecture),
        "the same parameters and buffers after a forward pass as before",
        f"{name}, which forward {'registers' if new else 'removes'}",
        "register it in __init__: weights are loaded into a second build before any pass",
    )


def _build(
    space: Space, architecture: Architecture, seed: int, device: str
) -> tuple[nn.Module, bool]:
    """A model, and whether its builder used the random generators of python or numpy."""
    from ..space.sketch import seeded

    with seeded(seed):
        before = _states()
        model = space.build(architecture, device=device, seed=seed)
        return model, before != _states()


def _states() -> tuple[Any, ...]:
    import numpy as np

    numpy: Any = np.random.get_state()
    return random.getstate(), numpy[1].tobytes(), numpy[2:]


def _refuse_unlike(architecture: Architecture, one: nn.Module, two: nn.Module) -> None:
    from ..space.sketch import structure

    missing = ("nothing", "")
    for (first, first_options), (second, second_options) in zip_longest(
        structure(one), structure(two), fillvalue=missing
    ):
        if (first, first_options) != (second, second_options):
            options = (
                "" if first != second else f" with {first_options}, then with {second_options}"
            )
            raise SpaceError(
                _where(architecture),
                "the same model each time it runs",
                f"{first}{options}" if options else f"{first} in one run, {second} in another",
                _FIX,
            )


def _where(architecture: Architecture) -> str:
    return f"builder, for {tell(architecture)}"
