"""What each weight is: a name with two meanings must not carry shared weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import nn

from .._support.errors import SpaceError
from ..space.reading import Reading
from .origins import Line, Lines, Made


class Seat(NamedTuple):
    """What holds a number: a place in a container, or an attribute like ``block1``, ``block2``.

    Attributes:
        name: of the container, and the number.
        decision: the decision that it is an option of, if it is one.
        lines: the lines that made it; none for an attribute, whose name says what it is.
        asked: how many decisions had been asked by then.
    """

    name: str
    decision: str
    lines: Lines
    asked: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What a key meant in one architecture.

    Attributes:
        kind: class of the module that the tensor is registered in.
        line: innermost line of user code that made it.
        seats: the places in numbered containers on the way to it, outermost first.
        around: names and classes of the modules that hold it, outermost first.
        settings: plain values that the layer was made with, without the sizes of its tensors;
            only for one that is an attribute.
        named: the user named it; then lines and places are ignored.
    """

    kind: str
    line: Line | None
    seats: tuple[Seat, ...] = ()
    around: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, object] | None = None
    named: bool = False


#: An architecture's decisions in the order asked, and the lines that made its layers.
_Context = tuple[tuple[str, ...], frozenset[Line | None]]


@dataclass
class Naming:
    """What keys meant in the first architecture that had them, to compare others against."""

    _known: dict[str, tuple[Identity, _Context]] = field(default_factory=dict)

    def take(self, identities: Mapping[str, Identity], asked: tuple[str, ...]) -> None:
        """Compare an architecture's keys with what was known of them.

        Raises:
            SpaceError: a key means something else than before.
        """
        context = asked, frozenset(identity.line for identity in identities.values())
        for key, identity in identities.items():
            first = self._known.setdefault(key, (identity, context))
            if first[0] is not identity:
                _compare(key, first, (identity, context))


def identities(
    model: nn.Module, run: Reading, keys: Mapping[str, str], made: Mapping[int, Made]
) -> dict[str, Identity]:
    """What the keys of a model mean, by key of each module that has tensors of its own."""
    identity_of: dict[str, Identity] = {}
    seen: set[int] = set()
    decisions = {id(module): name for module, name, _ in run.origins}

    def walk(
        module: nn.Module, path: str, seats: tuple[Seat, ...], around: tuple[tuple[str, str], ...]
    ) -> None:
        if id(module) in seen:
            return
        seen.add(id(module))
        named = path.removesuffix(".") in run.named
        seats = () if named else seats
        own = [n for n in (*module._parameters, *module._buffers) if f"{path}{n}" in keys]
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        if own:
            key = keys[f"{path}{own[0]}"].rpartition(".")[0]
            origin = made.get(id(module))
            line = origin.lines[0] if origin and origin.lines else None
            numbered = path.removesuffix(".").rpartition(".")[2].isdigit()
            settings = None if numbered else _settings(module)
            identity_of[key] = Identity(kind, line, seats, around, settings, named)
        container = isinstance(module, nn.Sequential | nn.ModuleList)
        around = (*around, (path.removesuffix("."), kind))
        for name, child in module._modules.items():
            if child is None:
                continue
            inner, origin = seats, made.get(id(child))
            if name[-1:].isdigit() and origin is not None:
                lines = origin.lines if container and name.isdigit() else ()
                decision = decisions.get(id(child), "")
                inner = (*seats, Seat(f"{path}{name}", decision, lines, origin.asked))
            walk(child, f"{path}{name}.", inner, around)

    walk(model, "", (), ())
    return identity_of


def _settings(layer: nn.Module) -> dict[str, object]:
    tensors = [*layer._parameters.values(), *layer._buffers.values()]
    sizes = {size for tensor in tensors if tensor is not None for size in tensor.shape}
    return {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, bool | int | float | str | tuple)
        and not name.startswith("_")
        and (value not in sizes or isinstance(value, bool))
    }


