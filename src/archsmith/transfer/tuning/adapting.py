"""A model prepared for fine-tuning, and its hooks into the training loop."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..._support.errors import InputError
from ...train import TrainingCallback
from .adapters import add_adapters
from .blocks import Block, layers_in_order
from .lora import adaptable, add_lora
from .norms import batchnorm
from .options import FineTuning
from .penalty import L2SP
from .rates import layer_scales

#: Strength of the L2 penalty on new parameters with L2-SP (Li et al. 2018).
_NEW = 0.01


def adapt(
    model: nn.Module, head: str, tuning: FineTuning, example: Tensor
) -> tuple[list[Block], Tuning]:
    """Freeze, add adapters and set normalisations as ``tuning`` says, in place.

    Args:
        head: name of the module that is always trained; empty for none.
        example: a model input.

    Returns:
        The blocks before the head, under their original names, and the hooks for the training.

    Raises:
        InputError: more frozen blocks than there are, or a place that does not exist.
    """
    blocks = blocks_before(model, head)
    count = len(blocks) if tuning.freeze == "all" else tuning.freeze
    if count > len(blocks):
        raise InputError(
            "tuning freeze",
            f"at most {len(blocks)} blocks, or 'all'",
            str(count),
            f"they are {', '.join(block.name for block in blocks)}",
        )
    named = dict(model.named_parameters())
    scales = layer_scales([*blocks, Block("", (), ())], tuning.layer_decay)
    rates = {id(named[name]): scale for name, scale in scales.items()}
    fresh = {id(p) for name, p in named.items() if _in_head(name, head)}
    if tuning.head == "keep":
        fresh = set()
    still = blocks if tuning.adapter != "none" else blocks[:count]
    for name in (name for block in still for name in block.parameters):
        named[name].requires_grad_(False)
    norms = _block_of_norms(model, blocks, head)
    if tuning.batchnorm != "train":
        batchnorm(model, tuning.batchnorm, inside=norms.__contains__)
    else:
        batchnorm(model, "frozen", inside=lambda name: norms.get(name, len(still)) < len(still))
    waiting = [[named[name] for name in block.parameters] for block in blocks[count:]]
    if tuning.adapter != "none":
        before = {id(p) for p in model.parameters()}
        _add(model, blocks[count:], tuning, example)
        fresh |= {id(p) for p in model.parameters()} - before
        waiting = []
    joining = {name: number - count for name, number in norms.items() if number >= count}
    return blocks, Tuning(model, tuning, rates, fresh, waiting, joining)


def _add(model: nn.Module, blocks: list[Block], tuning: FineTuning, example: Tensor) -> None:
    if not blocks:
        raise InputError("tuning adapter", "a block that is not frozen to put it in", "none")
    if tuning.adapter == "lora":
        inside = tuple(m for block in blocks for m in block.modules)
        add_lora(model, tuning.places or _with_weights(model, inside), rank=tuning.rank)
    else:
        behind = tuple(block.modules[-1] for block in blocks if block.modules)
        add_adapters(model, tuning.places or behind, example, rank=tuning.rank)


def _with_weights(model: nn.Module, modules: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that hold a layer that LoRA supports."""
    return tuple(n for n in modules if any(map(adaptable, model.get_submodule(n).modules())))


def blocks_before(model: nn.Module, head: str) -> list[Block]:
    """The blocks without the parameters and modules of the head."""
    blocks = []
    for block in layers_in_order(model):
        kept = tuple(name for name in block.parameters if not _in_head(name, head))
        modules = tuple(name for name in block.modules if not _in_head(f"{name}.", head))
        if kept:
            blocks.append(Block(block.name, modules, kept))
    return blocks


def _in_head(name: str, head: str) -> bool:
    return bool(head) and name.startswith(f"{head}.")


def _block_of_norms(model: nn.Module, blocks: list[Block], head: str) -> dict[str, int]:
    """Batch normalisations before the head to the number of their block.

    One without scale and shift is in no block of parameters; it belongs to the block before it.
    """
    starts = {name: number for number, block in enumerate(blocks) for name in block.modules}
    block_of: dict[str, int] = {}
    current = 0
    for name, module in model.named_modules():
        current = starts.get(name, current)
        if isinstance(module, _BatchNorm) and not _in_head(f"{name}.", head):
            block_of[name] = current
    return block_of


class Tuning(TrainingCallback):
    """The hooks of a fine-tuning into :func:`~archsmith.train.train`."""

    def __init__(
        self,
        model: nn.Module,
        tuning: FineTuning,
        rates: Mapping[int, float],
        fresh: set[int],
        waiting: list[list[nn.Parameter]],
        norms: Mapping[str, int],
    ) -> None:
        self._model, self._every = model, tuning.unfreeze
        self._norm = tuning.batchnorm
        named = dict(model.named_parameters())
        self._scales = {name: rates.get(id(p), 1.0) for name, p in named.items()}
        self.trained = sum(p.numel() for p in named.values() if p.requires_grad)
        self._penalty = None
        if tuning.l2sp:
            new = [name for name, p in named.items() if id(p) in fresh]
            self._penalty = L2SP(model, tuning.l2sp, new, _NEW)
        self._waiting = [[p for p in block if p.requires_grad] for block in waiting]
        self._norms = norms  # to the place in waiting

    def scale(self, name: str) -> float:
        return self._scales[name]

    def before(self, epoch: int) -> None:
        if not self._every:
            return
        joined = (epoch - 1) // self._every
        last = max(0, len(self._waiting) - joined)
        for place, block in enumerate(self._waiting):
            for parameter in block:
                parameter.requires_grad_(place >= last)
        if self._norm == "train":
            # Blocks that wait are as frozen as those that never join: so are their statistics.
            batchnorm(self._model, "frozen", inside=lambda n: self._norms.get(n, last) < last)
            batchnorm(self._model, "train", inside=lambda n: self._norms.get(n, -1) >= last)

    def penalty(self) -> Tensor | None:
        return None if self._penalty is None else self._penalty()
