"""Zero-cost proxies: scores of untrained models that predict how well they will learn."""

from __future__ import annotations

from .base import Proxy, SetProxy
from .batch import Batch, CannotScore
from .registry import proxies
from .scoring import check_scores, rank_by_proxies, score_proxies

__all__ = [
    "Batch",
    "CannotScore",
    "Proxy",
    "SetProxy",
    "check_scores",
    "proxies",
    "rank_by_proxies",
    "score_proxies",
]
