"""What is known of a space whose weights are shared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from ..space.architecture import Architecture
from ..space.decision import Decision
from .lending import Place
from .shifting import Row
from .slicing import SlicingRule, rule_of, rule_of_groups


@dataclass(slots=True)
class Stored:
    """What is known of a key.

    Attributes:
        shape: the smallest that holds all of its shapes.
        dtype: of its tensors.
        trained: a parameter, not a buffer.
        grad: whether any architecture asks for its gradient.
        kind: class of the layer that it belongs to.
        rule: how it shrinks, as the first architecture with it says.
        groups: numbers of groups that it was met with, for convolutions that choose them.
        first: the first architecture that has it, and its shape there.
    """

    shape: torch.Size
    dtype: torch.dtype
    trained: bool
    grad: bool
    kind: type[nn.Module]
    rule: SlicingRule
    groups: set[int]
    first: tuple[Architecture, torch.Size]


@dataclass(slots=True)
class Seen:
    """An architecture as it was built: the shape of each key, and how many numbers it trains."""

    architecture: Architecture
    shapes: dict[str, torch.Size]
    size: int
    options: frozenset[str]
    decisions: dict[str, Decision]
    rows: dict[str, Row]


@dataclass
class Survey:
    """What a space was seen to need.

    Attributes:
        stored: by key.
        largest, smallest: the architectures with the most and the fewest weights, found decision
            by decision.
        effects: what each decision changes: ``kernel`` sizes alone, ``depth`` (what is there),
            ``width`` (other sizes), the ``operation`` (one of several modules), or a ``value`` that
            no weight depends on.
        constants: buffers that are computed from the architecture; each keeps its own.
        seen: architectures that were built, in order.
        drawn: how many of them were random.
        fused: number of equal parts that a layer's outputs are cut into, as an example showed.
    """

    stored: dict[str, Stored] = field(default_factory=dict)
    largest: Architecture = field(default_factory=lambda: Architecture({}))
    smallest: Architecture = field(default_factory=lambda: Architecture({}))
    effects: dict[str, str] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    seen: dict[Architecture, Seen] = field(default_factory=dict)
    drawn: int = 0
    fused: dict[str, int] = field(default_factory=dict)

    def rule(self, key: str, place: Place) -> SlicingRule:
        """How the tensor of a key shrinks to that of a place."""
        stored, layer = self.stored.get(key), place.layer
        if stored is not None and len(stored.groups) > 1 and isinstance(layer, _ConvNd):
            return rule_of_groups(layer, place.role)
        rule = rule_of(layer, place.role)
        return replace(rule, parts=((0, self.fused[key]),)) if key in self.fused else rule
