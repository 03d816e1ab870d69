"""The network in which all options are alive, over lent weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from ...errors import SpaceError
from ...space.architecture import Answer, Architecture
from ...space.building import BuilderError
from ...space.decision import Decision, Subset
from ..lending import uninitialised
from ..session import Session
from .mixture import MixingWeights
from .reading import RelaxedReading, labels_of

if TYPE_CHECKING:
    from ...space import Space

_REFUSALS = 20  # random answers in a row that a builder may refuse


@dataclass(frozen=True)
class Child:
    """A network in which all options are alive.

    Attributes:
        version: of the store that lent to it.
        live: what was lent follows the store; otherwise it has to be lent again after each update.
    """

    run: RelaxedReading
    model: nn.Module
    version: int
    live: bool


def questions(space: Space, source: MixingWeights, partial: int, method: str) -> RelaxedReading:
    """What the builder asks where all options are alive, nothing being filled in.

    Raises:
        SpaceError: it does not take mixtures for modules.
    """

    def read(device: str) -> RelaxedReading:
        run = RelaxedReading(source, partial=partial)
        with uninitialised():
            space.run(run, device)
        return run

    try:
        try:
            return read("meta")
        except BuilderError:
            return read("cpu")  # some constructors read values, which meta has none of
    except BuilderError as error:
        raise SpaceError(
            space.name, f"a builder that takes a mixture of all options, as {method} needs",
            error.got, "leave what a nas.one_of gives as it is, and only call it; or use a method "
            "that trains one option at a time, such as spos",
        ) from error  # fmt: skip


def read_child(session: Session, source: MixingWeights, partial: int, *, default: bool) -> Child:
    """Read and lend a network; decisions that are not mixed are drawn by this step's numbers.

    Args:
        default: take their defaults instead.

    Raises:
        SpaceError: the builder failed, many times over where answers were drawn.
    """
    for attempt in range(_REFUSALS):
        rng = session.rng(f"values {attempt}")

        def values(decision: Decision, _: Mapping[str, Answer]) -> Answer:
            return decision.default if default else decision.draw(rng)  # noqa: B023

        run = RelaxedReading(source, values, partial=partial)
        try:
            model = session.supernet.read(run)
            break
        except BuilderError:
            if default or attempt == _REFUSALS - 1:
                raise
    supernet = session.supernet
    if supernet.lacks(model, run):
        # Values that were drawn together for the first time may need more than is stored.
        for architecture in _apart(supernet.space, run):
            supernet.subnet(architecture)
    supernet.lend(model, run)
    live = all(p.is_leaf or _views_a_leaf(p) for p in model.parameters())
    return Child(run, model, session.supernet.version, live)


def _apart(space: Space, run: RelaxedReading) -> Iterator[Architecture]:
    """Architectures that together have all options of a network, with the values it was read by."""
    for name, decision in run.relaxed.items():
        for label in labels_of(decision):
            answer = label
            if isinstance(decision, Subset):
                answer = next(a for a in decision.answers() if label in cast("tuple[Answer]", a))
            path = {**run.answers, **dict(run.inside[name]), name: answer}
            with suppress(BuilderError):  # not every option fits all others
                yield space.complete(path)


@contextmanager
def unmoved(model: nn.Module) -> Iterator[None]:
    """Afterwards the buffers of a model (statistics of batch norms) are what they were."""
    buffers = list(model.buffers())
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


def _views_a_leaf(tensor: Tensor) -> bool:
    base = tensor._base
    return base is not None and base.is_leaf
