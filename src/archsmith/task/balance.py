"""Classes of different sizes: what evens them out, and when that is worth a thought."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._support.errors import unknown
from ..data.mapped import Labelled
from .base import Data
from .classify import class_counts

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
        evened = "--task image-classification:balance=weights (or balance=sampling) evens that out"
        line = f"the largest class has {ratio:.3g} times the training examples of the smallest: "
        summary.insert(2, f"{line}{evened}, and the metric balanced_accuracy counts classes alike")
    return replace(data, facts=facts, summary=tuple(summary))
