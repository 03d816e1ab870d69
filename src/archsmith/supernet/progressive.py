"""Progressive shrinking: the largest network first, then smaller and smaller ones with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._support.errors import InputError
from .._support.trees import Tree, move, shapes
from ..space.architecture import Answer
from ..space.decision import Decision
from .method import Batch, Moment, SampledMethod, SampledPath, Sampler
from .session import Session
from .sorting import sort_channels

if TYPE_CHECKING:
    from ..space import Space
    from .survey_records import Survey

#: The effects that are freed, in this order. Other decisions are free once the largest is trained.
ORDER = ("kernel", "depth", "width")
#: How much longer the last stage of a phase is than those before: 125 epochs and 25 in the paper.
_LAST = 5
#: Peaks of the learning rate by phase in the paper, as shares of that of the largest: 0.96, 0.24
#: and 0.24 compared with 2.6, over 125 epochs each.
PAPER = {"kernel": 0.37, "depth": 0.09, "width": 0.09}
#: Sides of an image, as shares of the data's, and what they are rounded to.
_SHARES = (1.0, 0.9, 0.8, 0.7)
_MULTIPLE = 4
#: Images below this size stay as they are.
_SIDE = 24


class Progressive(Sampler):
    """The largest alone, then phases that free kernel sizes, depths and widths, one by one.

    The phases share the rest of the training evenly. Within a phase its decisions gain their
    answers step by step, from that of the largest architecture downwards; the last step, in which
    all are allowed, lasts five times as long as each before.

    Args:
        alone: share of the training in which only the largest is trained.
        count: architectures per step after that.
    """

    def __init__(self, alone: float = 0.3, count: int = 2) -> None:
        if not 0 < alone < 1:
            raise InputError("ofa, alone", "a share between 0 and 1", str(alone))
        if count < 1:
            raise InputError("ofa, paths", "1 or more", str(count))
        self.alone, self.count = alone, count
        self._stages: dict[str, int] = {}

    def begin(self) -> None:
        self._stages = {}

    def paths(self, now: Moment) -> list[SampledPath]:
        if now.progress < self.alone:
            return [SampledPath(now.survey.largest)]
        allowed = self.allowed(now)

        def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            effect = now.survey.effects.get(decision.name, "value")
            return _within(decision, now, allowed.get(effect))

        return [SampledPath(now.draw(policy), soft=True) for _ in range(self.count)]

    def allowed(self, now: Moment) -> dict[str, int | None]:
        """How many answers a decision may take, by its effect; ``None``: all of them."""
        stages = self._stage_counts(now.space, now.survey)
        limits: dict[str, int | None] = {}
        for (effect, count), start in zip(stages.items(), self._edges(), strict=False):
            inside = (now.progress - start) * max(1, len(stages)) / (1.0 - self.alone)
            stage = int(inside * (count - 1 + _LAST) + 1e-9) + 1 if inside > -1e-9 else 0
            limits[effect] = None if stage >= count else 1 + stage
        return limits

    def starts(self, space: Space, survey: Survey) -> tuple[float, ...]:
        """Shares of the training at which phases begin, except that of the largest alone."""
        self._stage_counts(space, survey)
        return self._edges()

    def phases(self, space: Space, survey: Survey) -> dict[str, float]:
        """Effects in the order in which they are freed, with where their phases begin."""
        return dict(
            zip(self._stage_counts(space, survey), self.starts(space, survey), strict=False)
        )

    def _edges(self) -> tuple[float, ...]:
        phases = max(1, len(self._stages))
        return tuple(self.alone + (1.0 - self.alone) * i / phases for i in range(phases))

    def _stage_counts(self, space: Space, survey: Survey) -> dict[str, int]:
        """Effects that occur in the space, and in how many stages each is freed."""
        if not self._stages:
            most: dict[str, int] = {}
            for decision in space.decisions(survey.largest):
                effect = survey.effects.get(decision.name, "value")
                count = len(list(decision.answers())) - 1 if decision.listed else 1
                most[effect] = max(most.get(effect, 0), count)
            self._stages = {effect: most[effect] for effect in ORDER if most.get(effect)}
        return self._stages


def _within(decision: Decision, now: Moment, allowed: int | None) -> Answer:
    """One of the first answers of a decision, counted from the largest architecture's."""
    largest = now.survey.largest
    if allowed is None or decision.name not in largest:
        return decision.draw(now.rng)
    first = largest[decision.name]
    if not decision.accepts(first):
        return decision.draw(now.rng)
    if allowed == 1 or not decision.listed:
        return first
    ranked = downwards(list(decision.answers()), first)[:allowed]
    return ranked[int(now.rng.random() * len(ranked))]


def downwards(answers: Sequence[Answer], first: Answer) -> list[Answer]:
    """Answers from ``first`` on: numbers by distance from it, others in their listed order."""
    if isinstance(first, int | float) and all(isinstance(a, int | float) for a in answers):
        return sorted(answers, key=lambda a: abs(a - first))  # type: ignore[operator]
    return [first, *(a for a in answers if a != first)]


