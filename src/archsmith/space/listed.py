"""A space restricted to listed architectures, as with a partial benchmark table."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._support.errors import SpaceError
from .architecture import Answer, Architecture
from .counting import Size
from .decision import Categorical, Decision
from .reading import Policy
from .space import Space

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

#: Number of nearest neighbours; a listed space rarely has any that differ in just one decision.
_NEAREST = 8
#: Architectures whose neighbours are cached.
_CACHED = 4096


class ListedSpace(Space):
    """The architectures of ``space`` that are listed, and no others.

    In a walk, each decision is restricted to answers that are listed after the previous answers.
    Sampling is uniform over the list. Mutation, crossover and neighbours go to the nearest listed
    architectures by the distance of their encodings. Such steps need not reach everything: a group
    far from the others is only left by new samples.

    Args:
        space: the space that the architectures belong to.
        architectures: without repetitions.
        note: how and why the space is restricted, in words.

    Raises:
        SpaceError: the list is empty, or has an architecture twice. Architectures that do not
            belong to the space are found only in use: checking each would make large tables slow
            to open.
    """

    def __init__(self, space: Space, architectures: Sequence[Architecture], note: str = "") -> None:
        if not architectures:
            raise SpaceError(space.name, "at least one listed architecture", "none")
        self._inner, self._listed = space, tuple(architectures)
        self._rows = {architecture: row for row, architecture in enumerate(self._listed)}
        if len(self._rows) < len(self._listed):
            raise SpaceError(
                space.name, "each architecture once", f"{len(self._listed) - len(self._rows)} twice"
            )
        self.note = note
        self._builder, self._tree, self._counter = space._builder, space._tree, space._counter
        self._form = space._form
        self._decisions: dict[int, tuple[Decision, ...]] = {}
        self._trie = _Trie(self)
        self._matrix: np.ndarray[Any, np.dtype[np.float32]] | None = None
        self._near: dict[int, list[int]] = {}
        self._fingerprint = None

    def __reduce__(self) -> tuple[Any, ...]:
        # The encodings and their layout: computing them again would run the builder for each.
        learned = {"_matrix": self._matrix, "_layout_of": self._inner._columns}
        return ListedSpace, (self._inner, self._listed, self.note), learned

    def __setstate__(self, learned: Mapping[str, Any]) -> None:
        self._matrix, self._inner._columns = learned["_matrix"], learned["_layout_of"]

    def __repr__(self) -> str:
        return f"{self._inner!r} restricted to {len(self._listed)}"

    @property
    def fingerprint(self) -> str:
        if self._fingerprint is None:
            text = self._inner.fingerprint + "".join(sorted(a.id for a in self._listed))
            self._fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._fingerprint

    @property
    def informed(self) -> bool:
        return self._inner.informed

    def walk(self, policy: Policy) -> Architecture:
        return self._listed[self._trie.walk(policy)]

    def default(self) -> Architecture:
        """The listed architecture that is nearest to the default of the whole space."""
        return self._listed[self._closest(self._inner.default())]

    def complete(self, answers: Mapping[str, Answer]) -> Architecture:
        """The listed architecture that is nearest to these answers, defaults filled in."""
        return self._listed[self._closest(self._inner.complete(answers))]

    def sample(self, rng: random.Random, uniform: str | None = None) -> Architecture:
        """A listed architecture, uniformly at random, whatever the priors of its decisions."""
        return self._listed[int(rng.random() * len(self._listed))]

    def decisions(self, architecture: Architecture) -> tuple[Decision, ...]:
        row = self._rows.get(architecture)
        if row is None:
            return self._inner.decisions(architecture)
        asks = self._decisions.get(row)
        if asks is None:
            # Asking may run the builder, which can take long: ask once.
            asks = self._decisions[row] = self._inner.decisions(architecture)
        return asks

    def check_form(self) -> None:
        self._inner.check_form()  # finding the one nearest to the default is expensive

    def spelled(self) -> Space:
        return ListedSpace(self._inner.spelled(), self._listed, self.note)

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        near = self._neighbours(architecture)
        if not near:
            raise SpaceError(self.name, "at least two listed architectures", "one")
        return self._listed[near[int(rng.random() * len(near))]]

    def cross(self, a: Architecture, b: Architecture, rng: random.Random) -> Architecture:
        """The listed architecture nearest to a child in the whole space; never a parent if that
        child is not listed."""
        child = self._inner.cross(a, b, rng)
        row = self._rows.get(child)
        if row is None:
            distances = self._distances(child)
            distances[[self._rows[parent] for parent in (a, b) if parent in self._rows]] += 1e6
            row = int(distances.argmin())
        return self._listed[row]

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """The eight nearest listed architectures, and all as near as the eighth."""
        return (self._listed[row] for row in self._neighbours(architecture))

    def enumerate(self) -> Iterator[Architecture]:
        return iter(self._listed)

    def size(self) -> Size:
        return Size(len(self._listed), True)

    def validate(self, architecture: Architecture) -> None:
        if architecture not in self._rows:
            self._inner.validate(architecture)
            raise SpaceError(
                self.name, "a listed architecture", repr(architecture), self.note or None
            )

    def columns(self) -> list[str]:
        return self._inner.columns()

    def encode(self, architecture: Architecture) -> np.ndarray[Any, np.dtype[np.float32]]:
        return self._inner.encode(architecture)

    def build(
        self, architecture: Architecture, device: str = "cpu", seed: int | None = None
    ) -> nn.Module:
        self.validate(architecture)
        return self._inner.build(architecture, device, seed)

    def parameter_keys(self, architecture: Architecture) -> dict[str, str]:
        self.validate(architecture)
        return self._inner.parameter_keys(architecture)

    def _closest(self, architecture: Architecture) -> int:
        row = self._rows.get(architecture)
        return row if row is not None else int(self._distances(architecture).argmin())

    def _neighbours(self, architecture: Architecture) -> list[int]:
        row = self._rows.get(architecture)
        if row is None:
            raise SpaceError(self.name, "a listed architecture", repr(architecture))
        near = self._near.get(row)
        if near is None:
            import numpy as np

            distances = self._distances(architecture)
            distances[row] = np.inf
            count = min(_NEAREST, len(self._listed) - 1)
            if not count:
                return []
            farthest = np.partition(distances, count - 1)[count - 1]
            # Distances are sums of float32 numbers: equal ones may differ in the last digit.
            near = [int(i) for i in np.flatnonzero(distances <= farthest + 1e-4)]
            if len(self._near) >= _CACHED:
                self._near.clear()
            self._near[row] = near
        return near

    def _distances(self, architecture: Architecture) -> np.ndarray[Any, np.dtype[np.float32]]:
        import numpy as np

        if self._matrix is None:
            self._matrix = np.stack([self._inner.encode(a) for a in self._listed])
        distances: np.ndarray[Any, np.dtype[np.float32]] = np.abs(
            self._matrix - self._inner.encode(architecture)
        ).sum(axis=1)
        return distances

    def _asked(self, rng: random.Random | None) -> list[dict[str, Any]]:
        return self._inner._asked(rng)


class _Trie:
    """A trie of listed architectures by their answers in the order asked, built lazily."""

    def __init__(self, space: ListedSpace) -> None:
        self._space, self._listed = space, space._listed
        self._root = _TrieNode(list(range(len(self._listed))))

    def walk(self, policy: Policy) -> int:
        """The row that the policy leads to."""
        answers: dict[str, Answer] = {}
        node = self._root
        while True:
            if node.decision is None:
                self._expand(node, answers)
            if node.decision is None:
                return node.rows[0]
            answer = policy(node.decision, answers)
            node.decision.check(answer)
            answers[node.decision.name] = answer
            node = node.children[answer]

    def _expand(self, node: _TrieNode, answers: Mapping[str, Answer]) -> None:
        first = self._listed[node.rows[0]]
        asked = self._space.decisions(first)
        if len(answers) == len(asked):
            return
        decision = asked[len(answers)]
        children: dict[Answer, _TrieNode] = {}
        for row in node.rows:
            children.setdefault(self._listed[row][decision.name], _TrieNode([])).rows.append(row)
        options = tuple(a for a in decision.answers() if a in children) if decision.listed else ()
        options = options or tuple(sorted(children, key=lambda a: (str(type(a)), a)))
        default = decision.default if decision.default in children else options[0]
        node.decision, node.children = Categorical(decision.name, default, options), children


class _TrieNode:
    """The rows under a prefix of answers, and the child for each next answer."""

    __slots__ = ("children", "decision", "rows")

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows
        self.decision: Decision | None = None
        self.children: dict[Answer, _TrieNode] = {}
