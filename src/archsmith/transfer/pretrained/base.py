"""The common form of pretrained backbones: a module, the width of its embeddings, its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn import functional as F

from ..._support.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Mean and standard deviation of ImageNet's channels, for values in [0, 1].
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageInput:
    """Converts images of any size to the inputs a network was trained on.

    Attributes:
        size: height and width in pixels; ``None`` keeps those of the images.
        mean, std: of each channel, for values in [0, 1]; there is one for each channel.

    Raises:
        InputError: the images are not uint8 (n, channels, height, width), or have a number of
            channels that is neither 1 nor the network's.
    """

    size: tuple[int, int] | None
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]

    @property
    def channels(self) -> int:
        """Number of channels of the images that the network takes."""
        return len(self.mean)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> ImageInput:
        """The input of a network that was trained on this data; ``facts`` are those of the data."""
        return cls((facts["height"], facts["width"]), tuple(facts["mean"]), tuple(facts["std"]))

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (n, 1 or channels, h, w) to normalised float32 (n, channels, *size)."""
        self._check(images)
        return self.normalise(images.float())

    def normalise(self, pixels: Tensor) -> Tensor:
        """Like a call, for values from 0 to 255 that are float32 already; it can be traced."""
        if pixels.shape[1] < self.channels:
            pixels = pixels.expand(-1, self.channels, -1, -1)
        if self.size is not None and tuple(pixels.shape[2:]) != self.size:
            # Antialiasing matters if images shrink; cubic values may leave the range of bytes.
            pixels = F.interpolate(
                pixels, self.size, mode="bicubic", align_corners=False, antialias=True
            ).clamp(0, 255)
        shape = (1, -1, 1, 1)
        mean = pixels.new_tensor(self.mean).view(shape)
        std = pixels.new_tensor(self.std).view(shape)
        return (pixels / 255 - mean) / std

    def _check(self, images: Tensor) -> None:
        expected = f"uint8 images (n, 1 or {self.channels}, height, width)"
        if images.dtype != torch.uint8 or images.ndim != 4:
            got = f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
            raise InputError("images", expected, got)
        if images.shape[1] not in (1, self.channels):
            raise InputError(
                "images",
                expected,
                f"{images.shape[1]} channels",
                "pick the channels that the network was trained on",
            )


@dataclass(frozen=True)
class Backbone:
    """A network with pretrained weights.

    Attributes:
        name: what :func:`backbone` was called with.
        model: returns embeddings (n, dim); in evaluation mode.
        dim: width of the embeddings.
        prepare: from raw inputs (uint8 images, or texts) to what the model takes.
        kind: of the raw inputs.
        head: from embeddings to the logits of its own classes, if it has one.
    """

    name: str
    model: nn.Module
    dim: int
    prepare: Callable[[Any], Tensor]
    kind: Literal["images", "texts"] = "images"
    head: nn.Module | None = None

    @torch.no_grad()  # not inference mode: a head may be trained on the embeddings
    def embed(self, inputs: Any, batch_size: int = 64, device: str = "cpu") -> Tensor:
        """Embeddings (n, dim), float32 on the CPU, of raw inputs, in evaluation mode.

        Args:
            inputs: uint8 images (n, channels, height, width), or a sequence of texts.
            batch_size: inputs per pass.
            device: where the passes run; the model stays there.
        """
        mode = self.model.training
        self.model.to(device).eval()
        parts = [
            self.model(self.prepare(inputs[at : at + batch_size]).to(device)).float().cpu()
            for at in range(0, len(inputs), batch_size)
        ]
        self.model.train(mode)
        return torch.cat(parts) if parts else torch.empty(0, self.dim)


def texts_of(texts: Sequence[str]) -> list[str]:
    """The texts as a list.

    Raises:
        InputError: a single text, or something other than texts.
    """
    if isinstance(texts, str):
        raise InputError("texts", "a list of texts", "one text", "wrap it: [text]")
    listed = list(texts)
    wrong = next((i for i, text in enumerate(listed) if not isinstance(text, str)), None)
    if wrong is not None:
        raise InputError(f"texts[{wrong}]", "a text", type(listed[wrong]).__name__)
    return listed
