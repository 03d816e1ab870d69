"""What proxies need from a module: a copy to work on, its weights, another initialisation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd

from .batch import CannotScore

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
BATCH_NORMS = (_BatchNorm,)
CONVOLUTIONS = (_ConvNd,)
TABLES = (nn.Embedding, nn.EmbeddingBag)


def working_copy(model: nn.Module) -> nn.Module:
    """A copy in the state in which proxies score models.

    Normalisation uses batch statistics, as in training. Everything else is as in evaluation, so
    that no score depends on the random draws of dropout.

    Raises:
        CannotScore: the model cannot be copied.
    """
    try:
        copied = copy.deepcopy(model)
    except Exception as error:
        raise CannotScore(
            type(model).__name__,
            "a model that copy.deepcopy can copy",
            f"{type(error).__name__}: {error}",
        ) from error
    copied.eval()
    for module in copied.modules():
        if isinstance(module, _NormBase):
            module.train()
        elif isinstance(module, nn.RNNBase):
            module.dropout = 0.0
            module.train()  # cuDNN has no backward pass in evaluation mode
    copied.zero_grad(set_to_none=True)
    return copied


def weights_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of layers by name: trainable parameters of two or more dimensions.

    Biases and normalisation are not part of the papers' sums. Embedding tables are left out, too: a
    batch uses few of their rows. A matrix that a table and a layer share counts once.
    """
    weights: dict[int, tuple[str, nn.Parameter]] = {}
    for place, module in model.named_modules():
        if isinstance(module, (*NORMS, *TABLES)):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter.dim() >= 2:
                weights.setdefault(id(parameter), (f"{place}.{name}".lstrip("."), parameter))
    return dict(weights.values())


def device_of(model: nn.Module) -> torch.device:
    """The device of the model; the CPU for a model without tensors."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators with ``seed``; their state is restored at the end."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def kaiming(model: nn.Module) -> None:
    """Weights N(0, 2 / fan-in) (He et al. 2015, arXiv:1502.01852), biases 0, norms neutral."""
    for parameter in weights_of(model).values():
        nn.init.kaiming_normal_(parameter, mode="fan_in", nonlinearity="relu")
    _neutralise_norms(model)


def gaussian(model: nn.Module) -> None:
    """Weights N(0, 1), biases 0, norms neutral."""
    for parameter in weights_of(model).values():
        nn.init.normal_(parameter)
    _neutralise_norms(model)


def _neutralise_norms(model: nn.Module) -> None:
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if isinstance(module, NORMS):
                    parameter.fill_(0.0 if name == "bias" else 1.0)
                elif parameter.dim() == 1 and "bias" in name:
                    parameter.zero_()


def replace(model: nn.Module, kinds: tuple[type, ...], by: type[nn.Module]) -> nn.Module:
    """Replace every module of these kinds in place by ``by()`` and return the model."""
    if isinstance(model, kinds):
        return by()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, kinds):
                module.add_module(name, by())
    return model


def samples_first(tensor: Tensor, count: int) -> Tensor | None:
    """The tensor with the batch of ``count`` examples first, ``None`` if that is ambiguous.

    The batch may be the second dimension (sequence first) or merged with the next one (tokens as
    rows).
    """
    if tensor.dim() and tensor.shape[0] == count:
        return tensor
    if tensor.dim() > 1 and tensor.shape[1] == count:
        return tensor.transpose(0, 1)
    if tensor.dim() and tensor.shape[0] and tensor.shape[0] % count == 0:
        return tensor.reshape(count, tensor.shape[0] // count, *tensor.shape[1:])
    return None


def channels_second(module: nn.Module, output: Tensor) -> bool:
    """Whether the channels of a module's output are its second dimension: for images, volumes and
    outputs of one-dimensional convolutions. Other sequences (tokens) have them last."""
    if output.dim() != 3:
        return output.dim() > 3
    kinds = (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d)
    return any(isinstance(part, kinds) for part in module.modules())


def channels_last(module: nn.Module, output: Tensor) -> Tensor:
    """A module's output (n, ...) as (n, positions, channels)."""
    if output.dim() == 2:
        return output.unsqueeze(1)
    if channels_second(module, output):
        return output.flatten(2).transpose(1, 2)
    return output.flatten(1, -2)
