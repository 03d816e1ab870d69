"""Before long work: whether models build and run, and if not, which decisions lead there."""

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
        check: raises where the model is not right, for example where a forward pass of a batch on
            the model's device does not fit.
        samples: random architectures besides the default.
        device: where the models are built; on ``"meta"`` they take no memory. A model that fails
            there, for example because it reads values, gets a second try on the CPU.

    Returns:
        How many distinct architectures were checked.

    Raises:
        SpaceError: naming the fewest decisions that lead to the failure, and its message.
    """
    trial = Tries(space, check, device)
    default = trial.first({})
    if isinstance(default, Failure):
        raise SpaceError(
            _named(space, default.answers),
            "a default architecture that builds and runs",
            told(default.error),
            advice(default.error) or "mend the builder, or change the defaults",
        ) from default.error
    rng = random.Random(seed)
    for _ in range(samples):
        found = trial.draw(rng)
        if found is not None:
            culprit, error = fewest(trial, default, found)
            raise SpaceError(
                _named(space, culprit),
                "a model that builds and runs",
                told(error),
                "the default answers work; mend the builder for these, or take the option away",
            ) from error
    return len(trial.tried)


@dataclass
class Failure:
    """Answers that do not work, and what went wrong."""

    answers: Mapping[str, Answer]
    error: Exception


@dataclass
class Tries:
    """Whether architectures work, each tried once."""

    space: Space
    check: Callable[[nn.Module, Architecture], None]
    device: str
    around: Mapping[str, Answer] = field(default_factory=dict)
    tried: dict[Architecture, Exception | None] = field(default_factory=dict)

    def first(self, answers: Mapping[str, Answer]) -> Architecture | Failure:
        """The architecture that these answers make, if it works.

        Others are as in ``around`` where that has them, and at their defaults elsewhere.
        """
        try:
            architecture = self.space.complete({**self.around, **answers})
        except BuilderError as error:
            return Failure(error.answers, error)
        failed = self.error(architecture)
        return architecture if failed is None else Failure(architecture, failed)

    def draw(self, rng: random.Random) -> Failure | None:
        """Try a sample; the failure if it does not work."""
        try:
            architecture = self.space.sample(rng)
        except BuilderError as error:
            return Failure(error.answers, error)
        failed = self.error(architecture)
        return None if failed is None else Failure(architecture, failed)

    def error(self, architecture: Architecture) -> Exception | None:
        if architecture not in self.tried:
            self.tried[architecture] = self._checked(architecture)
        return self.tried[architecture]

    def _checked(self, architecture: Architecture) -> Exception | None:
        first = self.failed_on(self.device, architecture)
        hopeless = isinstance(first, BuilderError) and first.__cause__ is None
        if first is None or hopeless or self.device != "meta":
            return first
        second = self.failed_on("cpu", architecture)
        # A check that is made for meta alone fails on the CPU for that reason.
        return second if second is None or "meta" in str(first).lower() else first

    def failed_on(self, device: str, architecture: Architecture) -> Exception | None:
        """What building and checking an architecture on a device raises, if anything."""
        try:
            # On the CPU weights are drawn; the seed leaves the caller's generator as it was.
            with Guard():
                self.check(self.space.build(architecture, device=device, seed=0), architecture)
        except Exception as error:
            return error
        return None


def fewest(
    trial: Tries, default: Architecture, failure: Failure
) -> tuple[Mapping[str, Answer], Exception]:
    """The fewest failing answers when all other decisions take their default, and their error.

    Single answers are all tried. Then answers are taken away one by one as long as what is left
    still fails (delta debugging, Zeller and Hildebrandt 2002); where more than two are left, pairs
    are tried as well.
    """
    answers = failure.answers
    left = {n: a for n, a in answers.items() if n not in default or default[n] != a}

    def attempt(names: Sequence[str]) -> Exception | None:
        found = trial.first({name: answers[name] for name in names})
        return found.error if isinstance(found, Failure) else None

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
        lesser = attempt(fewer)
        if lesser is not None:
            error = lesser
            del left[name]
    # What is left cannot spare any one; a pair may do as well.
    pair = among(2) if len(left) > 2 else None
    return pair or (left, error)


def advice(error: Exception) -> str:
    """What to do about an error of torch's that does not say so; empty where nothing is known."""
    text = told(error)
    if "does not require grad" in text:
        return "forward calls autograd, in evaluation too: let it do so with torch.enable_grad()"
    if any(word in text for word in ("dtype", "Double", "Half", "BFloat16")):
        return "inputs are float32: make the model float32, or convert the input in forward"
    if "backward through the graph a second time" in text:
        return "detach what the model keeps from one step to the next"
    return ""


def _named(space: Space, answers: Mapping[str, Any]) -> str:
    inside = ", ".join(f"{name}={answer!r}" for name, answer in answers.items())
    return f"{space.name} with {inside}" if inside else space.name


def told(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ArchsmithError) else f"{type(error).__name__}: {text}"
