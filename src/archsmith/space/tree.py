"""The tree of decisions, learned from runs of the builder.

A builder is a program, and the only way to know which question comes next is to run it. Running it
for each sample is too slow for a search, and a tree with one node per prefix of answers never
fills. The tree is therefore folded: each question has a *rule* that gives the question that
follows. A rule starts out constant. When two runs disagree, the rule is split on the earlier answer
that explains the difference: an answer that separates all stored runs or, if several do, the one
that makes a difference when the builder is run with only that answer changed. A space whose
questions never depend on answers is a chain; a loop over a chosen depth splits one rule once. Names
with shifting numbers are kept relative to the questions before them (``numbering.py``).

A walk trusts a rule for an answer that some run has shown. For anything new the builder runs; its
behaviour is exact, and the tree learns from it. After each surprise the next few walks run the
builder too. A dependence on a combination of answers that no run has shown can be missed until the
first run that shows it; every build is such a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from .._support.errors import SpaceError
from .architecture import Answer
from .decision import Decision
from .numbering import Cursor, Plan, Relative, find_plan, shared_scopes
from .reading import Policy
from .rules import Node, Rule, Surprise

#: Consecutive runs without a surprise before walks stop running the builder.
TRUST_AFTER = 64
#: Runs that are collected before the tree learns from any of them.
_FIRST = 8
#: Runs stored at each end of a rule, for splitting it later, and in total.
_WITNESSES, _STORED = 32, 1024
#: Numbers of runs after which the naming plan is reconsidered.
_REPLAN_AT = (_FIRST, 16, 32, 64, 128)
#: Limits on runs with one answer changed, which find out why two runs disagree: per disagreement,
#: and in total, the latter plus a share of the other runs.
_PROBES, _FREE_PROBES, _PROBE_SHARE = 12, 96, 0.25

#: One question of a run, with its answer.
Event = tuple[Decision, Answer]
#: Runs the builder under a policy; gives the decisions with their answers, in the order asked.
Run = Callable[[Policy], list[Event]]


class Tree:
    """The folded tree. ``run`` runs the builder.

    Nodes use the names that the tree keeps; so do answers by name where a method calls them *kept*.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.met: dict[Decision, None] = {}  # all decisions, as the builder asks them
        self.version = 0  # changes when a rule changes, which makes derived results stale
        self.calm = 0  # runs since the last disagreement
        self._first: list[list[Event]] | None = []  # runs not yet learned from
        self.runs = 0  # that were learned from
        self._probed = 0
        self._settled = True  # no disagreement since the plan was last reconsidered
        self._renamed_decisions: dict[tuple[Decision, str], Decision] = {}
        self._stored: list[list[Event]] = []
        self._reset(Plan())

    def _reset(self, plan: Plan) -> None:
        self.plan = plan
        self.start, self.final = Node(None), Node(None)
        self.nodes: dict[Decision, Node] = {}
        self._splits = 0
        # Splits on an answer that is neither the question's own nor in a scope around it.
        self.afar = 0
        self.remote: dict[str, None] = {}  # decisions that a rule of another one looks at
        self._paths: list[tuple[list[Node], list[Answer]]] = []
        self.version += 1

    @property
    def trusted(self) -> bool:
        # The more surprises so far, the longer the tree must go without one.
        return self.calm >= max(TRUST_AFTER, self._splits)

    def walk(self, policy: Policy) -> dict[str, Answer]:
        """Answers for a whole path. Runs the builder only where the tree is not sure.

        The policy is called once per decision, in the order in which the builder asks, whether or
        not the builder runs, so its draws do not depend on what the tree already knows.
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
                decision = self._next_decision(node, cursor) if self.plan else node.decision
                kept[node.name] = answers[decision.name] = policy(decision, answers)
        answered = answers

        def go_on(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
            if decision.name in answered and decision.accepts(answered[decision.name]):
                return answered[decision.name]
            return policy(decision, so_far)

        return dict(self.trace(go_on))

    def decisions(self, answers: Mapping[str, Answer]) -> list[Decision]:
        """The decisions on the path of these answers, which must be valid."""
        path: dict[str, Decision] = {}

        def look_up(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            # Keyed by name: if the builder has to run, the beginning of the path is visited twice.
            path[decision.name] = decision
            return answers[decision.name]

        self.walk(look_up)
        return list(path.values())

    def trace(self, policy: Policy) -> dict[str, Answer]:
        """Run the builder and learn from what it asks."""
        events = self.run(policy)
        self.learn(events)
        return {decision.name: answer for decision, answer in events}

    def kept(self, policy: Policy) -> Policy:
        """A policy for the builder, from a policy over kept names."""
        cursor, answers = Cursor(self.plan), dict[str, Answer]()

        def asked(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
            cursor.catch_up(so_far)
            kept_decision, _ = self._kept_decision(decision, cursor)
            answer = policy(kept_decision, answers)
            answers[kept_decision.name] = answer
            return answer

        return asked if self.plan else policy

    def real(self, answers: Mapping[str, Answer]) -> dict[str, Answer]:
        """Kept answers, in the order asked, under the names that the builder uses."""
        if not self.plan:
            return dict(answers)
        renamed: dict[str, Answer] = {}
        node, cursor, kept = self.start, Cursor(self.plan), dict[str, Answer]()
        while (node := self.follow(node, kept)).decision is not None:
            answer = kept[node.name] = answers[node.name]
            renamed[self._next_decision(node, cursor).name] = answer
        return renamed

    def learn(self, events: list[Event]) -> None:
        """Learn from one run."""
        self.met.update((decision, None) for decision, _ in events)
        self.calm += 1
        self.runs += 1
        if self._first is not None:
            self._first.append(events)
            if len(self._first) < _FIRST:
                return
            waiting, self._first = self._first, None
            self._update_plan(waiting)
            self._learn_all(waiting)
        else:
            self._learn_all([events])
        if self.runs in _REPLAN_AT and not self._settled:
            self._update_plan([])
        self._settled = self._settled or self.runs in _REPLAN_AT
        if len(self._stored) > _STORED:
            # The builder keeps surprising: whatever is forgotten here is asked again.
            self._restart(self.plan, self._stored[-_STORED // 4 :])

    def _update_plan(self, waiting: list[list[Event]]) -> None:
        """Learn all runs again if another naming plan makes them simpler."""
        runs = self._stored + waiting
        plan = find_plan([[decision.name for decision, _ in events] for events in runs])
        if plan != self.plan:
            self._restart(plan, self._stored)

    def _restart(self, plan: Plan, runs: list[list[Event]]) -> None:
        self._stored, self.calm = [], 0
        self._reset(plan)
        self._learn_all(runs)

    def follow(self, node: Node, answers: Mapping[str, Answer]) -> Node:
        """The node after ``node`` for kept answers. Raises :class:`Surprise` if no run has shown
        it."""
        end = node.shown(answers, self.remote)
        if end is None or end.target is None:
            raise Surprise
        return end.target

    def _kept_decision(
        self, decision: Decision, cursor: Cursor
    ) -> tuple[Decision, Relative | None]:
        """A decision under its kept name."""
        name = cursor.enter(decision.name)
        if isinstance(name, str):
            return decision, None
        return self._rename(decision, str(name)), name

    def _next_decision(self, node: Node, cursor: Cursor) -> Decision:
        """A node's decision under the builder's name; advances the cursor."""
        assert node.decision is not None
        name = cursor.real(node.relative) if node.relative else node.name
        cursor.enter(name)
        return self._rename(node.decision, name) if node.relative else node.decision

    def _rename(self, decision: Decision, name: str) -> Decision:
        renamed = self._renamed_decisions.get((decision, name))
        if renamed is None:
            renamed = self._renamed_decisions[decision, name] = replace(decision, name=name)
        return renamed

    def _node(self, decision: Decision, cursor: Cursor) -> Node:
        kept_decision, relative = (
            self._kept_decision(decision, cursor) if self.plan else (decision, None)
        )
        node = self.nodes.get(kept_decision)
        if node is None:
            node = self.nodes[kept_decision] = Node(kept_decision, relative)
            self.version += 1
        return node

    def _learn_all(self, waiting: list[list[Event]]) -> None:
        waiting = waiting[::-1]
        while waiting:
            self._learn_run(waiting.pop(), waiting)

    def _learn_run(self, events: list[Event], pending: list[list[Event]]) -> None:
        cursor = Cursor(self.plan)
        path = [self._node(decision, cursor) for decision, _ in events]
        path_answers = [answer for _, answer in events]
        self._paths.append((path, path_answers))
        answers: dict[str, Answer] = {}
        node, needed = self.start, False
        for place, following in enumerate([*path, self.final]):
            needed = self._observe(node, answers, following, place, pending) or needed
            if following is not self.final:
                answers[following.name] = path_answers[place]
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
        """Record what followed ``node`` in the last run. Returns whether to store that run."""
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
        path, path_answers = self._paths[run]
        return {n.name: a for n, a in zip(path[:place], path_answers[:place], strict=True)}

    def _split(
        self,
        node: Node,
        end: Rule,
        history: dict[str, Answer],
        pending: list[list[Event]],
    ) -> None:
        """Split an end on the answer that makes this history lead to another node."""
        self.version += 1
        self._splits += 1
        self.calm, self._settled = 0, False
        passed = [(witness, self._history(*witness)) for witness in end.passed]
        name = self._culprit(node, end, [before for _, before in passed], history, pending)
        if name != node.name:
            self.remote[name] = None
            self.afar += name not in node.enclosing and not shared_scopes(name, node.name)
        old, end.split, end.target, end.known = end.target, name, None, False
        end.seen, end.pairs, end.full, end.passed = set(), set(), False, []
        for witness, before in passed:
            branch = end.end(before)
            branch.target, branch.known = old, True
            branch.passed.append(witness)
            node.saw(branch, before, self.remote)

    def _culprit(
        self,
        node: Node,
        end: Rule,
        passed: list[dict[str, Answer]],
        history: dict[str, Answer],
        pending: list[list[Event]],
    ) -> str:
        """The decision whose answer separates a history from those that passed before.

        Candidates are the decisions that separate it from most of them. Each is tested with a run
        that differs from a known one in that answer alone: first the node's own answer, then
        decisions around it, then those in the scopes around it (``stage2.depth`` of
        ``stage2.block1.kernel``), the innermost first, then those that other rules look at, then
        the rest in the order asked.
        """
        like = {
            name: sum(b.get(name, _Missing) == history.get(name, _Missing) for b in passed)
            for name in dict.fromkeys(name for before in [history, *passed] for name in before)
        }
        if min(like.values(), default=len(passed)) == len(passed):
            raise SpaceError(
                node.name or "builder",
                "the same questions after the same answers, on every run",
                "a different question from last time",
                "a builder may depend only on its arguments and its choices",
            )
        suspects = [name for name, count in like.items() if count == min(like.values())]
        suspects.sort(
            key=lambda n: (
                n != node.name,
                n not in node.enclosing,
                -shared_scopes(n, node.name),
                n not in self.remote,
            )
        )
        # The witness that differs least from the history gives the clearest test.
        witness = min(passed, key=lambda before: _distance(before, history))
        for name in suspects[:_PROBES]:
            if len(suspects) == 1 or self._probed >= _FREE_PROBES + _PROBE_SHARE * self.runs:
                break
            if name not in history or name not in witness:
                continue
            self._probed += 1
            events = self.run(self.kept(replay({**witness, name: history[name]})))
            pending.append(events)
            if self._successor(events, node) not in (None, end.target):
                return name
        # Several answers act together: any split that separates the two makes progress.
        return suspects[0]

    def _successor(self, events: list[Event], node: Node) -> Node | None:
        """The node asked right after ``node`` in a run; ``None`` if the run does not reach it."""
        cursor = Cursor(self.plan)
        path = [self.start, *(self._node(decision, cursor) for decision, _ in events), self.final]
        return path[path.index(node) + 1] if node in path else None


class _Missing:
    """Stands for a missing answer; equal to no answer."""


def _distance(a: Mapping[str, Answer], b: Mapping[str, Answer]) -> int:
    names = a.keys() | b.keys()
    return sum(a.get(n, _Missing) != b.get(n, _Missing) for n in names)


def replay(answers: Mapping[str, Answer]) -> Policy:
    """A policy that gives these answers, and the default where no valid one is given."""

    def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
        answer = answers.get(decision.name, decision.default)
        return answer if decision.accepts(answer) else decision.default

    return policy
