"""Seeds of trials."""

from __future__ import annotations

import hashlib


def seed_of(study_seed: int, number: int, use: str) -> int:
    """A 32-bit seed, the same on every machine and in every version."""
    text = f"archsmith/{use}/{study_seed}/{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
