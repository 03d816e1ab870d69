"""Running a builder: on ``meta`` to learn what it asks, or on a device to get the model."""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any

from .._support.errors import ArchsmithError, SpaceError
from .architecture import Answer, Architecture
from .decision import Decision
from .guard import Escaped, Guard, Hung
from .naming import given_name, names_of, refuse_doubles
from .reading import Policy, Reading, reading

if TYPE_CHECKING:
    from torch import nn

    from .._support.trees import Spec, Tree

_MAX_SHOWN = 12  # decisions shown in an error message
_MAX_LENGTH = 120  # characters of each
#: Seconds in which a builder must return: with weights, which may be large, and on meta.
_TIME_LIMITS = (300.0, 60.0)
_ASK_SEED = 0  # seed of weights that are discarded; the caller's generator is left unchanged


class BuilderError(SpaceError):
    """A builder raised, or returned something other than a module.

    Attributes:
        answers: to the decisions asked so far; empty in another process.
    """

    answers: Mapping[str, Answer] = {}


class _NullStream(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


class Builder:
    """A user's function or module class, with its arguments.

    Raises:
        SpaceError: an argument is missing, unknown, or the builder is not callable.
    """

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        refuse_instance(function)
        if not callable(function):
            raise SpaceError("space", "a function or module class", type(function).__name__)
        self.function, self.arguments = function, dict(arguments)
        self.name = getattr(function, "__name__", type(function).__name__)
        try:
            inspect.signature(function).bind(**self.arguments)
        except TypeError as error:
            takes = ", ".join(inspect.signature(function).parameters)
            raise SpaceError(
                self.name,
                f"its arguments ({takes})",
                str(error),
                f"nas.Space({self.name}, name=value, ...)",
            ) from None
        #: Specification of the model's input, from which lazy layers infer their sizes.
        self.inputs: Spec | None = None
        #: Sketches of models by architecture, a cache (``study.identity``).
        self.sketches: dict[Architecture, dict[str, Any]] = {}
        self._meta = True
        #: Whether its printed output was shown.
        self.heard = False

    @property
    def parts(self) -> tuple[Callable[..., Any], dict[str, Any], Any]:
        """What is needed to recreate it in another process."""
        return self.function, self.arguments, self.inputs

    def expect(self, example: Tree) -> None:
        """Set an example input, (batch, ...), which materialises and inspects models."""
        from .._support.trees import spec_of

        spec = spec_of(example)
        if self.inputs != spec:
            self.inputs = spec
            self.sketches.clear()

    def ask(self, policy: Policy) -> list[tuple[Decision, Answer]]:
        """Run only to learn the questions."""
        run = Reading(policy)
        if self._meta:
            try:
                self.run(run, "meta", None)
                return _events(run)
            except BuilderError as error:
                if error.__cause__ is None:
                    raise
            # Some constructors read values of tensors, which meta does not have; a real error will
            # occur on the CPU again. The answers so far are kept, so that the policy is not asked
            # (and does not draw) twice.
            answered = run.answers

            def go_on(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
                if decision.name in answered:
                    return answered[decision.name]
                return policy(decision, so_far)

            run = Reading(go_on)
            self.run(run, "cpu", _ASK_SEED)
            self._meta = False
            return _events(run)
        self.run(run, "cpu", _ASK_SEED)
        return _events(run)

    def run(
        self, run: Reading, device: str, seed: int | None, materialise: bool = False
    ) -> nn.Module:
        """Run the builder under the reading ``run`` and return the module.

        Args:
            materialise: initialise lazy layers, if an example input is known.

        Raises:
            SpaceError: the builder raised, or returned something other than a module; the message
                has the decisions so far.
        """
        from torch import nn

        with _seeded(seed), _built_on(device), reading(run):
            try:
                with Guard(_TIME_LIMITS[device == "meta"]), self._print_once():
                    built = self.function(**self.arguments)
            except ArchsmithError:
                raise
            except Hung as error:  # no cause: it would hang on the CPU as well
                raise self._failure(str(error), run) from None
            except Escaped as error:
                raise self._failure(str(error), run) from error
            except Exception as error:
                raise self._failure(f"{type(error).__name__}: {error}", run) from error
            if not isinstance(built, nn.Module):
                raise self._failure(f"a value of type {type(built).__name__}", run)
            run.settle(built)
            run.names = names_of(self.function)
            if materialise:
                self._materialise(built, run)
        return built

    def _print_once(self) -> AbstractContextManager[object]:
        """Show what a builder prints only once: it runs hundreds of times in a search."""
        heard, self.heard = self.heard, True
        return redirect_stdout(_NullStream()) if heard else nullcontext()

    def _materialise(self, model: nn.Module, run: Reading) -> None:
        """Pass an example through a model with lazy layers, on the device it was built on."""
        import torch
        from torch.nn.parameter import is_lazy

        from .._support.trees import call

        tensors = (*model.parameters(), *model.buffers())
        example = self.input(2)
        if example is None or not any(is_lazy(t) for t in tensors):
            return
        model.eval()
        try:
            with torch.no_grad():
                call(model, example)
        except Exception as error:
            raise self._failure(
                f"lazy layers, and in the pass that initialises them {type(error).__name__}: "
                f"{error}",
                run,
            ) from error
        model.train()

    def input(self, batch: int) -> Tree | None:
        """Zeros with the shape and type of an input, on torch's current device."""
        from .._support.trees import zeros

        return None if self.inputs is None else zeros(self.inputs, batch)

    def _failure(self, got: str, run: Reading) -> BuilderError:
        error = BuilderError(
            self.name,
            "the builder to return an nn.Module",
            got,
            f"decisions that led there: {tell(run.answers)}",
        )
        error.answers = dict(run.answers)
        return error


def refuse_instance(function: Any) -> None:
    """Raise :class:`SpaceError` if the builder is a module instance."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(function, torch.nn.Module):
        name = type(function).__name__
        raise SpaceError(
            "space",
            "a function or class that builds the model, so that it can be built again with "
            "other answers",
            f"a model that is already built, of class {name}",
            f"give the class and its arguments, nas.Space({name}, name=value, ...), or a function "
            f"that returns {name}(...)",
        )


def architecture_policy(architecture: Architecture) -> Policy:
    """Answers from an architecture; a missing or invalid one is an error."""

    def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
        if decision.name not in architecture:
            raise SpaceError(decision.name, decision.describe(), "no answer")
        answer = architecture[decision.name]
        decision.check(answer)
        return answer

    return policy


def changed_policy(architecture: Architecture, changed: str, answer: Answer) -> Policy:
    """Answers from an architecture except for one; defaults where it has no valid answer."""

    def policy(decision: Decision, _: Mapping[str, Answer]) -> Answer:
        if decision.name == changed:
            return answer
        if decision.name in architecture and decision.accepts(architecture[decision.name]):
            return architecture[decision.name]
        return decision.default

    return policy


def refuse_extra(architecture: Architecture, asked: Mapping[str, Any]) -> None:
    """Raise :class:`SpaceError` if the architecture answers a decision that was never asked."""
    import difflib

    for name in architecture:
        if name not in asked:
            near = difflib.get_close_matches(name, list(asked), n=1)
            raise SpaceError(
                name,
                "a decision that the builder asks for this architecture",
                f"{architecture[name]!r} for one that it does not ask",
                f"did you mean {near[0]!r}?" if near else None,
            )


def _built_on(device: str) -> AbstractContextManager[object]:
    """``torch.device``, unless it changes nothing: it looks at each call of torch."""
    import torch

    return nullcontext() if str(torch.get_default_device()) == device else torch.device(device)


def parameter_keys(run: Reading, model: nn.Module) -> dict[str, str]:
    """Maps parameter and buffer names to keys that mean the same weight in every architecture.

    A module built by ``one_of`` has nothing around it that identifies the option, so its key
    contains the label: ``blocks.1=conv3.weight`` instead of ``blocks.1.weight``. An option inside a
    mixture of all options has the same key as the option alone.
    """
    labels: dict[int, str] = {}
    for module, _, label in run.origins:
        # Options are recorded innermost first: an outer label goes in front.
        labels[id(module)] = f"={label}{labels.get(id(module), '')}"
    mixtures = {id(module) for module in run.mixtures}
    architecture = Architecture(run.answers) if run.names is not None else None
    keys: dict[str, str] = {}

    def walk(module: nn.Module, name: str, key: str) -> None:
        """Names and keys end with a dot, or are empty."""
        tensors = {**module._parameters, **module._buffers}
        for last, tensor in tensors.items():
            if tensor is not None and last not in module._non_persistent_buffers_set:
                keys[f"{name}{last}"] = f"{key}{last}"
        for part, child in module._modules.items():
            if child is not None:
                inner = key.removesuffix(".") if id(module) in mixtures else f"{key}{part}"
                if architecture is not None:
                    inner = given_name(run, f"{name}{part}", architecture) or inner
                inner += labels.get(id(child), "")
                walk(child, f"{name}{part}.", f"{inner}." if inner else "")

    mark = labels.get(id(model), "").lstrip("=")
    walk(model, "", f"{mark}." if mark else "")
    if run.named:
        refuse_doubles(model, keys)
    return keys


def tell(answers: Mapping[str, Answer]) -> str:
    """Answers as text, for messages."""
    shown = [f"{name}={answer!r}" for name, answer in answers.items()]
    if len(shown) > _MAX_SHOWN:
        shown = [f"… {len(shown) - _MAX_SHOWN} more", *shown[-_MAX_SHOWN:]]
    shown = [text if len(text) <= _MAX_LENGTH else f"…{text[-_MAX_LENGTH:]}" for text in shown]
    return ", ".join(shown) or "none"


def _events(run: Reading) -> list[tuple[Decision, Answer]]:
    return [(decision, run.answers[name]) for name, decision in run.asked.items()]


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    import torch

    if seed is None:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
