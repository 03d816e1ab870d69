"""The parts of a training step: learning rates, precision, the recipe's optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext

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


def precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """The context of the forward pass: bfloat16 on a GPU if the recipe allows it, else nothing."""
    half = recipe.amp and device.type == "cuda"
    return torch.autocast("cuda", torch.bfloat16) if half else nullcontext()


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
