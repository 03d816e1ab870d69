"""Whether a builder returns the same model twice: shared weights need that."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space.architecture import Architecture
from ..space.building import architecture_policy, parameter_keys, tell
from ..space.reading import Reading
from .lending import places, uninitialised

if TYPE_CHECKING:
    from ..space import Space

#: Builds of an architecture whose builder draws random numbers, and of any other.
_DRAWING, _QUIET = 8, 3
_SEEDS = (1, 2)


def cover(
    sets: Mapping[Architecture, Iterable[Hashable]], most: int | None = None
) -> list[Architecture]:
    """Few architectures that together have all items of their sets, those with most new first."""
    left = {architecture: set(items) for architecture, items in sets.items()}
    chosen: list[Architecture] = []
    while left and (most is None or len(chosen) < most):
        best = max(left, key=lambda architecture: len(left[architecture]))
        covered = left.pop(best)
        if not covered:
            break
        chosen.append(best)
        for items in left.values():
            items -= covered
    return chosen


def refuse_unsteady(space: Space, architectures: Iterable[Architecture]) -> None:
    """Build each several times with other seeds, without filling its parameters.

    Raises:
        SpaceError: something other than the values of weights and buffers differs.
    """
    for architecture in architectures:
        first, keys, draws = _build_unfilled(space, architecture, 0)
        for seed in range(1, _DRAWING if draws else _QUIET):
            other, other_keys, _ = _build_unfilled(space, architecture, seed)
            if keys != other_keys:
                differing = sorted({*keys.items()} ^ {*other_keys.items()})
                raise _unsteady_error(architecture, f"{differing[0][1]} in one of two builds")
            _compare(architecture, first, other)


def random_buffers(space: Space, architecture: Architecture) -> set[str]:
    """Keys of buffers that are drawn at random, which makes them state like any weight."""
    (one, keys), (two, _) = (_build(space, architecture, seed) for seed in _SEEDS)
    return {
        keys[a.path]
        for a, b in zip(places(one), places(two), strict=True)
        if not a.trained and not torch.equal(a.tensor, b.tensor)
    }


def _compare(architecture: Architecture, one: nn.Module, two: nn.Module) -> None:
    for a, b in zip(places(one), places(two), strict=True):
        if a.tensor.shape != b.tensor.shape:
            shapes = f"{tuple(a.tensor.shape)}, then {tuple(b.tensor.shape)}"
            raise _unsteady_error(architecture, f"{a.path} of shape {shapes}")
    others = dict(_attributes(two))
    for name, value in _attributes(one):
        if name not in others or not _equal(value, others[name]):
            raise _unsteady_error(
                architecture, f"attribute {name} with other values in a second build"
            )


def _unsteady_error(architecture: Architecture, got: str) -> SpaceError:
    return SpaceError(
        f"builder, for {tell(architecture)}",
        "the same model for the same architecture, except for its weights",
        got,
        "draw nothing in a constructor: use a generator with a fixed seed, make it a decision, "
        "or keep a random tensor as a parameter or with register_buffer",
    )


def _build_unfilled(
    space: Space, architecture: Architecture, seed: int
) -> tuple[nn.Module, Mapping[str, str], bool]:
    """The model with parameters as the allocator gave them, and whether its builder drew."""
    run = Reading(architecture_policy(architecture))
    with _seeded(seed), uninitialised():
        torch.default_generator.manual_seed(seed)
        before = _states()
        model = space.run(run)
        draws = before != _states()
    return model, parameter_keys(run, model), draws


def _states() -> tuple[Any, ...]:
    """The states of all generators that a constructor may draw from by default."""
    numpy: Any = np.random.get_state()
    tensor = torch.default_generator.get_state().numpy().tobytes()
    return random.getstate(), numpy[1].tobytes(), numpy[2:], tensor


def _build(
    space: Space, architecture: Architecture, seed: int
) -> tuple[nn.Module, Mapping[str, str]]:
    with _seeded(seed):
        run, model = space.read(architecture, seed=seed)
    return model, parameter_keys(run, model)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Python's and numpy's generators inside, and restore them afterwards."""
    kept, kept_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)


def _attributes(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Plain values and tensors that modules keep in addition to parameters and buffers."""
    for path, module in model.named_modules():
        # torch.nn.utils.weight_norm and spectral_norm keep what they last computed of a parameter.
        derived = {name[:-2] for name in module._parameters if name.endswith("_g")}
        derived |= {name[:-5] for name in module._parameters if name.endswith("_orig")}
        for name, value in sorted(vars(module).items()):
            if not name.startswith("_") and name not in derived:
                yield f"{path}.{name}" if path else name, value
        for name in sorted(module._non_persistent_buffers_set):
            yield f"{path}.{name}" if path else name, module._buffers[name]


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return one.shape == two.shape and torch.equal(one, two)
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return one.dtype == two.dtype and one.tobytes() == two.tobytes()
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_equal, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_equal(one[name], two[name]) for name in one)
    if isinstance(one, bool | int | float | str | complex) and type(one) is type(two):
        return one == two or one != one
    return True  # functions and other objects have no order to compare by
