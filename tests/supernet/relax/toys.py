"""Spaces with a known answer, and the methods that have to find it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import archsmith as nas
from archsmith.supernet.relax.beta_darts import BetaDARTS
from archsmith.supernet.relax.darts import DARTS, SecondOrderDARTS
from archsmith.supernet.relax.drnas import DrNAS
from archsmith.supernet.relax.fair_darts import FairDARTS
from archsmith.supernet.relax.gdas import GDAS, SNAS
from archsmith.supernet.relax.pc_darts import PCDARTS
from archsmith.supernet.relax.relaxation import Relaxation
from archsmith.supernet.session import Session

from ..training_toys import session_of

METHODS: dict[str, type[Relaxation]] = {
    kind.name: kind
    for kind in (
        DARTS,
        SecondOrderDARTS,
        PCDARTS,
        GDAS,
        SNAS,
        DrNAS,
        FairDARTS,
        BetaDARTS,
    )
}


class Noise(nn.Module):
    """Nothing of its input comes out."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn_like(x)


class Dark(nn.Module):
    """Zeros, whatever comes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Centre(nn.Module):
    """The 16 pixels in the middle, then zeros: (n, 1, 8, 8) to (n, 64)."""

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, 0, 2:6, 2:6].flatten(1)
        return torch.cat([middle, middle.new_zeros(len(x), 48)], 1)


class Added(nn.Module):
    """The sum of what is there."""

    def __init__(self, parts: nn.ModuleDict) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        return sum((part(x) for part in self.parts.values()), torch.zeros_like(x))


def seeing(channels: int, classes: int) -> nn.Module:
    """One place where one of three options lets the input through."""
    options: dict[str, Any] = {"noise": Noise, "sees": nn.Identity, "dark": Noise}
    return nn.Sequential(Centre(), nas.one_of("eye", options), nn.Linear(64, classes))


def linking(channels: int, classes: int) -> nn.Module:
    """Two of four candidates, of which ``b`` and ``d`` let the input through."""
    links = nas.subset("links", {"a": Noise, "b": nn.Identity, "c": Noise, "d": nn.Identity}, 2)
    return nn.Sequential(Centre(), Added(links), nn.Linear(64, classes))


def sized(channels: int, classes: int) -> nn.Module:
    """Choices of values beside a choice of modules, in which others are asked."""
    width = nas.choose("width", [4, 8])

    def deep() -> nn.Module:
        inner = nas.one_of("act", {"relu": nn.ReLU, "tanh": nn.Tanh})
        return nn.Sequential(nn.Linear(width, width), inner, nn.Linear(width, width))

    def block(place: int) -> nn.Module:
        return nas.one_of("op", {"deep": deep, "skip": nn.Identity})

    return nn.Sequential(
        Centre(),
        nn.Linear(64, width),
        nas.repeat("depth", [1, 2], block),
        nn.Linear(width, classes),
    )


def trained(
    method: Relaxation, builder: Any, epochs: int = 8, **options: Any
) -> tuple[Session, list[dict[str, float]]]:
    """A session at its end, and what the method told of each epoch."""
    torch.manual_seed(0)
    session = session_of(builder, holdout=method.holdout, epochs=epochs, **options)
    method.begin(session)
    told = []
    for epoch in range(1, epochs + 1):
        for batch in session.epoch(epoch):
            method.step(session, batch)
            session.step += 1
        told.append(method.end_epoch(session, epoch))
    return session, told
