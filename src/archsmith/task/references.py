"""Reference models: what people would use by hand for a task, to hold a search against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._support.registry import load

if TYPE_CHECKING:
    from torch import nn

    from ..data.splits import Split
    from .base import Task
    from .values import Data


@dataclass(frozen=True)
class Reference(ABC):
    """A named model that people would use by hand.

    Attributes:
        name: on the command line.
    """

    name: str


@dataclass(frozen=True)
class NetworkReference(Reference):
    """A network that is trained by the task's recipe.

    Attributes:
        builder: ``"module:function"`` of a function that takes what the task offers to builders,
            and ``scale``, a factor of all widths.
    """

    builder: str

    def build(
        self, arguments: Mapping[str, Any], seed: int, scale: float = 1.0, device: str = "cpu"
    ) -> nn.Module:
        """A new network; the global random state is restored.

        Args:
            arguments: what the task offers, see :meth:`~archsmith.task.base.Task.arguments`.
            device: where it is built; on ``"meta"`` it has shapes alone.
        """
        import inspect

        import torch

        builder: Callable[..., nn.Module] = load(self.builder)
        taken = inspect.signature(builder).parameters
        offered = {name: value for name, value in arguments.items() if name in taken}
        with torch.random.fork_rng(devices=[]), torch.device(device):
            torch.manual_seed(seed)
            return builder(**offered, scale=scale)


@dataclass(frozen=True)
class FittedReference(Reference):
    """A model that is not trained by gradient steps, and has no width."""

    @abstractmethod
    def fit(
        self,
        task: Task,
        data: Data,
        seed: int,
        seconds: float | None = None,
        last: Split | None = None,
    ) -> Fitted:
        """Fit it to the training part, with settings that are best on the validation part.

        Args:
            seconds: no further settings are tried after this time; ``None`` tries all.
            last: fit once more, with the chosen settings, to these examples.
        """


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        model: takes prepared inputs and gives outputs as the task's networks do.
        settings: those that were chosen, as JSON values.
    """

    model: nn.Module
    settings: dict[str, float]


#: Of image classification.
IMAGES = (
    NetworkReference("resnet-20", "archsmith.zoo.references:resnet20"),
    NetworkReference("wrn-16-4", "archsmith.zoo.references:wrn16_4"),
    NetworkReference("resnet-18", "archsmith.zoo.references:resnet18"),
    NetworkReference("mobilenet-v3-small", "archsmith.zoo.mobilenetv3:mobilenet_v3_small"),
)
