"""How much memory a training of shared weights needs, estimated before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .._support.errors import InputError
from .._support.trees import Tree, call, count_examples, move

if TYPE_CHECKING:
    from .supernet import Supernet

#: Copies of the weights: themselves, their gradients, and two moments of the optimiser.
_COPIES = 4


def saved_bytes(model: nn.Module, example: Tree) -> int:
    """Bytes that a forward pass keeps for the backward pass, not counting parameters.

    Args:
        model: on any device, ``meta`` included, where nothing is computed.
        example: prepared inputs on that device.
    """
    own = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # an address is not reused while its tensor lives

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        call(model.train(), example)
    return sum(kept.values())


def memory_needed(supernet: Supernet, example: Tree, batch: int, paths: float = 1.0) -> int:
    """Bytes that a training needs, estimated for the largest architecture.

    Args:
        example: prepared inputs of one or more examples, on the CPU.
        batch: examples per step.
        paths: how many options are computed at the same time, on average (1 for single paths).
    """
    space, largest = supernet.space, supernet.survey.largest
    weights = sum(p.numel() * p.element_size() for p in supernet.parameters())
    try:
        model = space.build(largest, device="meta")
        one = saved_bytes(model, move(example, "meta")) / count_examples(example)
    except Exception:  # a model that cannot run on meta does not justify a real pass here
        one = 0.0
    return int(_COPIES * weights + one * batch * paths)


def check_memory(
    supernet: Supernet, example: Tree, batch: int, paths: float = 1.0
) -> tuple[int, int]:
    """Refuse a training that the memory cannot hold; arguments as :func:`memory_needed`.

    Returns:
        Bytes that are needed, and bytes that are free.

    Raises:
        InputError: more is needed than is free.
    """
    needed = memory_needed(supernet, example, batch, paths)
    free = available(supernet.device)
    if needed > free:
        raise InputError(
            "memory",
            f"{needed / 1e9:.1f} GB for the weights, the optimiser and a batch of "
            f"{batch} through the largest architecture",
            f"{free / 1e9:.1f} GB free",
            "a smaller batch (recipe), fewer or narrower options, or a larger machine",
        )
    return needed, free


def available(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)
