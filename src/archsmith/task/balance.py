"""Classes of different sizes: what evens them out, and when that is worth a thought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .._support.errors import unknown
from .._support.options import format_options, parse
from ..data.mapped import Labelled
from ..data.splits import Split
from .base import Data, ReadOptions, Task
from .classify import class_counts, classes_of
from .contracts import UnevenSampling

_WAYS = ("none", "weights", "sampling")
#: How many times as large as the smallest class the largest one is, for a remark.
_UNEVEN = 5


@dataclass(frozen=True)
class BalanceOptions:
    """Options after the name of the task: ``image-classification:balance=weights``.

    Attributes:
        balance: with ``weights`` the loss of an example is multiplied by the number of all examples
            over that of its class and the number of classes (King and Zeng 2001,
            doi:10.1093/oxfordjournals.pan.a004868); with ``sampling`` an epoch draws, with
            replacement, from all classes equally often.

    Raises:
        UnknownNameError: no such way.
    """

    balance: str = "none"

    def __post_init__(self) -> None:
        if self.balance not in _WAYS:
            raise unknown("balance of classes", self.balance, _WAYS)


class Balanced(Task, UnevenSampling):
    """Classification whose classes can be evened out.

    Args:
        options: as text, see :class:`BalanceOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    def __init__(self, options: str = "") -> None:
        self.options = parse(BalanceOptions, options, self.name)
        if chosen := format_options(self.options):
            self.name = f"{self.name}:{chosen}"  # type: ignore[misc]

    def read(self, source: str, options: ReadOptions) -> Data:
        return balanced(super().read(source, options), self.options)  # type: ignore[safe-super]

    def prepare_targets(self, targets: Tensor, facts: Mapping[str, Any]) -> Tensor:
        """Class indices; with weights their one-hot form (n, classes) times the class's weight."""
        weights = facts.get("class_weights")
        if weights is None:
            return targets
        shares = F.one_hot(targets, facts["classes"])
        return shares * torch.tensor(weights, device=targets.device)

    def chances(self, train: Split) -> Tensor | None:
        if self.options.balance != "sampling":
            return None
        labels = classes_of(train)
        return 1 / torch.bincount(labels).float()[labels]


def balanced(data: Data, options: BalanceOptions) -> Data:
    """The data with the weights of its classes among its facts, if they are asked for, and with a
    line in the summary about classes of very different sizes."""
    assert isinstance(data.train, Labelled)
    counts = class_counts(data.train, data.facts["classes"])
    facts, summary = data.facts, list(data.summary)
    if options.balance == "weights":
        weights = counts.sum() / (len(counts) * counts)
        facts = facts | {"class_weights": weights.tolist()}
    ratio = float(counts.max() / counts.min())
    if options.balance != "none":
        summary.insert(2, f"classes of 1 to {ratio:.3g} are balanced by {options.balance}")
    elif ratio > _UNEVEN:
        evened = f"--task {data.task}:balance=weights (or balance=sampling) evens that out"
        line = f"the largest class has {ratio:.3g} times the training examples of the smallest: "
        summary.insert(2, f"{line}{evened}, and the metric balanced_accuracy counts classes alike")
    return replace(data, facts=facts, summary=tuple(summary))
