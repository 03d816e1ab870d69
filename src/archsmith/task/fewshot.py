"""Few-shot image classification: embeddings that separate new classes by a few examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import DataError, InputError
from .._support.options import format_options, parse
from ..data.batches import balanced
from ..data.episodes import Episodes
from ..data.partition import drawn_parts
from ..data.raw import TEST, TRAIN, VALIDATION, Images
from ..data.reclass import disjoint, group_of, mirrored, numbered, turned
from ..data.source import locate, read_images
from ..data.splits import Split
from ..history.trial import Fidelity
from ..metric import loss_class
from ..metric.distances import squared
from ..metric.distill import relational
from .base import Data, Meter, ReadOptions, Recipe, Task
from .classify import classes_of
from .contracts import BatchSampling, LearnedLoss
from .embedding import EmbeddingImages, distorted, expect_embeddings
from .image import ImageClassification, facts_of, part_of, sized

_PER_CLASS = 4  # examples of a class in a batch
#: Images of 28 x 28 that a trial of a search trains on: two minutes on one core for Conv-4.
_SEEN = 66_000

#: With so many the standard error of the accuracy is a twentieth of a percent; more would only
#: cost memory.
_MOST_EPISODES = 100_000


@dataclass(frozen=True)
class FewShotOptions:
    """Options after the name of the task: ``few-shot:ways=20,shots=5``.

    Attributes:
        ways, shots, queries: of the episodes that validation and test are scored by; ``queries``
            counts those of each class.
        episodes: number of episodes; they are the same for every architecture.
        loss: of training, see ``archsmith list losses``.
        together: share of the training batches that hold classes of a single group (an alphabet:
            the part of their names before the last ``/``), which are harder to distinguish.
        turned: whether rotated images are added as further classes, as the papers do with Omniglot.
        mirrored: whether mirrored images are added as further classes to train on.
        dim: size of the embedding, which a builder receives as ``classes``.

    Raises:
        InputError: a number outside its range.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15
    episodes: int = 1000
    loss: str = "prototypical"
    together: float = 0.0
    turned: bool = False
    mirrored: bool = False
    dim: int = 64

    def __post_init__(self) -> None:
        least = {"ways": 2, "shots": 1, "queries": 1, "episodes": 1, "dim": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"few-shot, {name}", f"{low} or more", str(getattr(self, name)))
        if self.episodes > _MOST_EPISODES:
            expected = f"{_MOST_EPISODES:,} or fewer"
            raise InputError("few-shot, episodes", expected, str(self.episodes))
        if not 0 <= self.together <= 1:
            raise InputError("few-shot, together", "a share from 0 to 1", f"{self.together:g}")


