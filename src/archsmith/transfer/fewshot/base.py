"""The interface of a few-shot learner: from a few labelled examples to a classifier."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..._support import weights
from ..._support.errors import DataError, InputError

#: Written into files of fitted learners; newer formats are refused.
FORMAT = 1


class FewShotLearner(nn.Module, ABC):
    """Learns classes from a few examples of each.

    A subclass computes in :meth:`compare`, for many episodes at once. Users call :meth:`fit` and
    :meth:`predict`; training on episodes calls the module itself.

    Args:
        embed: turns inputs (n, ...) into embeddings (n, D); ``None``: inputs are features already.
        dim: D; needed by learners with weights of that size.

    Attributes:
        classes_: after :meth:`fit`, the labels that it was given, sorted.

    Raises:
        InputError: a setting outside its range.
    """

    #: Name on the command line and in results.
    name: ClassVar[str]
    #: Arguments of the constructor that are saved with the learner; attributes of the same name.
    settings: ClassVar[tuple[str, ...]] = ()
    #: Whether it uses all queries together: a prediction then depends on the other queries.
    transductive: ClassVar[bool] = False
    #: Whether the support changes ``embed`` itself, so that embeddings cannot be reused.
    adapts: ClassVar[bool] = False
    #: Whether ``dim`` must be given.
    sized: ClassVar[bool] = False

    def __init__(self, embed: nn.Module | None = None, *, dim: int | None = None) -> None:
        super().__init__()
        self.demand("dim", dim is None or dim >= 1, "1 or more", dim)
        if self.sized:
            self.demand("dim", dim is not None, "the length of an embedding", dim)
        self.embed, self.dim = embed, dim
        self.classes_: list[Any] = []
        self._support: Tensor | None = None
        self._members: Tensor | None = None
        self._shape: tuple[int, ...] = ()

    @abstractmethod
    def compare(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        """Classify queries of many episodes.

        Args:
            support: (E, S, D) embeddings to learn from.
            members: (E, S, N) their classes, one-hot; every class has an example.
            query: (E, M, D) embeddings to classify.

        Returns:
            Logits (E, M, N).
        """

    def forward(self, support: Tensor, members: Tensor, query: Tensor) -> Tensor:
        """Like :meth:`compare`, for inputs (E, S, ...) and (E, M, ...) that are embedded first.

        Support and queries are embedded in one batch, so that BatchNorm sees both in training.
        """
        if self.embed is None or self.adapts:
            return self.compare(support, members, query)
        episodes, shots, asked = len(support), support.shape[1], query.shape[1]
        inputs = torch.cat([support, query], dim=1).flatten(0, 1)
        features = self._embed(inputs).reshape(episodes, shots + asked, -1)
        return self.compare(features[:, :shots], members, features[:, shots:])

    def features(self, inputs: Tensor, batch_size: int = 512) -> Tensor:
        """The input of :meth:`compare`: embeddings (n, D), without gradients, in evaluation mode.

        The inputs themselves if there is no ``embed``, or if the learner adapts it.
        """
        if self.embed is None or self.adapts:
            return inputs
        with evaluating(self), torch.no_grad():
            parts = [self._embed(part) for part in torch.split(inputs, batch_size)]
        return torch.cat(parts)

    def taken(self, inputs: Tensor | NDArray[Any]) -> Tensor:
        """Inputs as a tensor on the learner's device, in the floating-point type of its weights."""
        if isinstance(inputs, np.ndarray):
            inputs = np.ascontiguousarray(inputs)  # torch does not support negative strides
        tensor = torch.as_tensor(inputs, device=self.device)
        reader = self if self.embed is None and self.sized else self.embed
        parameters = reader.parameters() if reader is not None else iter(())
        own = next((p.dtype for p in parameters if p.is_floating_point()), None)
        return tensor.to(own) if own is not None and tensor.is_floating_point() else tensor

    def _embed(self, inputs: Tensor) -> Tensor:
        assert self.embed is not None
        embeddings = self.embed(inputs)
        if (
            not isinstance(embeddings, Tensor)
            or embeddings.ndim < 2
            or len(embeddings) != len(inputs)
        ):
            got = (
                tuple(embeddings.shape)
                if isinstance(embeddings, Tensor)
                else type(embeddings).__name__
            )
            raise InputError(f"{self.name} embed", "a tensor (n, features)", str(got))
        return embeddings.flatten(1)

    def fit(self, support: Tensor | NDArray[Any], labels: Sequence[Any] | Tensor) -> Self:
        """Learn classes from inputs (n, ...) and their labels (n,), whole numbers or strings.

        A call replaces what earlier ones learned.

        Raises:
            DataError: not one label per example, a single class, values that are not finite.
        """
        inputs = self.taken(support)
        classes, codes = _encode_labels(labels)
        if len(codes) != len(inputs) or inputs.ndim < 2:
            got = f"{len(codes)} for inputs of shape {tuple(inputs.shape)}"
            raise DataError("support labels", "one for each example", got)
        if len(classes) < 2:
            raise DataError(
                "support",
                "examples of two classes or more",
                f"only {classes[0]!r}" if classes else "none",
                "give an example of another class",
            )
        features = self.checked(self.features(inputs), "support")
        members = F.one_hot(torch.from_numpy(codes), len(classes)).to(features)
        self.check(features, members)
        self.classes_, self._support, self._members = classes, features, members
        self._shape = tuple(inputs.shape[1:])
        return self

    def check(self, features: Tensor, members: Tensor) -> None:
        """Refuse support (S, D) with classes (S, N) that the learner cannot learn from.

        Raises:
            InputError: it cannot.
        """

    def logits(self, query: Tensor | NDArray[Any]) -> Tensor:
        """Scores (n, classes) of inputs (n, ...) in the order of ``classes_``.

        Raises:
            InputError: before :meth:`fit`, or inputs of another size.
        """
        if self._support is None or self._members is None:
            raise InputError(self.name, "fit before predict", "no support", "call fit first")
        inputs = self.taken(query)
        if tuple(inputs.shape[1:]) != self._shape:
            expected = f"inputs (n, {', '.join(map(str, self._shape))}), as the support"
            raise InputError("query", expected, str(tuple(inputs.shape)))
        features = self.checked(self.features(inputs), "query")
        with evaluating(self), torch.no_grad():
            support, members = (t.to(features)[None] for t in (self._support, self._members))
            return self.compare(support, members, features[None])[0]

    def probabilities(self, query: Tensor | NDArray[Any]) -> Tensor:
        """Softmax of :meth:`logits`, (n, classes)."""
        return self.logits(query).softmax(dim=-1)

    def predict(self, query: Tensor | NDArray[Any]) -> list[Any]:
        """The label of each input (n, ...)."""
        return [self.classes_[i] for i in self.logits(query).argmax(dim=-1).tolist()]

    @property
    def device(self) -> torch.device:
        """The device of its tensors; the CPU if it has none."""
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return torch.device("cpu") if self._support is None else self._support.device

    def save(self, path: str | Path) -> None:
        """Write what :meth:`fit` learned, and the learner's own weights, as safetensors.

        ``embed`` is not written: it has to be passed to :meth:`load`.

        Raises:
            InputError: before :meth:`fit`.
            StoreError: the file cannot be written.
        """
        if self._support is None or self._members is None:
            raise InputError(self.name, "fit before save", "no support", "call fit first")
        own = {f"own.{k}": v for k, v in self.state_dict().items() if not k.startswith("embed.")}
        meta = {
            "format": FORMAT,
            "learner": self.name,
            "classes": self.classes_,
            "dim": self.dim,
            "shape": self._shape,
            "settings": {name: getattr(self, name) for name in self.settings},
        }
        tensors = own | {"support": self._support, "members": self._members}
        weights.write(Path(path), tensors, {"archsmith": json.dumps(meta)})

    @staticmethod
    def load(path: str | Path, embed: nn.Module | None = None) -> FewShotLearner:
        """A fitted learner from a file of :meth:`save`, with the ``embed`` that it had.

        Raises:
            InputError: no such file, or one that holds something else.
        """
        from .registry import learners

        tensors, header = weights.read(Path(path))
        try:
            meta = json.loads(header["archsmith"])
            if meta["format"] > FORMAT:
                raise InputError(str(path), f"format {FORMAT} or older", str(meta["format"]))
            kind: type[FewShotLearner] = learners.get(meta["learner"])
            learner = kind(embed, dim=meta["dim"], **meta["settings"])
            learner._support, learner._members = tensors.pop("support"), tensors.pop("members")
            learner.classes_, learner._shape = meta["classes"], tuple(meta["shape"])
            if learner._members.shape != (len(learner._support), len(learner.classes_)):
                raise ValueError(f"classes of shape {tuple(learner._members.shape)}")
            own = {k.removeprefix("own."): v for k, v in tensors.items()}
            for name, _ in list(learner.named_buffers(recurse=False)):
                # Its size may be known only from the file.
                setattr(learner, name, torch.empty_like(own[name]))
            missing, unexpected = learner.load_state_dict(own, strict=False)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                str(path), "a few-shot learner that was saved by archsmith", str(error)
            ) from None
        lacking = [name for name in missing if not name.startswith("embed.")]
        if lacking or unexpected:
            raise InputError(str(path), "the learner's own weights", f"{lacking} {unexpected}")
        return learner.eval()

    def demand(self, setting: str, holds: bool, expected: str, got: object) -> None:
        """Check a setting.

        Raises:
            InputError: it is outside its range.
        """
        if not holds:
            raise InputError(f"{self.name} {setting}", expected, repr(got))

    def checked(self, features: Tensor, what: str) -> Tensor:
        """Features as floating-point numbers; refuses other shapes, and NaN or infinity."""
        if not features.is_floating_point():
            features = features.float()
        flat = features.ndim == 2 or (self.adapts and features.ndim > 2)
        if not flat or (self.dim not in (None, features.shape[-1]) and not self.adapts):
            expected = "examples (n, features)" if self.dim is None else f"(n, {self.dim})"
            hint = "pass an embedding, or flatten them" if features.ndim > 2 else ""
            raise DataError(what, expected, str(tuple(features.shape)), hint)
        if not torch.isfinite(features).all():
            row = int((~torch.isfinite(features).flatten(1).all(dim=1)).nonzero()[0])
            raise DataError(what, "finite values", f"NaN or infinity in example {row}")
        return features


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """A module in evaluation mode inside; afterwards the mode of each submodule is restored."""
    modes = [(submodule, submodule.training) for submodule in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for submodule, mode in modes:
            submodule.training = mode


def _encode_labels(labels: Sequence[Any] | Tensor) -> tuple[list[Any], NDArray[np.int64]]:
    """Distinct labels as JSON values, sorted, and the position of each example's among them."""
    array = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if array.dtype == object and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)  # a column of a table
    if array.ndim != 1 or array.dtype.kind not in "iuUb":
        got = f"{array.dtype} of shape {array.shape}"
        raise DataError("support labels", "whole numbers or strings, one for each example", got)
    classes, codes = np.unique(array, return_inverse=True)
    return classes.tolist(), codes.reshape(-1).astype(np.int64)
