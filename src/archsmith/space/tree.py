"""The tree of decisions, learned from runs of the builder.

A builder is a program, and the only way to know which question comes next is to run it. Running it
for each sample is too slow for a search, and a tree with a node for each prefix of answers never
fills. So the tree is kept folded: for each question the *rule* says which question follows. A rule
starts out constant. When two runs disagree, it is split on the earlier answer that makes the
difference: one that tells all stored runs apart, and where several do, the one that makes the
difference in a run of the builder with that answer alone changed. A space whose questions never
depend on answers is a chain; a loop over a chosen depth splits one rule once. Names with numbers
that shift are kept relative to what was asked before (``numbering.py``).

A walk trusts a rule for an answer that some run has shown; at anything new the builder runs, and
what it does is exact and is learned from. After each surprise the next few walks run the builder
too. A dependence on a combination of answers that no run has shown can be missed until the first
run that shows it: every build is such a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from .._support.errors import SpaceError
from .architecture import Answer
from .decision import Decision
from .numbering import Cursor, Plan, Relative, find_plan
from .reading import Policy
from .rules import Node, Rule, Surprise

#: Runs in a row that must bring no surprise before walks go without running the builder.
TRUST_AFTER = 64
#: Runs that are looked at together before any is learned from.
_FIRST = 8
#: Stored runs at each end of a rule, for splitting it later, and in all.
_WITNESSES, _STORED = 32, 1024
#: Runs after which the way to tell names is looked at again.
_LOOKS = (_FIRST, 16, 32, 64, 128)
#: Runs with one answer changed, to find what makes two runs disagree: for one disagreement, and
#: in all, beside a share of the other runs.
_PROBES, _PROBES_FREE, _PROBES_SHARE = 12, 32, 0.25

#: One question of a run, with its answer.
Event = tuple[Decision, Answer]
#: Runs the builder under a policy; gives the decisions with their answers, in the order asked.
Run = Callable[[Policy], list[Event]]


class Tree:
    """The folded tree. ``run`` is the builder.

    Nodes, and answers by name where a method says *kept*, have names as the tree keeps them.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.met: dict[Decision, None] = {}  # all decisions, as the builder asks them
        self.version = 0  # changes when a rule does; what was derived before is stale then
        self.calm = 0  # runs since two last disagreed
        self._first: list[list[Event]] | None = []  # runs not yet learned from
        self.runs = 0  # that were learned from
        self._probed = 0
        self._settled = True  # whether no two runs disagreed since names were last looked at
        self._real: dict[tuple[Decision, str], Decision] = {}
        self._stored: list[list[Event]] = []
        self._begin(Plan())

    def _begin(self, plan: Plan) -> None:
        self.plan = plan
        self.start, self.final = Node(None), Node(None)
        self.nodes: dict[Decision, Node] = {}
        self._splits = 0
        self.afar = 0  # splits on what is neither the question's own answer nor around it
        self.remote: dict[str, None] = {}  # decisions that a rule of another one looks at
        self._paths: list[tuple[list[Node], list[Answer]]] = []
        self.version += 1

    @property
    def trusted(self) -> bool:
        # The more surprises so far, the longer the calm that counts.
        return self.calm >= max(TRUST_AFTER, self._splits)

    def walk(self, policy: Policy) -> dict[str, Answer]:
        """Answers for a whole path. Runs the builder only where the tree is not sure.

        The policy is called once a decision, in the order in which the builder asks, whether the
        builder runs or not; so what it draws does not depend on what the tree knows.
        """
        answers: dict[str, Answer] = {}
        if self.trusted:
            kept = answers if not self.plan else {}
            cursor = Cursor(self.plan)
            node = self.start
            while (end := node.shown(kept, self.remote)) is not None:
                assert end.target is not None
                node = end.target
                if node.decision is None:
                    return answers
                decision = self._asked(node, cursor) if self.plan else node.decision
                kept[node.name] = answers[decision.name] = policy(decision, answers)
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

    def kept(self, policy: Policy) -> Policy:
        """A policy for the builder, from one that knows decisions and answers as they are kept."""
        cursor, answers = Cursor(self.plan), dict[str, Answer]()

        def asked(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
            cursor.catch_up(so_far)
            told, _ = self._told(decision, cursor)
            answer = policy(told, answers)
            answers[told.name] = answer
            return answer

        return asked if self.plan else policy

    def real(self, answers: Mapping[str, Answer]) -> dict[str, Answer]:
        """Kept answers, in the order asked, under the names that the builder asks by."""
        if not self.plan:
            return dict(answers)
        found: dict[str, Answer] = {}
        node, cursor, kept = self.start, Cursor(self.plan), dict[str, Answer]()
        while (node := self.follow(node, kept)).decision is not None:
            answer = kept[node.name] = answers[node.name]
            found[self._asked(node, cursor).name] = answer
        return found

    def learn(self, events: list[Event]) -> None:
        """Take in one run."""
        self.met.update((decision, None) for decision, _ in events)
        self.calm += 1
        self.runs += 1
        if self._first is not None:
            self._first.append(events)
            if len(self._first) < _FIRST:
                return
            waiting, self._first = self._first, None
            self._name_anew(waiting)
            self._take_all(waiting)
        else:
            self._take_all([events])
        if self.runs in _LOOKS and not self._settled:
            self._name_anew([])
        self._settled = self._settled or self.runs in _LOOKS
        if len(self._stored) > _STORED:
            # A builder that surprises for ever: what is forgotten is asked again.
            self._begin_anew(self.plan, self._stored[-_STORED // 4 :])

    def _name_anew(self, waiting: list[list[Event]]) -> None:
        """Learn all anew where names told in another way make runs simpler."""
        known = self._stored + waiting
        plan = find_plan([[decision.name for decision, _ in events] for events in known])
        if plan != self.plan:
            self._begin_anew(plan, self._stored)

    def _begin_anew(self, plan: Plan, runs: list[list[Event]]) -> None:
        self._stored, self.calm = [], 0
        self._begin(plan)
        self._take_all(runs)

    def follow(self, node: Node, answers: Mapping[str, Answer]) -> Node:
        """What comes after ``node`` by kept answers. Raises :class:`Surprise` where no run has
        shown it."""
        end = node.shown(answers, self.remote)
        if end is None or end.target is None:
            raise Surprise
        return end.target

    def _told(self, decision: Decision, cursor: Cursor) -> tuple[Decision, Relative | None]:
        """A decision under the name that the tree keeps."""
        name = cursor.enter(decision.name)
        if isinstance(name, str):
            return decision, None
        return self._renamed(decision, str(name)), name

    def _asked(self, node: Node, cursor: Cursor) -> Decision:
        """A node's decision as the builder asks it now; the cursor goes on."""
        assert node.decision is not None
        name = cursor.real(node.relative) if node.relative else node.name
        cursor.enter(name)
        return self._renamed(node.decision, name) if node.relative else node.decision

    def _renamed(self, decision: Decision, name: str) -> Decision:
        found = self._real.get((decision, name))
        if found is None:
            found = self._real[decision, name] = replace(decision, name=name)
        return found

    def _node(self, decision: Decision, cursor: Cursor) -> Node:
        told, relative = self._told(decision, cursor) if self.plan else (decision, None)
        found = self.nodes.get(told)
        if found is None:
            found = self.nodes[told] = Node(told, relative)
            self.version += 1
        return found

    def _take_all(self, waiting: list[list[Event]]) -> None:
        waiting = waiting[::-1]
        while waiting:
            self._take_in(waiting.pop(), waiting)

    def _take_in(self, events: list[Event], pending: list[list[Event]]) -> None:
        cursor = Cursor(self.plan)
        path = [self._node(decision, cursor) for decision, _ in events]
        given = [answer for _, answer in events]
        self._paths.append((path, given))
        answers: dict[str, Answer] = {}
        node, needed = self.start, False
        for place, following in enumerate([*path, self.final]):
            needed = self._observe(node, answers, following, place, pending) or needed
            if following is not self.final:
                answers[following.name] = given[place]
            node = following
        if needed:
            self._stored.append(events)
        else:
            self._paths.pop()

    def _observe(
        self,
        node: Node,
        history: dict[str, Answer],
        target: Node,
        place: int,
        pending: list[list[Event]],
    ) -> bool:
        """Note what followed ``node`` in the last run; whether that run has to be kept."""
        while (end := node.rule.end(history)).known and end.target is not target:
            self._split(node, end, history, pending)
        if not end.known:
            end.target, end.known = target, True
            if node.rule.split is not None:
                self.version += 1
        node.saw(end, history, self.remote)
        if len(end.passed) >= _WITNESSES:
            return False
        end.passed.append((len(self._paths) - 1, place))
        return True

    def _history(self, run: int, place: int) -> dict[str, Answer]:
        path, given = self._paths[run]
        return {n.name: a for n, a in zip(path[:place], given[:place], strict=True)}

    def _split(
        self,
        node: Node,
        end: Rule,
        history: dict[str, Answer],
        pending: list[list[Event]],
    ) -> None:
        """Split an end on the answer that makes this history lead elsewhere."""
        self.version += 1
        self._splits += 1
        self.calm, self._settled = 0, False
        passed = [(seen, self._history(*seen)) for seen in end.passed]
        name = self._culprit(node, end, [before for _, before in passed], history, pending)
        if name != node.name:
            self.remote[name] = None
            self.afar += name not in node.enclosing
        old, end.split, end.target, end.known = end.target, name, None, False
        end.seen, end.pairs, end.full, end.passed = set(), set(), False, []
        for seen, before in passed:
            branch = end.end(before)
            branch.target, branch.known = old, True
            branch.passed.append(seen)
            node.saw(branch, before, self.remote)

    def _culprit(
        self,
        node: Node,
        end: Rule,
        passed: list[dict[str, Answer]],
        history: dict[str, Answer],
        pending: list[list[Event]],
    ) -> str:
        """The decision whose answer makes the difference between a history and those that passed.

        Of those that tell it from most, each is put to the test with a run that differs from a
        known one in it alone: the node's own answer first, then what is asked around it, then what
        other rules look at, then the rest as asked.
        """
        like = {
            name: sum(b.get(name, _Missing) == history.get(name, _Missing) for b in passed)
            for name in dict.fromkeys(name for before in [history, *passed] for name in before)
        }
        if min(like.values(), default=len(passed)) == len(passed):
            raise SpaceError(
                node.name or "builder",
                "the same questions after the same answers, on every run",
                "another question than last time",
                "a builder may depend on its arguments and on its choices alone",
            )
        suspects = [name for name, count in like.items() if count == min(like.values())]
        suspects.sort(key=lambda n: (n != node.name, n not in node.enclosing, n not in self.remote))
        # The witness that differs least leaves the least to chance.
        witness = min(passed, key=lambda before: _distance(before, history))
        for name in suspects[:_PROBES]:
            if len(suspects) == 1 or self._probed >= _PROBES_FREE + _PROBES_SHARE * self.runs:
                break
            if name not in history or name not in witness:
                continue
            self._probed += 1
            events = self.run(self.kept(replay({**witness, name: history[name]})))
            pending.append(events)
            if self._successor(events, node) not in (None, end.target):
                return name
        # Several answers act together: any split that tells the two apart makes progress.
        return suspects[0]

    def _successor(self, events: list[Event], node: Node) -> Node | None:
        """The node asked right after ``node`` in a run; ``None`` where it never came up."""
        cursor = Cursor(self.plan)
        path = [self.start, *(self._node(decision, cursor) for decision, _ in events), self.final]
        return path[path.index(node) + 1] if node in path else None


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
