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
        self._places: dict[str, str] = {}
        self._questions = 0

    def full_name(self, name: str) -> str:
        return ".".join([*self.scopes, name])

    def ask(self, decision: Decision) -> Answer:
        """The answer to a decision; a name asked twice has one answer.

        Raises:
            SpaceError: the name was asked before with another domain, or the builder asks without
                end.
        """
        name = decision.name
        self._questions += 1
        if len(self.asked) >= _DECISIONS or self._questions > _QUESTIONS:
            raise SpaceError(
                name, f"a builder that ends: at most {_DECISIONS:,} decisions in one model",
                f"{len(self.asked):,} decisions by {self._questions:,} questions, the last at "
                f"{_place()}",
                "let something else than an answer end the loop, such as for i in range(...), and "
                "ask how often by nas.repeat or nas.choose",
            )  # fmt: skip
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
        self.scopes.append(name)
        try:
            yield
        finally:
            self.scopes.pop()


def _standing_for(module: Any, found: Mapping[int, list[Any]]) -> list[Any]:
    """A module and its copies in a model; or where none is there those of its parts."""
    from torch import nn

    if id(module) in found:
        return found[id(module)]
    parts = module.children() if isinstance(module, nn.Module) else ()
    return [there for part in parts for there in _standing_for(part, found)]


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
