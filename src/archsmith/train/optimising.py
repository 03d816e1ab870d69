"""The parts of a training step: learning rates, precision, the recipe's optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..task.base import Recipe


def schedule(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at ``step``, which counts from 0 to ``steps - 1``.

    A linear warm-up over the first ``warmup`` of the steps, then cosine annealing without restarts
    (Loshchilov and Hutter 2017, arXiv:1608.03983). The schedule reaches zero only before the first
    step and after the last, so that every step learns; a single step uses the peak rate.
    """
    rising = min(int(warmup * steps), steps - 1)
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


#: Share of the steps of a ``"wsd"`` training over which the learning rate decays (a fifth is enough
#: by arXiv:2405.18392).
COOL_DOWN = 0.2
#: Most steps of its warm-up, which must not depend on how long a training becomes.
WARM_UP = 50


@dataclass(frozen=True)
class Pace:
    """The learning rate of each step of a training, as a share of its peak.

    Attributes:
        steps: of the whole training.
        warmup: share of the steps, for ``cosine``.
        rising: steps of the warm-up, for ``wsd``.
        trunk: the step, from 0, at which the decay of ``wsd`` begins; ``None`` for ``cosine``.
    """

    steps: int
    warmup: float
    rising: int = 0
    trunk: int | None = None

    @classmethod
    def of(cls, recipe: Recipe, epochs: int, batches: int, done: int = 0) -> Pace:
        """The recipe's, for a training of that many epochs.

        Args:
            batches: steps of an epoch.
            done: steps that an earlier training took; a decay begins after them.
        """
        steps = epochs * batches
        if recipe.schedule == "cosine":
            return cls(steps, recipe.warmup)
        rising = min(int(recipe.warmup * recipe.epochs * batches), WARM_UP)
        trunk = steps - max(1, round(COOL_DOWN * steps))
        return cls(steps, recipe.warmup, rising, max(trunk, min(done, steps - 1)))

    def revised(self, steps: int, step: int) -> Pace:
        """The same for another number of steps in all, decided at ``step``: a decay that has not
        begun begins later or earlier; one that has begun ends later or earlier."""
        if self.trunk is None:
            return replace(self, steps=steps)
        begun = step > self.trunk
        trunk = self.trunk if begun else max(step, steps - max(1, round(COOL_DOWN * steps)))
        return replace(self, steps=steps, trunk=min(trunk, steps - 1))

    def __call__(self, step: int) -> float:
        """The share at ``step``, which counts from 0; it is never 0, so that every step learns.

        ``wsd``: a linear warm-up, a constant rate, and a decay of the form 1 - sqrt (Hägele et al.
        2024, arXiv:2405.18392).
        """
        if self.trunk is None:
            return schedule(step, self.steps, self.warmup)
        risen = (step + 1) / (self.rising + 1) if step < self.rising else 1.0
        if step < self.trunk:
            return risen
        last = self.steps - 1  # a task whose epochs vary in length may take a few steps more
        fallen = 1 - math.sqrt((min(step, last) - self.trunk) / (self.steps - self.trunk))
        return min(risen, fallen)


def precision(
    recipe: Recipe, device: torch.device, half: bool = False
) -> AbstractContextManager[object]:
    """The context of the forward pass: bfloat16 if the recipe allows it, on a GPU always and on a
    CPU if ``half``; else nothing."""
    if recipe.amp and (device.type == "cuda" or (half and multiplies_in_half(device))):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def multiplies_in_half(device: torch.device) -> bool:
    """Whether it is a CPU with instructions that multiply bfloat16 numbers, such as AMX."""
    if device.type != "cpu":
        return False
    # Names that torch calls its own: where they are missing, nothing is lost but time.
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def optimizer_of(
    named: Iterable[tuple[str, nn.Parameter]],
    recipe: Recipe,
    norms: Collection[int] = (),
    scale: Callable[[str], float] | None = None,
) -> torch.optim.Optimizer:
    """The recipe's optimiser; norms, biases and tensors of one dimension have no weight decay.

    Args:
        named: parameters with their names; frozen ones are left out.
        norms: ``id`` of the parameters of normalisations, see :func:`norms_in`.
        scale: factor of the learning rate of a parameter, by its name; parameter groups store it as
            ``scale``. 1 if not given.
    """
    by_scale: dict[float, tuple[list[nn.Parameter], list[nn.Parameter]]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            undecayed = parameter.ndim < 2 or name.endswith("bias") or id(parameter) in norms
            factor = scale(name) if scale else 1.0
            decayed, free = by_scale.setdefault(factor, ([], []))
            (free if undecayed else decayed).append(parameter)
    groups = [
        {"params": parameters, "weight_decay": decay, "lr": recipe.lr * factor, "scale": factor}
        for factor, (decayed, free) in sorted((by_scale or {1.0: ([], [])}).items())
        for parameters, decay in ((decayed, recipe.weight_decay), (free, 0.0))
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
    real = all(p.is_floating_point() for lists in by_scale.values() for ps in lists for p in ps)
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=real)


def norms_in(model: nn.Module) -> set[int]:
    """``id`` of the parameters of torch's normalisation layers and of their subclasses."""
    return {id(p) for m in model.modules() if is_norm(type(m)) for p in m.parameters(recurse=False)}


def is_norm(kind: type[nn.Module]) -> bool:
    """Whether a module class is a normalisation layer of torch, or a subclass of one."""
    return any(
        ancestor.__module__.startswith("torch.nn.") and "Norm" in ancestor.__name__
        for ancestor in kind.__mro__
    )
