"""Two towers with a common space: images and texts (Radford et al. 2021, arXiv:2103.00020)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._support.errors import InputError
from .text import Classes, class_texts, describe_classes

#: The input of the text tower: texts, or a tensor with one row per text.
Texts = Sequence[str] | Tensor

#: Bounds of the factor of the cosines: the temperature stays between 0.01 and 1.
_LEAST, _MOST = 1.0, 100.0


def contrastive_loss(
    images: Tensor, texts: Tensor, scale: Tensor | float, same: Tensor | None = None
) -> Tensor:
    """Symmetric InfoNCE: each image should match its text among all of the batch, and vice versa.

    Args:
        images, texts: (n, dim), of length 1; row i of one belongs to row i of the other.
        scale: factor of the cosines, one divided by the temperature.
        same: boolean (n, n), true where texts are equal, as on the diagonal. They share the
            target: distinguishing images with the same text would have to be memorised
            (Yang et al. 2022, arXiv:2204.03610). By default only the diagonal is correct.
    """
    logits = scale * images @ texts.T
    right = torch.eye(len(images), device=logits.device, dtype=logits.dtype)
    if same is not None:
        right = same.to(logits.dtype)
        right = right / right.sum(dim=1, keepdim=True)
    # ``same`` is symmetric, and so is the normalised matrix: equal texts have equal counts.
    return 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right))


class TwoTower(nn.Module):
    """Maps images and texts to one space of ``dim`` numbers, with length 1.

    Args:
        image_model: from images to rows (n, any); its last layer need not be ``dim`` wide.
        text_model: from texts to rows (n, any): a sequence of texts if it reads these itself
            (:class:`~.words.WordTower`), else a tensor with one row per text.
        dim: of the common space. Each tower ends in a linear map to it, created in the first pass.
        temperature: initial value; learned, and kept between 0.01 and 1.

    Raises:
        InputError: ``dim`` or ``temperature`` outside its range.
    """

    def __init__(
        self, image_model: nn.Module, text_model: nn.Module, dim: int, temperature: float = 0.07
    ) -> None:
        super().__init__()
        if dim < 1:
            raise InputError("two towers dim", "1 or more", str(dim))
        if not 1 / _MOST <= temperature <= 1 / _LEAST:
            raise InputError("two towers temperature", "from 0.01 to 1", str(temperature))
        self.image_model, self.text_model, self.dim = image_model, text_model, dim
        self.image_map = nn.LazyLinear(dim, bias=False)
        self.text_map = nn.LazyLinear(dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    @property
    def scale(self) -> Tensor:
        """The factor of the cosines, one divided by the temperature."""
        return self.log_scale.exp()

    @torch.no_grad()
    def keep_scale(self) -> None:
        """Clamp the factor to its bounds; to be called after each step."""
        self.log_scale.clamp_(math.log(_LEAST), math.log(_MOST))

    def encode_images(self, images: Tensor) -> Tensor:
        """Embeddings of images, (n, dim) of length 1."""
        return F.normalize(self.image_map(_rows("image tower", self.image_model(images))), dim=1)

    def encode_texts(self, texts: Texts) -> Tensor:
        """Embeddings of texts, (n, dim) of length 1."""
        return F.normalize(self.text_map(_rows("text tower", self.text_model(texts))), dim=1)

    def forward(self, images: Tensor, texts: Texts) -> Tensor:
        """Scaled cosines of each image with each text, (images, texts)."""
        return self.scale * self.encode_images(images) @ self.encode_texts(texts).T

    @torch.no_grad()
    def similarity(
        self, images: Tensor, classes: Classes, prompts: Sequence[str] = ("{}",), batch: int = 512
    ) -> Tensor:
        """Cosines of images with classes that are described only by texts, (n, classes).

        The model's mode is restored. The text tower must read texts.

        Args:
            images: (n, ...), prepared as for training.
            classes, prompts: as for :func:`~.text.describe_classes`.
            batch: images per pass.
        """
        mode = self.training
        self.eval()
        try:
            described = describe_classes(classes, self.encode_texts, prompts)
            place = self.log_scale.device
            to = torch.from_numpy(described).to(place, torch.float32)
            cosines = [
                self.encode_images(part.to(place)) @ to.T for part in torch.split(images, batch)
            ]
        finally:
            self.train(mode)
        return torch.cat(cosines).cpu()

    def classify(
        self, images: Tensor, classes: Classes, prompts: Sequence[str] = ("{}",), batch: int = 512
    ) -> Tensor:
        """Numbers of the classes whose texts fit the images best, (n,)."""
        if len(class_texts(classes)) < 2:
            raise InputError("classes", "two or more to choose from", str(len(classes)))
        return self.similarity(images, classes, prompts, batch).argmax(dim=1)


def _rows(tower: str, out: Tensor) -> Tensor:
    if not isinstance(out, Tensor) or out.ndim != 2:
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise InputError(tower, "rows (n, width)", str(got), "pool and flatten its output")
    return out
