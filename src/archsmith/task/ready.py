"""Ready options of a recipe's fields, around the value that a task's own recipe has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .options import Recipe

#: Steps of the peak learning rate, of the decay and of the batch size, as factors, with weights.
_RATES = {0.125: 1.0, 0.25: 2.0, 0.5: 4.0, 1.0: 6.0, 2.0: 4.0, 4.0: 2.0, 8.0: 1.0}
_DECAYS = {0.0: 1.0, 0.1: 1.0, 0.3: 2.0, 1.0: 4.0, 3.0: 2.0, 10.0: 1.0}
_BATCHES = {0.25: 1.0, 0.5: 2.0, 1.0: 4.0, 2.0: 2.0, 4.0: 1.0}
#: How many times the rate of AdamW suits SGD with momentum; the decay per step, rate times decay,
#: remains as it was.
_SGD = 25.0
#: Decay that the options are taken from if a recipe has none.
_DECAY = 0.02
#: Weight of the recipe's own value among listed ones, each of which has 1.
_OWN = 2.0

#: Options, their prior, and the option of the default architecture.
Ready = tuple[tuple[Any, ...], tuple[float, ...], Any]


def ready(name: str, recipe: Recipe, optimizer: str) -> Ready:
    """The ready options of a field when an optimiser is used, with their prior and the default."""
    return READY[name](recipe, optimizer)


def _rate(recipe: Recipe, optimizer: str) -> Ready:
    return _scaled(recipe.lr, _RATES, _speed(recipe, optimizer))


def _decay(recipe: Recipe, optimizer: str) -> Ready:
    options, prior, own = _scaled(
        recipe.weight_decay or _DECAY, _DECAYS, 1 / _speed(recipe, optimizer)
    )
    return options, prior, own if recipe.weight_decay else 0.0


def _batch(recipe: Recipe, optimizer: str) -> Ready:
    sizes: dict[int, float] = {}
    for factor, weight in _BATCHES.items():
        sizes.setdefault(max(2, round(recipe.batch_size * factor)), weight)
    sizes[recipe.batch_size] = _BATCHES[1.0]
    return tuple(sizes), tuple(sizes.values()), recipe.batch_size


def _listed(name: str, *options: Any) -> Callable[[Recipe, str], Ready]:
    def make(recipe: Recipe, optimizer: str) -> Ready:
        own = getattr(recipe, name)
        among = options if own in options else tuple(sorted((*options, own)))
        return among, tuple(_OWN if option == own else 1.0 for option in among), own

    return make


def _scaled(own: float, factors: dict[float, float], by: float) -> Ready:
    def value(factor: float) -> float:
        number = own * factor * by
        # The recipe's own value exactly; the others as numbers that can be read.
        return own if factor == by == 1.0 else float(f"{number:.3g}")

    return tuple(map(value, factors)), tuple(factors.values()), value(1.0)


def _speed(recipe: Recipe, optimizer: str) -> float:
    """The factor from the recipe's learning rate to one that suits the optimiser."""
    if optimizer == recipe.optimizer:
        return 1.0
    return _SGD if optimizer == "sgd" else 1 / _SGD


#: By field.
READY: dict[str, Callable[[Recipe, str], Ready]] = {
    "optimizer": _listed("optimizer", "adamw", "sgd"),
    "lr": _rate,
    "weight_decay": _decay,
    "warmup": _listed("warmup", 0.0, 0.05, 0.1, 0.2),
    "label_smoothing": _listed("label_smoothing", 0.0, 0.05, 0.1, 0.2),
    "batch_size": _batch,
    "clip": _listed("clip", 0.0, 1.0, 5.0),
    "augment": _listed("augment", False, True),
    "ema": _listed("ema", 0.0, 0.99, 0.999),
}
