"""Rows of numbered blocks: a decision must not shift the numbers of later blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from .._support.errors import SpaceError
from ..space.architecture import Answer

_NUMBERED = re.compile(r"(.*?)(\d+)$")


@dataclass(slots=True)
class Row:
    """Numbered children of a module: of a container, or attributes like ``block1``.

    Attributes:
        length: how many there are.
        makeup: number to a hash of a child with tensors: of each tensor inside, its
            key from there on, its shape, and the kind and settings of its layer.
    """

    length: int
    makeup: dict[int, int] = field(default_factory=dict)


def rows_of(model: nn.Module, keys: Mapping[str, str]) -> dict[str, Row]:
    """The rows of a model that have tensors in them, by key.

    Args:
        keys: as :func:`~archsmith.space.building.parameter_keys` gives them.
    """
    owners, lengths = _modules(model)
    tensors = model.state_dict(keep_vars=True)
    rows: dict[str, Row] = {}
    inside: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
    for name, key in keys.items():
        names, parts = name.split("."), key.split(".")
        tensor = hash(tensors[name].shape), owners[".".join(names[:-1])]
        more = len(parts) - len(names)  # the model itself may be an option, which adds to the key
        for place, last in enumerate(names[:-1]):
            numbered = _NUMBERED.match(last)
            if numbered is not None:
                row = ".".join([*parts[: place + more], numbered[1]])
                if row not in rows:
                    rows[row] = Row(lengths[".".join([*names[:place], numbered[1]])])
                rest = ".".join(parts[place + more + 1 :])
                inside.setdefault((row, int(numbered[2])), []).append((rest, *tensor))
    for (row, number), contents in inside.items():
        rows[row].makeup[number] = hash(tuple(contents))
    return rows


def _modules(model: nn.Module) -> tuple[dict[str, int], Counter[str]]:
    """A hash of the kind and settings of each module, by name; the lengths of rows."""
    owners: dict[str, int] = {}
    lengths: Counter[str] = Counter()
    for path, module in model.named_modules(remove_duplicate=False):
        owners[path] = hash((type(module), module.extra_repr()))
        numbered = _NUMBERED.match(path)
        if numbered is not None:
            lengths[numbered[1]] += 1
    return owners, lengths


def refuse_shift(
    one: Mapping[str, Row],
    two: Mapping[str, Row],
    decision: str,
    answers: tuple[Answer, Answer],
) -> None:
    """Compare the rows of two architectures that differ in one decision.

    If a row is longer in one of them, and the children of the other are all among its own in
    the same order but at other numbers, the decision moved them. Names and sizes alone would allow
    that: the second stage's first block would train the weights of the first stage's last.

    Raises:
        SpaceError: with the decision, and what moved from where to where.
    """
    for name in one.keys() & two.keys():
        if one[name].length == two[name].length:
            continue  # an absent block has left something in its place
        few, many = sorted((one[name], two[name]), key=lambda row: row.length)
        where = _positions(few.makeup, many.makeup)
        moved = [n for n, there in where.items() if there != n and n in many.makeup]
        # Equal children leave open which one was added; not if one without tensors was.
        others = [n for n in moved if few.makeup[n] != many.makeup[n]]
        if others or (moved and len(few.makeup) == len(many.makeup)):
            answer = dict(zip((id(one[name]), id(two[name])), answers, strict=True))
            raise SpaceError(
                f"weights {name}{moved[0]}",
                "one name to mean the same weights in all architectures",
                f"a block that is number {moved[0]} with {decision}={answer[id(few)]!r} "
                f"and number {where[moved[0]]} with {decision}={answer[id(many)]!r}",
                "let each stage, and a last block unlike the others, have a container of its own: "
                "nn.Sequential(stage1, stage2, head); nas.repeat does. For code that is not yours, "
                "nas.weight_names says which block is which",
            )


def _positions(few: Mapping[int, int], many: Mapping[int, int]) -> dict[int, int]:
    """Numbers of the children of ``few`` in ``many``; empty unless all are there in this order."""
    rest, positions = iter(sorted(many)), {}
    for number in sorted(few):
        position = next((other for other in rest if many[other] == few[number]), None)
        if position is None:
            return {}
        positions[number] = position
    return positions
