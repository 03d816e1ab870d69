"""New classes for an exported embedding, learned from a folder of a few images each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._support.errors import DataError, InputError
from .predict import fitting, named, opened

if TYPE_CHECKING:
    from torch import Tensor

    from ..space import Space
    from ..task.contracts import Deployment


def predict_from_support(
    folder: str | Path,
    support: str | Path,
    input_path: str | Path,
    learner: str = "prototypical",
    space: Space | None = None,
) -> list[dict[str, Any]]:
    """Predict classes that the model was never trained on, from a few examples of each.

    Args:
        folder: an export of a model that gives embeddings, such as those for ``few-shot``.
        support: a folder with a folder of examples for each class.
        input_path: what to classify, as for :func:`archsmith.export.predict`.
        learner: how classes are learned, see ``archsmith list learners``. Learners whose weights
            have to be trained over episodes are refused.
        space: as for :func:`archsmith.export.predict`.

    Returns:
        For each example of the input its ``class``, ``probability`` and all ``probabilities``; for
        the files of a folder, with the name of the file as ``input``.

    Raises:
        InputError: no such export, one whose model gives no embeddings, or a learner that needs
            training.
        DataError: fewer than two classes, a class without examples, or an input that cannot be
            read.
    """
    from ..transfer.fewshot import learners

    record, task, run = opened(folder, space)
    output = record.get("signature", {}).get("output_name")
    if output != "embeddings":
        raise InputError(
            str(folder),
            "a model that gives embeddings",
            f"one that gives {output}",
            "search with --task few-shot, or self-supervised, and export its winner",
        )
    kind = learners.get(learner)
    if _needs_training(kind):
        ready = [name for name in learners.names() if not _needs_training(learners.get(name))]
        raise InputError(
            f"learner {learner}",
            f"one of {', '.join(ready)}",
            "one that is trained over episodes",
            "train it with nas.train_episodes and use its own save and load",
        )
    with fitting(folder):
        examples = _examples(Path(support), task, record["facts"])
        labels = [name for name, images in examples.items() for _ in images]
        fitted = kind().fit(run(_concatenate(list(examples.values()))), labels)
        inputs = task.load_input(Path(input_path), record["facts"])
        chances = fitted.probabilities(run(inputs)).double().tolist()
    answers = []
    for row in chances:
        by_class = dict(zip(fitted.classes_, row, strict=True))
        best = max(by_class, key=by_class.__getitem__)
        answers.append({"class": best, "probability": by_class[best], "probabilities": by_class})
    return named(task, Path(input_path), answers)


def _needs_training(kind: Any) -> bool:
    return bool(kind.sized or kind.adapts)


def _concatenate(parts: list[Tensor]) -> Tensor:
    import torch

    return torch.cat(parts)


def _examples(folder: Path, task: Deployment, facts: Mapping[str, Any]) -> dict[str, Tensor]:
    """Raw inputs of each class, by its name."""
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise DataError(str(folder), "a folder with a folder of examples for each class", got)
    places = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(places) < 2:
        got = f"only {places[0].name!r}" if places else "none"
        raise DataError(str(folder), "folders of examples for two classes or more", got)
    return {place.name: task.load_input(place, facts) for place in places}
