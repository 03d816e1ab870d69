"""MeCo (Jiang et al. 2023, MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum
Eigenvalue of Correlation, NeurIPS 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .._support.errors import InputError
from .._support.trees import call, first_tensor
from .base import Proxy
from .layers import channels_last
from .passes import Passes


class MeCo(Proxy):
    """Sum over layers of the smallest eigenvalue of the correlations of their channels.

    Channels are compared over the positions of ``samples`` random normal inputs in one forward
    pass. The paper uses a single input of 64 x 64 pixels; models with smaller inputs need several
    to have more positions than channels. With fewer positions the smallest eigenvalue is zero and
    the layer is left out. Every module with such an output counts, including containers, as in the
    paper's program. A constant channel has a correlation of 0 with all channels, even with itself.

    Args:
        samples: number of random inputs.

    Raises:
        InputError: fewer than 1 sample.
    """

    name = "meco"

    def __init__(self, samples: int = 4) -> None:
        if samples < 1:
            raise InputError("meco, samples", "1 or more", str(samples))
        self.samples = samples

    def value(self, passes: Passes) -> float:
        model, eigenvalues = passes.fresh(), list[float]()

        def record(module: nn.Module, _: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None and tensor.dim() > 1 and tensor.is_floating_point():
                channels = channels_last(module, tensor).flatten(0, 1).T
                if tensor.dim() > 2 and 1 < len(channels) < channels.shape[1]:
                    eigenvalues.append(_smallest_eigenvalue(channels))

        for module in model.modules():
            module.register_forward_hook(record)
        with passes.running(), torch.no_grad():
            call(model, passes.noise(self.samples))
        if not eigenvalues:
            raise self.refuse(
                "layers with more positions (pixels, tokens) than channels",
                "none",
                f"use more than {self.samples} samples, unless its features are flat",
            )
        return sum(eigenvalues)


def _smallest_eigenvalue(channels: torch.Tensor) -> float:
    """Smallest eigenvalue of the correlations of rows (channels, positions)."""
    correlations = torch.corrcoef(channels.double()).nan_to_num(0.0, 0.0, 0.0)
    return float(torch.linalg.eigvalsh(correlations)[0])
