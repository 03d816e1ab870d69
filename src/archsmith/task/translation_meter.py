"""BLEU, chrF and token accuracy of translations."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from .._support.trees import call
from ..data.padding import trimmed
from ..data.splits import Batch
from ..data.tokens import PAD, Tokens
from ..metric.translations import bleu_counts, bleu_of, chrf
from .base import Meter
from .classify import expect_shape
from .decoding import shifted, translate

#: Pairs that are evaluated at a time: logits of many sentences take gigabytes.
_CHUNK = 64


class TranslationMeter(Meter):
    """BLEU and chrF (0 to 100) of translations; accuracy (0 to 1) and mean cross entropy of the
    tokens, each predicted from the true ones before it (teacher forcing).

    Args:
        steps: highest number of tokens of a translation.
        beam: number of hypotheses of the search for a translation.
        decoded: number of sentences that are translated, from the first; 0 for all.
    """

    def __init__(self, words: Tokens, steps: int, beam: int = 1, decoded: int = 0) -> None:
        self.words, self.steps, self.beam, self.decoded = words, steps, beam, decoded
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
                translations = translate(model, source[:left], self.steps, self.beam)
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
            "bleu": float(bleu_of(bleu_counts(self.found, self.wanted).sum(0))),
            "chrf": chrf(self.found, self.wanted),
            "token_accuracy": self.right / count,
            "loss": self.loss / count,
        }
