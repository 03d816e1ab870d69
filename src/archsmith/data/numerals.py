"""Parsing numbers as people write them, using whole columns and all columns of a file."""

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
#: Unit signs that may precede or follow every number of a column.
_UNITS = re.compile(r"[$€£¥₹%]")
#: Typographic spaces, apostrophes and minus signs, with their ASCII equivalents.
_TYPESET = str.maketrans(
    {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'", "\u2212": "-"}
)
_WORDS = re.compile(r"[+-]?(?:inf|infinity)", re.IGNORECASE)
_NO_DIGITS = re.compile(r"[^\d.eE+-]")


def _pattern(decimal: str, group: str) -> re.Pattern[str]:
    plain = rf"(?:\d+(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
    # 0,123 and 1,23 have no thousands separator.
    grouped = "|".join(
        rf"[1-9]\d{{0,2}}(?:{sign}\d{{3}})+(?:{decimal}\d*)?" for sign in (group, " ", "'")
    )
    return re.compile(rf"[+-]?(?:{plain}|{grouped})")


_PATTERNS: dict[Decimal, re.Pattern[str]] = {
    "point": _pattern(r"\.", ","),
    "comma": _pattern(",", r"\."),
}
#: Cells that are valid in both notations, with different values.
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}")


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or marked as missing."""
    return cell.lower() in MISSING


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes:
        decimal: the decimal separator.
        unit: a sign in every cell, ``%`` or a currency sign, which is removed.
    """

    decimal: Decimal = "point"
    unit: str = ""

    def value(self, cell: str) -> float | None:
        """The number in a cell; ``None`` if it is not a number in this notation."""
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
    """The cell without its unit, in ASCII signs; ``None`` if it does not have that unit."""
    text = cell.translate(_TYPESET)
    if not unit:
        return text
    if not (text.endswith(unit) or text.lstrip("+- ").startswith(unit)):
        return None
    return re.sub(r"^([+-]) +", r"\1", text.replace(unit, "", 1).strip())


def number(cell: str) -> float | None:
    """The number in a cell in the first notation that fits; ``None`` if none does."""
    unit = _unit(cell)
    read = (Notation(decimal, unit).value(cell) for decimal in _PATTERNS)
    return next((value for value in read if value is not None), None)


def notations(cells: Sequence[str]) -> tuple[Notation, ...]:
    """Notations in which every cell is a number; only the usual one if they all agree.

    Integers of equal length with leading zeros (007, the postal code 01067) are names, not numbers.

    Args:
        cells: the cells that are not missing.
    """
    if not cells or _are_codes(cells):
        return ()
    usual = Notation()
    if _floats(cells) or all(usual.value(cell) is not None for cell in cells):
        doubtful = _has_separator(cells) and _is_ambiguous(cells)
        return (usual, Notation("comma")) if doubtful else (usual,)
    sign = _UNITS.search(cells[0])
    unit = sign[0] if sign else ""
    bare = [_bare(cell, unit) for cell in cells]
    texts = [cell for cell in bare if cell is not None]
    if len(texts) < len(bare) or number(cells[0]) is None:
        return ()
    fitting: list[Notation] = []
    for decimal, pattern in _PATTERNS.items():
        if all(pattern.fullmatch(cell) or _WORDS.fullmatch(cell) for cell in texts):
            fitting.append(Notation(decimal, unit))
    return tuple(fitting) if _has_separator(texts) else tuple(fitting[:1])


def _floats(cells: Sequence[str]) -> list[float] | None:
    """The numbers of cells that are all valid Python floats; a fast path."""
    try:
        numbers = list(map(float, cells))
    except ValueError:
        return None
    # Python accepts underscores as digits; data files do not.
    return None if any("_" in cell for cell in cells) else numbers


def _has_separator(cells: Sequence[str]) -> bool:
    """Whether any cell has a point or a comma."""
    return any("." in cell or "," in cell for cell in cells)


