"""Where each weight was made: a name that means two things must not carry shared weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules import module as _hooks

from ..errors import SpaceError
from ..space import building
from ..space import reading as _reading
from ..space.architecture import Answer
from ..space.decision import Decision
from ..space.reading import Reading

_TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_SPACE = os.path.dirname(os.path.abspath(_reading.__file__))
_STOP = building.Builder.run.__code__

#: Lines of user code, from the inside out: (file, number).
Line = tuple[str, int]
Lines = tuple[Line, ...]


@dataclass(slots=True)
class Made:
    """How a module came to be.

    Attributes:
        lines: of the user's code that was running; those inside its own constructor left out.
        asked: how many decisions had been asked by then.
        module: kept alive, so that its ``id`` stays its own.
    """

    lines: Lines
    asked: int
    module: nn.Module


@contextmanager
def watched(run: Reading) -> Iterator[dict[int, Made]]:
    """Note where the modules made inside come from, by ``id``; torch's own hooks tell."""
    made: dict[int, Made] = {}
    policy = run.policy

    def note(module: nn.Module, name: str, tensor: object) -> None:
        if id(module) not in made:
            lines = under_way(module)
            made[id(module)] = Made(lines, len(run.asked), module)
            run.mark(module)

    def under_way(module: nn.Module | None) -> Lines:
        """Note the constructors that are under way: the parts of a block say where it was made."""
        lines, selves = _stack(module)
        for place, owner in selves:
            made.setdefault(id(owner), Made(lines[place:], len(run.asked), owner))
        return lines

    def asking(decision: Decision, so_far: Mapping[str, Answer]) -> Answer:
        under_way(None)
        return policy(decision, so_far)

    run.policy = asking
    handles = [
        _hooks.register_module_parameter_registration_hook(note),
        _hooks.register_module_buffer_registration_hook(note),
    ]
    try:
        yield made
        for copy, source in run.copies:
            if source in made:
                made[id(copy)] = replace(made[source], module=copy)
    finally:
        run.policy = policy
        for handle in handles:
            handle.remove()


def _stack(module: nn.Module | None) -> tuple[Lines, list[tuple[int, nn.Module]]]:
    """User lines outside the module's own constructor, and the constructors under way.

    Each constructor comes with the number of lines that lie inside it.
    """
    lines: list[tuple[str, int]] = []
    selves: list[tuple[int, nn.Module]] = []
    frame = sys._getframe(3)
    while frame is not None and frame.f_code is not _STOP:
        code = frame.f_code
        file = code.co_filename
        own = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if module is not None and own is module:
            lines.clear()
            selves.clear()
        elif not file.startswith((_TORCH, _SPACE)):
            lines.append((file, frame.f_lineno))
            if isinstance(own, nn.Module) and code.co_name == "__init__":
                selves.append((len(lines), own))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(lines), selves


class Seat(NamedTuple):
    """What sits at a number: of a container, or of attributes like ``block1``, ``block2``.

    Attributes:
        name: of the container, and the number.
        decision: that it is an option of, if it is one.
        lines: that made it; none for an attribute, whose name says what it is.
        asked: how many decisions had been asked by then.
    """

    name: str
    decision: str
    lines: Lines
    asked: int


@dataclass(slots=True)
class Identity:
    """What a key meant in one architecture.

    Attributes:
        kind: class of the module that the tensor is registered in.
        line: innermost line of user code that made it.
        seats: the places in numbered containers on the way to it, outermost first.
    """

    kind: str
    line: Line | None
    seats: tuple[Seat, ...] = ()


@dataclass
class Naming:
    """What keys meant in the first architecture that had them, against which others are held."""

    _known: dict[str, tuple[Identity, tuple[str, ...]]] = field(default_factory=dict)

    def take(self, identities: Mapping[str, Identity], asked: tuple[str, ...]) -> None:
        """Hold an architecture's keys against what was known of them.

        Raises:
            SpaceError: a key means another thing than before.
        """
        for key, identity in identities.items():
            known = self._known.setdefault(key, (identity, asked))
            if known[0] is not identity:
                _compare(key, known, (identity, asked))


