"""The choices that a builder can ask for while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from .._support.errors import SpaceError
from .architecture import Answer
from .decision import Categorical, Integer, Real, Subset, check_name
from .plain import plain
from .reading import current

if TYPE_CHECKING:
    from torch import nn


def choose(name: str, options: Sequence[Any] | Mapping[str, Any], default: Any = None) -> Any:
    """One of several plain values, such as a width or a kernel size.

    Args:
        name: of the decision, within the current scope.
        options: numbers, strings, booleans, ``None`` or tuples of them; or a mapping from label
            to any value, of which architectures record the label. Numbers and strings of other
            libraries (``np.linspace(...)``) are taken, and given back, as Python's own.
        default: the option (the label, for a mapping) taken by the default architecture;
            the first one if not given (so an option ``None`` is the default when it comes first).

    Raises:
        SpaceError: no options, equal options, or an option that cannot be written as JSON.
    """
    check_name(name)
    run = current()
    labels = _labels(name, list(options))
    decision = Categorical(run.full_name(name), _default(name, default, labels), labels)
    answer = run.ask(decision)
    if isinstance(options, Mapping):
        return dict(zip(labels, options.values(), strict=True))[answer]
    return answer


def integer(
    name: str, low: int, high: int, step: int = 1, log: bool = False, default: int | None = None
) -> int:
    """A whole number from ``low`` to ``high`` inclusive, in steps, or spread evenly in logs."""
    check_name(name)
    low, high, step, default = plain(low), plain(high), plain(step), plain(default)
    if not (isinstance(low, int) and isinstance(high, int) and low <= high and step >= 1):
        raise SpaceError(
            name, "whole numbers low <= high and step >= 1", f"low={low}, high={high}, step={step}"
        )
    if log and low < 1:
        raise SpaceError(name, "low >= 1 on a logarithmic scale", str(low))
    run = current()
    decision = Integer(
        run.full_name(name), low if default is None else default, low, high, step, log
    )
    decision.check(decision.default)
    answer = run.ask(decision)
    assert isinstance(answer, int)
    return answer


def real(
    name: str, low: float, high: float, log: bool = False, default: float | None = None
) -> float:
    """A number in ``[low, high]``, spread evenly in plain or in log scale."""
    check_name(name)
    low, high, default = plain(low), plain(high), plain(default)
    if not low <= high:
        raise SpaceError(name, "numbers low <= high", f"low={low}, high={high}")
    if log and low <= 0:
        raise SpaceError(name, "low > 0 on a logarithmic scale", str(low))
    run = current()
    decision = Real(run.full_name(name), low if default is None else default, low, high, log)
    decision.check(decision.default)
    answer = run.ask(decision)
    assert isinstance(answer, int | float)
    return answer


def one_of(name: str, options: Mapping[str, Callable[[], Any]], default: str | None = None) -> Any:
    """One of several modules; only the chosen one is built, and nothing is wrapped around it.

    Decisions asked while an option is built are named ``name.label.…``.

    Args:
        options: label to something that builds the module when called without arguments
            (a lambda, or a class such as ``nn.Identity``).
    """
    check_name(name)
    builders = _builders(name, options)
    run = current()
    labels = _labels(name, list(builders))
    decision = Categorical(run.full_name(name), _default(name, default, labels), labels)
    return run.one_of(decision, builders)


def repeat(
    name: str,
    counts: Sequence[int],
    block: Callable[[int], nn.Module],
    default: int | None = None,
) -> nn.Sequential:
    """A chosen number of blocks in a row, as ``nn.Sequential``.

    Block ``i`` is ``block(i)``, and its decisions are named ``name.i.…``, so that the first blocks
    mean the same whatever the count. A count of 0 gives an empty sequence, the identity.
    """
    from torch import nn

    check_name(name)
    for count in counts:
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 0:
            raise SpaceError(name, "counts that are whole numbers from 0", repr(count))
    count = choose(name, counts, default)
    run = current()
    blocks = []
    for i in range(count):
        with run.scope(f"{name}.{i}"):
            blocks.append(block(i))
    return nn.Sequential(*blocks)


def subset(
    name: str,
    candidates: Sequence[Any] | Mapping[str, Callable[[], Any]],
    k: int | Sequence[int],
    default: Sequence[Any] | None = None,
) -> Any:
    """k of n candidates, for connectivity.

    Args:
        candidates: plain values, or label to something that builds a module.
        k: how many, or the allowed numbers of them.
        default: the labels of the default architecture; the first ``k`` if not given.

    Returns:
        A tuple of the chosen values in the order given, or an ``nn.ModuleDict`` of the chosen
        modules by label.
    """
    check_name(name)
    builders = _builders(name, candidates) if isinstance(candidates, Mapping) else None
    labels = _labels(name, list(candidates if builders is None else builders))
    sizes = (int(k),) if isinstance(k, int | Integral) else tuple(sorted(set(map(int, k))))
    if not sizes or not all(0 <= size <= len(labels) for size in sizes):
        raise SpaceError(name, f"k from 0 to {len(labels)}", repr(k))
    run = current()
    start = labels[: sizes[0]] if default is None else tuple(map(plain, default))
    decision = Subset(run.full_name(name), start, labels, sizes)
    decision.check(decision.default)
    return run.ask(decision) if builders is None else run.subset(decision, builders)


def _labels(name: str, options: list[Any]) -> tuple[Answer, ...]:
    labels = tuple(map(plain, options))
    if not labels:
        raise SpaceError(name, "at least one option", "none")
    for label in labels:
        if not _plain(label):
            raise SpaceError(
                name,
                "options that are numbers, strings, booleans, None or tuples of them",
                repr(label),
                "name them: nas.choose(name, {'relu': nn.ReLU, 'gelu': nn.GELU})",
            )
    if len(set(labels)) < len(labels):
        raise SpaceError(name, "options that differ", repr(options))
    return labels


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_plain, value))
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    return value is None or type(value) in (bool, int, str)


def _default(name: str, default: Any, labels: tuple[Answer, ...]) -> Answer:
    if default is None:
        return labels[0]
    default = plain(default)
    if default not in labels:
        raise SpaceError(name, f"a default among {labels!r}", repr(default))
    return labels[labels.index(default)]


def _builders(name: str, options: Any) -> Mapping[str, Callable[[], Any]]:
    if not isinstance(options, Mapping):
        raise SpaceError(
            name,
            "a mapping from label to something that builds the module",
            type(options).__name__,
            f"nas.one_of({name!r}, {{'conv': lambda: ..., 'skip': ...}})",
        )
    for label, build in options.items():
        check_name(label)
        if not callable(build) or _is_module(build):
            raise SpaceError(
                f"{name}={label}",
                "something that builds the module when called",
                "a module that is already built" if _is_module(build) else repr(build),
                f"put lambda: in front, so that only the chosen one is built: {label!r}: lambda: …",
            )
    return {plain(label): build for label, build in options.items()}


def _is_module(value: Any) -> bool:
    from torch import nn

    return isinstance(value, nn.Module)
