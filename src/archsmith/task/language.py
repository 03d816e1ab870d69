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
from ..data.source import locate
from ..data.splits import Split
from ..data.text import SUFFIXES, UNKNOWN, alphabet_of, coded, raw_text, text_files
from ..data.windows import NOT_ASKED, WindowSplit
from ..history.objective import Metric
from ..history.trial import Fidelity
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .classify import expect_shape, two
from .contracts import BatchSampling, Deployment, ExampleMetrics, Pictures, References
from .references import NetworkReference, Reference
from .tensor import TensorTask
from .writing import Order, write

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

#: Tokens that a trial of a search trains on: about a minute on one core for the default space.
_SEEN = 1_000_000
#: Likeliest tokens that an answer shows.
_SHOWN = 10


@dataclass(frozen=True)
class LanguageOptions:
    """Options after the name of the task: ``language-modelling:length=64``.

    Attributes:
        length: tokens of a window.
        held: share of the text that the validation and the test part have each, unless the reading
            options say otherwise.

    Raises:
        InputError: a number outside its range.
    """

    length: int = 128
    held: float = 0.05

    def __post_init__(self) -> None:
        rules = {
            "length": (4 <= self.length <= 4096, "from 4 to 4096"),
            "held": (0 < self.held < 0.5, "a share above 0 and below 0.5"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"language-modelling, {name}", expected, f"{getattr(self, name)}")


class LanguageModelling(TensorTask, BatchSampling, ExampleMetrics, Deployment, Pictures, References):
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
            self.options.held if getattr(options, part) == getattr(usual, part) else getattr(options, part)
            for part in ("validation", "test")
        ]
        held = [round(len(text) * share) for share in shares]
        ends = [len(text) - sum(held), len(text) - held[1], len(text)]
        pieces = [text[a:b] for a, b in zip([0, *ends], ends)]
        if min(map(len, pieces)) < 2 * length:
            expected = f"a text with {2 * length} characters or more for each part"
            found = ", ".join(f"{len(piece)}" for piece in pieces)
            hint = "choose a smaller length: --task language-modelling:length=32"
            raise DataError(source, expected, found, hint)
        alphabet = alphabet_of(pieces[0], text)
        facts = {"alphabet": alphabet, "vocabulary": len(alphabet), "length": length}
        train, validation, test = (
            WindowSplit(torch.from_numpy(coded(piece, alphabet)).to(torch.int32), length, asked)
            for piece, asked in zip(pieces, (0, length // 2, length // 2), strict=True)
        )
        counts = [f"{len(piece):,}" for piece in pieces]
        summary = (
            f"{len(text):,} characters, {len(alphabet)} different ones in training",
            f"{counts[0]} training, {counts[1]} validation, {counts[2]} test characters, in order",
            f"windows of {length}, at random offsets in training; judged with at least "
            f"{length - length // 2} characters before each",
        )
        name = place.name.partition(".")[0]
        return Data(name, str(place), self.name, train, validation, test, facts, summary)

    def uses(self, source: str) -> frozenset[str] | None:
        return frozenset()

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"vocabulary": facts["vocabulary"], "length": facts["length"]}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["length"], dtype=torch.int64)

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
        return LanguageMeter(facts["vocabulary"])

    def parts(
        self, outputs: Tensor, targets: Tensor, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        nats, right, asked = sums_of(outputs, targets)
        pairs = {"accuracy": right, "loss": nats, "perplexity": nats, "bits_per_character": nats}
        return {name: torch.stack([value, asked], 1) for name, value in pairs.items()}

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
            f"tokens: int64 (n, {length}), indices in the alphabet of architecture.json; "
            f"logits: float32 (n, {length}, {vocabulary}), of the token after each; models without "
            "recurrent layers take other lengths, too",
            free=(1,),
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """The end of the text in a file, int64 (1, up to length)."""
        return self.tokens_of(raw_text(path), facts)[:, -facts["length"] :]

    def tokens_of(self, text: str, facts: Mapping[str, Any]) -> Tensor:
        """A text as tokens, int64 (1, t).

        Raises:
            UnknownNameError: a character that the training text lacks.
        """
        alphabet = facts["alphabet"]
        if UNKNOWN not in alphabet:
            for character in text:
                if character not in alphabet:
                    raise unknown("character", character, alphabet)
        return torch.from_numpy(coded(text, alphabet))[None]

    def write(
        self, model: nn.Module, order: Order, facts: Mapping[str, Any], cached: bool = True
    ) -> str:
        """A continuation of the prompt by a model in evaluation mode, see :func:`write`."""
        alphabet = facts["alphabet"]
        prompt = self.tokens_of(order.prompt, facts)
        never = [alphabet.index(UNKNOWN)] if UNKNOWN in alphabet else []
        tokens = write(model, prompt[0], order, facts["length"], never, cached)
        return "".join(alphabet[token] for token in tokens)

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The likeliest tokens after each example, with their probabilities."""
        alphabet, chances = facts["alphabet"], outputs[:, -1].float().softmax(-1)
        best = chances.topk(min(_SHOWN, len(alphabet)))
        return [
            {"next": {alphabet[token]: chance for token, chance in zip(*row, strict=True)}}
            for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .language_picture import surprises

        return surprises(inputs, outputs, facts["alphabet"])

    def picture_of(
        self,
        model: nn.Module,
        inputs: Any,
        targets: Any,
        outputs: Any,
        facts: Mapping[str, Any],
    ) -> Image.Image:
        from .language_picture import surprises

        first = facts["alphabet"][int(inputs[0, 0])]
        text = self.write(model, Order(prompt=first, count=600), facts)
        return surprises(inputs, outputs, facts["alphabet"], text)


_UNITS = {"bits_per_character": math.log(2)}


class Logits(nn.Module):
    """A model with logits in float32."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.model(tokens)
        return logits.float()


def sums_of(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each example: the cross entropy in nats, how many tokens are right, how many are asked
    for; each (n,)."""
    flat = outputs.float().flatten(0, 1)
    nats = F.cross_entropy(flat, targets.flatten(), ignore_index=NOT_ASKED, reduction="none")
    right, asked = outputs.argmax(-1) == targets, targets != NOT_ASKED
    return nats.view(targets.shape).sum(1), right.float().sum(1), asked.float().sum(1)


class LanguageMeter(Meter):
    """Of the tokens that are asked for: bits per character, perplexity, accuracy (0 to 1) and mean
    cross entropy in nats."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.nats = self.right = self.asked = 0.0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_shape(outputs, (*targets.shape, self.vocabulary))
        nats, right, asked = (float(part.double().sum()) for part in sums_of(outputs, targets))
        self.nats, self.right, self.asked = self.nats + nats, self.right + right, self.asked + asked

    def result(self) -> dict[str, float]:
        count = max(1.0, self.asked)
        loss = self.nats / count
        return {
            "bits_per_character": loss / math.log(2),
            # A broken model's loss must not become an error of its own.
            "perplexity": math.exp(min(loss, 700.0)),
            "accuracy": self.right / count,
            "loss": loss,
        }
