"""User-defined names for shared weights, for models whose module paths do not identify them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .._support.errors import SpaceError
from .architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

    from .reading import Reading

B = TypeVar("B", bound=Callable[..., Any])
#: Maps the path of a module, in the model of an architecture, to the name of its weights.
WeightNames = Callable[[str, Architecture], str | None]

#: Attribute of a builder that holds the function.
_MARK = "__archsmith_weight_names__"


def weight_names(names: WeightNames) -> Callable[[B], B]:
    """Declare which modules of different architectures correspond, if their paths do not tell.

    Weights are shared by the path of their module: ``blocks.3`` is the same block in every
    architecture. This helps with a model that numbers all its blocks consecutively and that you
    cannot edit.

    Args:
        names: called with the path of each module and the architecture; returns a name that
            replaces the path in the names of its weights, or ``None`` to keep the path. Modules
            inside a renamed module are named relative to its new name.

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
    """The naming function of a builder, ``None`` if it has none."""
    names: WeightNames | None = getattr(builder, _MARK, None)
    return names


def given_name(run: Reading, path: str, architecture: Architecture) -> str | None:
    """The user's name for a module.

    Raises:
        SpaceError: the user's function raised, or returned something other than a name.
    """
    assert run.names is not None
    try:
        name = run.names(path, architecture)
    except Exception as error:
        raise _name_error(path, "no exception", f"{type(error).__name__}: {error}") from error
    if name is None:
        return None
    if not isinstance(name, str) or not name:
        raise _name_error(path, "a name, or None", repr(name))
    run.named.add(path)
    return name


def refuse_doubles(model: nn.Module, keys: Mapping[str, str]) -> None:
    """Check that no two tensors of a model have the same name.

    Raises:
        SpaceError: two do; the message has both paths.
    """
    tensors = model.state_dict(keep_vars=True)
    first: dict[str, str] = {}
    for name, key in keys.items():
        before = first.setdefault(key, name)
        if tensors[before] is not tensors[name]:
            got = f"{key} for {before} and for {name}"
            raise _name_error(name.rpartition(".")[0], "a name of its own for each module", got)


def _name_error(path: str, expected: str, got: str) -> SpaceError:
    return SpaceError(f"weight_names, module {path}", expected, got)
