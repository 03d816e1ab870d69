"""Files of images, opened with all their levels: bytes, 16-bit greys and floats."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

#: Larger pictures are refused, whatever pillow is set to: a small file can say that it is huge.
PIXELS = 89_000_000
#: White of 16-bit greys that use all their bits.
DEEP = 65535.0
#: Bits that sensors have.
_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Opened:
    """A decoded image, upright, on white where it is transparent.

    Attributes:
        image: of mode ``L`` or ``RGB`` (bytes), or ``F`` with the values of the file.
        kind: what the file holds.
        brightest: the largest value, of images that are not bytes.
        frames: pictures in the file, of which this is the first.
        shallow: whether its colours have 16 bits, of which pillow gives the upper eight.
    """

    image: Image.Image
    kind: Literal["bytes", "deep", "float"]
    brightest: float = 255.0
    frames: int = 1
    shallow: bool = False

    def fitted(
        self, height: int, width: int, channels: int, white: float = 255.0, deep_white: float = DEEP
    ) -> NDArray[Any]:
        """The image scaled to cover the size and cropped to its middle, (channels, height, width);
        uint8 where the file holds bytes and ``white`` is 255, else float32.

        Args:
            white: what white is to be.
            deep_white: what it is in 16-bit greys; floats are as they are.

        Raises:
            ValueError: values beyond these ranges.
        """
        from PIL import Image, ImageOps

        image = self.image
        if self.kind == "bytes":
            image = image.convert("L" if channels == 1 else "RGB")
        else:
            _check(self, white if self.kind == "float" else deep_white)
            if self.kind == "float" and white == 255 and 0 < self.brightest <= 1:
                got = f"pixels up to {self.brightest:g}, among data from 0 to 255"
                raise ValueError(got)
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        pixels: NDArray[Any] = np.asarray(image)
        if self.kind != "bytes" or white != 255:
            own = {"bytes": 255.0, "deep": deep_white, "float": white}[self.kind]
            pixels = pixels.astype(np.float32) * np.float32(white / own)
        if pixels.ndim == 2:
            return np.repeat(pixels[None], channels, axis=0)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _opened(path: Path | BinaryIO) -> Any:
    """A file of which only the head was read; ValueError where its picture is too large."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            file = Image.open(path)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ValueError(
                f"a picture of more than {PIXELS:,} pixels, which are refused"
            ) from None
    if file.width * file.height > PIXELS:
        file.close()
        got = f"a picture of {file.width} by {file.height} pixels"
        raise ValueError(f"{got}; more than {PIXELS:,} are refused")
    return file


def open_image(path: Path | BinaryIO) -> Opened:
    """Decode a file, on disk or in memory. Raises what pillow raises, and ValueError for values
    that are no levels."""
    from PIL import Image, ImageOps

    with _opened(path) as file:
        frames = getattr(file, "n_frames", 1)
        shallow = any(";16" in str(tile[3]) for tile in file.tile) and file.mode not in ("F", "I")
        image = ImageOps.exif_transpose(file)
        if image.mode == "F" or image.mode.startswith("I"):
            # convert() would clip these at 255.
            values = np.asarray(image).astype(np.float32)
            kind: Literal["deep", "float"] = "float" if image.mode == "F" else "deep"
            opened = Opened(Image.fromarray(values), kind, float(values.max()), frames)
            _check(opened, 255.0 if kind == "float" else DEEP)
            return opened
        grey = image.mode in ("1", "L", "LA")
        if image.has_transparency_data:
            # What lies under transparent pixels is arbitrary, most often black.
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if grey else "RGB")
        return Opened(image, "bytes", 255.0, frames, shallow)


def deep_white(brightest: Collection[float]) -> float:
    """White of a data set of 16-bit greys: of the fewest bits that hold its brightest pixel."""
    most = max(brightest)
    return next(2.0**bits - 1 for bits in _BITS if most < 2.0**bits)


def _check(opened: Opened, white: float) -> None:
    """Raises ValueError for values that are not from 0 to ``white``."""
    values = np.asarray(opened.image)
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= white:
        raise ValueError(f"pixels from {low:g} to {high:g}, not within 0 to {white:g}")
