"""Language models: a stack of layers, each of which attends, recurs or convolves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import SpaceError
from ..space import choose, one_of, repeat
from .mixers import Attention, Carried, Convolution, Recurrent
from .seq2seq import Incremental

MIXERS = ("gru", "lstm", "attention", "convolution")
POSITIONS = ("rotary", "learned", "alibi")
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "silu": F.silu,
    "relu2": lambda x: F.relu(x).square(),  # So et al. 2021, arXiv:2109.08668
}


def language(
    vocabulary: int,
    length: int = 128,
    widths: Sequence[int] = (96, 128, 192, 256),
    depths: Sequence[int] = (1, 2, 3, 4),
    mixers: Sequence[str] = MIXERS,
    ratios: Sequence[int] = (0, 2, 4),
    heads: Sequence[int] = (2, 4, 8),
    shared: Sequence[int] = (1, 2),
    windows: Sequence[int] = (0, 32),
    kernels: Sequence[int] = (4, 8, 16),
    dilations: Sequence[int] = (1, 2, 4),
    dropouts: Sequence[float] = (0.0, 0.1, 0.2),
    head_size: int = 32,
) -> nn.Module:
    """Tokens int64 (n, t) to logits (n, t, vocabulary); each position sees earlier ones and itself.

    Every layer is a mixer of positions and an MLP. With all mixers, hybrids of attention,
    recurrence and convolution are in the space; ``mixers=["attention"]`` leaves decoder-only
    Transformers, ``["gru", "lstm"]`` recurrent stacks, and ``["convolution"]`` temporal
    convolutions. Asked once are the width, the number of layers, the norm and its place (before
    each sublayer or after each sum, Xiong et al. 2020, arXiv:2002.04745), the MLP (gated or plain,
    Shazeer 2020, arXiv:2002.05202) and its activation, dropout, whether embedding and logits share
    a matrix (Press and Wolf 2017, arXiv:1608.05859), and how attention knows positions. Asked in
    each layer are the mixer with its sizes, and the MLP's ratio; 0 is no MLP.

    Args:
        vocabulary: number of tokens.
        length: highest number of tokens at a time where positions are learned.
        widths: of the embedding and the layers.
        depths: numbers of layers.
        mixers: of ``gru``, ``lstm``, ``attention`` and ``convolution``; the first is the default.
        ratios: of the MLP's hidden width to the layer's.
        heads: numbers of attention heads.
        shared: numbers of query heads that share a key and a value.
        windows: positions that attention sees; 0 for all earlier ones.
        kernels, dilations: of convolutions.
        dropouts: rates of dropout of each sublayer's output and of the embeddings.
        head_size: of an attention head, a multiple of 4.

    Raises:
        SpaceError: an unknown mixer.
    """
    if not mixers or set(mixers) - set(MIXERS):
        raise SpaceError("mixers", f"some of {', '.join(MIXERS)}", repr(tuple(mixers)))
    recurrent = mixers[0] in ("lstm", "gru")
    width: int = choose("width", widths, widths[-1 if recurrent else len(widths) // 2 - 1])
    norm = partial(Norm, width, choose("norm", ["layer", "rms"]))
    before: bool = choose("norm_first", [True, False])
    gated: bool = choose("gated", [False, True])
    activation: str = choose("activation", list(_ACTIVATIONS))
    tied: bool = choose("tied", [True, False])
    rate: float = choose("dropout", dropouts, dropouts[0])
    attends = "attention" in mixers
    positions: str = choose("positions", POSITIONS) if attends else "none"

    def attention() -> nn.Module:
        count: int = choose("heads", heads, heads[len(heads) // 2])
        groups: int = choose("shared", shared, shared[0])
        window: int = choose("window", windows, windows[0])
        return Attention(width, count, head_size, groups, positions, window)

    def convolution() -> nn.Module:
        kernel: int = choose("kernel", kernels, kernels[len(kernels) // 2])
        return Convolution(width, kernel, choose("dilation", dilations, dilations[0]))

    makes: dict[str, Callable[[], nn.Module]] = {
        "attention": attention,
        "convolution": convolution,
        "lstm": lambda: Recurrent(width, "lstm"),
        "gru": lambda: Recurrent(width, "gru"),
    }

    def layer(_: int) -> nn.Module:
        mixer: Carried = one_of("mixer", {name: makes[name] for name in mixers})
        ratio: int = choose("ratio", ratios, ratios[0 if recurrent else -1])
        mlp = MLP(width, ratio * width, gated, activation) if ratio else None
        return Layer(norm, before, mixer, mlp, rate)

    layers = repeat("layers", depths, layer, depths[min(1, len(depths) - 1) if recurrent else -1])
    end = norm() if before else nn.Identity()
    spots = length if positions == "learned" else 0
    span = length if attends else None
    return LanguageModel(vocabulary, width, layers, end, rate, tied, spots, span)


class Norm(nn.Module):
    """Layer norm, or root mean square norm (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        # The name tells them apart where weights are shared.
        self.kind = kind
        self.add_module(kind, nn.LayerNorm(width) if kind == "layer" else nn.RMSNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.get_submodule(self.kind)(x)
        return out


class MLP(nn.Module):
    """Two linear layers with an activation between them, which may be gated by a third."""

    def __init__(self, width: int, hidden: int, gated: bool, activation: str) -> None:
        super().__init__()
        self.inner, self.output = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.gate = nn.Linear(width, hidden) if gated else None
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        inner, activate = self.inner(x), _ACTIVATIONS[self.activation]
        inner = activate(inner) if self.gate is None else activate(self.gate(x)) * inner
        out: Tensor = self.output(inner)
        return out


class Layer(Carried):
    """A mixer and an MLP, each with a shortcut, and a norm before it or after the sum."""

    def __init__(
        self,
        norm: Callable[[], nn.Module],
        norm_first: bool,
        mixer: Carried,
        mlp: nn.Module | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.norm_first, self.dropout = norm_first, nn.Dropout(dropout)
        self.mixer_norm, self.mixer = norm(), mixer
        self.mlp_norm, self.mlp = norm() if mlp is not None else None, mlp

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        mixed, state = self.mixer(self.mixer_norm(x) if self.norm_first else x, state)
        x = x + self.dropout(mixed)
        x = x if self.norm_first else self.mixer_norm(x)
        if self.mlp is not None and self.mlp_norm is not None:
            x = x + self.dropout(self.mlp(self.mlp_norm(x) if self.norm_first else x))
            x = x if self.norm_first else self.mlp_norm(x)
        return x, state


class LanguageModel(nn.Module, Incremental):
    """Embedding, causal layers and logits; it can go on from a state.

    Args:
        layers: each of them :class:`~archsmith.zoo.mixers.Carried`.
        end: what comes between the layers and the logits.
        positions: number of learned positions; 0 for none.
        span: highest number of tokens that a state may have seen; ``None`` for any number.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: nn.Sequential,
        end: nn.Module,
        dropout: float,
        tied: bool,
        positions: int = 0,
        span: int | None = None,
    ) -> None:
        super().__init__()
        self.span = span
        self.embedding, self.dropout = nn.Embedding(vocabulary, width), nn.Dropout(dropout)
        self.positions = nn.Embedding(positions, width) if positions else None
        self.layers, self.end = layers, end
        self.logits = nn.Linear(width, vocabulary)
        if tied:
            self.logits.weight = self.embedding.weight
        for module in self.modules():
            # On meta there is nothing to initialise, and each call takes about a millisecond.
            if isinstance(module, nn.Linear | nn.Embedding) and not module.weight.is_meta:
                nn.init.normal_(module.weight, std=0.02)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self._run(tokens, (0, (None,) * len(self.layers)))[0]

    def begin(self, source: Tensor) -> Any:
        """The state after a prompt, int64 (n, t), which may have no token."""
        start = (0, (None,) * len(self.layers))
        return self._run(source, start)[1] if source.shape[1] else start

    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        logits, state = self._run(token[:, None], state)
        return logits[:, 0], state

    def _run(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        start, states = state
        x = self.embedding(tokens)
        if self.positions is not None:
            places = torch.arange(tokens.shape[1], device=tokens.device) + start
            x = x + self.positions(places)
        x, new = self.dropout(x), []
        for layer, one in zip(self.layers.children(), states, strict=True):
            x, one = layer(x, one)
            new.append(one)
        logits: Tensor = self.logits(self.end(x))
        return logits, (start + tokens.shape[1], tuple(new))
