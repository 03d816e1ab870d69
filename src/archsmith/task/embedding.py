"""What tasks of embedding models share: deployed module, answers and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Data, ReadOptions, Signature, Task
from .classify import PLAIN_METRICS
from .contracts import Unlabelled
from .image import ClassifiedImages, ImageClassification
from .references import NetworkReference

if TYPE_CHECKING:
    from PIL import Image


class Embeddings(nn.Module):
    """Preparation and model in one: raw inputs in, embeddings (n, d) of type float32 out."""

    def __init__(self, prepare: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.prepare = prepare
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        embeddings: Tensor = self.model(self.prepare(inputs))
        return embeddings.float()


class EmbeddingImages(ClassifiedImages, Unlabelled):
    """Images whose models return embeddings, (n, d), instead of logits."""

    metrics = PLAIN_METRICS
    default_space = "embedder"
    #: Size of the embedding, which a builder receives as ``classes``.
    dim = 64

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return False  # classification reads the same sources, so this task is chosen by name only

    def labelled(self) -> Task:
        return ImageClassification()

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return super().arguments(facts) | {"classes": self.dim}

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        expect_embeddings(output, len(output))

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        return {}  # an embedding alone has no score: metrics compare it with others

    def references(self) -> tuple[NetworkReference, ...]:
        return ()  # those of classification have logits

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return Embeddings(self.normalise(facts), model)

    def signature(self, data: Data) -> Signature:
        signature = super().signature(data)
        about = signature.description.partition("; ")[0]
        return Signature(
            signature.example,
            signature.input_name,
            "embeddings",
            f"{about}; embeddings: float32 (n, d), near each other where images are alike",
        )

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The embedding of each example."""
        return [{"embedding": row} for row in outputs.detach().cpu().double().tolist()]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .gallery import neighbour_grid

        return neighbour_grid(inputs, targets, outputs, facts["class_names"])


def expect_embeddings(outputs: Tensor, count: int) -> None:
    """Raises ValueError if a model's outputs are not embeddings, (count, d)."""
    if outputs.ndim != 2 or len(outputs) != count:
        expected = f"({count}, d)"
        raise ValueError(f"the model gave outputs of shape {tuple(outputs.shape)}, not {expected}")


def distorted(
    inputs: Tensor,
    generator: torch.Generator,
    *,
    turn: float = 15.0,
    scale: float = 0.15,
    shift: float = 0.1,
    mirror: bool = False,
    bend: float = 0.0,
) -> Tensor:
    """Images rotated, scaled, shifted and bent at random, each independently, with border pixels
    repeated.

    Args:
        inputs: (n, channels, height, width).
        turn: largest rotation, in degrees, either way.
        scale: largest change of size, as a share, smaller or larger.
        shift: largest shift, as a share of the side, either way.
        mirror: whether each image is mirrored with probability 1/2.
        bend: standard deviation of a smooth displacement, as a share of the side, drawn at 4 x 4
            points (Simard et al. 2003).
    """
    count, device = len(inputs), inputs.device

    def drawn(most: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator, device=device) - 1) * most

    angle, size = drawn(turn * torch.pi / 180), 1 + drawn(scale)
    cos, sin = size * angle.cos(), size * angle.sin()
    if mirror:
        flip = torch.rand(count, generator=generator, device=device) < 0.5
    else:
        flip = torch.zeros(count, dtype=torch.bool, device=device)
    sign = 1 - 2 * flip.float()
    # affine_grid counts a side as 2.
    rows = [sign * cos, -sin, 2 * drawn(shift), sign * sin, cos, 2 * drawn(shift)]
    theta = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = F.affine_grid(theta, list(inputs.shape), align_corners=False)
    if bend:
        points = 2 * bend * torch.randn(count, 2, 4, 4, generator=generator, device=device)
        field = F.interpolate(points, inputs.shape[2:], mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(inputs, grid, padding_mode="border", align_corners=False)
