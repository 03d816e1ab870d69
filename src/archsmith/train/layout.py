"""The memory layout in which a model's convolutions are fastest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .._support.trees import Tree, call
from .._support.weights import snapshot

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
#: What may fail on a tensor that is laid out in another way.
_BOUND = {Tensor.view, Tensor.view_as, Tensor.as_strided, torch.as_strided, Tensor.stride}


class _Watch(TorchFunctionMode):
    """Notes whether a forward pass depends on how its tensors are laid out."""

    bound = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _BOUND and args[0].dim() > 2:
            self.bound = True
        return func(*args, **(kwargs or {}))


def channels_last(model: nn.Module, example: Tree) -> bool:
    """Lay the weights of 2-D convolutions out with the channels last, in place.

    Their outputs then have this layout as well, in which convolutions take about three quarters of
    the time on a CPU and on tensor cores. Values and shapes stay the same. A model that calls
    ``view`` on an image would fail for some sizes of batches, so it is left as it was.

    Args:
        example: prepared inputs, on the model's device.

    Returns:
        Whether the layout was changed.
    """
    modules = list(model.modules())
    if not any(isinstance(module, _CONVOLUTIONS) for module in modules):
        return False
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        return False  # its calls cannot be watched
    state, mode = snapshot(model), model.training
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    try:
        with torch.no_grad(), torch.random.fork_rng(list(devices)), _Watch() as watch:
            call(model.train(), example)
    finally:
        model.train(mode)
        model.load_state_dict(state)  # the pass has moved running statistics
    if not watch.bound:
        _lay_out(model, torch.channels_last)
    return not watch.bound


def contiguous(model: nn.Module) -> None:
    """Lay the weights of 2-D convolutions out as torch does by default, in place."""
    _lay_out(model, torch.contiguous_format)


@torch.no_grad()
def _lay_out(model: nn.Module, layout: torch.memory_format) -> None:
    for module in model.modules():
        # A weight that is computed (by a parametrisation) is no parameter of the module.
        if isinstance(module, _CONVOLUTIONS) and "weight" in dict(
            module.named_parameters(recurse=False)
        ):
            module.weight.data = module.weight.data.contiguous(memory_format=layout)
