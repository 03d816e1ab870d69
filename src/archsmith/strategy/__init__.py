"""Search strategies, one file each."""

from ..registry import Registry
from .base import Memo, Strategy, fresh

#: Name to :class:`Strategy` class.
strategies = Registry(
    "strategy",
    "archsmith.strategies",
    {
        "random": "archsmith.strategy.random:RandomSearch",
        "evolution": "archsmith.strategy.evolution:RegularizedEvolution",
    },
)

__all__ = ["Memo", "Strategy", "fresh", "strategies"]
