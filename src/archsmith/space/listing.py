"""Enumerating the architectures of a space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .._support.errors import Unwind
from .architecture import Answer, Architecture
from .building import BuilderError
from .decision import Decision
from .tree import Tree


def below(
    tree: Tree, start: dict[str, Answer], limit: int, later: list[dict[str, Answer]]
) -> Iterator[Architecture]:
    """Architectures that begin with these answers; prefixes at the limit go to ``later``.

    Architectures that the builder rejects are left out.
    """
    stack: list[Iterator[dict[str, Answer]]] = [iter([start])]
    while stack:
        prefix = next(stack[-1], None)
        if prefix is None:
            stack.pop()
            continue
        policy = _PrefixPolicy(prefix)
        try:
            answers = tree.walk(policy)
        except _NextQuestion as question:
            if len(prefix) >= limit:
                later.append(prefix)
                continue
            stack.append(_extensions(prefix, question.decision))
        except BuilderError:
            continue
        else:
            yield Architecture(answers)


def _extensions(prefix: dict[str, Answer], decision: Decision) -> Iterator[dict[str, Answer]]:
    return ({**prefix, decision.name: answer} for answer in decision.answers())


class _NextQuestion(Unwind):
    """Leaves a run of the builder at an open question."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


class _PrefixPolicy:
    """Answers a prefix, then stops the walk at the first open question."""

    def __init__(self, prefix: Mapping[str, Answer]) -> None:
        self.prefix = prefix

    def __call__(self, decision: Decision, _: Mapping[str, Answer]) -> Answer:
        if decision.name not in self.prefix:
            raise _NextQuestion(decision)
        return self.prefix[decision.name]
