"""Images with patches of others (CutMix; Yun et al. 2019, arXiv:1905.04899)."""

from __future__ import annotations

import torch
from torch import Tensor


def cutmix(images: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste the same rectangle of another image of the batch into each image, and mix the targets
    by its area.

    The area before it is cut off at the borders is uniform, as in the paper. Nothing is read back
    from the device.

    Args:
        images: (n, channels, height, width).
        shares: (n, classes), the share of each class in each image.
        generator: on their device.
    """
    device = images.device
    area, top, left = torch.rand(3, generator=generator, device=device)

    def inside(size: int, centre: Tensor) -> Tensor:
        places = (torch.arange(size, device=device) + 0.5) / size
        within: Tensor = (places - centre).abs() < area.sqrt() / 2
        return within

    height, width = images.shape[-2:]
    patch = inside(height, top)[:, None] & inside(width, left)[None, :]
    others = torch.randperm(len(images), generator=generator, device=device)
    mixed = shares.lerp(shares[others], patch.float().mean())
    return torch.where(patch, images[others], images), mixed
