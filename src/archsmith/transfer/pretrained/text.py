"""Text encoders by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ..._support.errors import InputError
from . import backbone
from .base import texts_of


def text_encoder(
    name: str = "minilm", *, batch_size: int = 64, device: str = "cpu"
) -> Callable[[Sequence[str]], Tensor]:
    """A function from texts to embeddings (n, d), float32 on the CPU, one row per text.

    Args:
        name: of a backbone that reads texts; ``minilm`` returns unit vectors with d = 384.
        batch_size: texts per pass. Texts of similar length go together, to limit padding.
        device: where the passes run.

    Raises:
        UnknownNameError: no such backbone.
        InputError: a backbone that reads no texts.
        MissingExtraError: its extra is not installed.
    """
    network = backbone(name)
    if network.kind != "texts":
        raise InputError(f"text encoder {name!r}", "a backbone that reads texts", network.kind)

    def encode(texts: Sequence[str]) -> Tensor:
        listed = texts_of(texts)
        order = sorted(range(len(listed)), key=lambda i: len(listed[i]))
        rows = network.embed([listed[i] for i in order], batch_size, device)
        back = sorted(range(len(order)), key=order.__getitem__)
        return rows[back]

    return encode
