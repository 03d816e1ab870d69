"""Everything in a space that does not build or run, each with the fewest decisions to blame."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._support.errors import SpaceError
from ..space.architecture import Answer, Architecture
from ..space.building import BuilderError
from ..space.decision import Decision
from ..space.typical import typical_answers
from .shapes import Failure, Tries, error_text, fewest

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space

#: Samples tried to find one that works if the default does not.
_STARTS = 16
#: Faults that are explained by decisions; a space with more is broken altogether.
_MOST = 20
#: Models built to find out which default answers a fault also needs.
_SHARPEN = 48
#: Faults that are removed from a sample one after another, to find those they hide.
_BEHIND = 4


@dataclass(frozen=True)
class Fault:
    """Something that does not build or run.

    Attributes:
        answers: the fewest answers that lead to it, all others being defaults. They include
            defaults without which it would work. Empty if the default architecture fails.
        reason: the message of the exception.
        met: number of failing architectures seen with these answers.
    """

    answers: Mapping[str, Answer]
    reason: str
    met: int


@dataclass(frozen=True)
class Visit:
    """One answer to one decision, with all others as in ``around``.

    Attributes:
        changed: the architecture with this answer; ``None`` if the builder rejected it.
    """

    decision: Decision
    answer: Answer
    around: Architecture
    changed: Architecture | None


class FaultFinder:
    """Tries architectures, and explains each failure by as few decisions as possible.

    Args:
        check: as for :func:`~archsmith.study.shapes.check_shapes`.

    Raises:
        BuilderError: the builder rejects its own defaults, so that it has no decisions to try.
    """

    def __init__(
        self,
        space: Space,
        check: Callable[[nn.Module, Architecture], None],
        rng: random.Random,
        device: str = "meta",
    ) -> None:
        self.space, self.tries = space, Tries(space, check, device)
        self._found: list[tuple[dict[str, Answer], str]] = []
        self._counts: list[int] = []
        self._explained: set[Architecture] = set()
        self.unexplained = 0
        self.base = self._start(rng)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Faults in the order of discovery; a failing default by its cause, if that is known."""
        default = self.space.default().items()
        explained = any(answers and answers.items() <= default for answers, _ in self._found)
        return tuple(
            Fault(answers, reason, met)
            for (answers, reason), met in zip(self._found, self._counts, strict=True)
            if answers or not explained
        )

    def works(self, architecture: Architecture) -> bool:
        """Whether an architecture builds and runs; a failure is explained."""
        error = self.tries.error(architecture)
        if error is not None and architecture not in self._explained:
            self._explained.add(architecture)
            self._explain(Failure(architecture, error))
        return error is None

    def draw(self, draw: Callable[[], Architecture]) -> Architecture | None:
        """Draw and try an architecture; ``None`` if the builder rejects it."""
        try:
            architecture = draw()
        except BuilderError as error:
            self._explain(Failure(error.answers, error))
            return None
        self.works(architecture)
        return architecture

    def cover(self, until: float) -> Iterator[Visit]:
        """Try every answer to every reachable decision, others at their defaults.

        Of a long range of numbers both ends, the middle and the default are tried. A decision that
        is asked only after some answer is tried there, with as few other changes as possible.

        Args:
            until: value of :func:`time.monotonic` at which to stop.
        """
        waiting, opened = deque([self.base]), set[Decision]()
        while waiting:
            around = waiting.popleft()
            for decision in self._decisions(around):
                if decision in opened:
                    continue
                opened.add(decision)
                for answer in typical_answers(decision):
                    if time.monotonic() > until:
                        return
                    changed = self._change(around, decision.name, answer)
                    yield Visit(decision, answer, around, changed)
                    if changed is not None and not opened.issuperset(self._decisions(changed)):
                        waiting.append(changed)

    def _start(self, rng: random.Random) -> Architecture:
        default = self.space.default()
        error = self.tries.error(default)
        if error is None:
            return default
        self._note({}, error)
        for _ in range(_STARTS):
            try:
                other = self.space.sample(rng)
            except BuilderError:
                continue
            if self.tries.error(other) is None:
                self.tries.around = other
                return other
        return default

    @property
    def hopeless(self) -> bool:
        """Whether neither the default nor any of the first samples works."""
        return self.tries.error(self.base) is not None

    def _decisions(self, architecture: Architecture) -> tuple[Decision, ...]:
        try:
            return self.space.decisions(architecture)
        except SpaceError:
            return ()

    def _change(self, around: Architecture, name: str, answer: Answer) -> Architecture | None:
        try:
            changed = self.space.complete({**around, name: answer})
        except BuilderError as error:
            self._explain(Failure(error.answers, error))
            return None
        self.works(changed)
        return changed

    def _explain(self, failure: Failure) -> None:
        number = self._number_of(failure.answers)
        if number is not None:
            self._counts[number] += 1
            self._find_hidden(failure.answers, number)
        elif self.hopeless or len(self._found) >= _MOST:
            self.unexplained += 1
        else:
            answers, error = fewest(self.tries, self.base, failure)
            self._note(self._with_defaults(dict(answers)), error)

    def _number_of(self, answers: Mapping[str, Answer]) -> int | None:
        items = answers.items()
        return next((i for i, (f, _) in enumerate(self._found) if f and f.items() <= items), None)

    def _note(self, answers: dict[str, Answer], error: Exception) -> None:
        self._found.append((answers, self._reason(answers, error)))
        self._counts.append(1)

    def _reason(self, answers: Mapping[str, Answer], error: Exception) -> str:
        """The error message, from the CPU if possible: messages from meta lack sizes."""
        if isinstance(error, BuilderError) and error.got:
            return error.got  # the rest repeats the decisions
        try:
            whole = self.space.complete({**self.tries.around, **answers})
        except BuilderError:
            return error_text(error)
        return error_text(self.tries.failed_on("cpu", whole) or error)

    def _find_hidden(self, answers: Mapping[str, Answer], known: int) -> None:
        """Look for another fault that a known one hides."""
        left = dict(answers)
        for _ in range(_BEHIND):
            before = len(left)
            for name, answer in self._found[known][0].items():
                if self.base.get(name, ...) != answer:
                    left.pop(name, None)
            if len(left) == before or self.hopeless:
                return
            outcome = self.tries.first(left)
            if not isinstance(outcome, Failure):
                return
            number = self._number_of(outcome.answers)
            if number is None:
                if len(self._found) < _MOST:
                    culprit, error = fewest(self.tries, self.base, outcome)
                    self._note(self._with_defaults(dict(culprit)), error)
                return
            known = number

    def _with_defaults(self, culprit: dict[str, Answer]) -> dict[str, Answer]:
        """The answers, and the defaults without which they would work."""
        try:
            whole = self.space.complete({**self.tries.around, **culprit})
        except BuilderError:
            return culprit
        tried = 0
        for decision in self._decisions(whole):
            name = decision.name
            if name in culprit:
                continue
            for answer in typical_answers(decision):
                if answer == whole[name]:
                    continue
                tried += 1
                if tried > _SHARPEN:
                    return culprit
                outcome = self.tries.first({**culprit, name: answer})
                if not isinstance(outcome, Failure):
                    culprit[name] = whole[name]
                    break
        return {name: culprit[name] for name in whole if name in culprit}
