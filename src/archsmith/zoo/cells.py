"""Networks of cells: what the spaces of DARTS, NASNet and ENAS have in common.

A cell reads the outputs of the last two cells, its states 0 (of the cell before the last one) and
1 (of the last one). Each of its nodes, states 2, 3, …, is a sum of operations on earlier states,
and the output concatenates some of the states. A network has three stages of *normal* cells; before
the second and the third stage a *reduction* cell halves the height and width and doubles the
channels. All cells of a kind are equal: their decisions are asked in the scopes ``normal`` and
``reduce``, such as ``normal.node2.inputs`` and, for its edge from state 0,
``normal.node2.inputs.0.op``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial, reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..space import one_of, scope, subset
from ..space.architecture import Answer
from .nasbench201 import ReLUConvBN
from .references import conv
from .strides import fitted
from .transnas import ShiftedReduction

#: Images of this side or more meet the stem that was published for ImageNet, others that for CIFAR.
LARGE_SIDE = 64

#: Builds an operation for the channels of its input and of its output, and a stride.
Op = Callable[[int, int, int], nn.Module]


class Flow(NamedTuple):
    """What a cell gives: its channels, and how often the images were halved before."""

    channels: int
    halvings: int


class Plan(NamedTuple):
    """A cell to build: its place in the network, from 0, channels of its states, whether it is a
    reduction cell, and the outputs of the two cells before it."""

    place: int
    filters: int
    reduces: bool
    before: Flow
    last: Flow

    @property
    def kind(self) -> str:
        """The scope of its decisions."""
        return "reduce" if self.reduces else "normal"

    def entry(self, flow: Flow) -> nn.Module:
        """Brings an earlier output to the cell's channels, and to the size of the last one."""
        if flow.halvings < self.last.halvings:
            return ShiftedReduction(flow.channels, self.filters)
        return ReLUConvBN(flow.channels, self.filters, 1)

    def end(self, state: int, wide: int) -> nn.Module:
        """Brings a state that the output concatenates, ``wide`` channels, to the others' shape."""
        if state < 2 and self.reduces:
            return ShiftedReduction(wide, self.filters)
        return nn.Identity() if wide == self.filters else ReLUConvBN(wide, self.filters, 1)


class Node(nn.Module):
    """The sum of operations on earlier states.

    Args:
        slots: chosen edges, the operation by the number of the state that it reads.
    """

    def __init__(self, slots: Sequence[nn.ModuleDict]) -> None:
        super().__init__()
        self.slots = nn.ModuleList(slots)
        #: For each slot, the states that it reads.
        self.sources = tuple(tuple(map(int, slot)) for slot in slots)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        terms: list[Tensor] = []
        for slot in self.slots:
            assert isinstance(slot, nn.ModuleDict)
            terms += [edge(states[int(source)]) for source, edge in slot.items()]
        return reduce(torch.add, terms)


