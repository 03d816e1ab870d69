"""The choices that a builder can ask for while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from .._support.errors import SpaceError
from .architecture import Answer
from .decision import Categorical, Integer, Real, Subset, check_name
from .plain import plain
from .priors import Prior, shares
from .reading import Reading, current

if TYPE_CHECKING:
    from torch import nn


def choose(
    name: str,
    options: Sequence[Any] | Mapping[str, Any],
    default: Any = None,
    prior: Prior | None = None,
) -> Any:
    """One of several plain values, such as a width or a kernel size.

    Args:
        name: of the decision, within the current scope.
        options: numbers, strings, booleans, ``None`` or tuples of them; or a mapping from label
            to any value, of which architectures record the label. Numbers and strings of other
            libraries (``np.linspace(...)``) are converted to Python's own types.
        default: the option (for a mapping, the label) of the default architecture; the first
            option if not given (so ``None`` is only the default if it comes first).
        prior: how promising each option is believed to be: weights in the order of the options, by
            option (or label), or a function of it. Random draws follow it, and other strategies
            are led by it less and less as trials end. All options alike if not given.

    Raises:
        SpaceError: no options, equal options, an option that cannot be written as JSON, or a prior
            that is not a positive number for each option.

    Example:
        >>> width = nas.choose("width", [16, 32, 64])
        >>> activation = nas.choose("activation", {"relu": nn.ReLU, "gelu": nn.GELU})
        >>> rate = nas.choose("rate", [0.001, 0.003, 0.01], default=0.003, prior=[1, 3, 1])
    """
    check_name(name)
    run = current()
    labels = _labels(name, list(options))
    decision = _categorical(run, name, labels, default, prior)
    answer = run.ask(decision)
    if isinstance(options, Mapping):
        return dict(zip(labels, options.values(), strict=True))[answer]
    return answer


def integer(
    name: str, low: int, high: int, step: int = 1, log: bool = False, default: int | None = None
) -> int:
    """An integer from ``low`` to ``high`` inclusive, in steps of ``step``.

    Args:
        name: of the decision, within the current scope.
        log: sample on a logarithmic scale.
        default: of the default architecture; ``low`` if not given.

    Raises:
        SpaceError: an empty range, a step below 1, ``log`` with ``low`` below 1, or a default that
            is not in the range.

    Example:
        >>> width = nas.integer("width", 16, 256, step=16)
    """
    check_name(name)
    low, high, step, default = plain(low), plain(high), plain(step), plain(default)
    if not (isinstance(low, int) and isinstance(high, int) and low <= high and step >= 1):
        raise SpaceError(
            name, "integers low <= high and step >= 1", f"low={low}, high={high}, step={step}"
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
    """A number in ``[low, high]``, sampled on a linear or logarithmic scale.

    Args:
        name: of the decision, within the current scope.
        log: sample on a logarithmic scale.
        default: of the default architecture; ``low`` if not given.

    Raises:
        SpaceError: an empty range, ``log`` with ``low`` not above 0, or a default that is not in
            the range.

    Example:
        >>> dropout = nas.real("dropout", 0.0, 0.5)
    """
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


def one_of(
    name: str,
    options: Mapping[str, Callable[[], Any]],
    default: str | None = None,
    prior: Prior | None = None,
) -> Any:
    """One of several modules; only the chosen one is built, without a wrapper around it.

    Decisions asked while an option is built are named ``name.label.…``.

    Args:
        name: of the decision, within the current scope.
        options: maps a label to something that builds the module when called without arguments
            (a lambda, or a class such as ``nn.Identity``).
        default: label of the default architecture; the first one if not given.
        prior: as of :func:`choose`, by label.

    Raises:
        SpaceError: no options, an option that is not callable or already a module, an unknown
            default, or a prior that is not a positive number for each option.

    Example:
        >>> nas.one_of("op", {"conv": lambda: nn.Conv2d(8, 8, 3), "skip": nn.Identity})
    """
    check_name(name)
    builders = _builders(name, options)
    run = current()
    labels = _labels(name, list(builders))
    return run.one_of(_categorical(run, name, labels, default, prior), builders)


def repeat(
    name: str,
    counts: Sequence[int],
    block: Callable[[int], nn.Module],
    default: int | None = None,
    prior: Prior | None = None,
) -> nn.Sequential:
    """A chosen number of blocks in a row, as ``nn.Sequential``.

    Block ``i`` is ``block(i)``, and its decisions are named ``name.i.…``, so that the first blocks
    mean the same for every count. A count of 0 gives an empty sequence, the identity.

    Args:
        name: of the decision, within the current scope.
        counts: the allowed numbers of blocks.
        block: builds block ``i``.
        default: count of the default architecture; the first one if not given.
        prior: as of :func:`choose`, by count.

    Raises:
        SpaceError: a count that is no integer or below 0, an unknown default, or a prior that is
            not a positive number for each count.

    Example:
        >>> nas.repeat("depth", [1, 2, 3], lambda i: nn.Linear(64, 64))
    """
    from torch import nn

    check_name(name)
    for count in counts:
        if not isinstance(count, Integral) or isinstance(count, bool) or count < 0:
            raise SpaceError(name, "counts that are integers, 0 or more", repr(count))
    count = choose(name, counts, default, prior)
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
        name: of the decision, within the current scope.
        candidates: plain values, or a mapping from label to something that builds a module.
        k: how many to choose, or the allowed numbers.
        default: labels of the default architecture; the first ``k`` if not given.

    Returns:
        A tuple of the chosen values in the order given, or an ``nn.ModuleDict`` of the chosen
        modules by label.

    Raises:
        SpaceError: a ``k`` above the number of candidates, or a default that is no valid subset.

    Example:
        >>> inputs = nas.subset("inputs", [0, 1, 2, 3], k=2)
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


def _categorical(
    run: Reading, name: str, labels: tuple[Answer, ...], default: Any, prior: Prior | None
) -> Categorical:
    start = _default(name, default, labels)
    return Categorical(run.full_name(name), start, labels, shares(name, labels, prior))


def _labels(name: str, options: list[Any]) -> tuple[Answer, ...]:
    labels = tuple(map(plain, options))
    if not labels:
        raise SpaceError(name, "at least one option", "none")
    for label in labels:
        if not _is_plain(label):
            raise SpaceError(
                name,
                "options that are numbers, strings, booleans, None or tuples of them",
                repr(label),
                "name them: nas.choose(name, {'relu': nn.ReLU, 'gelu': nn.GELU})",
            )
    if len(set(labels)) < len(labels):
        raise SpaceError(name, "options that are all different", repr(options))
    return labels


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
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