def _compare(key: str, one: tuple[Identity, _Context], two: tuple[Identity, _Context]) -> None:
    (a, (asked_a, lines_a)), (b, (asked_b, lines_b)) = one, two
    if a.kind != b.kind:
        raise _ambiguous(key, (_short(a.kind), a.line), (_short(b.kind), b.line), _KINDS)
    if a.named or b.named:
        return
    if a.line != b.line:
        _compare_lines(key, a, b, a.line in lines_b or b.line in lines_a)
    for one_seat, two_seat in zip(a.seats, b.seats, strict=False):
        if one_seat.name != two_seat.name:
            return  # another option around it: the key says which
        last_a = _last_common(asked_a[: one_seat.asked], asked_b)
        last_b = _last_common(asked_b[: two_seat.asked], asked_a)
        meant_a = (one_seat.decision, one_seat.lines, last_a)
        meant_b = (two_seat.decision, two_seat.lines, last_b)
        if meant_a != meant_b:
            lines = one_seat.lines, two_seat.lines
            raise _ambiguous(
                f"{key} (in {one_seat.name})",
                (_describe(one_seat, last_a), _first_difference(*lines) or a.line),
                (_describe(two_seat, last_b), _first_difference(*reversed(lines)) or b.line),
                _MOVED,
            )


def _compare_lines(key: str, a: Identity, b: Identity, moved: bool) -> None:
    """Refuse a layer made on two lines, unless it is one attribute with equal settings.

    Args:
        moved: a line that made it in one architecture makes something in the other, too.
    """
    for (path, one), (other_path, two) in zip(a.around, b.around, strict=False):
        if path == other_path and one != two:
            kind, inside = _short(a.kind), f" ({path})" if path else ""
            raise _ambiguous(
                key,
                (f"{kind} of {_short(one)}{inside}", a.line),
                (f"{kind} of {_short(two)}{inside}", b.line),
                _KINDS,
            )
    if a.settings is not None and a.settings == b.settings:
        return
    values = a.settings or {}, b.settings or {}
    names = [name for name in values[0] if values[0][name] != values[1].get(name)]
    details = [
        f" with {', '.join(f'{n}={v.get(n)}' for n in names)}" if names else "" for v in values
    ]
    raise _ambiguous(
        key,
        (f"{_short(a.kind)}{details[0]}", a.line),
        (f"{_short(b.kind)}{details[1]}", b.line),
        _MOVED if moved else _BRANCHES,
    )


def _last_common(asked: tuple[str, ...], others: tuple[str, ...]) -> str:
    common = set(others)
    return next((name for name in reversed(asked) if name in common), "")


def _first_difference(lines: Lines, others: Lines) -> Line | None:
    """The innermost line that is not the same in both; the innermost one if all are."""
    for line, other in zip(lines, others, strict=False):
        if line != other:
            return line
    return lines[0] if lines else None


def _describe(seat: Seat, after: str) -> str:
    if seat.decision:
        return f"an option of {seat.decision!r}"
    return f"made after {after!r} was asked" if after else "made before any question"


_MOVED = (
    "what only some architectures have must not shift the places after it: put "
    "nas.one_of('se', {'se': ..., 'none': nn.Identity}) there, or give each block a container "
    "or an attribute of its own (nas.repeat does); for code that is not yours, "
    "nas.weight_names says which block is which"
)
_KINDS = (
    "nas.one_of('norm', {'batch': lambda: ..., 'group': lambda: ...}) keeps its options' weights "
    "apart; a branch, and nas.choose of a class, do not"
)
_BRANCHES = (
    "to share them, make the layer on one line, with the value that was chosen: nn.Conv2d(..., "
    "stride=stride); to keep them apart, make each an option: nas.one_of('conv', {'one': "
    "lambda: ..., 'two': lambda: ...}). For code that is not yours, use nas.weight_names"
)


def _ambiguous(
    key: str, one: tuple[str, Line | None], other: tuple[str, Line | None], hint: str
) -> SpaceError:
    return SpaceError(
        f"weights {key}",
        "one name to mean the same weights in all architectures",
        f"{one[0]} ({_place(one[1])}) in one and {other[0]} ({_place(other[1])}) in another",
        hint,
    )


def _place(line: Line | None) -> str:
    return f"{os.path.basename(line[0])}:{line[1]}" if line else "in torch"


def _short(kind: str) -> str:
    name = kind.rpartition(".")[2]
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
