"""Decoding of translations by beam search, which is greedy decoding with one beam, as part of the
evaluation and in exported models."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._higher_order_ops.while_loop import while_loop

from .._support.trees import call, take
from ..data.padding import trimmed
from ..data.tokens import BEGIN, END, PAD
from ..zoo.seq2seq import Incremental

#: Sentences that are translated at a time.
_CHUNK = 64
#: Exponent of the length that scores are divided by; 0.6 to 0.7 were best in Wu et al. 2016.
_ALPHA = 0.6


def shifted(targets: Tensor) -> Tensor:
    """Inputs of a decoder that is to predict ``targets``: the begin token, then all but the last
    target."""
    begin = torch.full_like(targets[:, :1], BEGIN)
    # The end token is predicted, but it is never an input.
    return torch.cat([begin, targets[:, :-1].masked_fill(targets[:, :-1] == END, PAD)], 1)


class Beams(NamedTuple):
    """The search for the translations of n sentences, with b hypotheses each.

    Attributes:
        tokens: int64 (n, b, steps + 1), after a begin token, then padding.
        scores: their log probabilities (n, b); minus infinity where there is none.
        best: the best translation that has ended (n, steps + 1), padding without one.
        best_score: its log probability (n,), divided by its :func:`length_penalty`.
        ended: how many have ended, int64 (n,).
    """

    tokens: Tensor
    scores: Tensor
    best: Tensor
    best_score: Tensor
    ended: Tensor


def length_penalty(length: Tensor | int) -> Tensor | float:
    """What the log probability of so many tokens, the end included, is divided by: ``((5 + length)
    / 6) ** 0.6`` (Wu et al. 2016, arXiv:1609.08144). Otherwise short translations would win."""
    penalty: Tensor | float = ((5 + length) / 6) ** _ALPHA
    return penalty


def started(source: Tensor, beam: int, steps: int) -> Beams:
    """One empty hypothesis for each sentence (n, length)."""
    places = torch.arange(steps + 1, device=source.device)
    begun = torch.where(places == 0, BEGIN, PAD)
    # Not len, which would make the batch size a constant of a graph.
    count = source.shape[0]
    first = torch.arange(beam, device=source.device) == 0
    scores = torch.where(first, 0.0, -torch.inf).expand(count, -1).clone()
    tokens = begun.expand(count, beam, -1).clone()
    best = tokens[:, 0].clone()
    return Beams(tokens, scores, best, scores[:, 0] - torch.inf, torch.zeros_like(best[:, 0]))


def extended(beams: Beams, logits: Tensor, step: Tensor) -> tuple[Beams, Tensor]:
    """Each hypothesis with one more token; the likeliest b of them stay.

    A hypothesis leaves the search if it ends, or can no longer be better than the best one that has
    ended. All do when b have ended, and after the last step.

    Args:
        logits: of the next token, (n, b, vocabulary); padding and the begin token are never chosen.
        step: the number of tokens that hypotheses have, int64 ().

    Returns:
        The search afterwards, and which hypothesis (n, b) each one now continues.
    """
    beam, steps = beams.scores.shape[1], beams.tokens.shape[2] - 1
    allowed = logits.float().log_softmax(-1)[..., END:]
    scores, places = (beams.scores[..., None] + allowed).flatten(1).topk(beam)
    parents = places // allowed.shape[2]
    chosen = places % allowed.shape[2] + END
    old = beams.tokens.gather(1, parents[..., None].expand(-1, -1, steps + 1))
    here = torch.arange(steps + 1, device=old.device) == step + 1
    tokens = torch.where(here, chosen[..., None], old)
    ends = (chosen == END) | (step + 1 == steps)
    ended = torch.where(ends, scores / length_penalty(step + 1), -torch.inf)
    score, which = ended.max(1)
    translation = tokens.gather(1, which[:, None, None].expand(-1, -1, steps + 1))[:, 0]
    better = score > beams.best_score
    best = torch.where(better[:, None], translation, beams.best)
    best_score = torch.where(better, score, beams.best_score)
    # A log probability only falls, so this is the best that a hypothesis can become.
    hopeless = scores / length_penalty(steps) <= best_score[:, None]
    count = beams.ended + (ended > -torch.inf).sum(1)
    closed = ends | hopeless | (count >= beam)[:, None]
    scores = scores.masked_fill(closed, -torch.inf)
    return Beams(tokens, scores, best, best_score, count), parents


@torch.no_grad()
def translate(model: nn.Module, source: Tensor, steps: int, beam: int = 1) -> Tensor:
    """Translations, int64 (n, steps), each up to its end token, then padding.

    Args:
        model: takes a source and the beginning of a target, in evaluation mode.
        source: (n, length).
        steps: highest number of tokens of a translation.
        beam: number of hypotheses; 1 is greedy decoding.
    """
    return torch.cat([_translate(model, part, steps, beam) for part in torch.split(source, _CHUNK)])


def _translate(model: nn.Module, source: Tensor, steps: int, beam: int) -> Tensor:
    decoder = model if isinstance(model, Incremental) else _FromTheBeginning(model)
    state = decoder.begin(trimmed(source))
    state = take(state, torch.arange(len(source), device=source.device).repeat_interleave(beam))
    beams = started(source, beam, steps)
    translations, open_ = beams.best.clone(), torch.arange(len(source), device=source.device)
    for step in range(steps):
        logits, state = decoder.advance(state, beams.tokens[..., step].flatten())
        here = torch.tensor(step, device=source.device)
        beams, parents = extended(beams, logits.reshape(-1, beam, logits.shape[1]), here)
        translations[open_] = beams.best
        goes_on = (beams.scores > -torch.inf).any(1)
        if not goes_on.any():
            break
        rows = torch.arange(len(open_), device=source.device)[:, None] * beam + parents
        open_, beams = open_[goes_on], Beams(*take(beams, goes_on))
        state = take(state, rows[goes_on].flatten())
    return translations[:, 1:]


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
    """A model with decoding inside: sources (n, length) in, translations (n, steps) out."""

    def __init__(self, model: nn.Module, steps: int, beam: int = 1) -> None:
        super().__init__()
        self.model, self.steps, self.beam = model, steps, beam

    def forward(self, source: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return self._exported(source)
        return translate(self.model, source, self.steps, self.beam)

    def _exported(self, source: Tensor) -> Tensor:
        """The same as :func:`translate`, as a loop of fixed shapes that a graph can represent: one
        loop body for any number of steps."""
        places = torch.arange(self.steps + 1, device=source.device)
        repeated = source.repeat_interleave(self.beam, 0)

        def goes_on(step: Tensor, *beams: Tensor) -> Tensor:
            return (step < self.steps) & (Beams(*beams).scores > -torch.inf).any()

        def advance(step: Tensor, *beams: Tensor) -> tuple[Tensor, ...]:
            now = Beams(*beams)
            logits = call(self.model, (repeated, now.tokens.flatten(0, 1)))
            here = torch.where((places == step)[None, :, None], logits, 0.0).sum(1)
            after, _ = extended(now, here.reshape(-1, self.beam, here.shape[1]), step)
            return step + 1, *(tensor.clone() for tensor in after)

        start = torch.zeros((), dtype=torch.int64, device=source.device)
        first = (start, *started(source, self.beam, self.steps))
        _, *beams = while_loop(goes_on, advance, first)  # type: ignore[no-untyped-call]
        translations: Tensor = Beams(*beams).best[:, 1:].clone()
        return translations
