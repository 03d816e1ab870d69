"""Losses and miners of pytorch-metric-learning (Musgrave et al. 2020, arXiv:2008.09164)."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from .._support.errors import InputError, MissingExtraError, unknown
from .pairwise import EmbeddingLoss


def foreign_loss(name: str) -> type[EmbeddingLoss]:
    """A loss by its name in the library, or with a miner: ``TripletMarginLoss+BatchHardMiner``.

    A loss with parameters for each class takes ``classes`` and ``dim``, like ours.

    Raises:
        MissingExtraError: the library is not installed.
        UnknownNameError: no such loss or miner.
    """
    try:
        from pytorch_metric_learning import losses, miners
    except ImportError as error:
        raise MissingExtraError(
            f"loss pml:{name}",
            "pytorch-metric-learning",
            str(error),
            "pip install 'archsmith[metric]'",
        ) from None
    first, _, second = name.partition("+")
    kind = _lookup(losses, first, "loss of pytorch-metric-learning")
    miner = _lookup(miners, second, "miner of pytorch-metric-learning") if second else None
    per_class = "num_classes" in inspect.signature(kind).parameters

    class Foreign(EmbeddingLoss):
        __doc__ = f"{first} of pytorch-metric-learning."
        learned = per_class

        def __init__(self, classes: int = 0, dim: int = 0) -> None:
            super().__init__()
            self.loss = kind(classes, dim) if per_class else kind()
            self.miner = miner() if miner else None

        def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
            pairs = self.miner(embeddings, targets) if self.miner is not None else None
            value: Tensor = self.loss(embeddings, targets, pairs)
            return value

    return Foreign


def _lookup(module: Any, name: str, what: str) -> Any:
    names = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    ]
    if name not in names:
        raise unknown(what, name, names)
    cls = getattr(module, name)
    if inspect.isabstract(cls):
        raise InputError(name, "a class that can be instantiated", "an abstract class")
    required = [
        key
        for key, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and key not in ("num_classes", "embedding_size")
    ]
    if required:
        raise InputError(
            name,
            "a class without required arguments",
            ", ".join(required),
            "use it in a training loop of your own",
        )
    return cls
