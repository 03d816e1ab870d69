"""Networks that keep several resolutions in parallel.

The space of NAS-Bench-MR (Ding et al. 2021, arXiv:2103.13253) after HRNet (Wang et al. 2020,
arXiv:1908.07919): four stages; stage k has k resolutions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .._support.errors import SpaceError
from ..space import Answer, Architecture, choose, repeat, scope

#: Channels to choose from, as recorded.
WIDTHS = tuple(range(8, 129, 8))
#: Numbers of modules and of blocks, as recorded.
COUNTS = (1, 2, 3, 4)
_STAGES = 4
#: Numbers of a recorded code.
CODE = 27


def hrnet(
    channels: int,
    classes: int,
    dense: bool = False,
    widths: Sequence[int] = WIDTHS,
    counts: Sequence[int] = COUNTS,
) -> nn.Module:
    """Images (n, channels, height, width) to logits.

    Two convolutions of stride 2, then four stages. Stage k repeats a module of k branches, each at
    half the resolution of the one before: branches exchange features with their neighbours, then
    each runs its own residual blocks. At the end the branches are resized, concatenated, and passed
    through a final convolution.

    Args:
        channels: of the images.
        classes: outputs.
        dense: one logit vector for each 4x4 pixels, (n, classes, height / 4, width / 4), as for
            segmentation, instead of one for the image, (n, classes).
        widths: channels to choose from, of the stem, of every branch and of the head.
        counts: numbers of modules of a stage, and of blocks of a branch.
    """
    middle = widths[len(widths) // 2]
    with scope("stem"):
        stem: list[int] = [choose(name, widths, middle) for name in ("width1", "width2")]
    stages: list[nn.Module] = []
    before = [stem[1]]
    for branches in range(1, _STAGES + 1):
        with scope(f"stage{branches}"):
            stage, before = _stage(before, branches, widths, counts)
        stages.append(stage)
    with scope("head"):
        last: int = choose("width", widths, middle)
    start = nn.Sequential(_conv(channels, stem[0], 3, 2), _conv(stem[0], stem[1], 3, 2))
    head = _conv(sum(before), last, 1), nn.Conv2d(last, classes, 1)
    return MultiResolution(start, stages, *head, dense)


def _stage(
    before: list[int], branches: int, widths: Sequence[int], counts: Sequence[int]
) -> tuple[nn.Module, list[int]]:
    # Asked in the order of the code, once per stage: all modules of a stage are equal.
    places = range(1, branches + 1)
    middle = widths[len(widths) // 2]
    blocks: list[int] = [choose(f"blocks{place}", counts) for place in places]
    after: list[int] = [choose(f"width{place}", widths, middle) for place in places]

    def module(number: int) -> nn.Module:
        return Module(after if number else before, after, blocks)

    return repeat("modules", counts, module), after


class MultiResolution(nn.Module):
    """The stem, the stages on a list of resolutions, and the joined head."""

    def __init__(
        self,
        stem: nn.Module,
        stages: list[nn.Module],
        join: nn.Module,
        classify: nn.Module,
        dense: bool,
    ) -> None:
        super().__init__()
        self.stem, self.stages = stem, nn.Sequential(*stages)
        self.join, self.classify, self.dense = join, classify, dense

    def forward(self, x: Tensor) -> Tensor:
        branches: list[Tensor] = self.stages([self.stem(x)])
        # A map of logits needs the finest resolution; for a single vector the coarsest is enough.
        size = branches[0 if self.dense else -1].shape[-2:]
        joined = self.join(torch.cat([_resize_to(branch, size) for branch in branches], dim=1))
        if not self.dense:
            joined = joined.mean(dim=(-2, -1), keepdim=True)
        logits: Tensor = self.classify(joined)
        return logits if self.dense else logits.flatten(1)


class Branches(nn.Module):
    """What comes before the head of a network; :meth:`maps` gives the stem's output and each
    resolution, the finest first, and a call the coarsest."""

    def __init__(self, network: MultiResolution) -> None:
        super().__init__()
        self.stem, self.stages = network.stem, network.stages

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images)[-1]

    def maps(self, images: Tensor) -> list[Tensor]:
        start: Tensor = self.stem(images)
        return [start, *self.stages([start])]


class Module(nn.Module):
    """Fusion of neighbouring branches, then residual blocks on each: a list to a list."""

    def __init__(self, before: list[int], widths: list[int], blocks: list[int]) -> None:
        super().__init__()
        self.fusion = Fusion(before, widths)
        self.branches = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        fused = self.fusion(x)
        return [branch(one) for branch, one in zip(self.branches, fused, strict=True)]


class Fusion(nn.Module):
    """Adds its neighbours to each branch; a new branch is the last one at half resolution."""

    def __init__(self, before: list[int], widths: list[int]) -> None:
        super().__init__()
        self.sources = [
            [source for source in (to - 1, to, to + 1) if 0 <= source < len(before)]
            for to in range(min(len(before), len(widths)))
        ]
        self.paths = nn.ModuleList(
            nn.ModuleList(self._path(before[source], widths[to], to - source) for source in sources)
            for to, sources in enumerate(self.sources)
        )
        self.new = nn.ModuleList(
            _conv(widths[to - 1], widths[to], 3, 2) for to in range(len(before), len(widths))
        )

    @staticmethod
    def _path(inside: int, outside: int, down: int) -> nn.Module:
        if down < 0:
            return _conv(inside, outside, 1)
        return _conv(inside, outside, 3, 2 if down else 1)

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        fused = []
        for to, (sources, paths) in enumerate(zip(self.sources, self.paths, strict=True)):
            assert isinstance(paths, nn.ModuleList)
            arriving = [path(x[source]) for source, path in zip(sources, paths, strict=True)]
            size = x[to].shape[-2:]
            fused.append(torch.relu(torch.stack([_resize_to(a, size) for a in arriving]).sum(0)))
        for layer in self.new:
            fused.append(layer(fused[-1]))
        return fused


class Block(nn.Module):
    """The residual block of two 3x3 convolutions (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(width, width, 3),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def _conv(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


def _resize_to(x: Tensor, size: torch.Size) -> Tensor:
    if x.shape[-2:] == size:
        return x
    return nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=False)


def code_names() -> list[str]:
    """Decisions in the order of the recorded code's 27 numbers."""
    names = ["stem.width1", "stem.width2"]
    for stage in range(1, _STAGES + 1):
        places = range(1, stage + 1)
        names.append(f"stage{stage}.modules")
        names += [f"stage{stage}.blocks{place}" for place in places]
        names += [f"stage{stage}.width{place}" for place in places]
    return [*names, "head.width"]


def from_code(code: Sequence[int]) -> Architecture:
    """An architecture from the benchmark's 27 numbers.

    Channels of the stem (2); for stage k the number of modules, of blocks in each of its k
    branches, and their channels; channels of the head.

    Raises:
        SpaceError: a wrong number of values, or one that is not an option, with its position.
    """
    if len(code) != CODE:
        raise SpaceError("code", f"{CODE} integers", f"{len(code)}")
    for place, (name, number) in enumerate(zip(code_names(), code, strict=True)):
        options = WIDTHS if "width" in name else COUNTS
        if type(number) is not int or number not in options:
            expected = f"{name}, one of {', '.join(map(str, options))}"
            raise SpaceError(f"code, number {place}", expected, repr(number))
    answers = dict(zip(code_names(), code, strict=True))
    return Architecture(dict(answers))


def to_code(architecture: Mapping[str, Answer]) -> list[int]:
    """The inverse of :func:`from_code`."""
    code = []
    for name in code_names():
        number = architecture[name]
        assert isinstance(number, int)
        code.append(number)
    return code
