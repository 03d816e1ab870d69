"""How many architectures there are, and draws that give each the same chance."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from .architecture import Answer
from .building import BuilderError
from .decision import Decision
from .listing import below
from .rules import Node, Surprise
from .tree import TRUST_AFTER, Tree, replay

_RUNS = 100  # runs of the builder spent on learning the tree before settling for an estimate
_ENTRIES = 200_000  # states counted before settling for an estimate
_DEPTH = 300  # decisions on one path before a space is taken to be unbounded
_PROBES = 500  # random paths behind an estimate
_PROBE_RUNS = 100  # runs of the builder behind an estimate, where the tree does not know the paths
_QUIET = 4  # runs that find nothing unseen before exploring ends
_CHECKS = TRUST_AFTER  # random runs in a row that must confirm the tree before it is counted
_AFAR = 16  # such runs for each split of a rule on an answer from afar, up to four times the checks
_SMALL = 300  # architectures that are all built where rules look afar, before they are counted
_CONFIRMING = 5 * _CHECKS  # runs after which a tree that is not confirmed is not counted


@dataclass(frozen=True, slots=True)
class Size:
    """How many architectures a space has.

    Attributes:
        count: the number; infinity where a decision is continuous.
        exact: whether it was counted; otherwise it is the mean of Knuth's estimator over random
            paths (Knuth 1975, Mathematics of Computation 29:122), good to an order of magnitude
            and given in three digits.
            It is an estimate where the builder refuses answers after which it would ask more.
    """

    count: int | float
    exact: bool

    def __str__(self) -> str:
        if self.count == math.inf:
            return "infinite (continuous decisions)"
        number = f"{self.count:,}" if self.count < 10**7 else f"{self.count:.3g}"
        if isinstance(self.count, int) and self.count >= 10**300:
            number = f"about 10^{len(str(self.count)) - 1}"
        return number if self.exact else f"about {number} (an estimate)"


class NotCountable(Exception):
    """The space is unbounded, or too entangled to be counted within the budget."""


class Counter:
    """Counts the continuations of a state of the tree; remembers them while the tree stands."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._version = -1
        self._total: int | None = None
        self._counts: dict[tuple[object, ...], int] = {}
        self._live: dict[Node, tuple[str, ...]] = {}
        self._rng = random.Random(0)

    def total(self) -> int:
        """The number of architectures. Raises :class:`NotCountable`."""
        if self._total is not None and self._version == self.tree.version:
            return self._total
        explore(self.tree)
        confirm(self.tree)
        for _ in range(_RUNS):
            try:
                self._refresh()
                found = self._after(self.tree.start, {}, 0)
            except _Unknown as gap:
                # Confirmed once it can be counted: an unbounded tree grows with every gap.
                self._learn(gap)
                continue
            confirm(self.tree)
            if found <= _SMALL and self.tree.afar:
                self._try_all()
            if self._version == self.tree.version:
                self._total = found
                return found
        raise NotCountable("the tree could not be learned in the runs allowed")

    def _try_all(self) -> None:
        """Run the builder for each architecture: what is rare and hangs on much may be missed."""
        for architecture in list(below(self.tree, {}, _DEPTH, [])):
            with contextlib.suppress(BuilderError):
                self.tree.trace(replay(architecture))
            if self._version != self.tree.version:
                return

    def draw(self, rng: random.Random) -> dict[str, Answer]:
        """An architecture, each equally likely. Raises :class:`NotCountable`."""
        for _ in range(_RUNS):
            before = rng.getstate()
            try:
                return self.tree.real(self._drawn(rng))
            except _Unknown as gap:
                # Counting passes over answers that make no difference; a draw can come by one in a
                # setting that no run has shown.
                rng.setstate(before)
                self._learn(gap)
        raise NotCountable("the tree could not be learned in the runs allowed")

    def _learn(self, gap: _Unknown) -> None:
        try:
            self.tree.trace(self.tree.kept(replay(gap.answers)))
        except BuilderError:
            raise NotCountable("the builder refuses some answers") from None

    def _drawn(self, rng: random.Random) -> dict[str, Answer]:
        self.total()
        answers: dict[str, Answer] = {}
        node = self._follow(self.tree.start, answers)
        while node.decision is not None:
            if not node.decision.listed and not self._matters(node, node.name):
                answers[node.name] = node.decision.draw(rng)
            else:
                options = list(node.decision.answers())
                weights = [self._after(node, {**answers, node.name: o}, 0) for o in options]
                # Weights can exceed what floats hold, so whole numbers do the drawing.
                ticket = rng.randrange(sum(weights))
                for option, weight in zip(options, weights, strict=True):
                    if ticket < weight:
                        answers[node.name] = option
                        break
                    ticket -= weight
            node = self._follow(node, answers)
        return answers

    def _follow(self, node: Node, answers: Mapping[str, Answer]) -> Node:
        try:
            return self.tree.follow(node, answers)
        except Surprise:
            raise _Unknown(answers) from None

    def _refresh(self) -> None:
        if self._version == self.tree.version:
            return
        self._version, self._total = self.tree.version, None
        self._counts.clear()
        live: dict[Node, set[str]] = {}
        nodes = [self.tree.start, *self.tree.nodes.values(), self.tree.final]
        for node in nodes:
            live[node] = set(node.rule.names())
        changed = True
        while changed:
            changed = False
            for node in reversed(nodes):
                before = len(live[node])
                for target in node.rule.targets():
                    live[node] |= live[target]
                changed = changed or len(live[node]) > before
        self._live = {node: tuple(sorted(names)) for node, names in live.items()}

    def _matters(self, node: Node, name: str) -> bool:
        return name in self._live[node]

    def _after(self, node: Node, answers: dict[str, Answer], depth: int) -> int:
        """Number of ways to go on after ``node``, whose answer is in ``answers``."""
        following = self._follow(node, answers)
        decision = following.decision
        if decision is None:
            return 1
        if depth > _DEPTH or len(self._counts) > _ENTRIES:
            raise NotCountable("unbounded, or too many states")
        key = (following, *((n, answers[n]) for n in self._live[following] if n in answers))
        found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = self._sum(following, decision, answers, depth)
        return found

    def _sum(self, node: Node, decision: Decision, answers: dict[str, Answer], depth: int) -> int:
        if decision.cardinality is None:
            raise NotCountable("continuous")
        if not self._matters(node, node.name):
            example = {**answers, node.name: decision.default}
            if node.shown(example, self.tree.remote) and node.rule.end(example).full:
                return decision.cardinality * self._after(node, example, depth + 1)
            if not decision.listed:
                raise _Unknown(example | {node.name: decision.draw(self._rng)})
        return sum(
            self._after(node, {**answers, node.name: answer}, depth + 1)
            for answer in decision.answers()
        )


