"""What is drawn of a model: boxes, repeated blocks, and the edges between them."""

from __future__ import annotations

from dataclasses import dataclass

from .graph import Kind


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the picture: a layer with the small layers before and after it.

    Attributes:
        kind: family of its main layer, which colours it.
        title: the main layer (``Conv 3×3, 16→32``).
        detail: the small layers in order (``BatchNorm · ReLU``).
        shape: of the output, without the batch dimension.
        params: of all its layers.
        paths: the modules in it.
        count: how many equal ones follow each other.
        layers: the layers of a module that is shown as one box; none if it is a layer.
    """

    kind: Kind
    title: str
    detail: str = ""
    shape: tuple[int, ...] | None = None
    params: int = 0
    paths: tuple[str, ...] = ()
    count: int = 1
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A group of boxes that is repeated: the first copy is drawn in a frame with ``×count``."""

    title: str
    count: int
    picture: Picture
    params: int


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn: boxes and blocks, the edges between them, and where data enters and leaves.

    Attributes:
        edges: pairs of positions in ``items``.
        entries, exits: positions that take from, and give to, the outside (in a block only).
    """

    items: tuple[Box | Block, ...]
    edges: tuple[tuple[int, int], ...]
    entries: tuple[int, ...] = ()
    exits: tuple[int, ...] = ()

    @property
    def boxes(self) -> int:
        """How many boxes are drawn, those inside blocks too."""
        return sum(item.picture.boxes if isinstance(item, Block) else 1 for item in self.items)
