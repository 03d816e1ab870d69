"""Opening image files with their full depth: bytes, 16-bit greys and floats."""

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

#: Larger images are refused, regardless of pillow's limit: a small file can declare a huge size.
PIXELS = 89_000_000
#: White level of 16-bit greys that use all bits.
DEEP = 65535.0
#: Bit depths of sensors.
_BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Opened:
    """A decoded image, upright, with transparency replaced by white.

    Attributes:
        image: of mode ``L`` or ``RGB`` (bytes), or ``F`` with the values of the file.
        kind: the kind of values in the file.
        brightest: the largest value, for images that are not bytes.
        frames: number of frames in the file, of which this is the first.
        shallow: whether its colours have 16 bits, of which pillow reads only the upper eight.
    """

    image: Image.Image
    kind: Literal["bytes", "deep", "float"]
    brightest: float = 255.0
    frames: int = 1
    shallow: bool = False

    def fitted(
        self, height: int, width: int, channels: int, white: float = 255.0, deep_white: float = DEEP
    ) -> NDArray[Any]:
        """The image scaled to cover the size and cropped to its centre, (channels, height, width);
        uint8 if the file has bytes and ``white`` is 255, else float32.

        Args:
            white: the white level of the result.
            deep_white: the white level of 16-bit greys; floats are not scaled.

        Raises:
            ValueError: values outside these ranges.
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
    """An opened file that is not yet decoded. Raises ValueError if the image is too large."""
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
    """Decode a file, on disk or in memory. Raises whatever pillow raises, and ValueError for values
    outside the range of its kind."""
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
            # The colour of transparent pixels is arbitrary, most often black.
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if grey else "RGB")
        return Opened(image, "bytes", 255.0, frames, shallow)


def deep_white(brightest: Collection[float]) -> float:
    """White level of 16-bit greys: of the smallest bit depth that fits the brightest pixel."""
    most = max(brightest)
    return next(2.0**bits - 1 for bits in _BITS if most < 2.0**bits)


def _check(opened: Opened, white: float) -> None:
    """Raises ValueError for values outside 0 to ``white``."""
    values = np.asarray(opened.image)
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= white:
        raise ValueError(f"pixels from {low:g} to {high:g}, not within 0 to {white:g}")
