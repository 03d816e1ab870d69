"""Paths of a graph as features that surrogates look at."""

from __future__ import annotations

from collections import Counter


def path_features(paths: Counter[tuple[str, ...]]) -> dict[str, float]:
    """Named numbers of the paths that lead from a graph's input to its output.

    - ``path:``: how often each sequence of operations leads there (the path encoding of White et
      al. 2021, arXiv:1910.11858, with counts for bits);
    - ``depth:``: the longest and the shortest path, the most convolutions on one, and how many
      paths there are.

    Args:
        paths: each sequence of operations, and how often it leads there.
    """
    told = {f"path:{'>'.join(path) or 'skip'}": float(n) for path, n in paths.items()}
    lengths = [len(path) for path in paths] or [0]
    convolutions = [sum("conv" in op for op in path) for path in paths] or [0]
    return told | {
        "depth:longest": float(max(lengths)),
        "depth:shortest": float(min(lengths)),
        "depth:convolutions": float(max(convolutions)),
        "depth:paths": float(paths.total()),
    }
