"""Paths of a graph as features for surrogates."""

from __future__ import annotations

from collections import Counter


def path_features(paths: Counter[tuple[str, ...]]) -> dict[str, float]:
    """Features of the paths from a graph's input to its output.

    - ``path:``: how often each sequence of operations occurs (the path encoding of White et al.
      2021, arXiv:1910.11858, with counts instead of bits);
    - ``depth:``: the longest and the shortest path, the most convolutions on one, and the number
      of paths.

    Args:
        paths: the sequences of operations on paths, and how often each occurs.
    """
    counts = {f"path:{'>'.join(path) or 'skip'}": float(n) for path, n in paths.items()}
    lengths = [len(path) for path in paths] or [0]
    convolutions = [sum("conv" in op for op in path) for path in paths] or [0]
    return counts | {
        "depth:longest": float(max(lengths)),
        "depth:shortest": float(min(lengths)),
        "depth:convolutions": float(max(convolutions)),
        "depth:paths": float(paths.total()),
    }
