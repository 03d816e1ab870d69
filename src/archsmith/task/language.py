"""Language modelling: the next token of a text from the tokens before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import DataError, InputError, unknown
from .._support.options import format_options, parse
from ..data.batches import batches
from ..data.coding import Coding, coding_of, learn_bytes, learn_characters
from ..data.source import locate
from ..data.splits import Split
from ..data.text import SUFFIXES, raw_text, text_files
from ..data.windows import NOT_ASKED, WindowSplit
from ..history.objective import Metric
from ..history.trial import Fidelity
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .classify import expect_shape, two
from .contracts import (
    BatchSampling,
    Deployment,
    ExampleMetrics,
    Pictures,
    References,
    Sequences,
)
from .references import NetworkReference, Reference
from .tensor import TensorTask
from .writing import Order, write

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

#: Tokens that a trial of a search trains on: about a minute on one core for the default space.
_SEEN = 1_000_000
_TOKENS = ("characters", "subwords")
#: Likeliest tokens that an answer shows.
_SHOWN = 10


@dataclass(frozen=True)
class LanguageOptions:
    """Options after the name of the task: ``language-modelling:length=64``.

    Attributes:
        tokens: ``characters`` or ``subwords``, which need the extra ``text``.
        vocabulary: number of subwords.
        length: tokens of a window.
        held: share of the text that the validation and the test part have each, unless the reading
            options say otherwise.

    Raises:
        UnknownNameError: no such tokens.
        InputError: a number outside its range.
    """

    tokens: str = "characters"
    vocabulary: int = 1024
    length: int = 128
    held: float = 0.05

    def __post_init__(self) -> None:
        if self.tokens not in _TOKENS:
            raise unknown("tokens of language-modelling", self.tokens, _TOKENS)
        rules = {
            "vocabulary": (256 <= self.vocabulary <= 65_536, "from 256 to 65536"),
            "length": (4 <= self.length <= 4096, "from 4 to 4096"),
            "held": (0 < self.held < 0.5, "a share above 0 and below 0.5"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"language-modelling, {name}", expected, f"{getattr(self, name)}")


class LanguageModelling(
    TensorTask, BatchSampling, ExampleMetrics, Deployment, Pictures, References, Sequences
):
    """Prediction of the next character of a text (Bengio et al. 2003).

    Inputs are int64, (n, length), targets the tokens that follow each, and outputs logits,
    (n, length, vocabulary), which must not depend on later inputs. The parts are contiguous:
    training, validation, test. Training windows are drawn at random offsets, as many in an epoch as
    the text has one after the other. Windows of evaluation overlap by half, and only the second
    half of each is judged, so that each character is predicted from at least half a window.

    Args:
        options: as text, see :class:`LanguageOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = (
        Metric("bits_per_character", "", "minimize"),
        Metric("perplexity", "", "minimize"),
        Metric("accuracy", "", "maximize"),
        Metric("loss", "", "minimize"),
    )
    default_space = "language"
    reads = f"a text ({', '.join(SUFFIXES)}), or a folder of texts"
    judged_at_once = 64
    joins = True
    pictured = 64

    def __init__(self, options: str = "") -> None:
        self.options = parse(LanguageOptions, options, "language-modelling")
        chosen = format_options(self.options)
        self.name = "language-modelling" + (f":{chosen}" if chosen else "")  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        place = locate(source)
        if isinstance(place, str):
            return False
        return bool(text_files(place)) if place.is_dir() else place.name.lower().endswith(SUFFIXES)

    def read(self, source: str, options: ReadOptions) -> Data:
        place, length = locate(source), self.options.length
        if not self.suits(source) or isinstance(place, str):
            raise DataError(source, self.reads, str(place))
        text = raw_text(place)
        usual = ReadOptions()
        shares = [
            self.options.held
            if getattr(options, part) == getattr(usual, part)
            else getattr(options, part)
            for part in ("validation", "test")
        ]
        held = [round(len(text) * share) for share in shares]
        ends = [len(text) - sum(held), len(text) - held[1], len(text)]
        pieces = [text[a:b] for a, b in zip([0, *ends], ends)]
        subwords = self.options.tokens == "subwords"
        coding: Coding = (
            learn_bytes(pieces[0], self.options.vocabulary)
            if subwords
            else learn_characters(pieces[0], text)
        )
        codes = [coding.encode(piece).to(torch.int32) for piece in pieces]
        self._check_sizes(source, codes)
        train, validation, test = (
            WindowSplit(part, length, asked)
            for part, asked in zip(codes, (0, length // 2, length // 2), strict=True)
        )
        counts = [f"{len(part):,}" for part in codes]
        kind = "tokens" if subwords else "characters"
        summary = (
            f"{len(text):,} characters, {coding.facts['vocabulary']:,} different "
            f"{'subwords' if subwords else 'ones'} in training",
            f"{counts[0]} training, {counts[1]} validation, {counts[2]} test {kind}, in order",
            f"windows of {length} {kind}, at random offsets in training; judged with at least "
            f"{length - length // 2} before each",
        )
        facts = coding.facts | {"length": length}
        name = place.name.partition(".")[0]
        return Data(name, str(place), self.name, train, validation, test, facts, summary)

    def _check_sizes(self, source: str, parts: Sequence[Tensor]) -> None:
        least = 2 * self.options.length
        if min(map(len, parts)) < least:
            expected = f"a text with {least} {self.options.tokens} or more for each part"
            found = ", ".join(f"{len(part)}" for part in parts)
            hint = "choose a smaller length: --task language-modelling:length=32"
            raise DataError(source, expected, found, hint)

    def uses(self, source: str) -> frozenset[str] | None:
        return frozenset()

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"vocabulary": facts["vocabulary"], "length": facts["length"]}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["length"], dtype=torch.int64)

    def short_example(self, facts: Mapping[str, Any]) -> Tensor:
        return self.example(facts)[:, :8]

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        expect_shape(output, (len(output), facts["length"], facts["vocabulary"]))

    def recipe(self, data: Data) -> Recipe:
        return Recipe(epochs=8, batch_size=32, lr=4e-3, weight_decay=0.05, clip=1.0)

    def search_fidelity(self, data: Data) -> Fidelity:
        return Fidelity(epochs=1, share=min(1.0, _SEEN / len(data.train)))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        return inputs

    def draw(
        self,
        index: Tensor,
        train: Split,
        size: int,
        generator: torch.Generator,
        facts: Mapping[str, Any] | None = None,
    ) -> Sequence[Tensor]:
        """Windows at random offsets, together about as long as the text."""
        assert isinstance(train, WindowSplit)
        count = min(len(index), max(size, round(len(index) / train.length)))
        drawn = torch.randint(len(index), (count,), generator=generator)
        return batches(index[drawn], size)

    def holdout_indices(self, train: Split, share: float, seed: int) -> Tensor:
        """The windows at the end of the text."""
        if share and int(share * len(train)) < 1:
            raise InputError("examples to hold out", "a longer text", f"{len(train)} windows")
        return torch.arange(len(train) - int(share * len(train)), len(train))

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        logits, truth = outputs.float().flatten(0, 1), targets.flatten()
        return F.cross_entropy(logits, truth, ignore_index=NOT_ASKED, label_smoothing=smoothing)

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        asked = targets != NOT_ASKED
        return super().imitation(outputs[asked], teacher[asked], targets[asked])

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return LanguageMeter(coding_of(facts).characters)

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        nats, right, asked, told = sums_of(outputs, targets, coding_of(facts).characters)
        pairs = dict.fromkeys(("loss", "perplexity"), (nats, asked))
        pairs |= {"accuracy": (right, asked), "bits_per_character": (nats, told)}
        return {name: torch.stack(pair, 1) for name, pair in pairs.items()}

    def pooled(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        mean: NDArray[Any] = sums[..., 0] / np.maximum(sums[..., 1], 1)
        return np.exp(mean) if name == "perplexity" else mean / _UNITS.get(name, 1.0)

    def references(self) -> tuple[Reference, ...]:
        return (
            NetworkReference("plain-gpt", "archsmith.zoo.language_references:plain_gpt"),
            NetworkReference("plain-lstm", "archsmith.zoo.language_references:plain_lstm"),
        )

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return Logits(model)

    def signature(self, data: Data) -> Signature:
        length, vocabulary = data.facts["length"], data.facts["vocabulary"]
        return Signature(
            two(data.validation),
            "tokens",
            "logits",
            f"tokens: int64 (n, {length}), numbers in the vocabulary of architecture.json; "
            f"logits: float32 (n, {length}, {vocabulary}), of the token after each; other "
            "lengths are taken, too, unless the model prevents it",
            dynamic={1: ""},
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """The end of the text in a file, int64 (1, up to length)."""
        return coding_of(facts).encode(raw_text(path))[None, -facts["length"] :]

    def write(
        self, model: nn.Module, order: Order, facts: Mapping[str, Any], cached: bool = True
    ) -> str:
        """A continuation of the prompt by a model in evaluation mode, see :func:`write`.

        Raises:
            UnknownNameError: a character of the prompt that the training text lacks.
        """
        coding = coding_of(facts)
        prompt = coding.encode(order.prompt)
        return coding.decode(write(model, prompt, order, facts["length"], coding.never, cached))

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The likeliest tokens after each example, with their probabilities."""
        chances = outputs[:, -1].float().softmax(-1)
        best, coding = chances.topk(min(_SHOWN, chances.shape[1])), coding_of(facts)
        return [
            {"next": {coding.decode([token]): chance for token, chance in zip(*row, strict=True)}}
            for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .language_picture import surprises

        return surprises(inputs, outputs, coding_of(facts))

    def picture_of(
        self,
        model: nn.Module,
        inputs: Any,
        targets: Any,
        outputs: Any,
        facts: Mapping[str, Any],
    ) -> Image.Image:
        from .language_picture import surprises

        coding = coding_of(facts)
        first = coding.decode(inputs[0].tolist())
        assert isinstance(model, Logits)
        text = self.write(model.model, Order(prompt=first, count=600), facts)
        return surprises(inputs, outputs, coding, text)


_UNITS = {"bits_per_character": math.log(2)}


class Logits(nn.Module):
    """A model with logits in float32."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.model(tokens)
        return logits.float()


def sums_of(outputs: Tensor, targets: Tensor, characters: Tensor) -> tuple[Tensor, ...]:
    """Of each example: the cross entropy in nats, how many tokens are right, how many are asked
    for, and how many characters these have; each (n,)."""
    flat, asked = outputs.float().flatten(0, 1), targets != NOT_ASKED
    nats = F.cross_entropy(flat, targets.flatten(), ignore_index=NOT_ASKED, reduction="none")
    told = characters.to(targets.device)[targets.clamp(min=0)] * asked
    right = outputs.argmax(-1) == targets
    return tuple(t.float().sum(1) for t in (nats.view(targets.shape), right, asked, told))


class LanguageMeter(Meter):
    """Of the tokens that are asked for: bits per character, perplexity, accuracy (0 to 1) and mean
    cross entropy in nats.

    Args:
        characters: of each token, int64 (vocabulary,).
    """

    def __init__(self, characters: Tensor) -> None:
        self.characters = characters
        self.sums = torch.zeros(4, dtype=torch.float64)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (*targets.shape, len(self.characters)))
        sums = torch.stack(sums_of(outputs, targets, self.characters)).double().sum(1)
        self.sums = self.sums.to(sums.device) + sums

    def result(self) -> dict[str, float]:
        nats, right, asked, told = self.sums.tolist()
        loss = nats / max(1.0, asked)
        return {
            "bits_per_character": nats / max(1.0, told) / math.log(2),
            # A broken model's loss must not become an error of its own.
            "perplexity": math.exp(min(loss, 700.0)),
            "accuracy": right / max(1.0, asked),
            "loss": loss,
        }
