"""Text classification: one class per text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._support.errors import DataError, InputError
from .._support.options import format_options, parse
from ..data.lines import open_rows
from ..data.padding import of_like_length, padded, trimmed
from ..data.partition import drawn_parts, split
from ..data.source import locate
from ..data.splits import Split, TensorSplit
from ..data.tables import SUFFIXES
from ..data.texts import Texts, holds_texts, lines_in, read_texts
from ..data.tokens import END, PAD, UNKNOWN, Tokens, cut, learn_tokens
from ..history.trial import Fidelity
from . import classify
from .base import Data, ReadOptions, Recipe, Signature
from .contracts import AsLongAsTheRecipe, BatchSampling, Explanation, Pictures, References
from .occlusion import word_effects

if TYPE_CHECKING:
    from PIL import Image

    from .references import Reference

#: Texts that a trial of a search trains on: about half a minute on one core.
_SEEN = 16_000
#: Words that are told with an answer, and texts that the report shows.
_TOLD, _SHOWN = 5, 12


@dataclass(frozen=True)
class TextOptions:
    """Options after the name of the task: ``text-classification:text=review,length=200``.

    Attributes:
        text: name of the column of texts; without it the column is told by its cells.
        test: name of the test part in the column ``split``.
        merges: number of subwords that are learned in addition to single characters; with 0 tokens
            are characters.
        length: highest number of tokens of a text; the rest is cut off.
        cased: whether upper case is kept.
        drop: share of the tokens of a training text that are made unknown (word dropout, Iyyer et
            al. 2015, doi:10.3115/v1/P15-1162), if the recipe augments.

    Raises:
        InputError: a number outside its range.
    """

    text: str = ""
    test: str = ""
    merges: int = 8000
    length: int = 128
    cased: bool = False
    drop: float = 0.0

    def __post_init__(self) -> None:
        rules = {
            "merges": (0 <= self.merges <= 50_000, "from 0 to 50000"),
            "length": (2 <= self.length <= 4096, "from 2 to 4096"),
            "drop": (0 <= self.drop < 1, "a share from 0 up to, not including, 1"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(
                    f"text-classification, {name}", expected, f"{getattr(self, name)!r}"
                )


class TextClassification(
    classify.Classification, AsLongAsTheRecipe, BatchSampling, Pictures, Explanation, References
):
    """The class of a text. Raw inputs are tokens, int64 (n, length), each text ending with an end
    token and padded with 0; a batch is as wide as its longest text. Outputs are logits,
    (n, classes).

    Args:
        options: as text, see :class:`TextOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    default_space = "text"
    calibrated = True
    joins = True
    pictured = 4096
    reads = "a CSV or Parquet file of texts and classes, or a folder of class folders of .txt files"

    def __init__(self, options: str = "") -> None:
        self.options = parse(TextOptions, options, "text-classification")
        chosen = format_options(self.options)
        self.name = "text-classification" + (f":{chosen}" if chosen else "")  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> int:
        place, options = locate(source), options or ReadOptions()
        evident = isinstance(place, Path) and holds_texts(place, options.target, options.where)
        return 2 * evident

    def read(self, source: str, options: ReadOptions) -> Data:
        own, place = self.options, locate(source)
        if isinstance(place, str):
            raise DataError(source, "texts with classes", "a registered data set")
        texts = read_texts(
            place, own.text, options.target, options.where, own.test, options.unreadable
        )
        shares = (options.validation, options.test)
        indices = split(texts.labels, texts.parts, *shares, options.seed, texts.name)
        words = learn_tokens((texts.texts[i] for i in indices[0]), own.merges, own.cased)
        coded = words.encode_all(texts.texts)
        short = [cut(tokens, own.length) for tokens in coded]
        labels = torch.from_numpy(texts.labels)
        width = max(map(len, short))
        train, validation, test = (
            TensorSplit(padded([short[i] for i in index], width), labels[torch.from_numpy(index)])
            for index in indices
        )
        classify.check_classes(train, texts.class_names, texts.name)
        facts = {
            "tokens": words.text,
            "vocabulary": len(words),
            "length": width,
            "classes": len(texts.class_names),
            "class_names": list(texts.class_names),
            "text": texts.column,
            "target": texts.target,
            "drop": own.drop,
        }
        return Data(
            texts.name,
            str(place),
            self.name,
            train,
            validation,
            test,
            facts,
            _summary(
                texts,
                (train, validation, test),
                facts,
                sum(len(tokens) > own.length for tokens in coded),
            ),
            drawn_parts(texts.parts),
        )

    def uses(self, source: str) -> frozenset[str] | None:
        place = locate(source)
        folder = isinstance(place, Path) and place.is_dir()
        return frozenset({"unreadable"} | ({"target", "where"} if not folder else set()))

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        offered = ("vocabulary", "classes", "length")
        return {name: facts[name] for name in offered} | {"padding": PAD}

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["length"], dtype=torch.int64)

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        batch = max(8, min(64, count // 16))
        # Networks know a few thousand texts by heart after ten passes; few texts need more of them.
        epochs = max(5, min(8, round(40_000 / count)), -(-300 * batch // count))
        return Recipe(
            epochs=epochs,
            batch_size=batch,
            lr=2e-3,
            weight_decay=0.3,
            label_smoothing=0.1,
            augment=True,
            ema=0.99,
        )

    def search_fidelity(self, data: Data) -> Fidelity:
        epochs = max(3, min(self.recipe(data).epochs, _SEEN // len(data.train)))
        return Fidelity(epochs=epochs, share=min(1.0, _SEEN / (epochs * len(data.train))))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        return trimmed(inputs)

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Some tokens made unknown."""
        share = facts["drop"] if facts is not None else self.options.drop
        drawn = torch.rand(inputs.shape, generator=generator, device=inputs.device) < share
        return inputs.masked_fill(drawn & (inputs != PAD) & (inputs != END), UNKNOWN)

    def draw(
        self,
        index: Tensor,
        train: Split,
        size: int,
        generator: torch.Generator,
        facts: Mapping[str, Any] | None = None,
    ) -> Sequence[Tensor]:
        lengths = (train.head(len(train)).inputs != PAD).sum(1).cpu()
        return of_like_length(index, lengths, size, generator)

    def references(self) -> tuple[Reference, ...]:
        from .estimators import TfidfLinear
        from .references import NetworkReference

        cnn = NetworkReference("kim-cnn", "archsmith.zoo.text_cnn:kim_cnn")
        return TfidfLinear("tf-idf-logistic-regression", classes=True), cnn

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return classify.Probabilities(nn.Identity(), model, facts.get("temperature", 1.0))

    def signature(self, data: Data) -> Signature:
        about = "tokens of texts, each ending with 2, padded with 0"
        return Signature(
            classify.two(data.validation),
            "tokens",
            "probabilities",
            f"tokens: int64 (n, length), {about}; {classify.probabilities(data.facts)}",
            dynamic={1: "length"},
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """Texts as tokens, int64 (n, length): the lines of a text file, or a column of a table."""
        words, width = Tokens(facts["tokens"]), facts["length"]
        coded = words.encode_all(_texts_in(path, facts["text"]))
        return padded([cut(tokens, width) for tokens in coded], width)

    def names_in(self, path: Path) -> Sequence[str] | None:
        return None if path.suffix.lower() in SUFFIXES else lines_in(path)

    def explain(
        self,
        run: Callable[[Tensor], Tensor],
        inputs: Tensor,
        outputs: Tensor,
        facts: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        """The words that moved the answer most, and by how much of its probability."""
        words = Tokens(facts["tokens"])
        answers = []
        for row, answer in zip(inputs, outputs.argmax(1).tolist(), strict=True):
            effects = word_effects(run, row, answer, words)
            most = sorted(effects, key=lambda found: -abs(found.effect))[:_TOLD]
            answers.append({"words": dict(most)})
        return answers

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .picture import confusion

        return confusion(targets, outputs.argmax(1), facts["class_names"])

    def picture_of(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        outputs: Tensor,
        facts: Mapping[str, Any],
    ) -> Image.Image:
        from .picture import stacked, surest_mistakes
        from .prose import Shown, mistaken_texts

        names, words = facts["class_names"], Tokens(facts["tokens"])
        order, guesses, wrong = surest_mistakes(targets, outputs, _SHOWN)
        shown = [
            Shown(
                word_effects(model, inputs[i], int(guesses[i]), words),
                names[guesses[i]],
                float(outputs[i].max()),
                names[targets[i]],
            )
            for i in order.tolist()
        ]
        worst = mistaken_texts(shown, int(wrong.sum()), len(wrong))
        return stacked(self.picture(inputs, targets, outputs, facts), worst)


def _texts_in(path: Path, column: str) -> Sequence[str]:
    """The texts of a user's file.

    Raises:
        DataError: it cannot be read, has an empty text, or no column of this name.
    """
    if path.suffix.lower() not in SUFFIXES:
        return lines_in(path)
    rows = open_rows(path)
    if column not in rows.header and len(rows.header) > 1:
        raise DataError(str(path), f"a column {column!r}, as in training", ", ".join(rows.header))
    cells = rows.columns[rows.header.index(column) if column in rows.header else 0]
    for line, cell in zip(rows.lines, cells, strict=True):
        if not cell.strip():
            raise DataError(f"{path} row {line}", "a text", "an empty one")
    return cells


def _summary(
    texts: Texts, parts: Sequence[TensorSplit], facts: Mapping[str, Any], longer: int
) -> tuple[str, ...]:
    train, validation, test = map(len, parts)
    lengths = torch.cat([(part.inputs != PAD).sum(1) for part in parts]).float()
    unknown = sum(int((part.inputs == UNKNOWN).any(1).sum()) for part in parts[1:])
    names = facts["class_names"]
    return (
        f"{train:,} training, {validation:,} validation, {test:,} test texts",
        classify.class_lines(parts[0], names),
        f"{facts['vocabulary']:,} tokens of the training part, {lengths.mean():.0f} a text",
        *[f"{longer:,} texts of more than {facts['length']} tokens cut off there"] * bool(longer),
        *[f"{unknown:,} texts have characters that the training part has not"] * bool(unknown),
        *classify.absent_lines(parts, names),
        *texts.notes,
    )