def _is_ambiguous(cells: Sequence[str]) -> bool:
    """Whether every point could also be a thousands separator."""
    return all(
        _AMBIGUOUS.fullmatch(cell.translate(_TYPESET))
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


def _decimal_from_style(cells: Sequence[str]) -> Decimal | None:
    """The decimal separator, judging from how a column of ambiguous numbers is written.

    With thousands separators, 1234 would not occur together with 1,288; and if trailing zeros of
    fractions are dropped (971 next to 1,288), 26,960 would not keep one.
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
    sign = _UNITS.search(cell)
    return sign[0] if sign else ""


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
    """The notation of each column; ``None`` for text columns.

    A column whose cells all fit one notation is read in it. If the decimal separator is ambiguous
    (``1,288`` and no other kind), there are three sources of evidence, which have to agree: the
    notation of the other columns, the style of the column itself, and a file delimited by commas.

    Args:
        where: the file, for messages.
        columns: cells by name; missing ones are ignored.
        delimiter: of the cells, if the file is a text file.
        exact: columns that the file itself declares as numeric.
        asked: the decimal separator given by the user.
        known: the expected decimal separator, by column.
        option: whether the user can pass ``asked``, for the hint.

    Raises:
        DataError: ambiguous numbers without evidence or with conflicting evidence; or numbers in
            another notation than the user gave.
    """
    cells = {
        name: sorted({c for c in column if not is_missing(c)}) for name, column in columns.items()
    }
    fitting_by_name = {
        name: (Notation(),) if name in exact else notations(column)
        for name, column in cells.items()
    }
    unambiguous = {
        name: column[0].decimal
        for name, column in fitting_by_name.items()
        if len(column) == 1 and name not in exact and _has_separator(cells[name])
    }
    decided: dict[str, Notation | None] = {}
    for name, fitting in fitting_by_name.items():
        if len(fitting) < 2:
            decided[name] = fitting[0] if fitting else None
            if asked and unambiguous.get(name, asked) != asked:
                got = f"{_example(cells[name])!r}, which is not"
                expected = f"numbers with a decimal {asked}, as requested"
                raise DataError(f"{where} column {name!r}", expected, got, "leave decimal out")
            continue
        evidence = _evidence(
            cells[name], set(unambiguous.values()), delimiter, (known or {}).get(name)
        )
        evidence = {asked} if asked else evidence
        if len(evidence) != 1:
            raise _ambiguity_error(f"{where} column {name!r}", cells[name], fitting, option)
        decided[name] = next(n for n in fitting if n.decimal in evidence)
    return decided


def _evidence(
    cells: Sequence[str], shared: set[Decimal], delimiter: str | None, known: Decimal | None
) -> set[Decimal]:
    """Evidence for a decimal separator in a column of ambiguous numbers."""
    # If the comma is the decimal separator, files are delimited by semicolons.
    dialect: Decimal | None = "point" if delimiter == "," else None
    return shared | {
        sign for sign in (_decimal_from_style(cells), known, dialect) if sign is not None
    }


def _example(cells: Sequence[str]) -> str:
    return next(cell for cell in cells if "." in cell or "," in cell)


def _ambiguity_error(
    where: str, cells: Sequence[str], fitting: Sequence[Notation], option: bool
) -> DataError:
    example = _example(cells)
    read = [f"{n.value(example):.12g}" for n in fitting]
    hint = (
        f"choose one: --decimal point ({example} is {read[0]}) or --decimal comma ({example} is "
        f"{read[1]}); in Python, ReadOptions(decimal=...)"
        if option
        else "write the numbers as in the data that the model was trained on"
    )
    got = f"{example!r}, which is {read[0]} or {read[1]}"
    return DataError(where, "numbers that can be read in one way", got, hint)


def notation_notes(
    decided: Mapping[str, Notation | None],
    columns: Mapping[str, Sequence[str]],
    delimiter: str | None,
) -> list[str]:
    """Notes on how numbers in unusual notation were read, one line per kind."""
    kinds: dict[str, list[str]] = {}
    for name, notation in decided.items():
        if notation is None:
            continue
        example = next((c for c in columns[name] if _is_unusual(c, notation, delimiter)), None)
        if example is None:
            continue
        sign = "" if notation.unit == "" else f", {notation.unit} removed"
        kinds.setdefault(f"decimal {notation.decimal}{sign}", []).append(
            f"{name!r} ({example} is {notation.value(example):.12g})"
        )
    return [f"{kind}: {_join_names(names)}" for kind, names in kinds.items()]


def _is_unusual(cell: str, notation: Notation, delimiter: str | None) -> bool:
    """Whether a cell of this notation may surprise a reader."""
    if is_missing(cell):
        return False
    if notation.unit or "," in cell or " " in cell.translate(_TYPESET) or "'" in cell:
        return True
    return "." in cell and (
        notation.decimal == "comma"
        or (delimiter != "," and delimiter is not None and bool(_AMBIGUOUS.fullmatch(cell)))
    )


def _join_names(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def values(cells: Sequence[str], notation: Notation) -> list[float]:
    """The numbers of a column, with NaN for missing ones."""
    plain = _floats(cells) if notation == Notation() else None
    if plain is not None:
        return plain
    read = (math.nan if is_missing(cell) else notation.value(cell) for cell in cells)
    return [math.nan if value is None else value for value in read]


def narrowed(values: NDArray[np.float64]) -> NDArray[Any]:
    """Values as float32, unless that rounds by more than a small fraction of the spread: columns of
    large numbers with a small spread (seconds since 1970) stay float64.

    Args:
        values: (n, columns); NaN where they are missing.
    """
    if not len(values):
        return values.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        small = values.astype(np.float32)
        gone = np.isnan(values)
        lost = np.abs(small - values).max(axis=0, initial=0, where=~gone)
        spread = np.nanstd(np.where(gone.all(axis=0), 0.0, values), axis=0)
        low, high = (end(values, axis=0) for end in (np.fmin.reduce, np.fmax.reduce))
    kept = (lost <= 1e-4 * spread) | (high == low) | gone.all(axis=0)
    return small if kept.all() else values
