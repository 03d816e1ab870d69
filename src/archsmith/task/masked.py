"""Learning from text without labels: characters that were masked are to be told."""

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
from .._support.options import parse, told
from ..data.source import locate
from ..data.splits import TensorSplit
from ..data.text import SUFFIXES, UNKNOWN, coded, read_text
from ..history.trial import Fidelity
from .base import Data, Meter, ReadOptions, Recipe, Signature
from .classify import METRICS, Probabilities, expect_shape, two
from .contracts import Deployment, Pictures
from .tensor import TensorTask

if TYPE_CHECKING:
    from PIL import Image

_NOT_ASKED = -100  # a target that is no matter of the loss
#: Characters that a trial of a search sees: about a minute of one core for the default space.
_SEEN = 1_500_000


@dataclass(frozen=True)
class MaskedOptions:
    """What stands behind the name of the task: ``masked-prediction:length=128``.

    Attributes:
        length: characters of an example.
        share: of them that are asked for; of these 80 % are masked, 10 % are another character and
            10 % stay.
        copies: differently masked copies of the training part.

    Raises:
        InputError: a number out of its range.
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
        for name, (holds, wanted) in rules.items():
            if not holds:
                raise InputError(f"masked-prediction, {name}", wanted, f"{getattr(self, name):g}")


class MaskedPrediction(TensorTask, Deployment, Pictures):
    """Characters of a text that were masked are to be told (Devlin et al. 2019, arXiv:1810.04805).

    Inputs are int64, (n, length), characters and beyond them the mask; outputs are logits,
    (n, length, vocabulary); targets are what stood there, -100 where nothing is asked.

    Args:
        options: as text, see :class:`MaskedOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    metrics = METRICS
    default_space = "gpt"

    def __init__(self, options: str = "") -> None:
        self.options = parse(MaskedOptions, options, "masked-prediction")
        said = told(self.options)
        self.name = "masked-prediction" + (f":{said}" if said else "")  # type: ignore[misc]

    def suits(self, source: str, options: ReadOptions | None = None) -> bool:
        return False  # a text alone does not say that this is wanted

    def read(self, source: str, options: ReadOptions) -> Data:
        place = locate(source)
        if isinstance(place, str) or not place.name.lower().endswith(SUFFIXES):
            raise DataError(source, f"a text file ({', '.join(SUFFIXES)})", str(place))
        text = read_text(place)
        length = self.options.length
        lines = torch.from_numpy(text.codes[: len(text.codes) // length * length])
        lines = lines.view(-1, length)
        tested, held = (round(len(lines) * s) for s in (options.test, options.validation))
        trained = len(lines) - tested - held
        if min(trained, tested, held) < 1:
            wanted = f"a text of {3 * length} characters or more, {length} for each part"
            raise DataError(source, wanted, f"{len(text.codes)} characters")
        facts = {
            "alphabet": list(text.alphabet),
            "vocabulary": len(text.alphabet) + 1,
            "length": length,
            "masked": asdict(self.options),
        }
        # Whole stretches, in order: neighbours share words and names.
        first, second, third = torch.split(lines, [trained, held, tested])
        train = self._masked(first.repeat(self.options.copies, 1), facts, options.seed)
        summary = (
            f"{len(text.codes):,} characters, {len(text.alphabet)} different ones",
            f"{trained:,} training, {held:,} validation, {tested:,} test examples of {length} "
            "characters, in order",
            f"{100 * self.options.share:g} % of them asked for",
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
            f"tokens: int64 (n, {length}), places in the alphabet and {vocabulary - 1} for a mask; "
            f"probabilities: float32 (n, {length}, {vocabulary})",
        )

    def load_input(self, path: Path, facts: Mapping[str, Any]) -> Tensor:
        """The text of a file in examples, the last one filled up with masks.

        ``_`` is a mask, and so is what training has not seen.
        """
        text = read_text(path)
        shown = "".join(text.alphabet[code] for code in text.codes)
        codes, mask = coded(shown, facts["alphabet"]), facts["vocabulary"] - 1
        known = set(facts["alphabet"]) - {"_"}
        if UNKNOWN not in known:
            codes[np.array([character not in known for character in shown])] = mask
        codes[np.array([character == "_" for character in shown])] = mask
        filled = np.full(-(-len(codes) // facts["length"]) * facts["length"], mask)
        filled[: len(codes)] = codes
        return torch.from_numpy(filled).view(-1, facts["length"])

    def describe(self, outputs: Tensor, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The likeliest text of each example."""
        alphabet = facts["alphabet"]
        # The mask itself is no answer.
        best = outputs[..., : len(alphabet)].argmax(-1).tolist()
        return [{"text": "".join(alphabet[code] for code in row)} for row in best]

    def picture(
        self, inputs: Tensor, targets: Tensor, outputs: Tensor, facts: Mapping[str, Any]
    ) -> Image.Image:
        from .gallery import masked_lines

        guesses = outputs[..., : len(facts["alphabet"])].argmax(-1)
        return masked_lines(inputs, targets, guesses, facts["alphabet"])

    def _masked(self, lines: Tensor, facts: Mapping[str, Any], seed: int) -> TensorSplit:
        """Examples with characters asked for; each has one at least."""
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
    """Accuracy (0 to 1) and mean cross entropy over the characters that are asked for."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.right = self.loss = self.count = 0.0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        wanted = (*targets.shape, self.vocabulary)
        if tuple(outputs.shape) != wanted:
            raise ValueError(
                f"the model gave outputs of shape {tuple(outputs.shape)}, not {wanted}"
            )
        asked = targets != _NOT_ASKED
        logits, truth = outputs[asked].float(), targets[asked]
        self.right += float((logits.argmax(-1) == truth).sum())
        self.loss += float(F.cross_entropy(logits, truth, reduction="sum"))
        self.count += len(truth)

    def result(self) -> dict[str, float]:
        count = max(1.0, self.count)
        return {"accuracy": self.right / count, "loss": self.loss / count}
