"""Benchmark tables: published results for the architectures of a space."""

from __future__ import annotations

from .._support.registry import Registry
from .base import BenchmarkTable

#: Readers (:class:`archsmith.tables.base.TableReader`) by the table's name.
tables = Registry(
    "table",
    "archsmith.tables",
    {
        "channelbench": "archsmith.tables.macro:ChannelBench",
        "graph": "archsmith.tables.graph:NASBenchGraph",
        "hwgpt": "archsmith.tables.hwgpt:HWGPT",
        "mr": "archsmith.tables.mr:NASBenchMR",
        "nb101": "archsmith.tables.nb101:NB101",
        "nb201": "archsmith.tables.nb201:NB201",
        "nbmacro": "archsmith.tables.macro:NBMacro",
        "nlp": "archsmith.tables.nlp:NASBenchNLP",
        "tnb101-macro": "archsmith.tables.transnas:TransnasMacro",
        "tnb101-micro": "archsmith.tables.transnas:TransnasMicro",
    },
)

__all__ = ["BenchmarkTable", "tables"]
