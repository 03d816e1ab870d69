"""Classes described by their names or by sentences, with any text encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._support.errors import DataError, InputError
from .checks import Array, Indices, refuse_alike, rows
from .scaling import unit

if TYPE_CHECKING:
    from torch import Tensor

#: From n texts to their embeddings (n, d).
Encoder = Callable[[Sequence[str]], "Tensor"]
#: Classes by name; or by name with texts that represent each, if the names are not enough.
Classes = Sequence[str] | Mapping[str, str | Sequence[str]]


def describe_classes(classes: Classes, encoder: Encoder, prompts: Sequence[str] = ("{}",)) -> Array:
    """Descriptions (classes, d) of length 1: the mean embedding of a class's texts in all prompts.

    Each embedding has length 1 before the mean, as in CLIP's ensembles (arXiv:2103.00020).

    Args:
        classes: names, or a mapping from names to one or more texts that represent the class.
        encoder: from texts to embeddings (n, d), array or tensor.
        prompts: texts in which ``{}`` marks the place of the class, such as ``"a photo of a {}"``.

    Raises:
        InputError: no class, an empty text, a repeated name, or a prompt without a place.
        DataError: embeddings of another shape, values that are not finite, or two classes that
            the encoder cannot distinguish.
    """
    texts = class_texts(classes)
    for prompt in prompts:
        if not isinstance(prompt, str) or prompt.count("{}") != 1:
            raise InputError("prompt", "a text with one {} for the class", repr(prompt))
    if not prompts or isinstance(prompts, str):
        raise InputError("prompts", "one or more, in a list", repr(prompts), "('a photo of a {}',)")
    prompted = [p.replace("{}", text) for own in texts.values() for text in own for p in prompts]
    embedded = unit(embeddings(encoder, prompted))
    owner = np.repeat(np.arange(len(texts)), [len(own) * len(prompts) for own in texts.values()])
    sums = np.zeros((len(texts), embedded.shape[1]))
    np.add.at(sums, owner, embedded)
    described = unit(sums)
    refuse_alike(described, list(texts))
    return described


class ZeroShotText:
    """Sorts texts into classes that are known only by name: the nearest description by cosine.

    Args:
        classes, encoder, prompts: as for :func:`describe_classes`.

    Attributes:
        names: of the classes.
        descriptions: (classes, d), of length 1.
    """

    def __init__(
        self, classes: Classes, encoder: Encoder, prompts: Sequence[str] = ("{}",)
    ) -> None:
        self.names = tuple(class_texts(classes))
        self.encoder = encoder
        self.descriptions = describe_classes(classes, encoder, prompts)

    def scores(self, texts: Sequence[str]) -> Array:
        """Cosines, (n, classes)."""
        return unit(embeddings(self.encoder, texts)) @ self.descriptions.T

    def predict(self, texts: Sequence[str]) -> Indices:
        """Numbers of the classes, (n,)."""
        numbers: Indices = self.scores(texts).argmax(axis=1)
        return numbers


def class_texts(classes: Classes) -> dict[str, list[str]]:
    """The texts of each class by its name.

    Raises:
        InputError: as :func:`describe_classes`.
    """
    if isinstance(classes, str) or not classes:
        raise InputError("classes", "a list of names, or a mapping to texts", repr(classes))
    if isinstance(classes, Mapping):
        texts = {k: [v] if isinstance(v, str) else list(v) for k, v in classes.items()}
    else:
        twice = sorted({name for name in classes if list(classes).count(name) > 1})
        if twice:
            raise InputError("classes", "names that differ", f"{twice[0]!r} twice")
        texts = {name: [name] for name in classes}
    for name, own in texts.items():
        if not own or not all(isinstance(text, str) and text.strip() for text in own):
            raise InputError(f"class {name!r}", "one text or more, none empty", repr(own))
    return texts


def embeddings(encoder: Encoder, texts: Sequence[str]) -> Array:
    """The embeddings of texts, float64 (n, d).

    Raises:
        DataError: another number of rows, another shape, or values that are not finite.
    """
    if isinstance(texts, str):
        raise InputError("texts", "a list of texts", "one text", "put it in a list")
    output: Any = encoder(list(texts))
    embedded = rows("embeddings of texts", output)
    if len(embedded) != len(texts):
        raise DataError(
            "embeddings of texts", f"{len(texts)} rows, one per text", str(len(embedded))
        )
    return embedded
