"""Translation of sentences from one language to another, learned from pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import DataError, InputError
from .._support.options import format_options, parse
from .._support.trees import call
from ..data.padding import of_like_length, padded, trimmed
from ..data.sentences import read_pairs
from ..data.source import locate
from ..data.splits import Batch, Split, TensorSplit
from ..data.texts import lines_in
from ..data.tokens import BEGIN, PAD, Tokens, learn_tokens
from ..history.objective import Metric
from ..history.trial import Fidelity
from ..metric.translations import bleu_counts, bleu_of, signature
from .base import Data, Meter, ReadOptions, Recipe, Signature, Task
from .classify import expect_shape, two
from .contracts import BatchSampling, Deployment, Distillation, ExampleMetrics, OutputLoss, Pictures
from .decoding import Translator, shifted, translate
from .outputs import expect_one_output
from .translation_meter import TranslationMeter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

#: Pairs that a trial of a search trains on: about a minute on one core for the default space.
_SEEN = 6_000


@dataclass(frozen=True)
class TranslationOptions:
    """Options after the name of the task: ``translation:source=de,target=en``.

    Attributes:
        source, target: names of the columns to translate from and to, or endings of text files.
        test: name of the test part; see :func:`~archsmith.data.sentences.read_pairs`.
        merges: number of subwords that are learned in addition to single characters.
        length: highest number of subwords of a training sentence; pairs with a longer one are left
            out.
        beam: hypotheses of the search for a translation, in evaluations and in exported models; 1
            is greedy decoding.
        decoded: number of sentences of a part that are translated for BLEU and chrF, from the
            first; 0 for all.
        cased: whether upper case is kept; if not, translations are in lower case, and so are those
            that they are compared with.

    Raises:
        InputError: a number outside its range, or one column as both source and target.
    """

    source: str = ""
    target: str = ""
    test: str = ""
    merges: int = 3000
    length: int = 48
    beam: int = 1
    decoded: int = 0
    cased: bool = True

    def __post_init__(self) -> None:
        rules = {
            "target": (
                not self.target or self.target != self.source,
                "another column than the source",
            ),
            "merges": (0 <= self.merges <= 50_000, "from 0 to 50000"),
            "length": (2 <= self.length <= 512, "from 2 to 512"),
            "beam": (1 <= self.beam <= 64, "from 1 to 64"),
            "decoded": (self.decoded >= 0, "0 or more"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"translation, {name}", expected, f"{getattr(self, name)!r}")


class Translation(
    Task, OutputLoss, ExampleMetrics, Distillation, BatchSampling, Deployment, Pictures
):
    """Sentence pairs; models predict each token of a translation from the source and the tokens
    before it (Sutskever et al. 2014, arXiv:1409.3215).

    Raw inputs are the tokens of the source, int64 (n, length), raw targets those of the
    translation. Models take both, (n, s) and (n, t), the latter shifted by one, and return logits
    (n, t, vocabulary). Sentences end with an end token and are padded with 0; a batch is as wide as
    its longest sentence.

    Args:
        options: as text, see :class:`TranslationOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = (
        Metric("bleu", "", "maximize"),
        Metric("chrf", "", "maximize"),
        Metric("token_accuracy", "", "maximize"),
        Metric("loss", "", "minimize"),
    )
    default_space = "seq2seq"

    def __init__(self, options: str = "") -> None:
        self.options = parse(TranslationOptions, options, "translation")
        chosen = format_options(self.options)
        self.name = "translation" + (f":{chosen}" if chosen else "")  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return False  # nothing tells which column is the source and which the target

    def read(self, source: str, options: ReadOptions) -> Data:
        own, place = self.options, locate(source)
        for what, value in (("source", own.source), ("target", own.target)):
            if not value:
                hint = "for example --task translation:source=de,target=en"
                expected = "the name of a column, or the ending of a file"
                raise InputError(f"translation, {what}", expected, "none", hint)
        if isinstance(place, str):
            raise DataError(source, "a table or a folder of sentences", "a registered data set")
        shares = (options.validation, options.test)
        pairs = read_pairs(
            place,
            own.source,
            own.target,
            own.test,
            shares,
            options.seed,
            options.unreadable,
            options.where,
        )
        words = learn_tokens([*pairs.train.sources, *pairs.train.targets], own.merges, own.cased)
        coded = [
            (words.encode_all(side.sources), words.encode_all(side.targets))
            for side in (pairs.train, pairs.validation, pairs.test)
        ]
        coded[0] = self._short(source, coded[0])
        widths = [max(len(one) for part in coded for one in part[i]) for i in (0, 1)]
        train, validation, test = (
            TensorSplit(padded(one, widths[0]), padded(two, widths[1])) for one, two in coded
        )
        facts = {
            "source": own.source,
            "target": own.target,
            "tokens": words.text,
            "vocabulary": len(words),
            "source_length": widths[0],
            "target_length": widths[1],
            "beam": own.beam,
            "decoded": own.decoded,
        }
        left = len(pairs.train) - len(train)
        judged = f", the first {own.decoded} sentences of a part" if own.decoded else ""
        summary = (
            f"{own.source} to {own.target}: {len(train):,} training, {len(validation):,} "
            f"validation, {len(test):,} test pairs",
            *pairs.notes,
            *(
                [f"{left:,} training pairs of more than {own.length} subwords left out"]
                * bool(left)
            ),
            f"{len(words):,} subwords of the training part{'' if own.cased else ', lower-cased'}",
            f"BLEU ({signature()}) and chrF of {'' if own.cased else 'lower-cased '}translations "
            f"by {f'a beam of {own.beam}' if own.beam > 1 else 'greedy decoding'}{judged}",
        )
        name = f"{pairs.name} {own.source}-{own.target}"
        return Data(
            name, str(place), self.name, train, validation, test, facts, summary, pairs.drawn
        )

    def uses(self, source: str) -> frozenset[str] | None:
        return frozenset({"unreadable", "where"})

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"vocabulary": facts["vocabulary"], "padding": PAD}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> tuple[Tensor, Tensor]:
        lengths = facts["source_length"], facts["target_length"]
        source, target = (torch.zeros(batch, size, dtype=torch.int64) for size in lengths)
        return source, target

    def expect_outputs(self, outputs: Any, facts: Mapping[str, Any]) -> None:
        expect_one_output(outputs, self)
        expect_shape(outputs, (len(outputs), facts["target_length"], facts["vocabulary"]))

    def recipe(self, data: Data) -> Recipe:
        return Recipe(epochs=8, batch_size=64, lr=3e-3, weight_decay=0.01, label_smoothing=0.1)

    def search_fidelity(self, data: Data) -> Fidelity:
        return Fidelity(epochs=1, share=min(1.0, _SEEN / len(data.train)))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Model inputs without targets: the source, and the begin token of a translation."""
        begin = torch.full((len(inputs), facts["target_length"]), PAD, device=inputs.device)
        begin[:, 0] = BEGIN
        return inputs, begin

    def prepare_batch(
        self, batch: Batch, facts: Mapping[str, Any], noise: torch.Generator | None = None
    ) -> Batch:
        targets = trimmed(batch.targets)
        return Batch((trimmed(batch.inputs), shifted(targets)), targets)

    def loss(self, model: nn.Module, batch: Batch, smoothing: float = 0.0) -> Tensor:
        return self.criterion(call(model, batch.inputs), batch.targets, smoothing)

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean cross entropy over all tokens except padding."""
        logits, truth = outputs.float().flatten(0, 1), targets.flatten()
        return F.cross_entropy(logits, truth, ignore_index=PAD, label_smoothing=smoothing)

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        from ..metric.distill import imitation

        asked = targets != PAD
        return imitation(outputs[asked], teacher[asked], targets[asked])

    def draw(
        self,
        index: Tensor,
        train: Split,
        size: int,
        generator: torch.Generator,
        facts: Mapping[str, Any] | None = None,
    ) -> Sequence[Tensor]:
        """Batches of sentences of similar length, in random order, which need less padding."""
        inputs, targets = train.head(len(train))
        lengths = ((inputs != PAD).sum(1) + (targets != PAD).sum(1)).cpu()
        return of_like_length(index, lengths, size, generator)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        words = Tokens(facts["tokens"])
        return TranslationMeter(words, facts["target_length"], facts["beam"], facts["decoded"])

    def answers(self, model: nn.Module, inputs: Any, facts: Mapping[str, Any]) -> Tensor:
        return translate(model, trimmed(inputs[0]), facts["target_length"], facts["beam"])

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """
        Args:
            outputs: translations, int64 (n, steps).
        """
        words = Tokens(facts["tokens"])
        found, wanted = (
            [words.decode(row) for row in side.tolist()] for side in (outputs, targets)
        )
        return {"bleu": torch.from_numpy(bleu_counts(found, wanted))}

    def pooled(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        return bleu_of(sums)

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return Translator(model, facts["target_length"], facts["beam"])

    def signature(self, data: Data) -> Signature:
        facts = data.facts
        ending = ", ending with 2 and padded with 0"
        return Signature(
            two(data.validation),
            "source",
            "translation",
            f"source: int64 (n, {facts['source_length']}), subwords of {facts['source']}{ending}; "
            f"translation: int64 (n, {facts['target_length']}), subwords of {facts['target']}",
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """The lines of a text file, one sentence per line, as tokens, int64 (n, length)."""
        words, width = Tokens(facts["tokens"]), facts["source_length"]
        coded = words.encode_all(lines_in(path))
        for number, one in enumerate(coded, start=1):
            if len(one) > width:
                expected = f"at most {width - 1} subwords, as in training"
                raise DataError(f"{path} line {number}", expected, f"{len(one) - 1}")
        return padded(coded, width)

    def names_in(self, path: Path) -> Sequence[str] | None:
        return lines_in(path)

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        words = Tokens(facts["tokens"])
        return [{"translation": words.decode(row)} for row in outputs.tolist()]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .gallery import translated_lines

        words = Tokens(facts["tokens"])
        sources, references, translations = (
            [words.decode(row) for row in side.tolist()] for side in (inputs, targets, outputs)
        )
        return translated_lines(
            sources, references, translations, (facts["source"], facts["target"])
        )

    def _short(
        self, where: str, part: tuple[list[list[int]], list[list[int]]]
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The training pairs that are no longer than the option ``length``."""
        kept = [pair for pair in zip(*part) if max(map(len, pair)) <= self.options.length]
        if len(kept) < 2:
            expected = f"training pairs of at most {self.options.length} subwords"
            raise DataError(where, expected, f"{len(kept)}", "choose a larger length")
        sources, targets = zip(*kept)
        return list(sources), list(targets)