class _Unknown(Exception):
    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__()
        self.answers = dict(answers)


def explore(tree: Tree, runs: int = 64) -> None:
    """Run the builder until every answer of every question met was seen, or ``runs`` are spent.

    Each run takes an unseen answer wherever it can, so that few runs cover many answers. A run that
    the builder refuses shows nothing, and what it took first is left to chance from then on.

    Raises:
        BuilderError: the builder refuses the default.
    """
    rng = random.Random(0)
    quiet = 0
    found: list[tuple[Decision, Answer]] = []
    refused: set[tuple[Decision, Answer]] = set()

    def unseen_first(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
        node = tree.nodes.get(decision)
        if node is not None and decision.listed:
            for answer in decision.answers():
                shown = node.shown({**so_far, node.name: answer}, tree.remote)
                if shown is None and (decision, answer) not in refused:
                    found.append((decision, answer))
                    return answer
        return decision.draw(rng)

    for _ in range(runs):
        found.clear()
        try:
            tree.trace(tree.kept(unseen_first))
        except BuilderError:
            if not refused:
                tree.trace(replay({}))  # the default has to work
            refused.update(found)
            continue
        quiet = 0 if found else quiet + 1
        if tree.trusted and quiet >= _QUIET:
            return


def confirm(tree: Tree) -> None:
    """Run the builder on random answers until enough runs in a row brought no surprise."""
    rng = random.Random(1)
    for _ in range(_CONFIRMING):
        if tree.calm >= min(max(_CHECKS, _AFAR * tree.afar), 4 * _CHECKS):
            return
        with contextlib.suppress(BuilderError):
            tree.trace(lambda decision, _: decision.draw(rng))
    raise NotCountable("runs of the builder keep disagreeing")


def measure(tree: Tree, counter: Counter) -> Size:
    """The size of the space, counted if it can be."""
    explore(tree)
    if any(d.cardinality is None for d in tree.met):
        return Size(math.inf, True)
    try:
        return Size(counter.total(), True)
    except (NotCountable, RecursionError):
        return Size(_estimate(tree), False)


def _estimate(tree: Tree) -> int:
    rng = random.Random(0)
    total, drawn, before = 0, 0, tree.runs
    while drawn < _PROBES and tree.runs - before < _PROBE_RUNS:
        product = 1
        drawn += 1

        def draw(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            nonlocal product
            product *= decision.cardinality or 1
            return decision.draw(rng)

        with contextlib.suppress(BuilderError):  # a dead end counts nothing
            tree.walk(draw)
            total += product
    mean = max(1, total // drawn)
    unit: int = 10 ** max(0, len(str(mean)) - 3)
    return round(mean / unit) * unit
