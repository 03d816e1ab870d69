"""Learning from text without labels: a model predicts characters that were masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import DataError, InputError
from .._support.options import format_options, parse
from ..data.source import locate
from ..data.splits import TensorSplit
from ..data.text import SUFFIXES, UNKNOWN, coded, read_text
from ..history.trial import Fidelity
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .classify import PLAIN_METRICS, Probabilities, expect_shape, two
from .contracts import Deployment, Pictures
from .tensor import TensorTask

if TYPE_CHECKING:
    from PIL import Image

_NOT_ASKED = -100  # a target that the loss ignores
#: Characters that a trial of a search trains on: about a minute on one core for the default space.
_SEEN = 1_500_000


@dataclass(frozen=True)
class MaskedOptions:
    """Options after the name of the task: ``masked-prediction:length=128``.

    Attributes:
        length: characters of an example.
        share: share of the characters that are to be predicted; of these 80 % are masked, 10 % are
            replaced by another character and 10 % stay as they are.
        copies: number of differently masked copies of the training part.

    Raises:
        InputError: a number outside its range.
    """

    length: int = 64
    share: float = 0.15
    copies: int = 4

    def __post_init__(self) -> None:
        rules = {
            "length": (self.length >= 2, "2 or more"),
            "share": (0 < self.share < 1, "between 0 and 1"),
            "copies": (1 <= self.copies <= 100, "from 1 to 100"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                raise InputError(f"masked-prediction, {name}", expected, f"{getattr(self, name):g}")


class MaskedPrediction(TensorTask, Deployment, Pictures):
    """Prediction of masked characters of a text (Devlin et al. 2019, arXiv:1810.04805).

    Inputs are int64, (n, length): indices of characters, and the largest one for the mask. Outputs
    are logits, (n, length, vocabulary). Targets are the true characters, and -100 where nothing is
    to be predicted.

    Args:
        options: as text, see :class:`MaskedOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = PLAIN_METRICS
    default_space = "gpt"

    def __init__(self, options: str = "") -> None:
        self.options = parse(MaskedOptions, options, "masked-prediction")
        chosen = format_options(self.options)
        self.name = "masked-prediction" + (f":{chosen}" if chosen else "")  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return False  # a text file alone does not show that it is meant for this task

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str) or not place.name.lower().endswith(SUFFIXES):
            raise DataError(source, f"a text file ({', '.join(SUFFIXES)})", str(place))
        text = read_text(place)
        length = self.options.length
        lines = torch.from_numpy(text.codes[: len(text.codes) // length * length])
        lines = lines.view(-1, length)
        test_count, validation_count = (
            round(len(lines) * s) for s in (options.test, options.validation)
        )
        train_count = len(lines) - test_count - validation_count
        if min(train_count, test_count, validation_count) < 1:
            expected = f"a text of {3 * length} characters or more, {length} for each part"
            raise DataError(source, expected, f"{len(text.codes)} characters")
        facts = {
            "alphabet": list(text.alphabet),
            "vocabulary": len(text.alphabet) + 1,
            "length": length,
            "masked": asdict(self.options),
        }
        # Contiguous stretches, in order: neighbouring examples share words and names, so that a
        # random split would leak.
        first, second, third = torch.split(lines, [train_count, validation_count, test_count])
        train = self._masked(first.repeat(self.options.copies, 1), facts, options.seed)
        summary = (
            f"{len(text.codes):,} characters, {len(text.alphabet)} different ones",
            f"{train_count:,} training, {validation_count:,} validation, {test_count:,} test "
            f"examples of {length} characters, in order",
            f"{100 * self.options.share:g} % of the characters to predict",
        )
        return Data(
            text.name,
            str(place),
            self.name,
            train,
            self._masked(second, facts, 1),
            self._masked(third, facts, 2),
            facts,
            summary,
        )

    def uses(self, source: str) -> frozenset[str] | None:
        return frozenset()

    def arguments(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "vocabulary": facts["vocabulary"],
            "length": facts["length"],
            "causal": False,
            "widths": (64, 96, 128),
            "depths": (1, 2, 3, 4),
            "heads": (2, 4),
            "head_size": 32,
        }

    def example(self, facts: Mapping[str, Any], batch: int = 1) -> Tensor:
        return torch.zeros(batch, facts["length"], dtype=torch.int64)

    def expect_output(self, output: Tensor, facts: Mapping[str, Any]) -> None:
        expect_shape(output, (len(output), facts["length"], facts["vocabulary"]))

    def recipe(self, data: Data) -> Recipe:
        return Recipe(epochs=8, batch_size=64, lr=2e-3, weight_decay=0.05)

    def search_fidelity(self, data: Data) -> Fidelity:
        seen = len(data.train) * data.facts["length"]
        return Fidelity(epochs=1, share=min(1.0, _SEEN / seen))

    def prepare(self, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
        return inputs

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        return inputs

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        logits = outputs.float().flatten(0, 1)
        asked = targets.flatten()
        return F.cross_entropy(logits, asked, ignore_index=_NOT_ASKED, label_smoothing=smoothing)

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        asked = targets != _NOT_ASKED
        return super().imitation(outputs[asked], teacher[asked], targets[asked])

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return MaskedMeter(facts["vocabulary"])

    def deployable(self, model: nn.Module, facts: Mapping[str, Any]) -> nn.Module:
        return Probabilities(nn.Identity(), model)

    def signature(self, data: Data) -> Signature:
        length, vocabulary = data.facts["length"], data.facts["vocabulary"]
        return Signature(
            two(data.validation),
            "tokens",
            "probabilities",
            f"tokens: int64 (n, {length}), indices in the alphabet, {vocabulary - 1} for a mask; "
            f"probabilities: float32 (n, {length}, {vocabulary})",
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """The text of a file as examples, int64 (n, length), the last one padded with masks.

        ``_`` stands for a mask; characters that the training part does not have become masks, too.
        """
        text = read_text(path)
        shown = "".join(text.alphabet[code] for code in text.codes)
        codes, mask = coded(shown, facts["alphabet"]), facts["vocabulary"] - 1
        alphabet = set(facts["alphabet"]) - {"_"}
        if UNKNOWN not in alphabet:
            codes[np.array([character not in alphabet for character in shown])] = mask
        codes[np.array([character == "_" for character in shown])] = mask
        filled = np.full(-(-len(codes) // facts["length"]) * facts["length"], mask)
        filled[: len(codes)] = codes
        return torch.from_numpy(filled).view(-1, facts["length"])

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The likeliest text of each example."""
        alphabet = facts["alphabet"]
        # The mask itself is not a valid prediction.
        best = outputs[..., : len(alphabet)].argmax(-1).tolist()
        return [{"text": "".join(alphabet[code] for code in row)} for row in best]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .gallery import masked_lines

        guesses = outputs[..., : len(facts["alphabet"])].argmax(-1)
        return masked_lines(inputs, targets, guesses, facts["alphabet"])

    def _masked(self, lines: Tensor, facts: Mapping[str, Any], seed: int) -> TensorSplit:
        """Examples with masked characters, at least one in each."""
        generator = torch.Generator().manual_seed(seed)
        asked = torch.rand(lines.shape, generator=generator) < self.options.share
        luck = torch.randint(lines.shape[1], (len(lines),), generator=generator)
        none = (~asked.any(1)).nonzero().flatten()
        asked[none, luck[none]] = True
        fate = torch.rand(lines.shape, generator=generator)
        other = torch.randint(len(facts["alphabet"]), lines.shape, generator=generator)
        shown = torch.where(asked & (fate < 0.8), facts["vocabulary"] - 1, lines)
        shown = torch.where(asked & (fate >= 0.9), other, shown)
        return TensorSplit(shown, torch.where(asked, lines, _NOT_ASKED))


class MaskedMeter(Meter):
    """Accuracy (0 to 1) and mean cross entropy over the characters that are to be predicted."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.right = self.loss = self.count = 0.0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expected = (*targets.shape, self.vocabulary)
        if tuple(outputs.shape) != expected:
            raise ValueError(
                f"the model gave outputs of shape {tuple(outputs.shape)}, not {expected}"
            )
        asked = targets != _NOT_ASKED
        logits, truth = outputs[asked].float(), targets[asked]
        self.right += float((logits.argmax(-1) == truth).sum())
        self.loss += float(F.cross_entropy(logits, truth, reduction="sum"))
        self.count += len(truth)

    def result(self) -> dict[str, float]:
        count = max(1.0, self.count)
        return {"accuracy": self.right / count, "loss": self.loss / count}
