"""Which tensors of a checkpoint fit a model: reported before anything is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from .checkpoint import read_checkpoint

#: A function of a name, or prefixes of names to their replacements.
Rename = Callable[[str], str] | Mapping[str, str]
#: Torch counts batches in it; checkpoints before torch 0.4.1 lack it, and nothing needs it.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class CheckpointFit:
    """The result of :func:`fit_checkpoint`. Names are the model's unless stated otherwise.

    Attributes:
        fits: the model's name to the checkpoint's name of each tensor with a match in name and
            shape.
        missing: tensors of the model that the checkpoint lacks.
        left_over: tensors of the checkpoint, by its names, that the model has no place for.
        reshaped: tensors of another shape: that of the model, that of the checkpoint.
        stripped, added: the prefix of the checkpoint's names that was removed, and the model's
            prefix in its place; empty if names fit unchanged.
        head: name of the model's last layer with weights; empty in a model without any.
        classes: if only the head has another number of outputs: the model's, the checkpoint's.
        state: the tensors, by the checkpoint's names.
    """

    fits: Mapping[str, str]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    reshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    stripped: str
    added: str
    head: str
    classes: tuple[int, int] | None
    state: Mapping[str, Tensor] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether every tensor has a match, on both sides."""
        return not (self.missing or self.left_over or self.reshaped)

    @property
    def but_head(self) -> bool:
        """Whether the checkpoint has all of the model, except perhaps tensors of its head."""
        return all(_inside(name, self.head) for name in (*self.missing, *self.reshaped))

    def load(self, model: nn.Module, *, strict: bool = True) -> nn.Module:
        """Copy what fits into ``model`` and return it.

        Args:
            model: the model that was compared, or one with the same names and shapes.
            strict: everything has to fit; ``False`` loads what fits and leaves the rest unchanged.

        Raises:
            InputError: something does not fit (each tensor is listed), or nothing does. The model
                is then unchanged.
        """
        if not self.fits or (strict and not self.complete):
            raise InputError(
                "checkpoint",
                "tensors that fit the model",
                f"{self}",
                "load(model, strict=False) loads those that fit"
                if self.fits
                else "rename={'prefix there': 'prefix here'} where the names differ",
            )
        own = model.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, theirs in self.fits.items():
                own[name].copy_(self.state[theirs])
        return model

    def __str__(self) -> str:
        """A line with counts, and one for each tensor that does not fit."""
        renamed = ""
        if self.stripped or self.added:
            renamed = f" ({self.stripped or 'nothing'!r} read as {self.added!r})"
        counts = [
            f"{len(self.fits)} tensors fit{renamed}",
            f"{len(self.missing)} missing",
            f"{len(self.left_over)} left over",
            f"{len(self.reshaped)} of another shape",
        ]
        lines = [", ".join(counts)]
        if self.classes is not None:
            ours, theirs = self.classes
            lines.append(f"the head {self.head} has {ours} outputs, the checkpoint's {theirs}")
        lines += [f"missing: {name}" for name in self.missing]
        lines += [f"left over: {name}" for name in self.left_over]
        lines += [
            f"another shape: {name} is {ours}, the checkpoint has {theirs}"
            if ours != theirs
            else f"another kind: {name} has whole numbers in one of them, but not in the other"
            for name, (ours, theirs) in self.reshaped.items()
        ]
        return "\n    ".join(lines)


