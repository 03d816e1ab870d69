"""One run of a builder: who answers its questions, and what was asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..errors import SpaceError
from .architecture import Answer
from .decision import Decision, check_name

#: Answers a decision, knowing the answers so far.
Policy = Callable[[Decision, Mapping[str, Answer]], Answer]

_HERE = os.path.dirname(os.path.abspath(__file__))


class Reading:
    """Answers the questions of one run of a builder and remembers them.

    Readings that build something else than the chosen option (a mixture of all, say) override
    :meth:`one_of` and :meth:`subset`.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.asked: dict[str, Decision] = {}
        self.answers: dict[str, Answer] = {}
        self.scopes: list[str] = []
        #: Modules that came out of an option, with the decision and the label they came under.
        self.origins: list[tuple[Any, str, str]] = []
        #: Modules that stand for a choice: the names of their children are left out of keys.
        self.mixtures: list[Any] = []
        self._places: dict[str, str] = {}

    def full_name(self, name: str) -> str:
        return ".".join([*self.scopes, name])

    def ask(self, decision: Decision) -> Answer:
        """The answer to a decision; a name asked twice has one answer.

        Raises:
            SpaceError: the name was asked before with another domain.
        """
        name = decision.name
        before = self.asked.get(name)
        if before is not None:
            if before != decision:
                raise SpaceError(
                    name,
                    f"{before.describe()}, default {before.default!r}, as asked at "
                    f"{self._places[name]}",
                    f"{decision.describe()}, default {decision.default!r}, at {_place()}",
                    "one name is one shared decision; give the second another name or a nas.scope",
                )
            return self.answers[name]
        answer = self.policy(decision, self.answers)
        self.asked[name] = decision
        self.answers[name] = answer
        self._places[name] = _place()
        return answer

    def one_of(self, decision: Decision, options: Mapping[str, Callable[[], Any]]) -> Any:
        """Ask, and build the chosen option alone."""
        label = self.ask(decision)
        assert isinstance(label, str)
        return self.build_option(decision.name, label, options[label])

    def subset(self, decision: Decision, options: Mapping[str, Callable[[], Any]]) -> Any:
        """Ask, and build the chosen candidates into an ``nn.ModuleDict``."""
        from torch import nn

        labels = self.ask(decision)
        assert isinstance(labels, tuple)
        return nn.ModuleDict(
            {
                str(label): self.build_option(decision.name, str(label), options[str(label)])
                for label in labels
            }
        )

    def build_option(self, name: str, label: str, build: Callable[[], Any]) -> Any:
        local = name[len(".".join(self.scopes)) + 1 :] if self.scopes else name
        with self.scope(f"{local}.{label}"):
            built = build()
        self.origins.append((built, name, label))
        return built

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        self.scopes.append(name)
        try:
            yield
        finally:
            self.scopes.pop()


_current: ContextVar[Reading | None] = ContextVar("archsmith_reading", default=None)


def _take_default(decision: Decision, _: Mapping[str, Answer]) -> Answer:
    return decision.default


def current() -> Reading:
    """The reading that is going on. A builder called by hand gets the default of every choice."""
    return _current.get() or Reading(_take_default)


@contextmanager
def reading(run: Reading) -> Iterator[Reading]:
    """Let ``run`` answer all choices asked inside."""
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Prefix the names of the decisions asked inside: ``with nas.scope("stage1"): ...``."""
    check_name(name)
    run = _current.get()
    if run is None:
        yield
        return
    with run.scope(name):
        yield


def _place() -> str:
    """File and line of the user's code that asked."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
