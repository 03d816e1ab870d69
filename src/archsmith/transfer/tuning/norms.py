"""Batch normalisation in fine-tuning: trained, frozen, or adapted to the new inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..._support.errors import InputError

NormMode = Literal["train", "frozen", "adapt"]
MODES = ("train", "frozen", "adapt")


class _Frozen(nn.Module):
    """Stays in evaluation mode, even when the model around it is set to training."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


class FrozenBatchNorm1d(_Frozen, nn.BatchNorm1d):
    """A batch normalisation that uses its running statistics and never changes them."""


class FrozenBatchNorm2d(_Frozen, nn.BatchNorm2d):
    """A batch normalisation that uses its running statistics and never changes them."""


class FrozenBatchNorm3d(_Frozen, nn.BatchNorm3d):
    """A batch normalisation that uses its running statistics and never changes them."""


class FrozenSyncBatchNorm(_Frozen, nn.SyncBatchNorm):
    """A batch normalisation that uses its running statistics and never changes them."""


_FROZEN: dict[type[nn.Module], type[_Frozen]] = {
    nn.BatchNorm1d: FrozenBatchNorm1d,
    nn.BatchNorm2d: FrozenBatchNorm2d,
    nn.BatchNorm3d: FrozenBatchNorm3d,
    nn.SyncBatchNorm: FrozenSyncBatchNorm,
}
_PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    frozen: plain for plain, frozen in _FROZEN.items()
}


def batchnorm(
    model: nn.Module, mode: NormMode, *, inside: Callable[[str], bool] = lambda name: True
) -> list[str]:
    """Set the behaviour of a model's batch normalisations in training; returns their names.

    ``"train"`` is torch's default: statistics follow the batches, scale and shift are trained.
    ``"frozen"`` keeps all four fixed: a few examples say little about the statistics of many.
    ``"adapt"`` updates the statistics and keeps scale and shift (AdaBN, Li et al. 2016,
    arXiv:1603.04779). Names of parameters do not change, so state dicts are interchangeable.

    Args:
        inside: whether to set the normalisation with this name; by default all are set.

    Raises:
        InputError: another mode, or a normalisation to freeze whose class is the user's own.
    """
    if mode not in MODES:
        raise InputError("batchnorm", " or ".join(map(repr, MODES)), repr(mode))
    names = []
    for name, module in model.named_modules():
        if not isinstance(module, _BatchNorm) or not inside(name):
            continue
        names.append(name)
        if mode == "frozen":
            _freeze(name, module)
        else:
            _thaw(module)
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(mode == "train")
    return names


def thawed(model: nn.Module) -> nn.Module:
    """``model`` with torch's own normalisations instead of frozen ones; changed in place."""
    for module in model.modules():
        if isinstance(module, _Frozen):
            _thaw(module)
    return model


def _freeze(name: str, module: nn.Module) -> None:
    if isinstance(module, _Frozen) or not getattr(module, "track_running_stats", False):
        module.eval()
        return
    if type(module) not in _FROZEN:
        raise InputError(
            f"batchnorm of {name}",
            "a batch normalisation of torch",
            type(module).__name__,
            "freeze its parameters by name, and set its mode in the model's own train()",
        )
    module.__class__ = _FROZEN[type(module)]
    module.eval()


def _thaw(module: nn.Module) -> None:
    if type(module) in _PLAIN:
        module.__class__ = _PLAIN[type(module)]
        module.train()
