"""The interface of a one-shot method: how it trains shared weights, and what it derives from them.

Most methods train a few paths per step and differ only in which: each of these is a
:class:`Sampler`. The others (a relaxation, a controller) write their own step.
"""

from __future__ import annotations

import contextlib
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor

from .._support.errors import ArchsmithError, SpaceError
from .._support.trees import Tree, count_examples, map_tensors, shapes, take
from ..data.splits import Batch
from ..history.objective import Limit, Objective
from ..space.architecture import Answer, Architecture
from ..space.building import BuilderError, tell
from ..task.contracts import Distillation
from ..task.sampling import judged_as_is
from .session import Session, by_batch

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space
    from ..space.reading import Policy
    from .supernet import Supernet
    from .survey_records import Survey

T = TypeVar("T")

#: How many architectures in a row a builder may refuse.
_REFUSALS = 20


class Method(ABC):
    """A one-shot method. Adding one takes one file, its registration and its test.

    What it keeps between steps is saved by :meth:`state`; its random numbers come from
    :meth:`Session.rng`.
    """

    #: Name on the command line.
    name: ClassVar[str]
    #: Share of the training part that is kept for :meth:`Session.held`.
    holdout: ClassVar[float] = 0.0
    #: Why it wants to stop before the end; empty to continue.
    stopped: str = ""

    def check(  # noqa: B027
        self, space: Space, objectives: Sequence[Objective] = (), limits: Sequence[Limit] = ()
    ) -> None:
        """Refuse what this method cannot handle; called before any work.

        Raises:
            InputError: saying what it cannot handle and what can.
        """

    def try_out(self, supernet: Supernet, example: Tree) -> None:  # noqa: B027
        """Refuse what shows only when a model runs; called before any work.

        Args:
            example: prepared inputs on the CPU.

        Raises:
            InputError: as :meth:`check`.
        """

    def begin(self, session: Session) -> None:
        """Set up the method, before the first step or before :meth:`load_state`.

        The state of any earlier training is dropped.
        """
        self.stopped = ""

    def paths(self, space: Space) -> float:
        """How many options a pass computes at the same time, on average, to estimate memory."""
        return 1.0

    @abstractmethod
    def step(self, session: Session, batch: Batch) -> Tensor:
        """One update of the shared weights on a raw training batch; the loss, detached."""

    def end_epoch(self, session: Session, epoch: int) -> dict[str, float]:
        """Called after each epoch, from 1; returns metrics to report. Controllers train here."""
        return {}

    def derive(self, session: Session, count: int) -> list[Architecture]:
        """Architectures that the method itself finds, best first.

        Empty where it only trains weights, and leaves the search on them to a strategy.
        """
        return []

    def state(self) -> dict[str, Any]:
        """What a resumed training needs: tensors, JSON values, and dicts, lists, tuples of them."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore what :meth:`state` returned, after :meth:`begin` and the weights' restoration."""

    def visits(self) -> Counter[tuple[str, Answer]]:
        """How often each answer of each decision was trained."""
        return Counter()


@dataclass(frozen=True, slots=True)
class SampledPath:
    """An architecture to train in a step. A ``soft`` one imitates the step's teacher.

    The teacher is the first path of the step, unless the method has another.
    """

    architecture: Architecture
    soft: bool = False


@dataclass(frozen=True)
class Moment:
    """The information that a sampler has when it draws.

    Attributes:
        rng: the generator of this step.
        seed: the seed of the training.
        step: number of steps done before this one.
        progress: share of the training that is done, in [0, 1].
        score: loss of a subnet on a part of the current batch.
        cost: number of parameters of a subnet.
    """

    space: Space
    survey: Survey
    rng: random.Random
    seed: int
    step: int
    progress: float
    score: Callable[[Architecture], float]
    cost: Callable[[Architecture], float]

    def draw(self, policy: Policy | None = None) -> Architecture:
        """An architecture that the builder accepts, drawn by a policy; uniformly without one."""
        if policy is None:
            return draw_accepted(lambda: self.space.sample(self.rng, "decisions"))
        return draw_accepted(lambda: self.space.walk(policy))


