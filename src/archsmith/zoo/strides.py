"""Where a network halves its images: published strides, adapted to images of other sizes."""

from __future__ import annotations

from collections.abc import Sequence

#: Pixels that the last feature maps should have on a side.
LEAST_SIDE = 4


def fitted(published: Sequence[int], side: int, least: int = LEAST_SIDE) -> list[int]:
    """The published strides, of which the first become 1, so that ``least`` pixels are left.

    Networks for images of 224 pixels halve them five times, to 7. Smaller images are halved less
    often, by the last of the published strides, which belong to the wider layers: images of 32
    pixels three times. So the number of parameters does not depend on the size of the images.

    Args:
        published: strides of 1, 2, 4 …, from the first layer to the last.
        side: of the images, the shorter one, in pixels.
    """
    halvings = max(0, (side // least).bit_length() - 1)
    strides = list(published)
    for place in reversed(range(len(strides))):
        kept = min(strides[place].bit_length() - 1, halvings)
        strides[place], halvings = 2**kept, halvings - kept
    return strides
