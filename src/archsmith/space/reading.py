"""One run of a builder: who answers its questions, and what was asked."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .._support.errors import SpaceError
from .architecture import Answer, Architecture
from .construction import ModuleScopes
from .decision import Decision
from .outside import refuse_outside

#: Answers a decision, given the answers so far.
Policy = Callable[[Decision, Mapping[str, Answer]], Answer]

#: Attribute of a module during a reading: its own ``id``, or that of the module it is a copy of.
_MARK = "_archsmith_copied_from"

#: Limits on decisions in one run, and on repetitions of one question: a loop that only an answer
#: can end may never end.
_DECISIONS, _QUESTIONS = 10_000, 100_000

_HERE = os.path.dirname(os.path.abspath(__file__))


class Reading:
    """Answers the questions of one run of a builder and records them.

    Readings that build something other than the chosen option (say, a mixture of all) override
    :meth:`one_of` and :meth:`subset`.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.asked: dict[str, Decision] = {}
        self.answers: dict[str, Answer] = {}
        self.scopes: list[str] = []
        #: Modules built from an option, with their decision and label.
        self.origins: list[tuple[Any, str, str]] = []
        #: Modules that stand for a choice: keys leave out the names of their children.
        self.mixtures: list[Any] = []
        #: Modules that are copies, each with the ``id`` of its original.
        self.copies: list[tuple[Any, int]] = []
        self._marked: dict[int, Any] = {}
        #: The builder's function that names shared weights, if it has one.
        self.names: Callable[[str, Architecture], str | None] | None = None
        #: Paths of the modules that this function named.
        self.named: set[str] = set()
        #: How often each name was asked, and where it was asked first.
        self.times: Counter[str] = Counter()
        self.places: dict[str, str] = {}
        #: Scopes of the modules under construction, if the builder uses them, and the depth at
        #: which each of ``scopes`` was opened.
        self.modules: ModuleScopes | None = None
        self.depths: list[int] = []

    def prefix(self) -> list[str]:
        """The scopes around the current question, outermost first."""
        return self.modules.names(self.scopes, self.depths) if self.modules else self.scopes

    def full_name(self, name: str) -> str:
        return ".".join([*self.prefix(), name])

    def ask(self, decision: Decision) -> Answer:
        """The answer to a decision; asking a name again gives the same answer.

        Raises:
            SpaceError: the name was asked before with another domain, or the builder never stops
                asking.
        """
        name = decision.name
        self.times[name] += 1
        if len(self.asked) >= _DECISIONS or self.times[name] > _QUESTIONS:
            raise SpaceError(
                name,
                f"a builder that stops: at most {_DECISIONS:,} decisions in one model",
                f"{len(self.asked):,} decisions in {self.times.total():,} questions, the last at "
                f"{_user_location()}",
                "end the loop by something other than an answer, such as for i in range(...), and "
                "choose its length with nas.repeat or nas.choose",
            )
        before = self.asked.get(name)
        if before is not None:
            if before != decision:
                raise SpaceError(
                    name,
                    f"{_question(before)}, as asked at {self.places[name]}",
                    f"{_question(decision)}, at {_user_location()}",
                    "one name is one shared decision: rename the second, or put it in a nas.scope",
                )
            return self.answers[name]
        answer = self.policy(decision, self.answers)
        self.asked[name] = decision
        self.answers[name] = answer
        self.places[name] = _user_location()
        return answer

    def one_of(self, decision: Decision, options: Mapping[str, Callable[[], Any]]) -> Any:
        """Ask, and build only the chosen option."""
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
        prefix = self.prefix()
        local = name[len(".".join(prefix)) + 1 :] if prefix else name
        with self.scope(f"{local}.{label}"):
            built = build()
        self.origins.append((built, name, label))
        self.mark(built)
        return built

    def mark(self, module: Any) -> None:
        """Mark a module and its parts, so that copies can be traced to their originals.

        Every way of copying keeps an instance's attributes: ``copy.deepcopy`` (which
        ``nn.TransformerEncoder`` uses for its layers), ``copy.copy`` and pickling. :meth:`settle`
        removes the marks.
        """
        from torch import nn

        settled_later = _current.get() is self  # not if a builder is called directly
        for part in module.modules() if settled_later and isinstance(module, nn.Module) else ():
            source = part.__dict__.get(_MARK, id(part))
            if source != id(part):
                self.copies.append((part, source))
            part.__dict__[_MARK] = id(part)
            self._marked[id(part)] = part

    def settle(self, model: Any) -> None:
        """Treat copies in a finished model like their originals.

        If an option's module was taken apart, its parts in the model stand for it.
        """
        by_source: dict[int, list[Any]] = {}
        for module in model.modules() if self._marked else ():
            source = module.__dict__.pop(_MARK, id(module))
            by_source.setdefault(source, []).append(module)
            if source != id(module):
                self.copies.append((module, source))
        for module in self._marked.values():
            module.__dict__.pop(_MARK, None)
        self._marked.clear()
        origins, self.origins = self.origins, []
        for built, name, label in origins:
            others = (
                module for module in _representatives(built, by_source) if module is not built
            )
            self.origins += [(built, name, label), *((other, name, label) for other in others)]
        mixed = set(map(id, self.mixtures))
        self.mixtures += [copy for copy, source in self.copies if source in mixed]

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        # A scope is opened inside the modules that are under construction at that point.
        self.depths.append(self.modules.depth() if self.modules else 0)
        self.scopes.append(name)
        try:
            yield
        finally:
            self.scopes.pop()
            self.depths.pop()


def _representatives(module: Any, by_source: Mapping[int, list[Any]]) -> list[Any]:
    """A module and its copies in a model or, if it has none there, those of its parts."""
    from torch import nn

    if id(module) in by_source:
        return by_source[id(module)]
    parts = module.children() if isinstance(module, nn.Module) else ()
    return [there for part in parts for there in _representatives(part, by_source)]


def _question(decision: Decision) -> str:
    prior = decision.domain().get("prior")
    believed = f", prior {tuple(round(share, 3) for share in prior)}" if prior else ""
    return f"{decision.describe()}, default {decision.default!r}{believed}"


_current: ContextVar[Reading | None] = ContextVar("archsmith_reading", default=None)


#: For each active reading, in any thread: the threads that were running when it began.
_active_readings: dict[int, frozenset[int | None]] = {}


class ByHand(Reading):
    """Answers every choice with its default, for a builder that is called directly."""

    def __init__(self) -> None:
        super().__init__(lambda decision, _: decision.default)

    def ask(self, decision: Decision) -> Answer:
        refuse_outside(decision.name, _user_location(), list(_active_readings.values()))
        return super().ask(decision)


def going_on() -> Reading | None:
    """The active reading of this thread."""
    return _current.get()


def current() -> Reading:
    """The active reading. A builder that is called directly gets the default of every choice."""
    return _current.get() or ByHand()


@contextmanager
def reading(run: Reading) -> Iterator[Reading]:
    """Let ``run`` answer all choices asked inside the block."""
    token = _current.set(run)
    _active_readings[id(run)] = frozenset(thread.ident for thread in threading.enumerate())
    try:
        yield run
    finally:
        del _active_readings[id(run)]
        _current.reset(token)


def _user_location() -> str:
    """File and line of the user's code that asked the current question."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
