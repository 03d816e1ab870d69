"""Architectures: frozen, hashable values with a stable content id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .._support.errors import SpaceError

#: An answer to a decision. Sequences are tuples here and lists in JSON.
Answer = None | bool | int | float | str | tuple["Answer", ...]


class Architecture(Mapping[str, Answer]):
    """A frozen mapping from decision name to answer.

    Equality, hash and id do not depend on the order of decisions. The order is still kept for
    readability: it is the order in which the builder asked.

    Example:
        >>> architecture = nas.Architecture({"depth": 2, "kernel": 3})
        >>> architecture["depth"]
        2
    """

    __slots__ = ("_answers", "_hash", "_id")

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = dict(answers)
        self._hash: int | None = None
        self._id: str | None = None

    def __getitem__(self, name: str) -> Answer:
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def __contains__(self, name: object) -> bool:
        return name in self._answers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self._answers == other._answers

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._answers.items()))
        return self._hash

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={answer!r}" for name, answer in self._answers.items())
        return f"Architecture({inside})"

    def __reduce__(self) -> tuple[type[Architecture], tuple[dict[str, Answer]]]:
        # Hashes of strings differ between processes, so a cached one must not be pickled.
        return type(self), (self._answers,)

    @property
    def id(self) -> str:
        """A content hash of twelve hex digits, the same on every machine and in every version."""
        if self._id is None:
            text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
            self._id = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._id

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; tuples become lists."""
        return dict(self._answers)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Architecture:
        """The inverse of :meth:`to_json`.

        Raises:
            SpaceError: the values are no JSON object, or one cannot be an answer.
        """
        if not isinstance(values, Mapping):
            raise SpaceError("architecture", "a JSON object", type(values).__name__)
        return cls({str(name): _answer(str(name), value) for name, value in values.items()})


def _answer(name: str, value: Any) -> Answer:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return tuple(_answer(name, item) for item in value)
    raise SpaceError(name, "a JSON scalar or a list of them", type(value).__name__)


def answer_text(answer: Answer) -> str:
    """An answer as readable text: ``(3, 5)`` for tuples, ``yes`` and ``no`` for booleans."""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, tuple):
        return "(" + ", ".join(answer_text(item) for item in answer) + ")"
    return f"{answer:g}" if isinstance(answer, float) else str(answer)
