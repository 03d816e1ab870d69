"""A search space: a builder and the tree of its decisions."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .._support.errors import SpaceError
from .architecture import Answer, Architecture
from .building import (
    Builder,
    BuilderError,
    architecture_policy,
    changed_policy,
    parameter_keys,
    refuse_extra,
    tell,
)
from .counting import Counter, NotCountable, Size, explore, measure
from .decision import Decision
from .forms import form_of
from .listing import below
from .plain import as_json
from .reading import Policy, Reading
from .tree import Tree, replay

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

#: Random walks whose decisions a fingerprint covers, in addition to those of the default.
_WALKS = 32


def _default(decision: Decision, _: Mapping[str, Answer]) -> Answer:
    return decision.default


class Space:
    """All models that a builder can return.

    Args:
        builder: a function that returns an ``nn.Module`` (or a module class) and asks for its
            choices while it runs. It may depend only on its arguments and its choices.
        arguments: keyword arguments for the builder.

    Raises:
        SpaceError: an argument is missing or unknown.

    Example:
        >>> space = nas.Space(convnet, channels=1, classes=10)
        >>> architecture = space.sample(random.Random(0))
        >>> model = space.build(architecture)
    """

    #: How the space is restricted, in words; empty for an unrestricted one.
    note: str = ""

    def __init__(self, builder: Callable[..., Any], /, **arguments: Any) -> None:
        self._builder = Builder(builder, arguments)
        self._form = form_of(builder)
        self._tree = Tree(self._builder.ask)
        self._counter = Counter(self._tree)
        self._columns: dict[str, int] | None = None
        self._places: dict[Decision, list[int]] = {}
        self._fingerprint: str | None = None
        self._informed = False  # set with the fingerprint
        self._size: tuple[int, Size] | None = (
            None  # with the version of the tree that it is valid for
        )

    def __reduce__(self) -> tuple[Any, ...]:
        spelled = self._form is None
        return _rebuild, (*self._builder.parts, spelled)

    def __repr__(self) -> str:
        inside = "".join(f", {k}={v!r}" for k, v in self.arguments.items())
        return f"Space({self.name}{inside})"

    @property
    def name(self) -> str:
        """The builder's name."""
        return self._builder.name

    @property
    def reference(self) -> str:
        """The builder as an importable ``module:name``."""
        function = self._builder.function
        return f"{function.__module__}:{getattr(function, '__qualname__', self.name)}"

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the builder."""
        return dict(self._builder.arguments)

    @property
    def fingerprint(self) -> str:
        """Identifies the space: sixteen hex digits, the same in every process.

        It covers the builder's name, its :meth:`plain_arguments`, and the decisions that the
        builder asks for the default and in 32 random walks with fixed seeds. The first use runs the
        builder that many times.
        """
        if self._fingerprint is None:
            walks = [self._asked(None), *(self._asked(random.Random(i)) for i in range(_WALKS))]
            self._informed = any("prior" in domain for walk in walks for domain in walk)
            text = json.dumps([self.name, self.plain_arguments(), walks], sort_keys=True)
            self._fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._fingerprint

    @property
    def informed(self) -> bool:
        """Whether a decision that the fingerprint covers has a prior."""
        return bool(self.fingerprint) and self._informed

    @property
    def builder(self) -> Builder:
        """What runs the user's function."""
        return self._builder

    def plain_arguments(self) -> dict[str, Any]:
        """The arguments as JSON values, the same in every process, for records.

        Functions and classes are given as ``module:qualname``, other objects as their ``repr``, or
        as the name of their type if the ``repr`` contains a memory address.
        """
        return {name: as_json(value) for name, value in self.arguments.items()}

    def walk(self, policy: Policy) -> Architecture:
        """The architecture that results from a policy's answers.

        Args:
            policy: called with each decision and the answers so far, in the order in which the
                builder asks; returns the answer.

        Raises:
            SpaceError: an answer is not in the domain of its decision.
        """

        def checked(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
            answer = policy(decision, so_far)
            decision.check(answer)
            return answer

        return Architecture(self._tree.walk(checked))

    def canonical(self, architecture: Architecture) -> str:
        """A string that is the same for architectures that build the same graph.

        A builder defines it with :func:`~archsmith.space.graph_form`; without one, each
        architecture counts as a graph of its own.

        Raises:
            SpaceError: the builder's function raised, or did not return a string.
        """
        return self._form.name_of(self.name, architecture) if self._form else architecture.id

    def graph_features(self, architecture: Architecture) -> dict[str, float]:
        """Named numbers that describe the graph, if the builder has any; the same for equal graphs.

        Raises:
            SpaceError: the builder's function raised, or did not return finite numbers.
        """
        return self._form.features_of(self.name, architecture) if self._form else {}

    def check_form(self) -> None:
        """Raise :class:`SpaceError` if the builder's graph form fails on the default."""
        if self._form is not None:
            default = self.default()
            self.canonical(default)
            self.graph_features(default)

    def spelled(self) -> Space:
        """This space without its graph form: each architecture counts as a graph of its own."""
        return _rebuild(*self._builder.parts, spelled=True)

    def default(self) -> Architecture:
        """The architecture in which every decision has its default answer."""
        return Architecture(self._tree.walk(_default))

    def complete(self, answers: Mapping[str, Answer]) -> Architecture:
        """The architecture with these answers where asked and valid, defaults elsewhere."""
        return Architecture(self._tree.walk(replay(answers)))

    def sample(self, rng: random.Random, uniform: str | None = None) -> Architecture:
        """A random architecture: each decision is drawn as it is asked, by its prior if it has one.

        Args:
            uniform: ``"decisions"`` ignores priors; ``"architectures"`` draws architectures
                uniformly, which needs a space that can be counted.

        Raises:
            SpaceError: ``uniform="architectures"`` and the space cannot be counted.
        """
        if uniform is None:
            return Architecture(self._tree.walk(lambda decision, _: decision.draw_likely(rng)))
        if uniform == "decisions":
            return Architecture(self._tree.walk(lambda decision, _: decision.draw(rng)))
        if uniform != "architectures":
            raise SpaceError("uniform", "None, 'decisions' or 'architectures'", repr(uniform))
        try:
            return Architecture(self._counter.draw(rng))
        except NotCountable as error:
            raise SpaceError(
                self.name, "a space that can be counted", str(error), "uniform='decisions'"
            ) from None

    def decisions(self, architecture: Architecture) -> tuple[Decision, ...]:
        """The decisions of an architecture, in the order in which the builder asks."""
        return tuple(self._tree.decisions(architecture))

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """The architecture with one decision changed, chosen uniformly.

        Decisions that are only asked because of the change are drawn at random; the others stay.

        Raises:
            SpaceError: no decision has a second answer.
        """
        changeable = [d for d in self._tree.decisions(architecture) if d.cardinality != 1]
        if not changeable:
            raise SpaceError(self.name, "a decision with at least two answers", "none")
        chosen = changeable[int(rng.random() * len(changeable))].name

        def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            name = decision.name
            if name in architecture and decision.accepts(architecture[name]):
                if name == chosen:
                    return decision.change(architecture[name], rng)
                return architecture[name]
            return decision.draw_likely(rng)

        return Architecture(self._tree.walk(policy))

    def cross(self, a: Architecture, b: Architecture, rng: random.Random) -> Architecture:
        """An architecture that takes each decision from ``a`` or ``b`` with equal probability."""

        def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            name = decision.name
            offers = [p[name] for p in (a, b) if name in p and decision.accepts(p[name])]
            if not offers:
                return decision.draw_likely(rng)
            return offers[int(rng.random() * len(offers))]

        return Architecture(self._tree.walk(policy))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """All architectures that differ by one small step in one decision.

        Decisions that are only asked because of the step take their default. Architectures that
        the builder rejects are left out.
        """
        for changed in self._tree.decisions(architecture):
            for answer in changed.near(architecture[changed.name]):
                with contextlib.suppress(BuilderError):
                    yield Architecture(
                        self._tree.walk(changed_policy(architecture, changed.name, answer))
                    )

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, lazily, each once.

        In an unbounded space, shorter architectures roughly come before longer ones.

        Raises:
            SpaceError: a decision is continuous.
        """
        explore(self._tree)
        limit = 2 * len(self.default()) + 32
        starts: list[dict[str, Answer]] = [{}]
        while starts:
            later: list[dict[str, Answer]] = []
            for start in starts:
                yield from below(self._tree, start, limit, later)
            starts, limit = later, limit * 2

    def size(self) -> Size:
        """How many architectures there are: an exact count, or an estimate marked as such."""
        known = self._size
        # Only a count changes with what is learned: an estimate is as good as another that would
        # take seconds again, and a continuous decision stays.
        if known is None or (known[0] != self._tree.version and known[1].counted):
            known = self._size = (self._tree.version, measure(self._tree, self._counter))
        return known[1]

    def validate(self, architecture: Architecture) -> None:
        """Raise :class:`SpaceError` unless the architecture belongs to this space."""
        answers = self._tree.walk(architecture_policy(architecture))
        refuse_extra(architecture, answers)

    def columns(self) -> list[str]:
        """Names of the numbers that :meth:`encode` returns."""
        return list(self._layout())

    def encode(self, architecture: Architecture) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The architecture as float32 numbers in [0, 1], always of the same length.

        Each known decision of the space has a flag, 1.0 if this architecture asks it and 0.0
        otherwise, followed by its answer (one-hot for options; zeros if not asked). The first call
        fixes the layout; in an unbounded space, decisions discovered later have no place in it.

        Returns:
            An array of shape (len(:meth:`columns`),).
        """
        import numpy as np

        row = [0.0] * len(self._layout())
        for decision in self._tree.decisions(architecture):
            numbers = (1.0, *decision.encode(architecture[decision.name]))
            for place, number in zip(self._places_of(decision), numbers, strict=True):
                if place >= 0:
                    row[place] = number
        return np.array(row, dtype=np.float32)

    def build(
        self, architecture: Architecture, device: str = "cpu", seed: int | None = None
    ) -> nn.Module:
        """The model of an architecture: a plain module, as if written by hand.

        Args:
            device: where its tensors are created; ``"meta"`` allocates none.
            seed: of the initial weights; the global generator is left unchanged.

        Raises:
            SpaceError: the architecture does not belong to this space, or the builder failed.
        """
        return self.read(architecture, device, seed)[1]

    def parameter_keys(self, architecture: Architecture) -> dict[str, str]:
        """Maps state dict names to keys that mean the same weight in every architecture."""
        return parameter_keys(*self.read(architecture, "cpu", 0))

    def read(
        self, architecture: Architecture, device: str = "cpu", seed: int | None = None
    ) -> tuple[Reading, nn.Module]:
        """As :meth:`build`, with what the builder asked and which option each module came from."""
        run = Reading(architecture_policy(architecture))
        model = self._builder.run(run, device, seed, materialise=True)
        self._tree.learn([(d, run.answers[name]) for name, d in run.asked.items()])
        refuse_extra(architecture, run.asked)
        return run, model

    def run(self, run: Reading, device: str = "cpu", seed: int | None = None) -> nn.Module:
        """The module that the builder returns under any reading, such as one with all options."""
        return self._builder.run(run, device, seed)

    def _asked(self, rng: random.Random | None) -> list[dict[str, Any]]:
        """The decisions that the builder asks on one walk, up to a failure if there is one."""
        met: list[dict[str, Any]] = []

        def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            met.append(decision.domain())
            return decision.default if rng is None else decision.draw(rng)

        try:
            self._tree.trace(policy)
        except BuilderError:
            # Failing answers are reported by the checks before a search; the default must work.
            if rng is None:
                raise
        return met

    def _layout(self) -> dict[str, int]:
        """Columns of encodings with their indices, in order; fixed by the first call."""
        if self._columns is None:
            explore(self._tree)
            by_decision: dict[str, dict[str, None]] = {}
            for decision in sorted(self._tree.met, key=lambda d: (d.name, d.describe())):
                by_decision.setdefault(decision.name, {}).update(dict.fromkeys(decision.columns()))
            names = [c for name, columns in by_decision.items() for c in (f"{name}?", *columns)]
            self._columns = {name: place for place, name in enumerate(names)}
        return self._columns

    def _places_of(self, decision: Decision) -> list[int]:
        """Indices of a decision's flag and numbers; -1 for those unknown at the first call."""
        places = self._places.get(decision)
        if places is None:
            layout = self._layout()
            names = (f"{decision.name}?", *decision.columns())
            places = self._places[decision] = [layout.get(name, -1) for name in names]
        return places


def _rebuild(builder: Any, arguments: dict[str, Any], inputs: Any, spelled: bool) -> Space:
    space = Space(builder, **arguments)
    space._builder.inputs = inputs
    space._builder.heard = True  # its output was shown in the original process
    if spelled:
        space._form = None
    return space


__all__ = ["Size", "Space", "tell"]
