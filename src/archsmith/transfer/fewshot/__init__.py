"""Classifiers that learn from a few examples, and episodes that evaluate them."""

from __future__ import annotations

from .base import FewShotLearner
from .evaluating import EpisodeResult, evaluate_episodes
from .registry import learners
from .training import train_episodes

__all__ = [
    "EpisodeResult",
    "FewShotLearner",
    "evaluate_episodes",
    "learners",
    "train_episodes",
]
