"""Few-shot NAS: a compromise between one supernet for all architectures and a network for each."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from .._support.errors import InputError, SpaceError
from ..history.objective import Limit, Objective
from ..space import Space
from ..space.architecture import Answer
from ..space.decision import Decision
from .method import Batch, Moment, SampledMethod, SampledPath, Sampler, draw_accepted
from .session import Session

#: Random architectures that are inspected for decisions common to all.
_LOOKED_AT = 64


class Split(Sampler):
    """Uniform paths; once the weights are split by a decision, its answers alternate."""

    def __init__(self) -> None:
        self.by: Decision | None = None

    def begin(self) -> None:
        self.by = None

    def paths(self, now: Moment) -> list[SampledPath]:
        if self.by is None:
            return [SampledPath(now.draw())]
        answers = list(self.by.answers())
        name, answer = self.by.name, answers[now.step % len(answers)]

        def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            return answer if decision.name == name else decision.draw(now.rng)

        return [SampledPath(now.draw(policy))]


class FewShotNAS(SampledMethod):
    """Few-shot NAS (Zhao et al. 2020, arXiv:2006.06863).

    Uniform paths train one supernet; then it is split into one for each answer of a decision, each
    starting from the weights so far, and they are trained in turn.

    Args:
        decision: the decision to split by; ``None`` takes the one with the most answers among
            those that all architectures have.
        whole: share of the training before the split.
    """

    name = "few-shot-nas"

    def __init__(self, decision: str | None = None, whole: float = 0.5) -> None:
        if not 0 <= whole < 1:
            raise InputError("few-shot-nas, whole", "a share in [0, 1)", str(whole))
        self._paths = Split()
        super().__init__(self._paths)
        self.decision, self.whole = decision, whole
        self._session: Session | None = None

    def check(
        self, space: Space, objectives: Sequence[Objective] = (), limits: Sequence[Limit] = ()
    ) -> None:
        splitting(space, self.decision)

    def begin(self, session: Session) -> None:
        super().begin(session)
        self._session = session

    def step(self, session: Session, batch: Batch) -> Tensor:
        if self._paths.by is None and session.progress >= self.whole:
            self._split(session)
        return super().step(session, batch)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "split": self._paths.by is not None}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        if state["split"]:
            assert self._session is not None, "begin comes first"
            self._paths.by = splitting(self._session.supernet.space, self.decision)

    def _split(self, session: Session) -> None:
        by = splitting(session.supernet.space, self.decision)
        session.supernet.split(by.name)
        self._paths.by = by


def splitting(space: Space, name: str | None = None) -> Decision:
    """The decision of this name; by default the one with the most answers, the first of equals.

    Raises:
        SpaceError: it is not listed, has one answer, or some architectures do not ask it; or no
            decision qualifies.
    """
    always = {d.name: d for d in space.decisions(space.default())}
    rng = random.Random(0)
    for _ in range(_LOOKED_AT):
        asked = {d.name: d for d in space.decisions(draw_accepted(lambda: space.sample(rng)))}
        always = {n: d for n, d in always.items() if asked.get(n) == d}
    fit = {n: d for n, d in always.items() if d.listed and (d.cardinality or 0) > 1}
    if name is not None and name not in fit:
        names = ", ".join(fit) or "none in this space"
        raise SpaceError(
            "few-shot-nas, decision",
            "a decision of all architectures with a list of answers",
            repr(name),
            f"there are: {names}",
        )
    if not fit:
        raise SpaceError(
            space.name,
            "a decision to split the weights by, which all architectures have",
            "none",
            "spos trains without splitting",
        )
    return fit[name] if name is not None else max(fit.values(), key=lambda d: d.cardinality or 0)
