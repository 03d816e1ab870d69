"""How well a learner classifies, over many episodes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..._support.errors import DataError
from ...data.episodes import Episodes
from .base import FewShotLearner, evaluating

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Numbers that episodes hold at a time: enough to keep a core busy, but within its caches.
_ROOM = 2**21


@dataclass(frozen=True)
class EpisodeResult:
    """Accuracy over episodes.

    Attributes:
        learner: its name.
        seed: of the episodes; ``None`` if they were given.
        accuracy: mean over episodes, in [0, 1].
        interval: half the width of its 95 % confidence interval, 1.96 s / sqrt(episodes).
        accuracies: of each episode.
        seconds: total time; ``embedding_seconds`` of them went into embeddings.
    """

    learner: str
    ways: int
    shots: int
    queries: int
    seed: int | None
    accuracy: float
    interval: float
    accuracies: tuple[float, ...]
    seconds: float
    embedding_seconds: float

    @property
    def episodes(self) -> int:
        return len(self.accuracies)

    def to_json(self) -> dict[str, Any]:
        """JSON values, without the single episodes."""
        names = (
            "learner",
            "ways",
            "shots",
            "queries",
            "seed",
            "episodes",
            "accuracy",
            "interval",
            "seconds",
            "embedding_seconds",
        )
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return (
            f"{self.learner}, {self.ways}-way {self.shots}-shot: {100 * self.accuracy:.2f} "
            f"+- {100 * self.interval:.2f} % over {self.episodes} episodes"
        )


def evaluate_episodes(
    learner: FewShotLearner,
    inputs: Tensor | NDArray[Any],
    labels: ArrayLike,
    *,
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    episodes: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    drawn: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    device: str | None = None,
) -> EpisodeResult:
    """Accuracy of a learner over episodes of classes that it was not trained on.

    Embeddings are computed once for all episodes, unless the learner adapts its embedding.

    Args:
        inputs, labels: (n, ...) and (n,).
        groups, names: as in :class:`~archsmith.data.episodes.Episodes`.
        drawn: episodes to use instead of drawing them: support (E, N, K) and query (E, N, Q)
            indices, as returned by ``Episodes.draw`` and ``one_drawer_each``.
        device: where to compute, and where the learner is left; ``None``: its current device.

    Raises:
        InputError, DataError: as :class:`~archsmith.data.episodes.Episodes`; not one label per
            example; values that are not finite.
    """
    began = time.perf_counter()
    if len(inputs) != np.asarray(labels).shape[0]:
        got = f"{np.asarray(labels).shape[0]} for {len(inputs)}"
        raise DataError("labels", "one for each example", got)
    used_seed = seed if drawn is None else None
    if drawn is None:
        drawn = Episodes(labels, ways, shots, queries, groups=groups, names=names).draw(
            episodes, seed
        )
    if device is not None:
        learner.to(device)
    on = learner.device
    # Only the examples that occur in an episode are embedded.
    used, places = np.unique(np.concatenate([d.reshape(-1) for d in drawn]), return_inverse=True)
    chosen = learner.taken(inputs[used])
    features = learner.checked(learner.features(chosen), "inputs")
    embedded = time.perf_counter()
    cut = drawn[0].size
    support = torch.from_numpy(places.reshape(-1)[:cut].reshape(drawn[0].shape)).to(on)
    query = torch.from_numpy(places.reshape(-1)[cut:].reshape(drawn[1].shape)).to(on)
    accuracies = _accuracies(learner, features, support, query).cpu().numpy().astype(float)
    spread = accuracies.std(ddof=1) if len(accuracies) > 1 else math.nan
    ended = time.perf_counter()
    return EpisodeResult(
        learner.name,
        support.shape[1],
        support.shape[2],
        query.shape[2],
        used_seed,
        float(accuracies.mean()),
        float(1.96 * spread / math.sqrt(len(accuracies))),
        tuple(accuracies.tolist()),
        ended - began,
        embedded - began,
    )


@torch.no_grad()
def _accuracies(
    learner: FewShotLearner, features: Tensor, support: Tensor, query: Tensor
) -> Tensor:
    """Share of correct predictions (E,) in episodes with indices (E, N, K) and (E, N, Q)."""
    ways, shots, queries = support.shape[1], support.shape[2], query.shape[2]
    one_hot = F.one_hot(torch.arange(ways, device=features.device), ways).to(features)
    members = one_hot.repeat_interleave(shots, dim=0)
    target = torch.arange(ways, device=features.device).repeat_interleave(queries)
    size = (len(target) + len(members)) * features[0].numel() + len(target) * len(members)
    accuracies = []
    with evaluating(learner):
        for some, asked in zip(*(torch.split(i, max(1, _ROOM // size)) for i in (support, query))):
            logits = learner.compare(
                features[some.flatten(1)],
                members.expand(len(some), -1, -1),
                features[asked.flatten(1)],
            )
            accuracies.append((logits.argmax(dim=-1) == target).float().mean(dim=1))
    return torch.cat(accuracies)
