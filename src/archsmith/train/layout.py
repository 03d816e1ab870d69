"""The memory layout in which a model's convolutions are fastest."""

from __future__ import annotations

import torch
from torch import nn

from .._support.trees import Tree, call
from .._support.weights import snapshot

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def channels_last(model: nn.Module, example: Tree) -> bool:
    """Lay the weights of 2-D convolutions out with the channels last, in place.

    Their outputs then have this layout as well, in which convolutions take about three quarters of
    the time on a CPU and on tensor cores. Values and shapes stay the same. A model that calls
    ``view`` on such an output fails; it is left as it was.

    Args:
        example: prepared inputs, on the model's device.

    Returns:
        Whether the layout was changed.
    """
    if not any(isinstance(module, _CONVOLUTIONS) for module in model.modules()):
        return False
    state, mode = snapshot(model), model.training
    _lay_out(model, torch.channels_last)
    try:
        with torch.no_grad(), torch.random.fork_rng(_devices(model)):
            call(model.train(), example)
    except RuntimeError:
        contiguous(model)
        return False
    finally:
        model.train(mode)
        model.load_state_dict(state)  # the pass has moved running statistics
    return True


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


def _devices(model: nn.Module) -> list[torch.device]:
    return list({p.device for p in model.parameters() if p.device.type == "cuda"})
