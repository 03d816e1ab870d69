"""Strategies measured on benchmark tables."""

from .result import BenchmarkResult
from .run import benchmark

__all__ = ["BenchmarkResult", "benchmark"]
