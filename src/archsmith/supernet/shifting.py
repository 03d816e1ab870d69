"""Rows of blocks that are numbered through: a decision must not move what stands further back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from ..errors import SpaceError
from ..space.architecture import Answer

#: By key of the row, its children with tensors: number to what tells their makeup.
Rows = dict[str, dict[int, int]]

_NUMBERED = re.compile(r"(.*?)(\d+)$")


def rows_of(model: nn.Module, keys: Mapping[str, str]) -> Rows:
    """The numbered children of all modules: of containers, and attributes like ``block1``.

    A child's makeup is, of each tensor inside, its key from there on, its shape, and the kind and
    settings of its layer.
    """
    owners = {
        path: hash((type(module), module.extra_repr())) for path, module in model.named_modules()
    }
    tensors = model.state_dict(keep_vars=True)
    found: dict[str, dict[int, list[tuple[str, int, int]]]] = {}
    for name, key in keys.items():
        names, parts = name.split("."), key.split(".")
        owner = owners.get(".".join(names[:-1]), 0)
        shape = hash(tensors[name].shape)
        more = len(parts) - len(names)  # the model itself may be an option, which a key spells
        for place, last in enumerate(names[:-1]):
            numbered = _NUMBERED.match(last)
            if numbered is not None:
                row = ".".join([*parts[: place + more], numbered[1]])
                inside = ".".join(parts[place + more + 1 :])
                children = found.setdefault(row, {})
                children.setdefault(int(numbered[2]), []).append((inside, shape, owner))
    return {
        row: {number: hash(tuple(made)) for number, made in children.items()}
        for row, children in found.items()
    }


def refuse_shift(one: Rows, two: Rows, decision: str, answers: tuple[Answer, Answer]) -> None:
    """Hold the rows of two architectures that differ in one decision against each other.

    Where the children of one are all among the other's in the same order, but at other numbers,
    the decision moved them. Names and sizes alone would let that pass: the second stage's
    first block would train the weights of the first stage's last.

    Raises:
        SpaceError: with the decision, and what moved from where to where.
    """
    for row in one.keys() & two.keys():
        few, many = sorted((one[row], two[row]), key=len)
        moved = [n for n in sorted(few) if few[n] != many.get(n, few[n])]
        where = _where(few, many)
        if len(few) == len(many):  # something without tensors came or went in front of them
            moved = [n for n in sorted(few) if where.get(n, n) != n and where[n] in few]
        if moved and where:
            raise SpaceError(
                f"weights {row}{moved[0]}",
                "one name to mean the same weights in all architectures",
                f"a block that is number {moved[0]} with {decision}={answers[one[row] is many]!r} "
                f"and number {where[moved[0]]} with {decision}={answers[one[row] is few]!r}",
                "let each stage, and a last block unlike the others, have a container of its own: "
                "nn.Sequential(stage1, stage2, head); nas.repeat does",
            )  # fmt: skip


def _where(few: Mapping[int, int], many: Mapping[int, int]) -> dict[int, int]:
    """Numbers of the children of ``few`` in ``many``; empty unless all are there in this order."""
    rest, found = iter(sorted(many)), {}
    for number in sorted(few):
        there = next((other for other in rest if many[other] == few[number]), None)
        if there is None:
            return {}
        found[number] = there
    return found
