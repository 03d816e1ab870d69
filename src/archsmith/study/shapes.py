"""A check before a search: whether models build and run, and if not, which decisions fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any

from .._support.errors import ArchsmithError, SpaceError
from ..space.architecture import Answer, Architecture
from ..space.building import BuilderError
from ..space.guard import Guard

if TYPE_CHECKING:
    from torch import nn

    from ..space import Space


def check_shapes(
    space: Space,
    check: Callable[[nn.Module, Architecture], None],
    seed: int = 0,
    samples: int = 12,
    device: str = "meta",
) -> int:
    """Build the default architecture and some samples, and run ``check`` on each model.

    Args:
        check: called with a model and its architecture; raises if the model is wrong, for example
            if a forward pass on the model's device fails.
        samples: random architectures in addition to the default.
        device: where the models are built; on ``"meta"`` they take no memory. A model that fails
            there, for example because it reads values, is tried again on the CPU.

    Returns:
        How many distinct architectures were checked.

    Raises:
        SpaceError: a model does not build or run; names the fewest decisions that lead to the
            failure, and its message.
    """
    trial = Tries(space, check, device)
    default = trial.first({})
    if isinstance(default, Failure):
        raise SpaceError(
            _named(space, default.answers),
            "a default architecture that builds and runs",
            error_text(default.error),
            advice(default.error) or "fix the builder, or change the defaults",
        ) from default.error
    rng = random.Random(seed)
    for _ in range(samples):
        failure = trial.draw(rng)
        if failure is not None:
            culprit, error = fewest(trial, default, failure)
            raise SpaceError(
                _named(space, culprit),
                "a model that builds and runs",
                error_text(error),
                "the default answers work; fix the builder for these, or remove the option",
            ) from error
    return len(trial.tried)


@dataclass
class Failure:
    """Answers that do not work, and what went wrong."""

    answers: Mapping[str, Answer]
    error: Exception


@dataclass
class Tries:
    """Whether architectures work; each is tried once."""

    space: Space
    check: Callable[[nn.Module, Architecture], None]
    device: str
    around: Mapping[str, Answer] = field(default_factory=dict)
    tried: dict[Architecture, Exception | None] = field(default_factory=dict)

    def first(self, answers: Mapping[str, Answer]) -> Architecture | Failure:
        """The architecture with these answers if it works, otherwise the failure.

        Other decisions are answered as in ``around``, or else take their defaults.
        """
        try:
            architecture = self.space.complete({**self.around, **answers})
        except BuilderError as error:
            return Failure(error.answers, error)
        failed = self.error(architecture)
        return architecture if failed is None else Failure(architecture, failed)

    def draw(self, rng: random.Random) -> Failure | None:
        """Try a random architecture; the failure if it does not work."""
        try:
            architecture = self.space.sample(rng)
        except BuilderError as error:
            return Failure(error.answers, error)
        failed = self.error(architecture)
        return None if failed is None else Failure(architecture, failed)

    def error(self, architecture: Architecture) -> Exception | None:
        if architecture not in self.tried:
            self.tried[architecture] = self._try(architecture)
        return self.tried[architecture]

    def _try(self, architecture: Architecture) -> Exception | None:
        error = self.failed_on(self.device, architecture)
        rejected = isinstance(error, BuilderError) and error.__cause__ is None
        if error is None or rejected or self.device != "meta":
            return error
        cpu_error = self.failed_on("cpu", architecture)
        # A check that only works on meta fails on the CPU for that very reason.
        return cpu_error if cpu_error is None or "meta" in str(error).lower() else error

    def failed_on(self, device: str, architecture: Architecture) -> Exception | None:
        """The exception from building and checking an architecture on a device, if any."""
        try:
            # On the CPU weights are drawn; with a seed the caller's generator is left unchanged.
            with Guard():
                self.check(self.space.build(architecture, device=device, seed=0), architecture)
        except Exception as error:
            return error
        return None


def fewest(
    trial: Tries, default: Architecture, failure: Failure
) -> tuple[Mapping[str, Answer], Exception]:
    """The fewest failing answers when all other decisions take their default, and their error.

    Every single answer is tried. Then answers are removed one by one while the rest still fails
    (delta debugging, Zeller and Hildebrandt 2002); if more than two are left, pairs are tried as
    well.
    """
    answers = failure.answers
    left = {n: a for n, a in answers.items() if n not in default or default[n] != a}

    def attempt(names: Sequence[str]) -> Exception | None:
        outcome = trial.first({name: answers[name] for name in names})
        return outcome.error if isinstance(outcome, Failure) else None

    def among(size: int) -> tuple[Mapping[str, Answer], Exception] | None:
        for names in islice(combinations(answers_left, size), 200):
            error = attempt(names)
            if error is not None:
                return {name: answers[name] for name in names}, error
        return None

    answers_left = list(left)
    single = among(1)
    if single is not None:
        return single
    error = failure.error
    for name in answers_left:
        fewer = [other for other in left if other != name]
        fewer_error = attempt(fewer)
        if fewer_error is not None:
            error = fewer_error
            del left[name]
    # None of the rest can be removed, but a pair may still fail by itself.
    pair = among(2) if len(left) > 2 else None
    return pair or (left, error)


def advice(error: Exception) -> str:
    """A hint for errors of torch that give none; empty if there is nothing to say."""
    text = error_text(error)
    if "does not require grad" in text:
        return "forward calls autograd, also in evaluation: wrap it in torch.enable_grad()"
    if any(word in text for word in ("dtype", "Double", "Half", "BFloat16")):
        return "inputs are float32: make the model float32, or convert the inputs in forward"
    if "backward through the graph a second time" in text:
        return "detach what the model keeps from one step to the next"
    return ""


def _named(space: Space, answers: Mapping[str, Any]) -> str:
    inside = ", ".join(f"{name}={answer!r}" for name, answer in answers.items())
    return f"{space.name} with {inside}" if inside else space.name


def error_text(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ArchsmithError) else f"{type(error).__name__}: {text}"
