"""All that does not build or run in a space, each with the fewest decisions that lead there."""

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
from .shapes import Failure, Tries, fewest, told

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space

#: Samples tried for one that works, where the default does not.
_STARTS = 16
#: Faults whose decisions are looked for; a space with more is broken altogether.
_MOST = 20
#: Models built to find out which default answers a fault needs as well.
_SHARPEN = 48
#: Faults that are mended in a sample one after another, to see what is behind them.
_BEHIND = 4


@dataclass(frozen=True)
class Fault:
    """Something that does not build or run.

    Attributes:
        answers: the fewest that lead there, all others at their defaults. Defaults without which
            it would work are among them. Empty where the default architecture does not work.
        reason: what was raised.
        met: architectures looked at that have these answers and do not work.
    """

    answers: Mapping[str, Answer]
    reason: str
    met: int


@dataclass(frozen=True)
class Visit:
    """One answer of one decision, with all others as in ``around``.

    Attributes:
        changed: the architecture with this answer; ``None`` where the builder refused it.
    """

    decision: Decision
    answer: Answer
    around: Architecture
    changed: Architecture | None


class FaultFinder:
    """Tries architectures, and explains each that does not work by as few decisions as it can.

    Args:
        check: as for :func:`~archsmith.study.shapes.check_shapes`.

    Raises:
        BuilderError: the builder refuses its own defaults, so that nothing can be asked of it.
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
        self._met: list[int] = []
        self._explained: set[Architecture] = set()
        self.unexplained = 0
        self.base = self._start(rng)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """In the order in which they were found; a default that fails, by what makes it fail."""
        default = self.space.default().items()
        told_closer = any(answers and answers.items() <= default for answers, _ in self._found)
        return tuple(
            Fault(answers, reason, met)
            for (answers, reason), met in zip(self._found, self._met, strict=True)
            if answers or not told_closer
        )

    def works(self, architecture: Architecture) -> bool:
        """Whether it builds and runs; what does not is explained."""
        error = self.tries.error(architecture)
        if error is not None and architecture not in self._explained:
            self._explained.add(architecture)
            self._explain(Failure(architecture, error))
        return error is None

    def draw(self, draw: Callable[[], Architecture]) -> Architecture | None:
        """A sample, tried; ``None`` where the builder refuses what was drawn."""
        try:
            architecture = draw()
        except BuilderError as error:
            self._explain(Failure(error.answers, error))
            return None
        self.works(architecture)
        return architecture

    def cover(self, until: float) -> Iterator[Visit]:
        """Try every answer of every decision that can be reached, others at their defaults.

        Of many numbers both ends, the middle and the default are tried. A decision that is asked
        after some answer alone is looked at there, with as few other answers as lead to it.

        Args:
            until: moment of :func:`time.monotonic` at which it stops where it is.
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
                    changed = self._with(around, decision.name, answer)
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
        """Whether nothing that was tried to begin with works."""
        return self.tries.error(self.base) is not None

    def _decisions(self, architecture: Architecture) -> tuple[Decision, ...]:
        try:
            return self.space.decisions(architecture)
        except SpaceError:
            return ()

    def _with(self, around: Architecture, name: str, answer: Answer) -> Architecture | None:
        try:
            changed = self.space.complete({**around, name: answer})
        except BuilderError as error:
            self._explain(Failure(error.answers, error))
            return None
        self.works(changed)
        return changed

    def _explain(self, failure: Failure) -> None:
        known = self._known(failure.answers)
        if known is not None:
            self._met[known] += 1
            self._behind(failure.answers, known)
        elif self.hopeless or len(self._found) >= _MOST:
            self.unexplained += 1
        else:
            answers, error = fewest(self.tries, self.base, failure)
            self._note(self._sharpened(dict(answers)), error)

    def _known(self, answers: Mapping[str, Answer]) -> int | None:
        items = answers.items()
        return next((i for i, (f, _) in enumerate(self._found) if f and f.items() <= items), None)

    def _note(self, answers: dict[str, Answer], error: Exception) -> None:
        self._found.append((answers, self._reason(answers, error)))
        self._met.append(1)

    def _reason(self, answers: Mapping[str, Answer], error: Exception) -> str:
        """What was raised, in words; on the CPU, whose messages have sizes that meta leaves out."""
        if isinstance(error, BuilderError) and error.got:
            return error.got  # the rest repeats the decisions
        try:
            whole = self.space.complete({**self.tries.around, **answers})
        except BuilderError:
            return told(error)
        return told(self.tries.failed_on("cpu", whole) or error)

    def _behind(self, answers: Mapping[str, Answer], known: int) -> None:
        """Look for another fault in what a known one keeps from running."""
        left = dict(answers)
        for _ in range(_BEHIND):
            before = len(left)
            for name, answer in self._found[known][0].items():
                if self.base.get(name, ...) != answer:
                    left.pop(name, None)
            if len(left) == before or self.hopeless:
                return
            found = self.tries.first(left)
            if not isinstance(found, Failure):
                return
            again = self._known(found.answers)
            if again is None:
                if len(self._found) < _MOST:
                    culprit, error = fewest(self.tries, self.base, found)
                    self._note(self._sharpened(dict(culprit)), error)
                return
            known = again

    def _sharpened(self, culprit: dict[str, Answer]) -> dict[str, Answer]:
        """The answers, and those defaults without which they would work."""
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
                found = self.tries.first({**culprit, name: answer})
                if not isinstance(found, Failure):
                    culprit[name] = whole[name]
                    break
        return {name: culprit[name] for name in whole if name in culprit}
