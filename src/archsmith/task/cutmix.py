"""Images with patches of others (CutMix; Yun et al. 2019, arXiv:1905.04899)."""

from __future__ import annotations

import torch
from torch import Tensor


def cutmix(images: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste the same rectangle of another image of the batch into each image, and mix the targets
    by its area.

    Args:
        images: (n, channels, height, width).
        shares: (n, classes), the share of each class in each image.
        generator: on their device.
    """
    patch, others = patched(images, generator)
    mixed = shares.lerp(shares[others], patch.float().mean())
    return torch.where(patch, images[others], images), mixed


def patched(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random rectangle, bool (height, width), and for each image the one that it comes from (n,).

    Its area before it is cut off at the borders is uniform, as in the paper. Nothing is read back
    from the device.
    """
    device = images.device
    area, top, left = torch.rand(3, generator=generator, device=device)

    def inside(size: int, centre: Tensor) -> Tensor:
        places = (torch.arange(size, device=device) + 0.5) / size
        within: Tensor = (places - centre).abs() < area.sqrt() / 2
        return within

    height, width = images.shape[-2:]
    patch = inside(height, top)[:, None] & inside(width, left)[None, :]
    return patch, torch.randperm(len(images), generator=generator, device=device)
