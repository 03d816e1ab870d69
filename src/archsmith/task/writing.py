"""Writing text with a language model, token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._support.errors import InputError
from ..zoo.language import LanguageModel
from ..zoo.seq2seq import Incremental


@dataclass(frozen=True)
class Order:
    """Which text to write.

    Attributes:
        prompt: the text to continue, one character or more.
        count: number of tokens to add.
        temperature: divides the logits; 0 always takes the likeliest token.
        top_p: a token is drawn from the likeliest ones that together have this probability
            (Holtzman et al. 2020, arXiv:1904.09751).
        seed: of the draws.

    Raises:
        InputError: an empty prompt, or a number outside its range.
    """

    prompt: str = "\n"
    count: int = 500
    temperature: float = 0.8
    top_p: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "prompt": (bool(self.prompt), "one character or more"),
            "count": (1 <= self.count <= 1_000_000, "from 1 to 1,000,000"),
            "temperature": (0 <= self.temperature < math.inf, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "seed": (0 <= self.seed < 2**63, "0 or more"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"text, {name}", expected, repr(getattr(self, name)))


@torch.no_grad()
def write(
    model: nn.Module,
    prompt: Tensor,
    order: Order,
    length: int,
    never: Sequence[int] = (),
    cached: bool = True,
) -> list[int]:
    """Tokens after the prompt.

    A model that attends has seen windows of ``length`` tokens in training. Where the text becomes
    longer than that, it goes on from the second half of its window. A recurrent one carries its
    state over the whole text.

    Args:
        model: tokens (n, t) to logits (n, t, vocabulary), in evaluation mode.
        prompt: int64 (t,), not empty.
        never: tokens that are not drawn.
        cached: whether states of the model are used, if it has any; the tokens are the same.
    """
    span = model.span if isinstance(model, LanguageModel) else length
    writer = model if cached and isinstance(model, Incremental) else _FromTheBeginning(model)
    generator = torch.Generator().manual_seed(order.seed)
    tokens = prompt.tolist()
    first, state = 0 if span is None else max(0, len(tokens) - span), None
    for _ in range(order.count):
        if span is not None and len(tokens) - first > span:
            first, state = len(tokens) - span // 2, None
        if state is None:
            state = writer.begin(torch.tensor([tokens[first:-1]], dtype=torch.int64))
        logits, state = writer.advance(state, torch.tensor(tokens[-1:]))
        tokens.append(int(drawn(logits[0], order, never, generator)))
    return tokens[len(prompt) :]


def drawn(logits: Tensor, order: Order, never: Sequence[int], generator: torch.Generator) -> Tensor:
    """A token () drawn from logits (vocabulary,)."""
    logits = logits.double().cpu()
    logits[list(never)] = -torch.inf
    if order.temperature == 0:
        return logits.argmax()
    chances, tokens = (logits / order.temperature).softmax(0).sort(descending=True, stable=True)
    # The first token whose predecessors reach the probability is left out, and all after it.
    chances[chances.cumsum(0) - chances >= order.top_p] = 0
    return tokens[torch.multinomial(chances, 1, generator=generator)[0]]


class _FromTheBeginning(Incremental):
    """Any model: each step runs it on all tokens of the window so far."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def begin(self, source: Tensor) -> Any:
        return source

    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        state = torch.cat([state, token[:, None]], 1)
        return self.model(state)[:, -1], state
