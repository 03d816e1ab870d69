"""Classifiers that learn from a few examples, and episodes that measure them."""

from __future__ import annotations

from ...registry import Registry
from .base import FewShotLearner
from .evaluating import EpisodeResult, evaluate_episodes
from .training import train_episodes

#: Learners by name. Plug-ins register in the entry-point group ``archsmith.learners``.
learners = Registry(
    "few-shot learner",
    "archsmith.learners",
    {
        "prototypical": "archsmith.transfer.fewshot.centroids:Prototypical",
    },
)

__all__ = [
    "EpisodeResult",
    "FewShotLearner",
    "evaluate_episodes",
    "learners",
    "train_episodes",
]
