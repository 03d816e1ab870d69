"""Numbers as people write them, decided by whole columns and by what a file's columns share."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._support.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Decimal = Literal["point", "comma"]

MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "?"}
#: Signs that may stand before or behind every number of a column.
_UNITS = re.compile(r"[$€£¥₹%]")
#: Spaces, apostrophes and a minus that typesetters use for those of the keyboard.
_TYPESET = str.maketrans(
    {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'", "\u2212": "-"}
)
_WORDS = re.compile(r"[+-]?(?:inf|infinity)", re.IGNORECASE)
_NO_DIGITS = re.compile(r"[^\d.eE+-]")


def _pattern(decimal: str, group: str) -> re.Pattern[str]:
    plain = rf"(?:\d+(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
    # 0,123 parts no thousands, and neither does 1,23.
    grouped = "|".join(
        rf"[1-9]\d{{0,2}}(?:{sign}\d{{3}})+(?:{decimal}\d*)?" for sign in (group, " ", "'")
    )
    return re.compile(rf"[+-]?(?:{plain}|{grouped})")


_PATTERNS: dict[Decimal, re.Pattern[str]] = {
    "point": _pattern(r"\.", ","),
    "comma": _pattern(",", r"\."),
}
#: What both readings take, and take for different numbers.
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}")


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or says that its value is not known."""
    return cell.lower() in MISSING


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes:
        decimal: what parts the whole from the fraction.
        unit: a sign that every cell bears, ``%`` or a currency's; it is left off.
    """

    decimal: Decimal = "point"
    unit: str = ""

    def value(self, cell: str) -> float | None:
        """The number that a cell says; ``None`` where it says none in this notation."""
        plain = _floats([cell]) if self == Notation() else None
        if plain is not None:
            return plain[0]
        bare = _bare(cell, self.unit)
        if bare is None:
            return None
        if _WORDS.fullmatch(bare):
            return float(bare)
        if not _PATTERNS[self.decimal].fullmatch(bare):
            return None
        if self.decimal == "comma":
            bare = bare.replace(".", "").replace(",", ".")
        return float(_NO_DIGITS.sub("", bare))


def _bare(cell: str, unit: str) -> str | None:
    """The cell without its unit, in plain signs; ``None`` where it has not that unit."""
    text = cell.translate(_TYPESET)
    if not unit:
        return text
    if not (text.endswith(unit) or text.lstrip("+- ").startswith(unit)):
        return None
    return re.sub(r"^([+-]) +", r"\1", text.replace(unit, "", 1).strip())


def number(cell: str) -> float | None:
    """The number that a cell says in the first notation that reads it; ``None`` in none."""
    unit = _unit(cell)
    read = (Notation(decimal, unit).value(cell) for decimal in _PATTERNS)
    return next((value for value in read if value is not None), None)


def notations(cells: Sequence[str]) -> tuple[Notation, ...]:
    """Those in which every cell is a number; the usual one alone where they agree.

    Whole numbers of one length that begin with a zero (007, the postal code 01067) are names.

    Args:
        cells: those that are not missing.
    """
    if not cells or _are_codes(cells):
        return ()
    usual = Notation()
    if _floats(cells) or all(usual.value(cell) is not None for cell in cells):
        doubtful = _written(cells) and _only_either(cells)
        return (usual, Notation("comma")) if doubtful else (usual,)
    found = _UNITS.search(cells[0])
    unit = found[0] if found else ""
    bare = [_bare(cell, unit) for cell in cells]
    known = [cell for cell in bare if cell is not None]
    if len(known) < len(bare) or number(cells[0]) is None:
        return ()
    fitting: list[Notation] = []
    for decimal, pattern in _PATTERNS.items():
        if all(pattern.fullmatch(cell) or _WORDS.fullmatch(cell) for cell in known):
            fitting.append(Notation(decimal, unit))
    return tuple(fitting) if _written(known) else tuple(fitting[:1])


def _floats(cells: Sequence[str]) -> list[float] | None:
    """The numbers of cells that are all written as Python does it; the quick way."""
    try:
        found = list(map(float, cells))
    except ValueError:
        return None
    # An underscore is no digit, whatever Python says.
    return None if any("_" in cell for cell in cells) else found


def _written(cells: Sequence[str]) -> bool:
    """Whether a point or a comma stands in any cell."""
    return any("." in cell or "," in cell for cell in cells)


def _only_either(cells: Sequence[str]) -> bool:
    """Whether every point could part thousands as well."""
    return all(
        _EITHER.fullmatch(cell.translate(_TYPESET))
        or (cell.lstrip("+-").isdecimal() and "." not in cell)
        for cell in cells
    )


def _are_codes(cells: Sequence[str]) -> bool:
    width = len(cells[0])
    return (
        width >= 3
        and all(len(cell) == width and cell.isdecimal() for cell in cells)
        and any(cell.startswith("0") for cell in cells)
        and any(cell.strip("0") for cell in cells)
    )


def _habit(cells: Sequence[str]) -> Decimal | None:
    """Which sign is the decimal one by how a column of doubtful numbers is written.

    Nobody who parts thousands writes 1234 beside 1,288, and nobody who drops the zeros of fractions
    (971 beside 1,288) leaves one in 26,960.
    """
    bare = [_bare(c, _unit(c)) or c for c in cells]
    sign = next(c for text in bare for c in text if c in ".,")
    whole = [text.lstrip("+-") for text in bare if sign not in text]
    fraction: Decimal = "point" if sign == "." else "comma"
    thousands: Decimal = "comma" if sign == "." else "point"
    if any(len(text) > 3 for text in whole):
        return fraction
    if whole and any(text.endswith("0") for text in bare if sign in text):
        return thousands
    return None


def _unit(cell: str) -> str:
    found = _UNITS.search(cell)
    return found[0] if found else ""


def decide(
    where: str,
    columns: Mapping[str, Sequence[str]],
    *,
    delimiter: str | None = None,
    exact: Collection[str] = (),
    asked: Decimal | None = None,
    known: Mapping[str, Decimal] | None = None,
    option: bool = True,
) -> dict[str, Notation | None]:
    """The notation of each column; ``None`` for texts.

    A column whose cells all fit one notation is read in it. Where a point and a comma may both be
    the decimal sign (``1,288`` and nothing else of the kind), what the other columns are written
    in, how the column itself is, and a file parted by commas are evidence; they have to agree.

    Args:
        where: the file, for messages.
        columns: cells by name; missing ones are passed over.
        delimiter: what parts the cells, where the file is of text.
        exact: columns that the file itself calls numbers.
        asked: the decimal sign as the user says it.
        known: the decimal sign that is to be expected, by column.
        option: whether the user may say ``asked``.

    Raises:
        DataError: doubtful numbers without evidence, or with evidence of both kinds; or numbers in
            another notation than the one asked for.
    """
    cells = {name: sorted({c for c in own if not is_missing(c)}) for name, own in columns.items()}
    found = {
        name: (Notation(),) if name in exact else notations(own) for name, own in cells.items()
    }
    alone = {
        name: own[0].decimal
        for name, own in found.items()
        if len(own) == 1 and name not in exact and _written(cells[name])
    }
    decided: dict[str, Notation | None] = {}
    for name, fitting in found.items():
        if len(fitting) < 2:
            decided[name] = fitting[0] if fitting else None
            if asked and alone.get(name, asked) != asked:
                got = f"{_example(cells[name])!r}, which is none"
                wanted = f"numbers with a decimal {asked}, as asked for"
                raise DataError(f"{where} column {name!r}", wanted, got, "leave decimal out")
            continue
        evidence = _evidence(cells[name], set(alone.values()), delimiter, (known or {}).get(name))
        evidence = {asked} if asked else evidence
        if len(evidence) != 1:
            raise _doubtful(f"{where} column {name!r}", cells[name], fitting, option)
        decided[name] = next(n for n in fitting if n.decimal in evidence)
    return decided


def _evidence(
    cells: Sequence[str], shared: set[Decimal], delimiter: str | None, known: Decimal | None
) -> set[Decimal]:
    """What speaks for a decimal sign in a column of doubtful numbers."""
    # Where the comma is the decimal sign, files are parted by semicolons.
    dialect: Decimal | None = "point" if delimiter == "," else None
    return shared | {sign for sign in (_habit(cells), known, dialect) if sign is not None}


def _example(cells: Sequence[str]) -> str:
    return next(cell for cell in cells if "." in cell or "," in cell)


def _doubtful(
    where: str, cells: Sequence[str], fitting: Sequence[Notation], option: bool
) -> DataError:
    example = _example(cells)
    read = [f"{n.value(example):.12g}" for n in fitting]
    hint = (
        f"say which: --decimal point ({example} is {read[0]}) or --decimal comma ({example} is "
        f"{read[1]}); in Python, ReadOptions(decimal=...)"
        if option
        else "write the numbers as in the data that the model was trained on"
    )
    got = f"{example!r}, which is {read[0]} or {read[1]}"
    return DataError(where, "numbers that can be read in one way", got, hint)


def told(
    decided: Mapping[str, Notation | None],
    columns: Mapping[str, Sequence[str]],
    delimiter: str | None,
) -> list[str]:
    """What was made of numbers that are not written in the usual way, in a line a kind."""
    kinds: dict[str, list[str]] = {}
    for name, notation in decided.items():
        if notation is None:
            continue
        example = next((c for c in columns[name] if _marked(c, notation, delimiter)), None)
        if example is None:
            continue
        sign = "" if notation.unit == "" else f", {notation.unit} left off"
        kinds.setdefault(f"decimal {notation.decimal}{sign}", []).append(
            f"{name!r} ({example} is {notation.value(example):.12g})"
        )
    return [f"{kind}: {_listed(names)}" for kind, names in kinds.items()]


def _marked(cell: str, notation: Notation, delimiter: str | None) -> bool:
    """Whether a cell of this notation is one that a reader would stop at."""
    if is_missing(cell):
        return False
    if notation.unit or "," in cell or " " in cell.translate(_TYPESET) or "'" in cell:
        return True
    return "." in cell and (
        notation.decimal == "comma"
        or (delimiter != "," and delimiter is not None and bool(_EITHER.fullmatch(cell)))
    )


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def values(cells: Sequence[str], notation: Notation) -> list[float]:
    """The numbers of a column, NaN where they are missing."""
    plain = _floats(cells) if notation == Notation() else None
    if plain is not None:
        return plain
    read = (math.nan if is_missing(cell) else notation.value(cell) for cell in cells)
    return [math.nan if value is None else value for value in read]


def narrowed(values: NDArray[np.float64]) -> NDArray[Any]:
    """The same as float32, unless that would round by more than a part of the spread: columns of
    large numbers with a small spread (seconds since 1970) stay float64.

    Args:
        values: (n, columns).
    """
    if not len(values):
        return values.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        small = values.astype(np.float32)
        lost = np.abs(small - values).max(axis=0, initial=0)
        spread = values.std(axis=0)
    kept = (lost <= 1e-4 * spread) | (np.ptp(values, axis=0) == 0)
    return small if kept.all() else values
