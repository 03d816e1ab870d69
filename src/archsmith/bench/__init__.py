"""Benchmarks of strategies on recorded tables."""

from .picture import Reference, picture
from .result import BenchmarkResult
from .run import benchmark, compare, read_table

__all__ = ["BenchmarkResult", "Reference", "benchmark", "compare", "picture", "read_table"]
