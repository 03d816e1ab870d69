"""Checks that take seconds, before a search that takes hours: limits and shapes."""

from .reach import Reach, check_limits, static_parts
from .shapes import check_shapes

__all__ = ["Reach", "check_limits", "check_shapes", "static_parts"]