class FewShotImages(EmbeddingImages, BatchSampling, LearnedLoss):
    """Classification of images of new classes from a few examples of each.

    Raw inputs are bytes, (n, channels, height, width); outputs are embeddings, (n, d).

    Training, validation and test part have no class in common. Training uses batches of a few
    examples of many classes and a loss over their pairs; a part is scored by nearest class mean in
    squared Euclidean distance, over episodes drawn from its classes and examples. Anything else
    that a metric should do (unit length, a power transform) is a layer of the model, so that a
    search can choose it. One embedding serves every number of ways and shots.

    Args:
        options: as text, see :class:`FewShotOptions`.

    Raises:
        InputError: options that cannot be read.
    """

    def __init__(self, options: str = "") -> None:
        self.options = parse(FewShotOptions, options, "few-shot")
        chosen = format_options(self.options)
        self.name = "few-shot" + (f":{chosen}" if chosen else "")  # type: ignore[misc]
        self.dim = self.options.dim
        self._kind = loss_class(self.options.loss)
        self._loss = None if self._kind.learned else self._kind()

    def labelled(self) -> Task:
        return _Leaves()

    def read(self, source: str, options: ReadOptions) -> Data:
        raw = read_images(
            source, options.image_size, options.unreadable, options.target, classes="leaves"
        )
        drawn = drawn_parts(raw.parts)
        raw = disjoint(raw, options.validation, options.test, options.seed)
        raw = turned(raw) if self.options.turned else raw
        raw = numbered(mirrored(raw) if self.options.mirrored else raw)
        index = {part: np.flatnonzero(raw.parts == part) for part in (TRAIN, VALIDATION, TEST)}
        facts = facts_of(raw, index[TRAIN]) | {"few_shot": asdict(self.options)}
        facts["training_classes"] = len(np.unique(raw.labels[index[TRAIN]]))
        facts["groups"] = group_of(raw.class_names, changed=True)[0].tolist()
        kinds = {facts["groups"][label] for label in np.unique(raw.labels[index[TRAIN]])}
        if self.options.together and len(kinds) < 2:
            raise InputError(
                "few-shot, together",
                "training classes of two or more groups, named like alphabet/letter",
                "a single group",
                "leave it out",
            )
        parts = {part: part_of(raw, rows) for part, rows in index.items()}
        _expect_pairs(parts[TRAIN].targets, raw.name)
        for part in (VALIDATION, TEST):
            _episodes(parts[part].targets, facts, raw.class_names)
        train, validation, test = parts[TRAIN], parts[VALIDATION], parts[TEST]
        summary = _summary(raw, (train, validation, test), self.options)
        return Data(
            raw.name, str(locate(source)), self.name, train, validation, test, facts, summary, drawn
        )

    def recipe(self, data: Data) -> Recipe:
        count = len(data.train)
        return Recipe(
            epochs=max(10, min(60, round(2400 / count**0.5))), batch_size=128, lr=3e-3, augment=True
        )

    def search_fidelity(self, data: Data) -> Fidelity:
        # Longer than for classification: on Omniglot, embeddings compared by angle were ahead after
        # two epochs (95.4 against 95.0 %) and behind after twenty (96.9 against 97.6 %).
        count = len(data.train)
        pixels = data.facts["height"] * data.facts["width"]
        seen = _SEEN * min(1.0, 784 / pixels)
        epochs = max(4, min(8, round(seen / count)))
        return Fidelity(epochs=epochs, share=min(1.0, seen / (epochs * count)))

    def draw(
        self,
        index: Tensor,
        train: Split,
        size: int,
        generator: torch.Generator,
        facts: Mapping[str, Any] | None = None,
    ) -> Sequence[Tensor]:
        groups = torch.tensor(facts["groups"]) if facts and self.options.together else None
        return balanced(
            index, classes_of(train), size, _PER_CLASS, generator, groups, self.options.together
        )

    def holdout_indices(self, train: Split, share: float, seed: int) -> Tensor:
        """Whole classes, as in validation, and enough of them for an episode where possible."""
        if not share:
            return torch.empty(0, dtype=torch.int64)
        targets = classes_of(train)
        classes, counts = torch.unique(targets, return_counts=True)
        pairs = classes[counts >= 2]
        if len(pairs) < 4:
            expected = "4 or more with two examples, so that two can be held out"
            raise InputError("training classes", expected, str(len(pairs)))
        count = max(2, min(self.options.ways, len(pairs) // 2), round(share * len(pairs)))
        order = np.random.RandomState(seed % 2**32).permutation(len(pairs))
        chosen = pairs[torch.from_numpy(order[: min(count, len(pairs) - 2)])]
        return torch.isin(targets, chosen).nonzero().flatten()

    def augment(
        self, inputs: Tensor, generator: torch.Generator, facts: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Rotated by up to 15 degrees, scaled, shifted, bent; mirrored if ``facts`` allow it."""
        others = self.options.turned or self.options.mirrored
        mirror = bool(facts and facts.get("mirror")) and not others
        return distorted(inputs, generator, mirror=mirror, bend=0.03)

    def criterion(self, outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        self.expect_shared()
        assert self._loss is not None
        loss: Tensor = self._loss(outputs, targets)
        return loss

    def expect_shared(self) -> None:
        if self._loss is None:
            raise InputError(
                f"loss {self.options.loss}",
                "training that can keep the loss's parameters of each class",
                "shared weights, or no training",
                "choose another loss, or train from scratch",
            )

    def learned_loss(self, facts: Mapping[str, Any], dim: Callable[[], int]) -> nn.Module | None:
        return self._kind(facts["training_classes"], dim()) if self._kind.learned else None

    def imitation(self, outputs: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        return relational(outputs, teacher)

    def meter(self, facts: Mapping[str, Any]) -> Meter:
        return EpisodeMeter(facts)


class _Leaves(ImageClassification):
    """Images by the classes that episodes are made of."""

    classes_by = "leaves"


class EpisodeMeter(Meter):
    """Accuracy (0 to 1) and mean cross entropy over episodes, by squared distance to class means.

    It keeps all embeddings. If these are too few for the episodes that ``facts`` ask for (a single
    batch, say), the episodes have as many ways, shots and queries as possible.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self.seen: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        expect_embeddings(outputs, len(targets))
        self.seen.append((outputs.detach().float(), targets))

    def result(self) -> dict[str, float]:
        embeddings, targets = (torch.cat(column) for column in zip(*self.seen, strict=True))
        if not embeddings.isfinite().all():
            return {"accuracy": 0.0, "loss": float("nan")}
        episodes, kept = _feasible_episodes(targets.cpu(), self.facts)
        support, query = episodes.draw(self.facts["few_shot"]["episodes"], 0)
        right = total = loss = 0.0
        for rows in np.array_split(np.arange(len(support)), max(1, len(support) // 200)):
            logits, truth = _episode_logits(embeddings, kept[support[rows]], kept[query[rows]])
            right += float((logits.argmax(-1) == truth).sum())
            loss += float(F.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="sum"))
            total += truth.numel()
        return {"accuracy": right / total, "loss": loss / total}


def _episode_logits(embeddings: Tensor, support: Any, query: Any) -> tuple[Tensor, Tensor]:
    """Logits (E, N * Q, N) and truth (E, N * Q) of episodes given by indices."""
    count, ways, queries = query.shape
    means = embeddings[torch.from_numpy(support)].mean(2)
    asked = embeddings[torch.from_numpy(query)].flatten(1, 2)
    truth = torch.arange(ways, device=embeddings.device).repeat_interleave(queries)
    return -squared(asked, means), truth.expand(count, -1)


def _feasible_episodes(targets: Tensor, facts: Mapping[str, Any]) -> tuple[Episodes, Any]:
    """Episodes that these examples suffice for, no larger than asked for, and the indices of the
    examples that they are drawn from."""
    asked = facts["few_shot"]
    counts = torch.bincount(targets)
    if int((counts > 1).sum()) < 2:
        raise ValueError("episodes need two classes of two examples or more")
    # An episode needs at least two classes, so the second largest class limits the shots.
    shots = min(asked["shots"], int(counts.sort(descending=True).values[1]) - 1)
    usable = counts > shots
    kept = np.flatnonzero(usable[targets].numpy())
    ways = min(asked["ways"], int(usable.sum()))
    queries = min(asked["queries"], int(counts[usable].min()) - shots)
    return Episodes(targets[kept].numpy(), ways, shots, queries), kept


def _episodes(targets: Tensor, facts: Mapping[str, Any], names: Sequence[str]) -> Episodes:
    """The episodes of a part. Raises DataError if it has too few classes or examples."""
    asked = facts["few_shot"]
    named = [names[label] for label in np.unique(targets.numpy()).tolist()]
    return Episodes(targets.numpy(), asked["ways"], asked["shots"], asked["queries"], names=named)


def _expect_pairs(targets: Tensor, where: str) -> None:
    """Raises DataError if the training part has too few pairs for any pairwise loss to learn."""
    counts = torch.unique(targets, return_counts=True)[1]
    pairs = int((counts >= 2).sum())
    if pairs < 2:
        raise DataError(
            f"{where}, training part",
            "two classes of two examples or more",
            f"{pairs} of {len(counts)} classes",
            "add examples of the training classes",
        )


def _summary(
    raw: Images, parts: tuple[Split, Split, Split], options: FewShotOptions
) -> tuple[str, ...]:
    counts = [len(np.unique(classes_of(part).numpy())) for part in parts]
    train, validation, test = counts
    return (
        sized(raw),
        f"{train:,} classes to train on, {validation:,} others to validate and {test:,} to test on",
        f"{options.ways}-way {options.shots}-shot episodes with {options.queries} queries a class",
        *raw.notes,
    )
