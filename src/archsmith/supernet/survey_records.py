"""What the survey of a space records, for its weights to be shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from ..space.architecture import Architecture
from ..space.decision import Decision
from .alignment import Align
from .concatenation import Joined
from .lending import Place, distinct
from .shifting import Row
from .slicing import Layout, SlicingRule, aligned_by_default, enlarge, rule_of, rule_of_groups


@dataclass(slots=True)
class Stored:
    """What the survey records of a key.

    Attributes:
        shape: the smallest that holds all of its shapes.
        dtype: of its tensors.
        trained: a parameter, not a buffer.
        grad: whether any architecture asks for its gradient.
        kind: class of the layer that it belongs to.
        groups: numbers of groups with which it occurs, for convolutions that choose them.
        first: the first architecture that has it, and its shape there.
        layout: by dimension, the sizes of its parts, where those are tracked separately.
    """

    shape: torch.Size
    dtype: torch.dtype
    trained: bool
    grad: bool
    kind: type[nn.Module]
    groups: set[int]
    first: tuple[Architecture, torch.Size]
    layout: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def hold(self, rule: SlicingRule, shape: torch.Size) -> None:
        """Enlarge the shape so that a tensor fits."""
        self.layout = enlarge(self.layout, rule)
        larger = list(map(max, self.shape, shape))
        for dim, sizes in self.layout.items():
            larger[dim] = sum(sizes)
        self.shape = torch.Size(larger)

    def hold_joined(
        self, joined: Joined, shapes: Mapping[str, torch.Size], shape: torch.Size
    ) -> None:
        """Enlarge the shape for concatenated parts, as an architecture of these shapes has them."""
        sizes = joined.sizes(shapes, shape[joined.dim])
        if sizes is not None:
            self.hold(SlicingRule(parts=((joined.dim, sizes),)), shape)


@dataclass(slots=True)
class Seen:
    """An architecture as it was built: the shape of each key, and how many weights it trains."""

    architecture: Architecture
    shapes: dict[str, torch.Size]
    size: int
    options: frozenset[str]
    decisions: dict[str, Decision]
    rows: dict[str, Row]


@dataclass
class Survey:
    """What the survey of a space found.

    Attributes:
        stored: by key.
        largest, smallest: the architectures with the most and the fewest weights, found one
            decision at a time.
        effects: what each decision changes: ``kernel`` sizes alone, ``depth`` (which layers are
            present), ``width`` (other sizes), the ``operation`` (one of several modules), or a
            ``value`` that no weight depends on.
        constants: buffers that are computed from the architecture; each keeps its own.
        seen: architectures that were built, in order.
        drawn: how many of them were random.
        fused: number of equal parts that a layer's outputs are cut into, as an example showed.
        joined: what a layer's concatenated inputs are made of, as an example showed.
        aligned: where a kernel lies in a larger one, if not in its centre, as trials showed.
    """

    stored: dict[str, Stored] = field(default_factory=dict)
    largest: Architecture = field(default_factory=lambda: Architecture({}))
    smallest: Architecture = field(default_factory=lambda: Architecture({}))
    effects: dict[str, str] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    seen: dict[Architecture, Seen] = field(default_factory=dict)
    drawn: int = 0
    fused: dict[str, int] = field(default_factory=dict)
    joined: dict[str, Joined] = field(default_factory=dict)
    aligned: dict[str, Align] = field(default_factory=dict)

    def shapes(self, model: nn.Module, keys: Mapping[str, str]) -> dict[str, torch.Size]:
        """Shapes by key as :meth:`rule` needs them; empty where it needs none."""
        if not self.joined:
            return {}
        return {key: place.tensor.shape for key, place in distinct(model, keys)}

    def rule(self, key: str, place: Place, shapes: Mapping[str, torch.Size]) -> SlicingRule:
        """How the tensor of a key shrinks to that of a place.

        Args:
            shapes: of all tensors of the model.
        """
        stored, layer = self.stored.get(key), place.layer
        if stored is not None and len(stored.groups) > 1 and isinstance(layer, _ConvNd):
            return rule_of_groups(layer, place.role)
        rule = rule_of(layer, place.role)
        if key in self.aligned and aligned_by_default(layer):
            rule = replace(rule, align=self.aligned[key])
        if key in self.fused:
            rule = replace(rule, parts=((0, self.fused[key]),))
        joined = self.joined.get(key)
        if joined is not None and joined.dim not in dict(rule.parts):
            sizes = joined.sizes(shapes, place.tensor.shape[joined.dim])
            if sizes is not None:
                rule = replace(rule, parts=(*rule.parts, (joined.dim, sizes)))
        return rule

    def room(self, key: str) -> Layout:
        """Sizes of parts in the stored tensor of a key, by dimension."""
        stored = self.stored.get(key)
        return stored.layout if stored is not None else {}
