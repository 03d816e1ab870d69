"""Counting architectures, and sampling them uniformly."""

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

_LEARN_RUNS = 100  # builder runs spent on learning the tree before falling back to an estimate
_MAX_STATES = 200_000  # states counted before falling back to an estimate
_MAX_DEPTH = 300  # decisions on one path after which a space counts as unbounded
_PROBES = 500  # random paths behind an estimate
_PROBE_RUNS = 100  # builder runs behind an estimate, where the tree does not know the paths
_QUIET_RUNS = 4  # consecutive runs without anything new before exploring ends
_CHECKS = TRUST_AFTER  # consecutive random runs that must confirm the tree before counting
_REMOTE_CHECKS = 16  # extra such runs per split on a distant answer, up to 4 x _CHECKS
_SMALL = 500  # spaces up to this size are built in full if answers act far off or numbers shift
_CONFIRM_RUNS = 8 * _CHECKS  # runs after which an unconfirmed tree is not counted


@dataclass(frozen=True, slots=True)
class Size:
    """How many architectures a space has.

    Attributes:
        count: the number; infinity where a decision is continuous.
        exact: whether it was counted; otherwise it is the mean of Knuth's estimator over random
            paths (Knuth 1975, Mathematics of Computation 29:122), accurate to an order of
            magnitude and rounded to three digits.
            It is also an estimate if the builder rejects answers after which it would ask more.
    """

    count: int | float
    exact: bool

    @property
    def counted(self) -> bool:
        """Whether it is an exact, finite number."""
        return self.exact and self.count != math.inf

    def __str__(self) -> str:
        if self.count == math.inf:
            return "infinite (continuous decisions)"
        number = f"{self.count:,}" if self.count < 10**7 else f"{self.count:.3g}"
        if isinstance(self.count, int) and self.count >= 10**300:
            number = f"about 10^{len(str(self.count)) - 1}"
        return number if self.exact else f"about {number} (an estimate)"


class NotCountable(Exception):
    """The space is unbounded, or too complex to be counted within the budget."""


class Counter:
    """Counts the continuations of a state of the tree; caches them until the tree changes."""

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
        for _ in range(_LEARN_RUNS):
            try:
                self._refresh()
                total = self._after(self.tree.start, {}, 0)
            except _UnknownStep as gap:
                # Only confirmed once it can be counted: an unbounded tree grows with every gap.
                self._learn(gap)
                continue
            confirm(self.tree)
            if total <= _SMALL and (self.tree.afar or self.tree.plan):
                self._try_all()
            if self._version == self.tree.version:
                self._total = total
                return total
        raise NotCountable("the tree could not be learned in the runs allowed")

    def _try_all(self) -> None:
        """Run the builder for each architecture: rare combinations of answers may be missed."""
        for architecture in list(below(self.tree, {}, _MAX_DEPTH, [])):
            with contextlib.suppress(BuilderError):
                self.tree.trace(replay(architecture))
            if self._version != self.tree.version:
                return

    def draw(self, rng: random.Random) -> dict[str, Answer]:
        """An architecture, uniformly at random. Raises :class:`NotCountable`."""
        for _ in range(_LEARN_RUNS):
            before = rng.getstate()
            try:
                return self.tree.real(self._draw_kept(rng))
            except _UnknownStep as gap:
                # Counting skips answers that make no difference; a draw can still meet one in a
                # combination that no run has shown.
                rng.setstate(before)
                self._learn(gap)
        raise NotCountable("the tree could not be learned in the runs allowed")

    def _learn(self, gap: _UnknownStep) -> None:
        try:
            self.tree.trace(self.tree.kept(replay(gap.answers)))
        except BuilderError:
            raise NotCountable("the builder refuses some answers") from None

    def _draw_kept(self, rng: random.Random) -> dict[str, Answer]:
        self.total()
        answers: dict[str, Answer] = {}
        node = self._follow(self.tree.start, answers)
        while node.decision is not None:
            if not node.decision.listed and not self._matters(node, node.name):
                answers[node.name] = node.decision.draw(rng)
            else:
                options = list(node.decision.answers())
                weights = [self._after(node, {**answers, node.name: o}, 0) for o in options]
                # Weights can exceed the range of floats, hence integer arithmetic.
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
            raise _UnknownStep(answers) from None

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
        """Number of continuations after ``node``, whose answer is in ``answers``."""
        following = self._follow(node, answers)
        decision = following.decision
        if decision is None:
            return 1
        if depth > _MAX_DEPTH or len(self._counts) > _MAX_STATES:
            raise NotCountable("unbounded, or too many states")
        key = (following, *((n, answers[n]) for n in self._live[following] if n in answers))
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = self._sum(following, decision, answers, depth)
        return count

    def _sum(self, node: Node, decision: Decision, answers: dict[str, Answer], depth: int) -> int:
        if decision.cardinality is None:
            raise NotCountable("continuous")
        if not self._matters(node, node.name):
            example = {**answers, node.name: decision.default}
            if node.shown(example, self.tree.remote) and node.rule.end(example).full:
                return decision.cardinality * self._after(node, example, depth + 1)
            if not decision.listed:
                raise _UnknownStep(example | {node.name: decision.draw(self._rng)})
        return sum(
            self._after(node, {**answers, node.name: answer}, depth + 1)
            for answer in decision.answers()
        )


class _UnknownStep(Exception):
    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__()
        self.answers = dict(answers)


def explore(tree: Tree, runs: int = 64) -> None:
    """Run the builder until every answer to every question met was seen, or ``runs`` are used up.

    Each run takes an unseen answer wherever it can, so that few runs cover many answers. A run that
    the builder rejects shows nothing; the unseen answers it took are drawn at random from then on.

    Raises:
        BuilderError: the builder rejects the default.
    """
    rng = random.Random(0)
    quiet = 0
    newly_taken: list[tuple[Decision, Answer]] = []
    refused: set[tuple[Decision, Answer]] = set()

    def unseen_first(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
        node = tree.nodes.get(decision)
        if node is not None and decision.listed:
            for answer in decision.answers():
                shown = node.shown({**so_far, node.name: answer}, tree.remote)
                if shown is None and (decision, answer) not in refused:
                    newly_taken.append((decision, answer))
                    return answer
        return decision.draw(rng)

    for _ in range(runs):
        newly_taken.clear()
        try:
            tree.trace(tree.kept(unseen_first))
        except BuilderError:
            if not refused:
                tree.trace(replay({}))  # the default has to work
            refused.update(newly_taken)
            continue
        quiet = 0 if newly_taken else quiet + 1
        if tree.trusted and quiet >= _QUIET_RUNS:
            return


def confirm(tree: Tree) -> None:
    """Run the builder on random answers until enough consecutive runs bring no surprise."""
    rng = random.Random(1)
    for _ in range(_CONFIRM_RUNS):
        if tree.calm >= min(max(_CHECKS, _REMOTE_CHECKS * tree.afar), 4 * _CHECKS):
            return
        with contextlib.suppress(BuilderError):
            tree.trace(lambda decision, _: decision.draw(rng))
    raise NotCountable("runs of the builder keep disagreeing")


def measure(tree: Tree, counter: Counter) -> Size:
    """The size of the space, counted if possible."""
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

        with contextlib.suppress(BuilderError):  # a dead end counts as zero
            tree.walk(draw)
            total += product
    mean = max(1, total // drawn)
    unit: int = 10 ** max(0, len(str(mean)) - 3)
    return round(mean / unit) * unit
