"""Names under which weights are shared, said by the user where a module's place does not tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .._support.errors import SpaceError
from .architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

    from .reading import Reading

B = TypeVar("B", bound=Callable[..., Any])
#: The path of a module in the model that an architecture builds, to the name of its weights.
WeightNames = Callable[[str, Architecture], str | None]

#: Under which a builder carries them.
_MARK = "__archsmith_weight_names__"


def weight_names(names: WeightNames) -> Callable[[B], B]:
    """Tell which module of one architecture is which of another, where their paths do not.

    Weights are shared by the path of their module: ``blocks.3`` is the same block in every
    architecture. A model that numbers all its blocks through, and is not yours to edit, is told
    apart from outside.

    Args:
        names: called with the path of each module and the architecture; gives the name that stands
            for the path in those of its weights, or ``None`` to leave it. What is inside a module
            that was given a name is named below it.

    Example:
        >>> def stage(path, architecture):          # blocks.0 to blocks.{depth0 + depth1 - 1}
        ...     head, _, number = path.rpartition(".")
        ...     if head != "blocks":
        ...         return None
        ...     before = architecture["depth0"]
        ...     late = int(number) >= before
        ...     return f"stage{int(late)}.{int(number) - before * late}"
        >>> @nas.weight_names(stage)
        ... def net(classes: int) -> nn.Module:
        ...     return ThirdParty([nas.choose(f"depth{i}", [1, 2]) for i in range(2)], classes)
    """

    def mark(builder: B) -> B:
        setattr(builder, _MARK, names)
        return builder

    return mark


def names_of(builder: Callable[..., Any]) -> WeightNames | None:
    """The function that a builder carries, if it does."""
    found: WeightNames | None = getattr(builder, _MARK, None)
    return found


def given_name(run: Reading, path: str, architecture: Architecture) -> str | None:
    """What the user calls a module.

    Raises:
        SpaceError: the user's function raised, or gave something else than a name.
    """
    assert run.names is not None
    try:
        found = run.names(path, architecture)
    except Exception as error:
        raise _refused(path, "no exception", f"{type(error).__name__}: {error}") from error
    if found is None:
        return None
    if not isinstance(found, str) or not found:
        raise _refused(path, "a name, or None", repr(found))
    run.named.add(path)
    return found


def refuse_doubles(model: nn.Module, keys: Mapping[str, str]) -> None:
    """Refuse one name for two tensors of a model.

    Raises:
        SpaceError: with the places of both.
    """
    tensors = model.state_dict(keep_vars=True)
    first: dict[str, str] = {}
    for name, key in keys.items():
        before = first.setdefault(key, name)
        if tensors[before] is not tensors[name]:
            got = f"{key} for {before} and for {name}"
            raise _refused(name.rpartition(".")[0], "a name of its own for each module", got)


def _refused(path: str, expected: str, got: str) -> SpaceError:
    return SpaceError(f"weight_names, module {path}", expected, got)
