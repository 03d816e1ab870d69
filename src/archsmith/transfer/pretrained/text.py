"""Encoders of texts by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ..._support.errors import InputError
from . import backbone
from .base import texts_of


def text_encoder(
    name: str = "minilm", *, batch_size: int = 64, device: str = "cpu"
) -> Callable[[Sequence[str]], Tensor]:
    """A function from texts to embeddings (n, d), float32 on the CPU, one row a text.

    Args:
        name: of a backbone that reads texts; ``minilm`` gives unit vectors with d = 384.
        batch_size: texts a pass. Texts of like length go together, so that little is padded.
        device: where the passes run.

    Raises:
        UnknownNameError: no such backbone.
        InputError: one that reads no texts.
        MissingExtraError: its extra is not installed.
    """
    found = backbone(name)
    if found.kind != "texts":
        raise InputError(f"text encoder {name!r}", "a backbone that reads texts", found.kind)

    def encode(texts: Sequence[str]) -> Tensor:
        listed = texts_of(texts)
        order = sorted(range(len(listed)), key=lambda i: len(listed[i]))
        rows = found.embed([listed[i] for i in order], batch_size, device)
        back = sorted(range(len(order)), key=order.__getitem__)
        return rows[back]

    return encode
