"""Benchmark tables: what every architecture of a space reached, recorded once by others."""

from __future__ import annotations

from ..registry import Registry
from .base import Table

#: Modules with ``read(path, dataset)``, ``datasets(path)`` and ``FILE``, by the table's name.
tables = Registry(
    "table",
    "archsmith.tables",
    {
        "nb201": "archsmith.tables.nb201:NB201",
    },
)

__all__ = ["Table", "tables"]