class Sampler(ABC):
    """Draws the paths that a step trains."""

    #: Whether the gradients of the paths are averaged, or summed.
    averaged: ClassVar[bool] = True

    def begin(self) -> None:  # noqa: B027
        """As :meth:`Method.begin`."""

    @abstractmethod
    def paths(self, now: Moment) -> list[SampledPath]:
        """At least one path; those that are not soft learn from the targets."""

    def state(self) -> dict[str, Any]:
        """As :meth:`Method.state`."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:  # noqa: B027
        """As :meth:`Method.load_state`."""


class SampledMethod(Method):
    """Trains the paths of a sampler: a forward and backward pass for each, then one update.

    Args:
        sampler: draws the paths.
        scored: examples of a batch that :attr:`Moment.score` uses.
    """

    #: Whether a soft path learns from the targets in addition to its teacher.
    targets_too: ClassVar[bool] = False

    def __init__(self, sampler: Sampler, scored: int = 32) -> None:
        self.sampler, self.scored = sampler, scored
        self._visits: Counter[tuple[str, Answer]] = Counter()

    def begin(self, session: Session) -> None:
        super().begin(session)
        self._visits = Counter()
        self.sampler.begin()

    def step(self, session: Session, batch: Batch) -> Tensor:
        inputs, targets = session.prepare(batch)
        ready = Batch(self.resized(session, inputs), targets)
        paths = self.sampler.paths(self._moment(session, ready))
        share = 1.0 / len(paths) if self.sampler.averaged else 1.0
        has_soft = any(path.soft for path in paths)
        teacher = self.teach(session, ready.inputs) if has_soft else None
        total = torch.zeros((), device=session.device)
        for place in range(len(paths)):
            path, model = self._subnet(session, ready, paths, place)
            loss, outputs = _loss(session, model, ready, path.architecture)
            target_loss = loss
            imitates = path.soft and teacher is not None and outputs is not None
            if imitates and isinstance(session.task, Distillation):
                loss = session.task.imitation(outputs, teacher, targets)
                if self.targets_too:
                    loss = loss + target_loss
            (loss * share).backward()  # type: ignore[no-untyped-call]
            total += target_loss.detach() / len(paths)
            if has_soft and teacher is None and outputs is not None:
                teacher = map_tensors(Tensor.detach, outputs)
            self._visits.update(path.architecture.items())
        session.update()
        return total

    def resized(self, session: Session, inputs: Tree) -> Tree:
        """The prepared inputs at the resolution of this step."""
        return inputs

    def teach(self, session: Session, inputs: Tree) -> Any:
        """Outputs that soft paths imitate; ``None``: those of the first path."""
        return None

    def state(self) -> dict[str, Any]:
        visits = [(name, answer, count) for (name, answer), count in self._visits.items()]
        return {"visits": visits, "sampler": self.sampler.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        self._visits = Counter({(name, answer): count for name, answer, count in state["visits"]})
        self.sampler.load_state(state["sampler"])

    def visits(self) -> Counter[tuple[str, Answer]]:
        return Counter(self._visits)

    def _subnet(
        self, session: Session, ready: Batch, paths: list[SampledPath], place: int
    ) -> tuple[SampledPath, nn.Module]:
        """A path's subnet; the path is drawn again if the builder refuses it.

        A walk of the space learns which questions follow, not at which answers a builder raises.
        """
        path, supernet = paths[place], session.supernet
        for attempt in range(_REFUSALS):
            try:
                return path, supernet.subnet(path.architecture).train()
            except SpaceError:
                if attempt == _REFUSALS - 1 or supernet.builds(path.architecture):
                    raise
            again = self.sampler.paths(self._moment(session, ready, f"again {attempt}"))
            path = again[min(place, len(again) - 1)]
        raise AssertionError("the last attempt returns or raises")

    def _moment(self, session: Session, ready: Batch, purpose: str = "paths") -> Moment:
        supernet = session.supernet
        # Taking a part of a batch of views would separate views that belong together.
        count = self.scored if judged_as_is(session.task) else count_examples(ready)
        few = Batch(*take(tuple(ready), slice(count)))

        def score(architecture: Architecture) -> float:
            model = supernet.subnet(architecture, own_buffers=True)
            by_batch(model)
            with torch.no_grad():
                return float(_loss(session, model, few, architecture, smoothing=0.0)[0])

        def cost(architecture: Architecture) -> float:
            return float(sum(p.numel() for p in supernet.subnet(architecture).parameters()))

        return Moment(
            supernet.space,
            supernet.survey,
            session.rng(purpose),
            session.seed,
            session.step,
            session.progress,
            score,
            cost,
        )


def draw_accepted(draw: Callable[[], T]) -> T:
    """The first result of ``draw`` for which no builder raises.

    Raises:
        BuilderError: it refused many in a row.
    """
    for _ in range(_REFUSALS - 1):
        with contextlib.suppress(BuilderError):
            return draw()
    return draw()


def _loss(
    session: Session,
    model: nn.Module,
    ready: Batch,
    architecture: Architecture,
    smoothing: float | None = None,
) -> tuple[Tensor, Any]:
    """The loss of a subnet, and its outputs, which are ``None`` if the loss does not call the
    model itself; the error names the architecture if it does not run."""
    all_outputs: list[Any] = []
    hook = model.register_forward_hook(lambda module, inputs, outputs: all_outputs.append(outputs))
    try:
        loss = session.loss_of(model, ready, smoothing)
        return loss, all_outputs[-1] if all_outputs else None
    except (ArchsmithError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise SpaceError(
            f"{session.supernet.space.name} with {tell(architecture)}",
            f"a model that runs on inputs {shapes(ready.inputs)}",
            f"{type(error).__name__}: {' '.join(str(error).split())}",
            "fix the builder for these answers, or remove an option",
        ) from error
    finally:
        hook.remove()


__all__ = [
    "Batch",
    "Method",
    "Moment",
    "SampledMethod",
    "SampledPath",
    "Sampler",
    "Session",
    "draw_accepted",
]
