"""Bottleneck adapters: small trained modules behind frozen ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from .blocks import no_match
from .lora import inside


class Adapted(nn.Module):
    """``y + up(act(down(y)))`` of a module's output y; ``up`` is zero at first.

    Behind a sublayer of a transformer: Houlsby et al. 2019 (arXiv:1902.00751). Behind
    convolutions, with 1x1 convolutions: residual adapters, Rebuffi et al. 2017 (arXiv:1705.08045).

    Args:
        inner: the module; it keeps its name, under ``inner``.
        width: of the module's output: channels of maps (n, width, h, w), else the last dimension.
        rank: width of the bottleneck.
        maps: whether its output consists of maps.
    """

    def __init__(self, inner: nn.Module, width: int, rank: int, maps: bool) -> None:
        super().__init__()
        self.inner = inner
        self.down = nn.Conv2d(width, rank, 1) if maps else nn.Linear(width, rank)
        self.act = nn.GELU()
        self.up = nn.Conv2d(rank, width, 1) if maps else nn.Linear(rank, width)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        out: Tensor = self.inner(*inputs, **named)
        change: Tensor = self.up(self.act(self.down(out)))
        return out + change


def add_adapters(
    model: nn.Module, places: str | Sequence[str], example: Tensor, *, rank: int = 8
) -> list[str]:
    """Put an adapter behind each place and freeze the place; returns the names of the places.

    The model's output does not change until the adapters are trained. They stay part of the model.

    Args:
        places: names of modules, where ``*`` matches anything. A place inside another named place
            gets none.
        example: an input of the model, run once to find how wide each place is.
        rank: width of the bottlenecks.

    Raises:
        InputError: a rank below 1, a pattern that matches nothing, or a place that does not return
            one tensor, is not run, or is read by the module around it instead of being called.
    """
    if rank < 1:
        raise InputError("rank", "1 or more", str(rank))
    modules = {name: module for name, module in model.named_modules() if name}
    chosen: list[str] = []
    for pattern in [places] if isinstance(places, str) else list(places):
        matches = [name for name in modules if inside(name, pattern)]
        if not matches:
            raise no_match(pattern, modules)
        tops = [n for n in matches if not any(n.startswith(f"{other}.") for other in matches)]
        chosen += [name for name in tops if name not in chosen]
    widths = _widths(model, {name: modules[name] for name in chosen}, example)
    for name in chosen:
        _check_callers(model, name)
    for name in chosen:
        inner = modules[name].requires_grad_(False)
        width, maps = widths[name]
        model.set_submodule(name, Adapted(inner, width, rank, maps).to(example.device))
    return chosen


def _widths(
    model: nn.Module, places: dict[str, nn.Module], example: Tensor
) -> dict[str, tuple[int, bool]]:
    """Width of each place's output, and whether it consists of maps."""
    outputs: dict[str, object] = {}

    def watch(name: str) -> Any:
        return lambda module, inputs, out: outputs.setdefault(name, out)

    hooks = [module.register_forward_hook(watch(name)) for name, module in places.items()]
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad():
            model.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    widths = {}
    for name in places:
        out = outputs.get(name)
        if not isinstance(out, Tensor) or out.ndim < 2:
            got = "nothing: the model does not call it" if name not in outputs else _describe(out)
            raise InputError(
                f"adapter behind {name}",
                "a place that returns one tensor (n, ..., width)",
                got,
                "name the block around it",
            )
        widths[name] = (out.shape[1], True) if out.ndim == 4 else (out.shape[-1], False)
    return widths


def _describe(out: object) -> str:
    if isinstance(out, Tensor):
        return f"a tensor of shape {tuple(out.shape)}"
    return f"a value of type {type(out).__name__}"


def _check_callers(model: nn.Module, name: str) -> None:
    """Torch's attention and transformer layers read weights of their parts without calling them."""
    around = model.get_submodule(name.rpartition(".")[0])
    if isinstance(around, nn.TransformerEncoderLayer | nn.MultiheadAttention):
        raise InputError(
            f"adapter behind {name}",
            "a place that is only called",
            f"a part of {type(around).__name__}, which reads its weights",
            f"name {name.rpartition('.')[0]!r}, or use LoRA there",
        )
