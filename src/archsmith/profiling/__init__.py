"""What can be known of a space before a search is paid for."""

from .result import Profile
from .run import SAMPLES, SECONDS, profile

__all__ = ["SAMPLES", "SECONDS", "Profile", "profile"]
