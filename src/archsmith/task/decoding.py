"""Greedy translation by a model that predicts the next token: its evaluation and deployment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop
from torch.nn import functional as F

from .._support.trees import call, take
from ..data.padding import trimmed
from ..data.splits import Batch
from ..data.tokens import BEGIN, END, PAD, Tokens
from ..metric.bleu import bleu
from ..zoo.seq2seq import Incremental
from .base import Meter
from .classify import expect_shape

#: Pairs that are evaluated at a time: logits of many sentences take gigabytes.
_CHUNK = 64


def shifted(targets: Tensor) -> Tensor:
    """Inputs of a decoder that is to predict ``targets``: the begin token, then all but the last
    target."""
    begin = torch.full_like(targets[:, :1], BEGIN)
    # The end token is predicted, but it is never an input.
    return torch.cat([begin, targets[:, :-1].masked_fill(targets[:, :-1] == END, PAD)], 1)


def chosen(logits: Tensor) -> Tensor:
    """The likeliest token (n,) of logits (n, vocabulary), never padding or the begin token."""
    return logits[:, END:].argmax(-1) + END


@torch.no_grad()
def translate(model: nn.Module, source: Tensor, steps: int) -> Tensor:
    """Greedy translations: int64 (n, steps), each up to its end token, then padding.

    Args:
        model: takes a source and the beginning of a target, in evaluation mode.
        source: (n, length).
        steps: highest number of tokens of a translation.
    """
    translations = torch.full((len(source), steps), PAD, dtype=torch.int64, device=source.device)
    unfinished = torch.arange(len(source), device=source.device)
    best = torch.full((len(source),), BEGIN, dtype=torch.int64, device=source.device)
    decoder = model if isinstance(model, Incremental) else _FromTheBeginning(model)
    state = decoder.begin(trimmed(source))
    for step in range(steps):
        logits, state = decoder.advance(state, best)
        best = chosen(logits)
        translations[unfinished, step] = best
        continues = best != END
        unfinished, best, state = unfinished[continues], best[continues], take(state, continues)
        if not len(unfinished):
            break
    return translations


class _FromTheBeginning(Incremental):
    """Decoding for any model of a source and a target: each step runs it on all tokens so far."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def begin(self, source: Tensor) -> Any:
        return source, source[:, :0]

    def advance(self, state: Any, token: Tensor) -> tuple[Tensor, Any]:
        source, prefix = state
        prefix = torch.cat([prefix, token[:, None]], 1)
        return call(self.model, (source, prefix))[:, -1], (source, prefix)


class Translator(nn.Module):
    """A model with greedy decoding inside: sources (n, length) in, translations (n, steps) out."""

    def __init__(self, model: nn.Module, steps: int) -> None:
        super().__init__()
        self.model, self.steps = model, steps

    def forward(self, source: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return self._exported(source)
        return translate(self.model, source, self.steps)

    def _exported(self, source: Tensor) -> Tensor:
        """The same as :func:`translate`, as a loop of fixed shapes that a graph can represent: one
        loop body for any number of steps."""
        places = torch.arange(self.steps + 1, device=source.device)
        # Not len, which would make the batch size a constant of the graph.
        tokens = torch.where(places == 0, BEGIN, PAD).expand(source.shape[0], -1).clone()
        open_ = torch.ones_like(source[:, 0], dtype=torch.bool)

        def goes_on(step: Tensor, tokens: Tensor, open_: Tensor) -> Tensor:
            return (step < self.steps) & open_.any()

        def advance(step: Tensor, tokens: Tensor, open_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            logits = call(self.model, (source, tokens))
            here = (places == step)[None, :, None]
            best = chosen(torch.where(here, logits, 0.0).sum(1))
            best = torch.where(open_, best, PAD)
            # After the end token the inputs do not matter: only padding is returned.
            tokens = torch.where(places == step + 1, best[:, None], tokens)
            return step + 1, tokens, open_ & (best != END)

        start = torch.zeros((), dtype=torch.int64, device=source.device)
        _, tokens, _ = while_loop(goes_on, advance, (start, tokens, open_))  # type: ignore[no-untyped-call]
        translations: Tensor = tokens[:, 1:].clone()
        return translations


class TranslationMeter(Meter):
    """BLEU (0 to 100) of greedy translations; accuracy (0 to 1) and mean cross entropy of the
    tokens, each predicted from the true ones before it (teacher forcing).

    Args:
        steps: highest number of tokens of a translation.
        decoded: number of sentences that are translated for BLEU, from the first; 0 for all.
    """

    def __init__(self, words: Tokens, steps: int, decoded: int = 0) -> None:
        self.words, self.steps, self.decoded = words, steps, decoded
        self.found: list[str] = []
        self.wanted: list[str] = []
        self.right = self.loss = self.count = 0.0

    def see(self, model: nn.Module, batch: Batch) -> None:
        sources = batch.inputs[0]
        for start in range(0, len(sources), _CHUNK):
            part = slice(start, start + _CHUNK)
            source, targets = trimmed(sources[part]), trimmed(batch.targets[part])
            self.update(call(model, (source, shifted(targets))), targets)
            left = self.decoded - len(self.found) if self.decoded else len(source)
            if left > 0:
                translations = translate(model, source[:left], self.steps)
                self.found += [self.words.decode(row) for row in translations.tolist()]
                self.wanted += [self.words.decode(row) for row in targets[:left].tolist()]

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (*targets.shape, len(self.words)))
        asked = targets != PAD
        logits, truth = outputs[asked].float(), targets[asked]
        self.right += float((logits.argmax(-1) == truth).sum())
        self.loss += float(F.cross_entropy(logits, truth, reduction="sum"))
        self.count += len(truth)

    def result(self) -> dict[str, float]:
        count = max(1.0, self.count)
        return {
            "bleu": bleu(self.found, self.wanted),
            "token_accuracy": self.right / count,
            "loss": self.loss / count,
        }