class OFA(SampledMethod):
    """Once-for-All (Cai et al. 2020, arXiv:1908.09791): progressive shrinking.

    After the largest architecture has been trained alone, a frozen copy of it teaches the others,
    which also learn from the targets; the learning rate schedule restarts with each phase.
    Learned matrices make small kernels from large ones, and when widths are freed, channels are
    sorted by their importance. For images the resolution is elastic from the start, if the
    largest architecture takes images of other sizes.

    Args:
        alone: share of the training in which only the largest is trained.
        paths: architectures per step after that.
        resolutions: sides of images in pixels, one drawn per step; ``None`` takes a few from the
            data's side down to 0.7 of it, if that side is 24 or more. ``()`` keeps the data's.
        rates: peak of the learning rate by phase (``kernel``, ``depth``, ``width``), as shares of
            the largest's; 1 for phases not given. The paper's are :data:`PAPER`, for
            hundreds of epochs; short trainings do worse with them (docs/decisions.md).
        sort: sort channels by importance before widths are freed.
        transforms: learn matrices between kernels of different size.

    Raises:
        InputError: an option is out of its range, or resolutions are given for inputs that are not
            images.
    """

    name = "ofa"
    targets_too = True

    def __init__(
        self,
        alone: float = 0.3,
        paths: int = 2,
        resolutions: Sequence[int] | None = None,
        rates: Mapping[str, float] | None = None,
        sort: bool = True,
        transforms: bool = True,
    ) -> None:
        phase_rates = dict(rates or {})
        if set(phase_rates) - set(ORDER) or any(not rate > 0 for rate in phase_rates.values()):
            expected = f"numbers above 0 for some of {', '.join(ORDER)}"
            raise InputError("ofa, rates", expected, str(phase_rates))
        self.rates = {**dict.fromkeys(ORDER, 1.0), **phase_rates}
        self.sort, self.transforms = sort, transforms
        self._progressive = Progressive(alone, paths)
        super().__init__(self._progressive)
        if resolutions is not None and any(side < 1 for side in resolutions):
            raise InputError("ofa, resolutions", "1 pixel or more", str(tuple(resolutions)))
        self.alone, self.wanted = alone, resolutions
        self.sides: tuple[int, ...] = ()
        self._session: Session | None = None
        self._teacher: nn.Module | None = None
        self._sort_at: float | None = None

    def begin(self, session: Session) -> None:
        super().begin(session)
        self._session, supernet, self._teacher = session, session.supernet, None
        if self.transforms:
            supernet.transform_kernels()
        self.sides = self._sides(session)
        space, survey = supernet.space, supernet.survey
        session.restarts = self._progressive.starts(space, survey)
        phases = self._progressive.phases(space, survey)
        session.peaks = (
            1.0,
            *(self.rates[effect] for effect in phases),
            *([1.0] if not phases else []),
        )
        self._sort_at = phases.get("width") if self.sort else None

    def step(self, session: Session, batch: Batch) -> Tensor:
        if self._sort_at is not None and session.progress >= self._sort_at:
            self._sort_at = None
            example = session.task.example(session.data.facts, batch=2)
            sort_channels(session.supernet, example, session.reorder)
        return super().step(session, batch)

    def resized(self, session: Session, inputs: Tree) -> Tree:
        if not self.sides:
            return inputs
        side = session.rng("resolution").choice(self.sides)
        return resize(inputs, side)

    def teach(self, session: Session, inputs: Tree) -> Any:
        if self._teacher is None:
            self._teacher = self._copy(session)
        with torch.no_grad():
            return session.forward(self._teacher, inputs)

    def state(self) -> dict[str, Any]:
        weights = self._teacher.state_dict() if self._teacher is not None else None
        return {**super().state(), "teacher": weights, "sort_at": self._sort_at}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._sort_at = state.get("sort_at")  # absent from trainings of earlier versions
        if state["teacher"] is not None:
            assert self._session is not None, "begin comes first"
            self._teacher = self._copy(self._session)
            self._teacher.load_state_dict(state["teacher"])

    def _copy(self, session: Session) -> nn.Module:
        supernet = session.supernet
        teacher = supernet.extract(supernet.survey.largest).to(session.device)
        return teacher.eval().requires_grad_(False)

    def _sides(self, session: Session) -> tuple[int, ...]:
        example = session.task.example(session.data.facts)
        if not isinstance(example, Tensor) or example.dim() != 4:
            if self.wanted:
                raise InputError("ofa, resolutions", "images", f"inputs {shapes(example)}")
            return ()
        shape = example.shape
        side = min(shape[-2:])
        if self.wanted is not None:
            sides = tuple(self.wanted)
        elif side < _SIDE:
            return ()
        else:
            rounded = {max(_MULTIPLE, round(side * s / _MULTIPLE) * _MULTIPLE) for s in _SHARES[1:]}
            sides = (side, *sorted(rounded - {side}, reverse=True))
        refused = {side: why for side in sides if (why := _refusal(session, side))}
        if refused and self.wanted is not None:
            first, why = next(iter(refused.items()))
            raise InputError(
                "ofa, resolutions",
                "sides that the largest architecture takes",
                f"{first}: {why}",
                "pool to a fixed size before linear layers; or resolutions=()",
            )
        return tuple(side for side in sides if side not in refused)


def resize(inputs: Tensor, side: int) -> Tensor:
    """Images (n, channels, height, width) with the shorter side resized to ``side`` pixels."""
    height, width = inputs.shape[-2:]
    short = min(height, width)
    if side == short:
        return inputs
    size = (round(height * side / short), round(width * side / short))
    return F.interpolate(inputs, size, mode="bilinear", align_corners=False, antialias=side < short)


def _refusal(session: Session, side: int) -> str:
    """Why the largest architecture does not take images of this size; empty if it does."""
    supernet = session.supernet
    model = supernet.subnet(supernet.survey.largest, own_buffers=True).eval()
    example = move(session.task.example(session.data.facts), session.device)
    try:
        with torch.no_grad():
            session.forward(model, resize(example, side))
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    return ""
