"""Choices beside a builder's own, which leave its model as it is: those of a training recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .._support.errors import SpaceError
from .architecture import Architecture
from .forms import form_of, graph_form
from .listed import ListedSpace
from .naming import names_of, weight_names
from .reading import current
from .space import Space

if TYPE_CHECKING:
    from torch import nn

    from .forms import GraphForm


class Beside:
    """A builder that, after it has built its model, asks further questions in a scope of their own.

    Args:
        builder: the user's function or module class; name and arguments are its own.
        scope: prefix of the names of the further decisions.
        ask: asks them; it must be importable in workers.
        form: of the builder's graphs, if it is not the builder's own.
    """

    def __init__(
        self,
        builder: Callable[..., Any],
        scope: str,
        ask: Callable[[], object],
        form: GraphForm | None = None,
    ) -> None:
        self.builder, self.scope, self.ask = builder, scope, ask
        self._form = form or form_of(builder)
        #: By which the signature and import path of the builder are found.
        self.__wrapped__ = builder
        self.__name__ = getattr(builder, "__name__", type(builder).__name__)
        self.__qualname__ = getattr(builder, "__qualname__", self.__name__)
        self.__module__ = builder.__module__
        if self._form is not None:
            features = self._features if self._form.features is not None else None
            graph_form(self._canonical, features)(self)
        if (names := names_of(builder)) is not None:
            weight_names(names)(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return Beside, (self.builder, self.scope, self.ask)

    def __call__(self, **arguments: Any) -> nn.Module:
        model: nn.Module = self.builder(**arguments)
        run = current()
        taken = [name for name in run.asked if name.startswith(f"{self.scope}.")]
        if taken:
            raise SpaceError(
                taken[0],
                f"a builder without decisions in the scope {self.scope!r}, which is taken",
                f"one of {self.__name__}",
                "rename the scope",
            )
        with run.scope(self.scope):
            self.ask()
        return model

    def split(self, architecture: Mapping[str, Any]) -> tuple[Architecture, dict[str, Any]]:
        """The answers of the builder, and those beside them by their names within the scope."""
        inside = f"{self.scope}."
        model = {name: a for name, a in architecture.items() if not name.startswith(inside)}
        beside = {n.removeprefix(inside): a for n, a in architecture.items() if n not in model}
        return Architecture(model), beside

    def _canonical(self, architecture: Mapping[str, Any]) -> str:
        assert self._form is not None
        model, beside = self.split(architecture)
        graph = self._form.canonical(model)
        # The same graph trained in another way is not the same trial.
        return f"{graph} {json.dumps(beside, sort_keys=True)}" if beside else graph

    def _features(self, architecture: Mapping[str, Any]) -> dict[str, float]:
        assert self._form is not None
        assert self._form.features is not None
        model, beside = self.split(architecture)
        answered = {f"{self.scope}:{name}={answer}": 1.0 for name, answer in beside.items()}
        return {**self._form.features(model), **answered}


def beside(space: Space, scope: str, ask: Callable[[], object]) -> Space:
    """The space with further decisions, ``scope.…``, that do not change its models.

    Raises:
        SpaceError: a listed space, which has no architectures beyond those of its list.
    """
    if isinstance(space, ListedSpace):
        raise SpaceError(space.name, f"a space that can ask {scope} choices", "a listed space")
    wrapped = Beside(space.builder.function, scope, ask, space._form)
    return Space(wrapped, **space.arguments)


def model_part(space: Space, architecture: Architecture) -> Architecture:
    """The answers that the model depends on: all but those beside the builder's own."""
    builder = space.builder.function
    return builder.split(architecture)[0] if isinstance(builder, Beside) else architecture


def model_space(space: Space) -> Space:
    """The space of the models alone, without choices beside the builder's own."""
    builder = space.builder.function
    if not isinstance(builder, Beside):
        return space
    inner = Space(builder.builder, **space.arguments)
    inner.builder.inputs, inner._form = space.builder.inputs, builder._form
    return inner
