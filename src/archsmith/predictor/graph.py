"""A graph network over the built architecture (Wen et al. 2020, Neural Predictor, arXiv:1912.00848;
messages as in Gilmer et al. 2017, arXiv:1704.01212)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import InputError
from ..space.architecture import Architecture
from .base import Predictor

if TYPE_CHECKING:
    from ..space import Space
    from .network import MessageNetwork, Vocabulary

Array = np.ndarray[Any, np.dtype[np.float64]]


class GraphNetwork(Predictor):
    """A network that passes messages between the operations of the built model.

    It works for any space: the architecture is built on ``meta`` and traced, and each node has its
    kind of layer and its sizes. If a model cannot be traced, the tree of its modules is the graph.
    Building takes milliseconds, so it is slower than predictors that use only decisions.

    Args:
        members: number of networks with different random initialisations, whose disagreement is
            the spread.
        hidden: size of a node's state.
        radius: rounds of messages.
        steps: of training.

    Raises:
        InputError: fewer than 2 members.
    """

    name = "graph"
    folds = 3  # it is slow to train

    def __init__(
        self, members: int = 3, hidden: int = 32, radius: int = 2, steps: int = 120
    ) -> None:
        if members < 2:
            raise InputError(self.name, "members >= 2", str(members), "a single one has no spread")
        self.members, self.hidden, self.radius, self.steps = members, hidden, radius, steps

    def learn(
        self, space: Space, architectures: Sequence[Architecture], targets: Array, seed: int
    ) -> _Networks:
        from .network import Batch, train
        from .operations import graphs_of

        batch = Batch(graphs_of(space).of(architectures), self.radius)
        networks = [
            train(
                batch, targets, self.hidden, self.radius, self.steps, (seed + 7919 * member) % 2**32
            )
            for member in range(self.members)
        ]
        return _Networks(space, batch.vocabulary, networks, self.radius)


class _Networks:
    def __init__(
        self,
        space: Space,
        vocabulary: Vocabulary,
        networks: Sequence[MessageNetwork],
        radius: int,
    ) -> None:
        self._space, self._vocabulary = space, vocabulary
        self._networks, self._radius = networks, radius

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        import torch

        from .network import Batch
        from .operations import graphs_of

        batch = Batch(graphs_of(self._space).of(architectures), self._radius, self._vocabulary)
        with torch.inference_mode():
            predictions = (
                torch.stack([network(batch) for network in self._networks]).double().numpy()
            )
        return predictions.mean(axis=0), predictions.std(axis=0)