def fit_checkpoint(
    model: nn.Module,
    state: Mapping[str, Tensor] | str | Path,
    *,
    rename: Rename | None = None,
) -> CheckpointFit:
    """Match the tensors of a checkpoint to those of a model, by name and shape.

    Prefixes that most names of one side share and the other side lacks (``module.``,
    ``backbone.``, ``model.``, or any other) are exchanged if more tensors then fit.

    Args:
        model: left unchanged; it may be on the ``meta`` device.
        state: tensors by name, or a file for :func:`read_checkpoint`.
        rename: applied to the checkpoint's names first: a function, or prefixes of names to their
            replacements (the longest match counts).

    Raises:
        InputError: the checkpoint holds no tensors, or renaming makes two names equal.
    """
    tensors = read_checkpoint(state) if isinstance(state, str | Path) else dict(state)
    if not tensors:
        raise InputError("checkpoint", "tensors by name", "none")
    own = dict(model.state_dict(keep_vars=True))
    new_names = _new_names(tensors, rename)
    stripped, added = _best_exchange(own, tensors, new_names)
    places = {_exchange_prefix(name, stripped, added): theirs for name, theirs in new_names.items()}
    fits = {n: places[n] for n in own if n in places and _same(own[n], tensors[places[n]])}
    reshaped = {
        name: (tuple(own[name].shape), tuple(tensors[places[name]].shape))
        for name in own
        if name in places and name not in fits
    }
    matched = {id(own[name]) for name in fits}  # of tied tensors one name suffices
    missing = [
        name
        for name in own
        if name not in places and id(own[name]) not in matched and not name.endswith(_COUNTER)
    ]
    left = [theirs for name, theirs in places.items() if name not in own]
    head = head_name(model)
    return CheckpointFit(
        fits,
        tuple(missing),
        tuple(left),
        reshaped,
        stripped,
        added,
        head,
        _classes(reshaped, head),
        tensors,
    )


def head_name(model: nn.Module) -> str:
    """Name of the last layer of a model that has a weight of two dimensions or more.

    Layers are in the order in which they were registered; empty if there is none.
    """
    named = [
        name
        for name, module in model.named_modules()
        if any(p.ndim >= 2 for p in module.parameters(recurse=False))
    ]
    return named[-1] if named else ""


def _new_names(given: Mapping[str, Tensor], rename: Rename | None) -> dict[str, str]:
    """New names to the checkpoint's own names."""
    names: dict[str, str] = {}
    for name in given:
        new = _rename(name, rename)
        if new in names:
            raise InputError(
                "rename",
                "a different name for each tensor",
                f"{new!r} for both {names[new]!r} and {name!r}",
            )
        names[new] = name
    return names


def _rename(name: str, rename: Rename | None) -> str:
    if rename is None:
        return name
    if not isinstance(rename, Mapping):
        return rename(name)
    for before in sorted(rename, key=len, reverse=True):
        if name.startswith(before):
            return rename[before] + name[len(before) :]
    return name


def _best_exchange(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], called: Mapping[str, str]
) -> tuple[str, str]:
    """The prefixes whose exchange makes most tensors fit; the shortest of equals."""
    most, best = -1, ("", "")
    for stripped in _prefixes(called):
        for added in _prefixes(own):
            places = {_exchange_prefix(name, stripped, added): name for name in called}
            if len(places) < len(called):
                continue
            count = sum(
                name in places and _same(tensor, given[called[places[name]]])
                for name, tensor in own.items()
            )
            if count > most:
                most, best = count, (stripped, added)
    return best


def _prefixes(names: Iterable[str]) -> list[str]:
    """Prefixes up to a dot that half of the names share, shortest first."""
    listed = list(names)
    counts: Counter[str] = Counter()
    for name in listed:
        parts = name.split(".")[:-1]
        counts.update(".".join(parts[:depth]) + "." for depth in range(1, len(parts) + 1))
    return ["", *sorted((p for p, n in counts.items() if 2 * n >= len(listed)), key=len)]


def _exchange_prefix(name: str, stripped: str, added: str) -> str:
    return added + name[len(stripped) :] if name.startswith(stripped) else name


def _same(ours: Tensor, theirs: Tensor) -> bool:
    return ours.shape == theirs.shape and ours.is_floating_point() == theirs.is_floating_point()


def _inside(name: str, layer: str) -> bool:
    return bool(layer) and name.rpartition(".")[0] == layer


def _classes(
    reshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], head: str
) -> tuple[int, int] | None:
    """Outputs of both heads, if they differ in nothing else."""
    of_head = [s for name, s in reshaped.items() if _inside(name, head) and s[0] != s[1]]
    # A single number has no outputs to count.
    if any(not ours or not theirs or ours[1:] != theirs[1:] for ours, theirs in of_head):
        return None
    return (of_head[0][0][0], of_head[0][1][0]) if of_head else None
