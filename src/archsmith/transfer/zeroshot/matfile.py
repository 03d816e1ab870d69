"""MATLAB files up to version 7, opened by scipy after a check of their structure.

scipy 1.17 ends the process on some damaged files (a bus error), so whatever would crash it is
checked first: every element must lie inside its parent and hold as many values as its
dimensions say.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from ..._support.errors import DataError

_EXPECTED = "a MATLAB file of version 5 to 7"
#: Bytes per value of the numeric element types.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_CELL, _CHAR, _NUMERIC = 1, 4, range(6, 16)
_COMPLEX = 0x0800


def load_mat(path: Path, wanted: Collection[str]) -> dict[str, Any]:
    """The wanted variables that exist: arrays of numbers and of texts, and cells.

    Raises:
        DataError: no such file, a damaged one, another class of variable, or version 7.3, which
            is another format (HDF5).
    """
    from scipy.io import loadmat

    try:
        data = path.read_bytes()
        if data.startswith(b"\x89HDF") or data[:10] == b"MATLAB 7.3":
            hint = "in MATLAB: save(file, '-v7'); in Python: scipy.io.savemat, or numpy.savez"
            raise DataError(str(path), _EXPECTED, "version 7.3 (HDF5)", hint)
        _Checked(data, frozenset(wanted))
        content: dict[str, Any] = loadmat(path, variable_names=list(wanted))
    except DataError:
        raise
    except _Damage as error:
        raise DataError(str(path), _EXPECTED, str(error)) from None
    except Exception as error:  # scipy has no specific error for what it cannot parse
        raise DataError(str(path), _EXPECTED, f"{type(error).__name__}: {error}") from error
    return {name: content[name] for name in wanted if name in content}


class _Damage(Exception):
    """A description of what is wrong with a file."""


class _Element(NamedTuple):
    kind: int
    start: int
    size: int
    following: int


class _Checked:
    """Walks a file of version 5.

    Raises:
        _Damage: its structure is damaged.
    """

    def __init__(self, data: bytes, wanted: frozenset[str]) -> None:
        if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
            raise _Damage("something else")
        self.order = "<" if data[126:128] == b"IM" else ">"
        if struct.unpack(f"{self.order}H", data[124:126])[0] != 0x0100:
            raise _Damage("another version")
        self.wanted, place = wanted, 128
        while place < len(data):
            element = self.element(data, place, len(data))
            if element.kind == _COMPRESSED:
                try:
                    inner = zlib.decompress(data[element.start : element.start + element.size])
                except zlib.error as error:
                    raise _Damage(f"damaged data ({error})") from None
                self.variable(inner, self.element(inner, 0, len(inner)))
                place = element.start + element.size  # the only kind without padding
            else:
                self.variable(data, element)
                place = element.following

    def element(self, data: bytes, place: int, end: int) -> _Element:
        """The element at a place; it must end before ``end``."""
        if place + 8 > end:
            raise _Damage("a file that is cut short")
        kind, size = struct.unpack_from(f"{self.order}II", data, place)
        if kind >> 16:  # up to four bytes of data inside the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise _Damage(f"a damaged element at byte {place}")
            return _Element(kind, start, size, place + 8)
        start = place + 8
        if start + size > end:
            raise _Damage("a file that is cut short")
        return _Element(kind, start, size, start + (size + 7) // 8 * 8)

    def variable(self, data: bytes, element: _Element, inner: bool = False) -> None:
        """A matrix; its content is checked if it is wanted or inside one that is."""
        end = element.start + element.size
        if element.kind != _MATRIX:
            raise _Damage(f"an element of type {element.kind} where a variable begins")
        if inner and not element.size:
            return  # an empty matrix in a cell
        flags = self.part(data, element.start, end, _UINT32)
        dims = self.part(data, flags.following, end, _INT32)
        name = self.part(data, dims.following, end, _INT8)
        if flags.size != 8 or dims.size < 8 or dims.size % 4 or dims.size > 4 * 32:
            raise _Damage("a damaged variable")
        text = data[name.start : name.start + name.size].decode("latin-1")
        if not inner and text not in self.wanted:
            return
        flag = struct.unpack_from(f"{self.order}I", data, flags.start)[0]
        shape = struct.unpack_from(f"{self.order}{dims.size // 4}i", data, dims.start)
        if min(shape) < 0:
            raise _Damage(f"{text}: negative dimensions")
        count, place = math.prod(shape), name.following
        if flag & 0xFF == _CELL:
            for _ in range(count):
                cell = self.element(data, place, end)
                self.variable(data, cell, inner=True)
                place = cell.following
        elif flag & 0xFF == _CHAR or flag & 0xFF in _NUMERIC:
            self.values(data, place, end, count, flag, text)
        else:
            raise _Damage(f"{text or 'a cell'}: no numbers, texts or cells of these")

    def values(self, data: bytes, place: int, end: int, count: int, flag: int, name: str) -> None:
        """Check the numbers or characters of a matrix: as many as its dimensions say."""
        if flag & _COMPLEX:
            raise _Damage(f"{name}: complex numbers")
        element = self.element(data, place, end)
        size = _SIZES.get(element.kind)
        # In UTF-8 (type 16) a character may take several bytes.
        fits = size is not None and (
            element.size >= count if element.kind == 16 else element.size == count * size
        )
        if not fits:
            raise _Damage(f"{name or 'a text'}: not the {count} values of its dimensions")

    def part(self, data: bytes, place: int, end: int, kind: int) -> _Element:
        """An element that must be of this type."""
        element = self.element(data, place, end)
        if element.kind != kind:
            raise _Damage("a damaged variable")
        return element
