"""Static costs of an architecture: parameters, FLOPs, memory."""

from __future__ import annotations

from collections.abc import Sequence

from .._support.trees import Spec, as_spec, example_of
from ..hardware.cost import STATIC, cost
from ..history.trial import Fidelity
from ..space import Space
from ..space.architecture import Architecture
from .base import Evaluator, Price, Watch


class CostEvaluator(Evaluator):
    """Static costs of an architecture, those of :func:`cost` for a batch of 1.

    Args:
        space: builds the architectures.
        inputs: inputs of the model: a spec (:func:`~archsmith._support.trees.spec_of`), or the
            shape of one input with the batch first: ``(1, channels, height, width)``. The batch
            size is always 1.
        dtype: name of the torch type of an input that is given by its shape.

    Raises:
        InputError: an invalid shape or type.
    """

    name = "cost"
    price = Price.STATIC

    def __init__(self, space: Space, inputs: Spec | Sequence[int], dtype: str = "float32") -> None:
        self.space, self.inputs = space, as_spec(inputs, dtype)

    @property
    def provides(self) -> tuple[str, ...]:
        return STATIC

    def evaluate(
        self, architecture: Architecture, fidelity: Fidelity, seed: int, watch: Watch
    ) -> dict[str, float]:
        example = example_of(self.inputs, batch=1, device="meta")
        try:
            return cost(self.space.build(architecture, device="meta", seed=seed), example)
        except Exception:
            # Some models cannot be built or run on meta. A wrong model fails here again, with a
            # better message, since it runs on values.
            example = example_of(self.inputs, batch=1)
            return cost(self.space.build(architecture, device="cpu", seed=seed), example)