class Cell(nn.Module):
    """Two entries, which make states 0 and 1 from the inputs; nodes; and the concatenation of some
    states, each of which passes the end with its number."""

    def __init__(
        self,
        entries: tuple[nn.Module, nn.Module],
        nodes: Sequence[Node],
        ends: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        self.entries, self.nodes = nn.ModuleList(entries), nn.ModuleList(nodes)
        self.ends = nn.ModuleDict(ends)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [entry(x) for entry, x in zip(self.entries, (before, last), strict=True)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat([end(states[int(state)]) for state, end in self.ends.items()], dim=1)


class Cells(nn.Module):
    """Cells in a row, each of which reads the outputs of the two before it.

    Args:
        stem: makes the first input from the images, and ``deeper`` the second one from that.
        skipped: places of cells whose input the next one reads instead of their predecessor's.
    """

    def __init__(
        self,
        stem: nn.Module,
        deeper: nn.Module,
        cells: Sequence[nn.Module],
        skipped: Collection[int] = (),
    ) -> None:
        super().__init__()
        self.stem, self.deeper, self.cells = stem, deeper, nn.ModuleList(cells)
        self.skipped = frozenset(skipped)

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[-1]

    def maps(self, images: Tensor) -> list[Tensor]:
        """The outputs of the stem, of what follows it, and of each cell."""
        before: Tensor = self.stem(images)
        outputs = [before, self.deeper(before)]
        for place, cell in enumerate(self.cells):
            last = outputs[-1]
            outputs.append(cell(before, last))
            before = before if place in self.skipped else last
        return outputs


class Separable(nn.Sequential):
    """Twice ReLU, a depthwise and a 1x1 convolution and batch norm; the first has the stride."""

    def __init__(self, kernel: int, inside: int, outside: int, stride: int) -> None:
        super().__init__(
            *(nn.ReLU(), conv(inside, inside, kernel, stride, groups=inside)),
            *(conv(inside, outside, 1), nn.BatchNorm2d(outside)),
            *(nn.ReLU(), conv(outside, outside, kernel, groups=outside)),
            *(conv(outside, outside, 1), nn.BatchNorm2d(outside)),
        )


def max_pool(kernel: int, inside: int, outside: int, stride: int) -> nn.Module:
    """Max pooling, and a 1x1 convolution if the channels change."""
    return _projected(nn.MaxPool2d(kernel, stride, padding=kernel // 2), inside, outside)


def average_pool(kernel: int, inside: int, outside: int, stride: int) -> nn.Module:
    """Average pooling of the pixels there are, and a 1x1 convolution if the channels change."""
    pool = nn.AvgPool2d(kernel, stride, padding=kernel // 2, count_include_pad=False)
    return _projected(pool, inside, outside)


def _projected(pool: nn.Module, inside: int, outside: int) -> nn.Module:
    if inside == outside:
        return pool
    return nn.Sequential(pool, conv(inside, outside, 1), nn.BatchNorm2d(outside))


def skip(inside: int, outside: int, stride: int) -> nn.Module:
    """The identity or, with a stride, a reduction that sees every second diagonal twice."""
    if inside == outside and stride == 1:
        return nn.Identity()
    return ShiftedReduction(inside, outside)


def edges(
    name: str,
    chosen: Sequence[int],
    plan: Plan,
    ops: Mapping[str, Op],
    widths: Sequence[int],
    usual: Callable[[int], str],
) -> nn.ModuleDict:
    """A choice of earlier states and, for each chosen one, of an operation, by the state's number.

    Args:
        name: of the decision.
        chosen: as many states as are to be chosen; the default.
        widths: channels of the earlier states.
        usual: the operation by default, for a state.
    """

    def edge(source: int) -> nn.Module:
        stride = 2 if plan.reduces and source < 2 else 1
        options = {
            label: partial(op, widths[source], plan.filters, stride) for label, op in ops.items()
        }
        built: nn.Module = one_of("op", options, default=usual(source))
        return built

    candidates = {str(source): partial(edge, source) for source in range(len(widths))}
    built: nn.ModuleDict = subset(name, candidates, len(chosen), list(map(str, chosen)))
    return built


def loose(nodes: Sequence[Node]) -> list[int]:
    """The states that no node reads, the last one first.

    The last node is always among them, and so come first the states that mostly are: shared weights
    of the layers that read the output take its leading channels. While all options are active, a
    slot holds every candidate; then all nodes are kept, as if none were read.
    """
    slots = [set(sources) for node in nodes for sources in node.sources]
    read = set[int]().union(*(slot for slot in slots if len(slot) == 1))
    held = set[int]().union(*slots)
    return [s for s in reversed(range(len(nodes) + 2)) if s not in (held if s < 2 else read)]


class Start(NamedTuple):
    """What comes before the first cell: two modules as of :class:`Cells`, and what they give."""

    stem: nn.Module
    deeper: nn.Module
    before: Flow
    last: Flow


def start(channels: int, filters: int, height: int, width: int) -> Start:
    """DARTS's first layers: a 3x3 convolution or, for large images, three of stride 2."""
    if min(height, width) < LARGE_SIDE:
        return small_start(channels, 3 * filters)
    half, stride = filters // 2, first_stride(height, width)
    stem = nn.Sequential(
        *(conv(channels, half, 3, stride), nn.BatchNorm2d(half), nn.ReLU()),
        *(conv(half, filters, 3, 2), nn.BatchNorm2d(filters)),
    )
    deeper = nn.Sequential(nn.ReLU(), conv(filters, filters, 3, 2), nn.BatchNorm2d(filters))
    return Start(stem, deeper, Flow(filters, 0), Flow(filters, 1))


def small_start(channels: int, wide: int, stride: int = 1) -> Start:
    """A 3x3 convolution, of which the first cell takes the output for both of its inputs."""
    stem = nn.Sequential(conv(channels, wide, 3, stride), nn.BatchNorm2d(wide))
    return Start(stem, nn.Identity(), Flow(wide, 0), Flow(wide, 0))


def first_stride(height: int, width: int) -> int:
    """The stride of the first convolution for large images, of five that halve 224 pixels to 7."""
    return fitted([2] * 5, min(height, width))[0]


def stages(filters: int, cells: int) -> list[tuple[int, bool]]:
    """Channels of the cells of three stages, and whether each is a reduction cell."""
    plans = [(filters, False)] * cells
    for wide in (2 * filters, 4 * filters):
        plans += [(wide, True), *[(wide, False)] * cells]
    return plans


def stacked(
    first: Start,
    make: Callable[[Plan], Cell],
    kinds: Sequence[tuple[int, bool]],
    skipped: Collection[int] = (),
) -> tuple[Cells, int]:
    """The network up to its last cell, and the channels that this gives.

    ``kinds`` are as of :func:`stages`, ``skipped`` as of :class:`Cells`.
    """
    cells, before, last = [], first.before, first.last
    for place, (filters, reduces) in enumerate(kinds):
        plan = Plan(place, filters, reduces, before, last)
        with scope(plan.kind):
            cells.append(make(plan))
        given = Flow(filters * len(cells[-1].ends), last.halvings + reduces)
        before, last = (before if place in skipped else last), given
    return Cells(first.stem, first.deeper, cells, skipped), last.channels


def head(wide: int, classes: int, bias: bool = True) -> tuple[nn.Module, ...]:
    """Mean of all pixels, and a linear layer."""
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, classes, bias)


def genotype(kind: str, text: str, slots: tuple[str, str]) -> dict[str, Answer]:
    """Answers for the cells of a kind.

    Args:
        text: ``op~state`` of each edge, two for each node.
        slots: names of the decisions that the first and the second edge of a node belong to.
    """
    answers: dict[str, Answer] = {}
    for place, (op, source) in enumerate(term.split("~") for term in text.split()):
        name = f"{kind}.node{2 + place // 2}.{slots[place % 2]}"
        before = answers.get(name, ())
        assert isinstance(before, tuple)
        answers[name] = tuple(sorted((*map(str, before), source)))
        answers[f"{name}.{source}.op"] = op
    return answers
