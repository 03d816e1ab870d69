"""Features of any layer of any model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from ..._support.trees import count_examples
from .cache import Cache
from .fingerprint import Digest, inputs_digest, model_digest
from .layers import Layer, Met, Spot, candidates, check_met, look, spot
from .normalising import Spread, check_normalise, normalised, spread_of
from .pooling import check_pool
from .running import Prepare, as_inputs, batch_of, evaluating, run
from .tap import Tap

#: Called after each batch: examples done, and examples in total.
Progress = Callable[[int, int], object]
#: Key of a mapping of inputs that is used as the mask if none is given.
_MASK = "attention_mask"


class Features:
    """The outputs of a layer of a model as features, one vector per example.

    Any module works: a convolutional, recurrent or attention network, searched for or written by
    hand.
    The model is run unchanged, with hooks, in evaluation mode and without gradients; its modes,
    its device, its hooks and torch's global state are restored.

    Args:
        model: it takes a tensor, or what ``prepare`` returns or the inputs hold (several tensors
            by position or by keyword), with examples in the first dimension.
        layer: its name in ``model.named_modules()`` (``""`` is the model) for its output, followed
            by ``":input"`` for its input. ``None`` finds the input of the classifier: the last
            linear layer that everything passes through, else the output of the model.
        pool: how positions of an image or a sequence are pooled: ``"mean"`` (also ``"auto"``),
            ``"max"``, ``"mean+max"``, ``"first"``, ``"last"`` (a place of a sequence), ``"hidden"``
            (the last state of a recurrent layer), ``"flatten"``, or ``"none"``, which keeps them.
        normalise: ``None``, ``"l2"``, ``"power"``, or ``"standard"``, which needs :meth:`fit`.
        batch_size: examples that pass through the model together.
        device: where the model runs; afterwards it is moved back.
        cache: folder where features are stored under a digest of the model, the layer, the pool and
            the prepared inputs. If all are the same, the features are read instead of computed.
        prepare: from raw inputs of a batch to the model's inputs.

    Raises:
        InputError: an invalid option; a layer that the model does not have, with the nearest
            names; parameters on ``meta``.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str | None = None,
        *,
        pool: str = "auto",
        normalise: str | None = None,
        batch_size: int = 256,
        device: str = "cpu",
        cache: str | Path | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError("batch size", "1 or more", str(batch_size))
        if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
            raise InputError("model", "weights with values", "weights on meta")
        if layer is not None:
            spot(model, layer)
        self.model, self.prepare = model, prepare
        self.pool, self.normalise = check_pool(pool), check_normalise(normalise)
        self.batch_size, self.device = batch_size, torch.device(device)
        if normalise is not None and pool == "none":
            raise InputError(
                f"normalise {normalise}",
                "features (n, d)",
                "all positions",
                "take a pool other than 'none'",
            )
        self._layer, self._found = layer, layer
        self._cache = None if cache is None else Cache(cache)
        self._met: dict[int, Met] = {}
        self._spread: dict[str | None, Spread] = {}

    @property
    def layer(self) -> str | None:
        """Name of the layer that is read; ``None`` before the first run has found it."""
        return self._found

    def __call__(
        self, inputs: Any, mask: Tensor | None = None, *, progress: Progress | None = None
    ) -> Tensor:
        """Features of inputs: float32 (n, d) on the CPU; (n, ...) if ``pool`` is ``"none"``.

        Args:
            inputs: a tensor, a tuple of them or a mapping, examples first.
            mask: (n, t), true (or 1) where a place of a sequence is real. By default a mapping's
                ``attention_mask`` is used.
            progress: called with the examples done and their number.

        Raises:
            InputError: inputs or mask that do not fit, a layer that is not run, features that are
                not finite.
            Exception: whatever the model raises.
        """
        self._check_fitted([self._layer])
        features = self._compute(inputs, [self._layer], mask, progress)[self._layer]
        return normalised(features, self.normalise, self._spread.get(self._layer))

    def at(
        self,
        inputs: Any,
        names: Iterable[str],
        mask: Tensor | None = None,
        *,
        progress: Progress | None = None,
    ) -> dict[str, Tensor]:
        """Features of several layers by name, from one pass over the inputs."""
        requested = list(dict.fromkeys(names))
        for name in requested:
            spot(self.model, name)
        self._check_fitted(requested)
        features = self._compute(inputs, list(requested), mask, progress)
        return {
            name: normalised(features[name], self.normalise, self._spread.get(name))
            for name in requested
        }

    def fit(
        self, inputs: Any, mask: Tensor | None = None, *, names: Iterable[str] | None = None
    ) -> Features:
        """Compute the mean and spread of each feature over a reference set, for ``"standard"``.

        Args:
            names: layers that :meth:`at` will be asked for; by default the layer itself.
        """
        requested: list[str | None] = [self._layer] if names is None else list(names)
        for name, features in self._compute(inputs, requested, mask, None).items():
            self._spread[name] = spread_of(features)
        return self

    def layers(self, inputs: Any = None) -> list[Layer]:
        """The layers that can be read, in the order of a forward pass.

        Args:
            inputs: a few examples; not needed after a first run.

        Raises:
            InputError: no inputs, and the model has not been run here.
        """
        if inputs is not None:
            self._look(as_inputs(inputs))
        if not self._met:
            raise InputError(
                "layers", "inputs to run the model on", "none", "features.layers(inputs)"
            )
        return candidates(self.model, self._met)

    def _check_fitted(self, names: Iterable[str | None]) -> None:
        if self.normalise == "standard" and not all(name in self._spread for name in names):
            raise InputError(
                "normalise standard",
                "a reference set",
                "none",
                "call fit(inputs) with the training inputs first",
            )

    def _look(self, inputs: Any) -> None:
        self._met, penultimate = look(self.model, inputs, self.prepare, self.device)
        if self._layer is None:
            self._found = penultimate

    def _compute(
        self, raw: Any, names: list[str | None], mask: Tensor | None, progress: Progress | None
    ) -> dict[str | None, Tensor]:
        """Features before normalisation; cached ones are read, the others computed."""
        inputs = as_inputs(raw)
        if mask is not None:
            mask = torch.as_tensor(mask).bool()
            if mask.dim() != 2 or len(mask) != count_examples(inputs):
                raise InputError(
                    "mask",
                    f"one row for each of {count_examples(inputs)} examples (n, t)",
                    str(tuple(mask.shape)),
                )
        if self._cache is None:
            return self._run(inputs, names, mask, progress)
        keys = self._keys(inputs, names, mask)
        cached = {n: read for n in names if (read := self._cache.read(keys[n])) is not None}
        result = {name: features for name, (features, _) in cached.items()}
        if None in cached:
            self._found = cached[None][1]
        missing = [name for name in names if name not in result]
        if missing:
            computed = self._run(inputs, missing, mask, progress)
            for name, features in computed.items():
                self._cache.write(keys[name], features, self._spot(name).name)
            result |= computed
        elif progress is not None:
            progress(count_examples(inputs), count_examples(inputs))
        return result

    def _keys(
        self, inputs: Any, names: list[str | None], mask: Tensor | None
    ) -> dict[str | None, str]:
        content = Digest()
        # Prepared inputs, because a digest of raw ones would not show what prepare does to them.
        batches = (
            batch_of(inputs, slice(start, start + self.batch_size), self.prepare)
            for start in range(0, count_examples(inputs), self.batch_size)
        )
        content.add(inputs_digest(batches), model_digest(self.model), self.device.type, self.pool)
        content.value(mask, "mask")
        shared = content.hex()
        keys = {}
        for name in names:
            digest = Digest()
            digest.add(shared, "penultimate" if name is None else f"layer {name}")
            keys[name] = digest.hex()
        return keys

    def _run(
        self, inputs: Any, names: list[str | None], mask: Tensor | None, progress: Progress | None
    ) -> dict[str | None, Tensor]:
        if not self._met or (None in names and self._found is None) or not self._all_seen(names):
            self._look(inputs)
        taps = {name: self._tap(name) for name in names}
        count, features = count_examples(inputs), dict[str | None, Tensor]()
        with evaluating(self.model, self.device), ExitStack() as hooks:
            for tap in taps.values():
                hooks.callback(tap.attach().remove)
            for start in range(0, count, self.batch_size):
                place = slice(start, min(start + self.batch_size, count))
                batch = batch_of(inputs, place, self.prepare)
                batch_mask, own = mask, _own_mask(batch)
                if batch_mask is not None:
                    batch_mask = batch_mask[place]
                for tap in taps.values():
                    tap.begin(own if batch_mask is None else batch_mask, mask is not None)
                run(self.model, batch, self.device)
                for name, tap in taps.items():
                    _put(features, name, tap.taken(place), place, count)
                if progress is not None:
                    progress(place.stop, count)
        return features

    def _spot(self, name: str | None) -> Spot:
        chosen = self._found if name is None else name
        assert chosen is not None
        return spot(self.model, chosen)

    def _all_seen(self, names: list[str | None]) -> bool:
        """Whether all places are in modules that were seen; modules may be replaced."""
        return all(id(self._spot(name).module) in self._met for name in names)

    def _tap(self, name: str | None) -> Tap:
        place = self._spot(name)
        axes = check_met(self._met.get(id(place.module)), place)
        if self.pool == "hidden" and not (
            isinstance(place.module, nn.RNNBase) and place.side == "output"
        ):
            raise InputError(
                "pool hidden",
                "the output of a recurrent layer (RNN, LSTM, GRU)",
                f"{place.name!r}, a {type(place.module).__name__}",
            )
        return Tap(place, axes, self.pool)


def _own_mask(batch: Any) -> Tensor | None:
    mask = batch.get(_MASK) if isinstance(batch, Mapping) else None
    return mask.bool() if isinstance(mask, Tensor) and mask.dim() == 2 else None


def _put(
    features: dict[str | None, Tensor], name: str | None, part: Tensor, place: slice, count: int
) -> None:
    """Copy a batch's features to their place among all. They can be used in training."""
    if name not in features:
        features[name] = torch.empty((count, *part.shape[1:]))
    if features[name].shape[1:] != part.shape[1:]:
        raise InputError(
            "inputs",
            "batches whose features have one shape",
            f"{tuple(features[name].shape[1:])} and then {tuple(part.shape[1:])}",
        )
    features[name][place] = part
