"""The network in which all options are active, over lent weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ..._support.errors import SpaceError
from ..._support.trees import Tree, call, leaves, map_tensors
from ...space.architecture import Answer, Architecture
from ...space.building import BuilderError
from ...space.decision import Decision, Subset
from ..lending import uninitialised
from ..session import Session
from .mixture import Mix, MixingWeights, Mixture
from .reading import RelaxedReading, labels_of, size_of, taken

if TYPE_CHECKING:
    from ...space import Space

_SEEN = 16  # examples used to test whether the input of a network reaches its output
_REFUSALS = 20  # random answers in a row that a builder may refuse


@dataclass(frozen=True)
class Child:
    """A network in which all options are active.

    Attributes:
        version: of the store that lent its weights.
        live: the lent tensors follow the store; otherwise they are lent again after each update.
    """

    run: RelaxedReading
    model: nn.Module
    version: int
    live: bool


def questions(space: Space, source: MixingWeights, partial: int, method: str) -> RelaxedReading:
    """What the builder asks when all options are active, without filling any tensors.

    Raises:
        SpaceError: the builder does not take mixtures for modules.
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
            return read("cpu")  # some constructors read values, which meta tensors lack
    except BuilderError as error:
        raise SpaceError(
            space.name,
            f"a builder that takes a mixture of all options, as {method} needs",
            error.got,
            "leave the result of a nas.one_of as it is, and only call it; or use a method "
            "that trains one option at a time, such as spos",
        ) from error


def read_child(session: Session, source: MixingWeights, partial: int, *, default: bool) -> Child:
    """Read a network and lend its weights; decisions that are not mixed are drawn for this step.

    Args:
        default: take their defaults instead.

    Raises:
        SpaceError: the builder failed; where answers were drawn, many times in a row.
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
        for architecture in _covering(supernet.space, run):
            supernet.subnet(architecture)
    supernet.lend(model, run)
    live = all(p.is_leaf or _views_a_leaf(p) for p in model.parameters())
    return Child(run, model, session.supernet.version, live)


def _covering(space: Space, run: RelaxedReading) -> Iterator[Architecture]:
    """Architectures that together have all options of a network, with the values it was read by."""
    for name, decision in run.relaxed.items():
        for label in labels_of(decision):
            answer = label
            if isinstance(decision, Subset):
                answer = next(a for a in decision.answers() if label in cast("tuple[Answer]", a))
            path = {**run.answers, **dict(run.inside[name]), name: answer}
            with suppress(BuilderError):  # not every option fits all others
                yield space.complete(path)


@torch.no_grad()
def open_scales(child: Child) -> None:
    """Set the frozen scales that begin at zero to one, in the store too.

    Blocks with a shortcut begin with zeros, but a scale frozen at zero never lets anything through.
    """
    for norm in child.run.held:
        scale = norm._parameters["weight"]  # a part that is lent is no nn.Parameter
        if scale is not None and not scale.any():
            scale.fill_(1.0)


def even_mixes(run: RelaxedReading, device: torch.device) -> dict[str, Mix]:
    """Mixes in which all options of a decision have equal weight."""
    return {
        name: Mix(torch.full((size_of(d),), taken(d) / size_of(d), device=device))
        for name, d in run.relaxed.items()
    }


def silent_options(child: Child, inputs: Tree) -> dict[str, frozenset[int]]:
    """Places of the options that always output zeros, by decision: a missing edge, in a cell.

    These have no parameters; a block whose last scale begins at zero is not meant.

    Args:
        child: with its mixes set; is left in evaluation mode.
        inputs: prepared examples that are not all zeros.
    """
    has_output: dict[tuple[str, int], bool] = {}

    def note(key: tuple[str, int]) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, came: Any, out: Any) -> None:
            has_input = any(bool(t.any()) for t in came if isinstance(t, Tensor))
            if has_input:
                has_output[key] = has_output.get(key, False) or any(
                    bool(t.any()) for t in leaves(out)
                )

        return hook

    handles = [
        mixture.option(place).register_forward_hook(note((mixture.decision, place)))
        for mixture in child.run.mixtures
        for place in child.run.free[mixture.decision]
        if isinstance(mixture, Mixture) or place == mixture.place
    ]
    device = next(leaves(inputs)).device
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            call(child.model.eval(), inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: frozenset(
            place
            for (decision, place), nonzero in has_output.items()
            if decision == name and not nonzero
        )
        for name in child.run.relaxed
    }


def reaches(model: nn.Module, inputs: Tree) -> bool:
    """Whether anything of the inputs reaches the outputs, tested by reordering the examples.

    Args:
        model: is left in evaluation mode.
        inputs: prepared examples that differ, the batch first.
    """
    model.eval()
    results = []
    device = next(leaves(inputs)).device
    for batch in (inputs, map_tensors(lambda tensor: tensor.flip(0), inputs)):
        devices = [device] if device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)  # the same noise, where there is some
            results.append(list(leaves(call(model, batch))))
    return not all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def joined_by(
    session: Session, child: Child, source: MixingWeights
) -> Callable[[Architecture], bool] | None:
    """A test whether an architecture's input reaches its output, by the shared weights.

    ``None`` if the input does not reach it even with all options active (a head of zeros, say):
    then the test cannot decide.
    """
    ((inputs, _), *_) = session.probe(_SEEN, _SEEN)
    source.set(even_mixes(child.run, session.device))
    if not reaches(child.model, inputs):
        return None
    return lambda a: reaches(session.supernet.subnet(a, own_buffers=True), inputs)


@contextmanager
def unmoved(model: nn.Module) -> Iterator[None]:
    """Restores the buffers of a model (statistics of batch norms) afterwards."""
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
