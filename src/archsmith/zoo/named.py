"""Published architectures, as answers to the questions of the ready spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from .._support.registry import Registry
from . import spaces

if TYPE_CHECKING:
    from ..space import Space
    from ..space.architecture import Answer, Architecture


@dataclass(frozen=True)
class Named:
    """A published architecture: a member of a ready space.

    Attributes:
        space: name of the ready space.
        answers: to its questions; where the paper leaves one open, the default answers.
        arguments: of the builder, besides those that come from the data.
        parameters: number of them as published, for inputs as below.
        side, classes: of the published form: side of the images in pixels, and number of classes.
        source: paper, with the table.
    """

    space: str
    answers: Mapping[str, Answer]
    parameters: int
    source: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    side: int = 224
    classes: int = 1000

    def within(
        self,
        channels: int = 3,
        classes: int | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> tuple[Space, Architecture]:
        """The space for images of this form (by default the published one), and the architecture.

        Raises:
            SpaceError: the architecture has no place in it, for instance because the images are too
                small.
        """
        from ..space import Space

        arguments = {
            "channels": channels,
            "classes": classes or self.classes,
            "height": height or self.side,
            "width": width or self.side,
        }
        space = Space(spaces.get(self.space), **arguments, **self.arguments)
        found = space.complete(self.answers)
        for name, answer in self.answers.items():
            if name not in found or found[name] != answer:
                raise SpaceError(
                    f"{space.name}, {name}", repr(answer), repr(found.get(name, "not asked"))
                )
        return space, found


#: Published architectures by name.
architectures = Registry("architecture", "archsmith.architectures", {})