def identities(
    model: nn.Module, run: Reading, keys: Mapping[str, str], made: Mapping[int, Made]
) -> dict[str, Identity]:
    """What the keys of a model mean, by key of each module that has tensors of its own."""
    found: dict[str, Identity] = {}
    seen: set[int] = set()
    decisions = {id(module): name for module, name, _ in run.origins}

    def walk(module: nn.Module, path: str, seats: tuple[Seat, ...]) -> None:
        if id(module) in seen:
            return
        seen.add(id(module))
        own = [n for n in (*module._parameters, *module._buffers) if f"{path}{n}" in keys]
        if own:
            key = keys[f"{path}{own[0]}"].rpartition(".")[0]
            how = made.get(id(module))
            line = how.lines[0] if how and how.lines else None
            kind = type(module)
            found[key] = Identity(f"{kind.__module__}.{kind.__qualname__}", line, seats)
        container = isinstance(module, nn.Sequential | nn.ModuleList)
        for name, child in module._modules.items():
            if child is None:
                continue
            inner, how = seats, made.get(id(child))
            if name[-1:].isdigit() and how is not None:
                lines = how.lines if container and name.isdigit() else ()
                decision = decisions.get(id(child), "")
                inner = (*seats, Seat(f"{path}{name}", decision, lines, how.asked))
            walk(child, f"{path}{name}.", inner)

    walk(model, "", ())
    return found


def _compare(
    key: str, one: tuple[Identity, tuple[str, ...]], two: tuple[Identity, tuple[str, ...]]
) -> None:
    (a, asked_a), (b, asked_b) = one, two
    if a.kind != b.kind or a.line != b.line:
        mend = _MOVED if a.kind == b.kind else _KINDS
        raise _two_things(key, (_short(a.kind), a.line), (_short(b.kind), b.line), mend)
    for one_seat, two_seat in zip(a.seats, b.seats, strict=False):
        if one_seat.name != two_seat.name:
            return  # another option around it: the key spells which
        last_a = _last_common(asked_a[: one_seat.asked], asked_b)
        last_b = _last_common(asked_b[: two_seat.asked], asked_a)
        meant_a = (one_seat.decision, one_seat.lines, last_a)
        meant_b = (two_seat.decision, two_seat.lines, last_b)
        if meant_a != meant_b:
            lines = one_seat.lines, two_seat.lines
            raise _two_things(
                f"{key} (in {one_seat.name})",
                (_told(one_seat, last_a), _differing(*lines) or a.line),
                (_told(two_seat, last_b), _differing(*reversed(lines)) or b.line),
                _MOVED,
            )


def _last_common(asked: tuple[str, ...], others: tuple[str, ...]) -> str:
    known = set(others)
    return next((name for name in reversed(asked) if name in known), "")


def _differing(lines: Lines, others: Lines) -> Line | None:
    """The innermost line that is not the same in both; the innermost one if all are."""
    for line, other in zip(lines, others, strict=False):
        if line != other:
            return line
    return lines[0] if lines else None


def _told(seat: Seat, after: str) -> str:
    if seat.decision:
        return f"an option of {seat.decision!r}"
    return f"made after {after!r} was asked" if after else "made before any question"


_MOVED = (
    "what is present in some architectures alone must not move the places after it: put "
    "nas.one_of('se', {'se': ..., 'none': nn.Identity}) there, or give each block a container "
    "or an attribute of its own (nas.repeat does)"
)
_KINDS = (
    "nas.one_of('norm', {'batch': lambda: ..., 'group': lambda: ...}) tells its options' weights "
    "apart; a branch, and nas.choose of a class, does not"
)


def _two_things(
    key: str, one: tuple[str, Line | None], other: tuple[str, Line | None], mend: str
) -> SpaceError:
    return SpaceError(
        f"weights {key}", "one name to mean the same weights in all architectures",
        f"{one[0]} ({_place(one[1])}) in one and {other[0]} ({_place(other[1])}) in another",
        mend,
    )  # fmt: skip


def _place(line: Line | None) -> str:
    return f"{os.path.basename(line[0])}:{line[1]}" if line else "in torch"


def _short(kind: str) -> str:
    name = kind.rpartition(".")[2]
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
