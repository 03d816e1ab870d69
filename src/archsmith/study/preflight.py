"""What can be found out in seconds, before hours are spent: limits and shapes."""

from .reach import Reach, check_limits, static_parts
from .shapes import check_shapes

__all__ = ["Reach", "check_limits", "check_shapes", "static_parts"]
