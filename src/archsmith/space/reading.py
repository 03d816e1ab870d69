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

#: Answers a decision, knowing the answers so far.
Policy = Callable[[Decision, Mapping[str, Answer]], Answer]

#: Attribute of a module during a reading: its own ``id``, or that of what it was copied from.
_MARK = "_archsmith_copied_from"

#: Decisions of one run, and questions with those asked again, after which a builder is refused: a
#: loop that only an answer ends, and none does.
_DECISIONS, _QUESTIONS = 10_000, 100_000

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
        #: Modules that are copies, each with the ``id`` of the one that it was copied from.
        self.copies: list[tuple[Any, int]] = []
        self._marked: dict[int, Any] = {}
        #: Says under which name a module's weights are shared, if the builder has such a function.
        self.names: Callable[[str, Architecture], str | None] | None = None
        #: Paths of the modules that it named.
        self.named: set[str] = set()
        #: How often each name was asked, and where first.
        self.times: Counter[str] = Counter()
        self.places: dict[str, str] = {}
        #: Scopes of the modules under construction, where the builder wants them; with how deep in
        #: them each of ``scopes`` was opened.
        self.modules: ModuleScopes | None = None
        self.depths: list[int] = []

    def prefix(self) -> list[str]:
        """The scopes around what is asked now, from the outside in."""
        return self.modules.names(self.scopes, self.depths) if self.modules else self.scopes

    def full_name(self, name: str) -> str:
        return ".".join([*self.prefix(), name])

    def ask(self, decision: Decision) -> Answer:
        """The answer to a decision; a name asked twice has one answer.

        Raises:
            SpaceError: the name was asked before with another domain, or the builder asks without
                end.
        """
        name = decision.name
        self.times[name] += 1
        if len(self.asked) >= _DECISIONS or self.times[name] > _QUESTIONS:
            raise SpaceError(
                name,
                f"a builder that ends: at most {_DECISIONS:,} decisions in one model",
                f"{len(self.asked):,} decisions by {self.times.total():,} questions, the last at "
                f"{_place()}",
                "let something else than an answer end the loop, such as for i in range(...), and "
                "ask how often by nas.repeat or nas.choose",
            )
        before = self.asked.get(name)
        if before is not None:
            if before != decision:
                raise SpaceError(
                    name,
                    f"{before.describe()}, default {before.default!r}, as asked at "
                    f"{self.places[name]}",
                    f"{decision.describe()}, default {decision.default!r}, at {_place()}",
                    "one name is one shared decision; give the second another name or a nas.scope",
                )
            return self.answers[name]
        answer = self.policy(decision, self.answers)
        self.asked[name] = decision
        self.answers[name] = answer
        self.places[name] = _place()
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
        prefix = self.prefix()
        local = name[len(".".join(prefix)) + 1 :] if prefix else name
        with self.scope(f"{local}.{label}"):
            built = build()
        self.origins.append((built, name, label))
        self.mark(built)
        return built

    def mark(self, module: Any) -> None:
        """Let copies of a module and of its parts tell what they are copies of.

        Copying takes an instance's attributes along, however it is done: ``copy.deepcopy``, of
        which ``nn.TransformerEncoder`` makes its layers, ``copy.copy``, pickling. :meth:`settle`
        takes the marks off again.
        """
        from torch import nn

        settled_later = _current.get() is self  # not where a builder is called by hand
        for part in module.modules() if settled_later and isinstance(module, nn.Module) else ():
            source = part.__dict__.get(_MARK, id(part))
            if source != id(part):
                self.copies.append((part, source))
            part.__dict__[_MARK] = id(part)
            self._marked[id(part)] = part

    def settle(self, model: Any) -> None:
        """Treat copies in a finished model as what they are copies of.

        Of an option that was taken apart the parts in the model stand for it.
        """
        found: dict[int, list[Any]] = {}
        for module in model.modules() if self._marked else ():
            source = module.__dict__.pop(_MARK, id(module))
            found.setdefault(source, []).append(module)
            if source != id(module):
                self.copies.append((module, source))
        for module in self._marked.values():
            module.__dict__.pop(_MARK, None)
        self._marked.clear()
        origins, self.origins = self.origins, []
        for built, name, label in origins:
            others = (module for module in _standing_for(built, found) if module is not built)
            self.origins += [(built, name, label), *((other, name, label) for other in others)]
        mixed = set(map(id, self.mixtures))
        self.mixtures += [copy for copy, source in self.copies if source in mixed]

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        # Modules come first: a scope is opened inside those that are under construction by then.
        self.depths.append(self.modules.depth() if self.modules else 0)
        self.scopes.append(name)
        try:
            yield
        finally:
            self.scopes.pop()
            self.depths.pop()


def _standing_for(module: Any, found: Mapping[int, list[Any]]) -> list[Any]:
    """A module and its copies in a model; or where none is there those of its parts."""
    from torch import nn

    if id(module) in found:
        return found[id(module)]
    parts = module.children() if isinstance(module, nn.Module) else ()
    return [there for part in parts for there in _standing_for(part, found)]


_current: ContextVar[Reading | None] = ContextVar("archsmith_reading", default=None)


#: Of each reading that is going on, in any thread: the threads that ran when it began.
_going_on: dict[int, frozenset[int | None]] = {}


class ByHand(Reading):
    """Gives the default of every choice to a builder that is called by hand."""

    def __init__(self) -> None:
        super().__init__(lambda decision, _: decision.default)

    def ask(self, decision: Decision) -> Answer:
        refuse_outside(decision.name, _place(), list(_going_on.values()))
        return super().ask(decision)


def going_on() -> Reading | None:
    """The reading that is going on in this thread."""
    return _current.get()


def current() -> Reading:
    """The reading that is going on. A builder called by hand gets the default of every choice."""
    return _current.get() or ByHand()


@contextmanager
def reading(run: Reading) -> Iterator[Reading]:
    """Let ``run`` answer all choices asked inside."""
    token = _current.set(run)
    _going_on[id(run)] = frozenset(thread.ident for thread in threading.enumerate())
    try:
        yield run
    finally:
        del _going_on[id(run)]
        _current.reset(token)


def _place() -> str:
    """File and line of the user's code that asked."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
