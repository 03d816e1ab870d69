"""All architectures of a space, one after the other."""

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
    """Architectures that begin with these answers; those too long go to ``later``.

    Those that the builder is seen to refuse are left out.
    """
    stack: list[Iterator[dict[str, Answer]]] = [iter([start])]
    while stack:
        prefix = next(stack[-1], None)
        if prefix is None:
            stack.pop()
            continue
        opened = _Opened(prefix)
        try:
            answers = tree.walk(opened)
        except _NextQuestion as question:
            if len(prefix) >= limit:
                later.append(prefix)
                continue
            stack.append(_extended(prefix, question.decision))
        except BuilderError:
            continue
        else:
            yield Architecture(answers)


def _extended(prefix: dict[str, Answer], decision: Decision) -> Iterator[dict[str, Answer]]:
    return ({**prefix, decision.name: answer} for answer in decision.answers())


class _NextQuestion(Unwind):
    """Leaves a run of the builder at an open question."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


class _Opened:
    """Answers a prefix, then stops the walk at the first open question."""

    def __init__(self, prefix: Mapping[str, Answer]) -> None:
        self.prefix = prefix

    def __call__(self, decision: Decision, _: Mapping[str, Answer]) -> Answer:
        if decision.name not in self.prefix:
            raise _NextQuestion(decision)
        return self.prefix[decision.name]
