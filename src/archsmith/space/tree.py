"""The tree of decisions, learned from runs of the builder.

A builder is a program, and the only way to know which question comes next is to run it. Running it
for each sample is too slow for a search, and a tree with a node for each prefix of answers never
fills. So the tree is kept folded: for each question the *rule* says which question follows. A rule
starts out constant. When two runs disagree, it is split on the earlier answer that makes the
difference, found by running the builder with that one answer changed. A space whose questions never
depend on answers is a chain; a loop over a chosen depth splits one rule once.

A walk trusts a rule for an answer that some run has shown; at anything new the builder runs, and
what it does is exact and is learned from. After each surprise the next few walks run the builder
too. A dependence on a combination of answers that no run has shown can be missed until the first
run that shows it: every build is such a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import SpaceError
from .architecture import Answer
from .decision import Decision
from .reading import Policy

#: Runs in a row that must bring no surprise before walks go without running the builder.
TRUST_AFTER = 64
#: Distinct answers of a continuous or long range that must be seen before others are trusted.
_RANGE_SEEN = 4
#: Histories kept at each end of a rule, for splitting it later.
_WITNESSES = 24
#: Single changes tried to find what makes two runs disagree.
_PROBES = 24


class Surprise(Exception):
    """A walk came to something that no run has shown."""


@dataclass(slots=True)
class Rule:
    """Which node follows, as a small decision tree over earlier answers.

    At an end, ``seen`` holds the answers to the node's own question that runs have shown there, and
    ``pairs`` those answers together with the answers of other decisions that are likely to matter.
    """

    target: Node | None = None  # at an end: what follows
    known: bool = False
    seen: set[Answer] = field(default_factory=set)
    full: bool = False  # at an end: all answers were seen, or enough of a long range
    pairs: set[tuple[Answer, str, Answer]] = field(default_factory=set)  # own with others' answers
    witnesses: list[dict[str, Answer]] = field(default_factory=list)
    split: str | None = None  # inside: the decision to look at
    branches: dict[Answer, Rule] = field(default_factory=dict)
    absent: Rule | None = None  # inside: where that decision was not asked

    def end(self, answers: Mapping[str, Answer]) -> Rule:
        """The end of the rule for these answers, made if it is new."""
        rule = self
        while rule.split is not None:
            if rule.split in answers:
                answer = answers[rule.split]
                branch = rule.branches.get(answer)
                if branch is None:
                    branch = rule.branches[answer] = Rule()
                rule = branch
            else:
                rule.absent = rule.absent or Rule()
                rule = rule.absent
        return rule

    def names(self) -> Iterator[str]:
        """The decisions that the rule looks at."""
        if self.split is not None:
            yield self.split
            for rule in [*self.branches.values(), *([self.absent] if self.absent else [])]:
                yield from rule.names()

    def targets(self) -> Iterator[Node]:
        """The nodes that may follow."""
        if self.split is None:
            if self.target is not None:
                yield self.target
            return
        for rule in [*self.branches.values(), *([self.absent] if self.absent else [])]:
            yield from rule.targets()


class Node:
    """A question and the rule for what follows it.

    The start has no decision; the end of all runs has none either.
    """

    __slots__ = ("decision", "enclosing", "listed", "name", "place", "rule")

    def __init__(self, decision: Decision | None, place: int) -> None:
        self.decision = decision
        self.name = decision.name if decision else ""
        self.listed = decision is not None and decision.listed
        self.place = place
        self.rule = Rule()
        parts = self.name.split(".")
        #: Names that a block or an option around the question may have been chosen under.
        self.enclosing = tuple(".".join(parts[:i]) for i in range(1, len(parts)))

    def saw(self, end: Rule, history: Mapping[str, Answer], remote: Mapping[str, None]) -> None:
        """Note that a run came by with these answers."""
        if self.decision is None:
            end.full = True
            return
        own = history[self.name]
        if not end.full:
            end.seen.add(own)
            needed = self.decision.cardinality if self.decision.listed else _RANGE_SEEN
            end.full = needed is not None and len(end.seen) >= needed
        own = own if self.decision.listed else None
        for name in (*self.enclosing, *remote):
            if name in history:
                end.pairs.add((own, name, history[name]))

    def shown(self, answers: Mapping[str, Answer], remote: Mapping[str, None]) -> Rule | None:
        """The end for these answers, where runs have shown what follows them.

        They have if they showed the node's own answer there, and it together with the answer of
        each decision around the question and of each that matters from afar elsewhere.
        """
        # Every step of every walk comes by here, hence the care for speed.
        end = self.rule
        if end.split is not None:
            end = end.end(answers)
        if not end.known:
            return None
        if self.decision is None:
            return end
        own = answers[self.name]
        if not end.full and own not in end.seen:
            return None
        if self.enclosing or remote:
            own, pairs = own if self.listed else None, end.pairs
            for names in (self.enclosing, remote):
                for name in names:
                    if name in answers and (own, name, answers[name]) not in pairs:
                        return None
        return end


#: Runs the builder under a policy; gives the decisions with their answers, in the order asked.
Run = Callable[[Policy], list[tuple[Decision, Answer]]]


class Tree:
    """The folded tree. ``run`` is the builder."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.start = Node(None, 0)
        self.final = Node(None, 1)
        self.nodes: dict[Decision, Node] = {}
        self.version = 0  # changes when a rule does; what was derived before is stale then
        self.calm = 0  # runs since two last disagreed
        self.remote: dict[str, None] = {}  # decisions that a rule of another one looks at

    @property
    def trusted(self) -> bool:
        return self.calm >= TRUST_AFTER

    def walk(self, policy: Policy) -> dict[str, Answer]:
        """Answers for a whole path. Runs the builder only where the tree is not sure.

        The policy is called once a decision, in the order in which the builder asks, whether the
        builder runs or not; so what it draws does not depend on what the tree knows.
        """
        answers: dict[str, Answer] = {}
        if self.trusted:
            node = self.start
            while (end := node.shown(answers, self.remote)) is not None:
                assert end.target is not None
                node = end.target
                if node.decision is None:
                    return answers
                answers[node.name] = policy(node.decision, answers)
        given = answers

        def go_on(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
            if decision.name in given and decision.accepts(given[decision.name]):
                return given[decision.name]
            return policy(decision, so_far)

        return dict(self.trace(go_on))

    def decisions(self, answers: Mapping[str, Answer]) -> list[Decision]:
        """The decisions on the path of these answers; they must fit."""
        found: dict[str, Decision] = {}

        def look_up(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            # By name: where the builder has to run, the beginning of the path comes up twice.
            found[decision.name] = decision
            return answers[decision.name]

        self.walk(look_up)
        return list(found.values())

    def trace(self, policy: Policy) -> dict[str, Answer]:
        """Run the builder and learn from what it asks."""
        events = self.run(policy)
        self.learn(events)
        return {decision.name: answer for decision, answer in events}

    def learn(self, events: list[tuple[Decision, Answer]]) -> None:
        """Take in one run."""
        self.calm += 1
        pending = [events]
        while pending:
            self._take_in(pending.pop(), pending)

    def node(self, decision: Decision) -> Node:
        found = self.nodes.get(decision)
        if found is None:
            found = self.nodes[decision] = Node(decision, len(self.nodes) + 2)
            self.version += 1
        return found

    def follow(self, node: Node, answers: Mapping[str, Answer]) -> Node:
        """What comes after ``node``. Raises :class:`Surprise` where no run has shown it."""
        end = node.shown(answers, self.remote)
        if end is None or end.target is None:
            raise Surprise
        return end.target

    def _take_in(
        self,
        events: list[tuple[Decision, Answer]],
        pending: list[list[tuple[Decision, Answer]]],
    ) -> None:
        answers: dict[str, Answer] = {}
        node = self.start
        steps = [(self.node(decision), answer) for decision, answer in events]
        for following, answer in [*steps, (self.final, None)]:
            self._observe(node, answers, following, pending)
            if following is not self.final:
                answers[following.name] = answer
            node = following

    def _observe(
        self,
        node: Node,
        history: dict[str, Answer],
        target: Node,
        pending: list[list[tuple[Decision, Answer]]],
    ) -> None:
        while True:
            end = node.rule.end(history)
            if not end.known:
                end.target, end.known = target, True
                end.witnesses = [dict(history)]
                node.saw(end, history, self.remote)
                if node.rule.split is not None:
                    self.version += 1
                return
            if end.target is target:
                node.saw(end, history, self.remote)
                if len(end.witnesses) < _WITNESSES:
                    end.witnesses.append(dict(history))
                return
            self._split(node, end, history, pending)

    def _split(
        self,
        node: Node,
        end: Rule,
        history: dict[str, Answer],
        pending: list[list[tuple[Decision, Answer]]],
    ) -> None:
        """Split an end on the answer that makes this history lead elsewhere."""
        self.version += 1
        self.calm = 0
        name = self._culprit(node, end, history, pending)
        if name != node.name:
            self.remote[name] = None
        old_target, witnesses = end.target, end.witnesses
        end.split, end.target, end.witnesses, end.known = name, None, [], False
        end.seen, end.pairs, end.full = set(), set(), False
        for witness in witnesses:
            branch = end.end(witness)
            branch.target, branch.known = old_target, True
            branch.witnesses.append(witness)
            node.saw(branch, witness, self.remote)

    def _culprit(
        self,
        node: Node,
        end: Rule,
        history: dict[str, Answer],
        pending: list[list[tuple[Decision, Answer]]],
    ) -> str:
        """The decision whose answer makes the difference.

        Each candidate is put to the test with a run that differs from a known one in it alone:
        the node's own answer first, then what other rules look at, then the rest as asked.
        """
        # The witness that differs least leaves the fewest candidates.
        witness = min(end.witnesses, key=lambda w: _distance(w, history))
        differing = [n for n in history if history[n] != witness.get(n, _Missing)]
        differing += [n for n in witness if n not in history]
        if not differing:
            raise SpaceError(
                node.name or "builder",
                "the same questions after the same answers, on every run",
                "another question than last time",
                "a builder may depend on its arguments and on its choices alone",
            )
        differing.sort(key=lambda n: (n != node.name, n not in self.remote))
        assert end.target is not None
        same = end.target.decision or _End
        for name in differing[:_PROBES]:
            if len(differing) == 1:
                break
            if name not in history or name not in witness:
                continue
            events = self.run(replay({**witness, name: history[name]}))
            pending.append(events)
            if _successor(events, node) not in (None, same):
                return name
        # Several answers act together: any split that tells the two apart makes progress.
        return differing[0]


class _Missing:
    """Stands for an answer that is not there; equal to no answer."""


def _distance(a: Mapping[str, Answer], b: Mapping[str, Answer]) -> int:
    names = a.keys() | b.keys()
    return sum(a.get(n, _Missing) != b.get(n, _Missing) for n in names)


def replay(answers: Mapping[str, Answer]) -> Policy:
    """A policy that gives these answers, and the default where there is none that fits."""

    def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
        answer = answers.get(decision.name, decision.default)
        return answer if decision.accepts(answer) else decision.default

    return policy


class _End:
    """Stands for the end of a run, where a successor is asked for."""


def _successor(events: list[tuple[Decision, Answer]], node: Node) -> Decision | type[_End] | None:
    """The decision asked right after ``node`` in a run; ``None`` where it never came up."""
    asked = [decision for decision, _ in events]
    place = -1 if node.decision is None else _find(asked, node.decision)
    if place is None:
        return None
    return asked[place + 1] if place + 1 < len(asked) else _End


def _find(asked: list[Decision], decision: Decision) -> int | None:
    return asked.index(decision) if decision in asked else None
