"""Deterministic, stratified splits: a seed gives the same split on every machine and version."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError, InputError, unknown
from .raw import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Index = NDArray[np.int64]

#: The optional column of a table of texts with the part that a row belongs to.
PARTS = "split"
_NAMES = {
    TRAIN: ("train", "training"),
    VALIDATION: ("val", "valid", "validation", "dev"),
}
#: Part of rows that are not used.
UNUSED = -1


def strata(targets: NDArray[Any], bins: int = 10) -> Index:
    """Strata for a split: classes, or quantile bins of values; (n,) int64.

    Targets with more than one number per example are a single stratum.
    """
    if targets.ndim > 1:
        return np.zeros(len(targets), dtype=np.int64)
    if targets.dtype.kind in "iu":
        return targets.astype(np.int64)
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    bins = max(1, min(bins, len(targets) // 10))
    return (ranks * bins // max(1, len(targets))).astype(np.int64)


def split(
    groups: Index, parts: NDArray[np.int8], validation: float, test: float, seed: int, where: str
) -> tuple[Index, Index, Index]:
    """Indices of the training, validation and test part, each ascending.

    Parts given by the source are kept. A missing one is drawn from the training part, stratified by
    group; a group of fewer than three examples stays in training.

    Args:
        groups: (n,) strata, see :func:`strata`.
        parts: (n,) parts given by the source.
        validation, test: shares of the training examples of the source.

    Returns:
        Three int64 arrays of indices.

    Raises:
        DataError: shares that leave no training data, or a part that would be empty.
    """
    _check_shares(parts, validation, test, where)
    # RandomState's streams are frozen by numpy's promise; those of default_rng are not.
    rng = np.random.RandomState(seed)
    shares, parts = _missing_shares(parts, validation, test), parts.copy()
    pool = np.flatnonzero(parts == TRAIN)
    for group in np.unique(groups[pool]):
        members = rng.permutation(pool[groups[pool] == group])
        if len(members) < 3:
            continue
        start = 0
        for part, share in shares.items():
            take = max(1, round(len(members) * share)) if share else 0
            parts[members[start : start + take]] = part
            start += take
    return _indices(parts, where)


def split_by_group(
    owners: Index, parts: NDArray[np.int8], validation: float, test: float, seed: int, where: str
) -> tuple[Index, Index, Index]:
    """As :func:`split`, but examples of one owner (a patient, a speaker) are all in one part.

    Owners are drawn until a part has its share of the examples.

    Args:
        owners: (n,) the owner of each example.

    Raises:
        DataError: as :func:`split`; or too few owners, or one in two parts of the source.
    """
    _check_shares(parts, validation, test, where)
    rng = np.random.RandomState(seed)
    shares, parts = _missing_shares(parts, validation, test), parts.copy()
    outside = np.unique(owners[parts != TRAIN])
    pool = np.flatnonzero(parts == TRAIN)
    if np.isin(owners[pool], outside).any():
        raise DataError(where, "each group in one part", "one that the source has in two")
    order = rng.permutation(np.unique(owners[pool]))
    counts = {owner: int((owners[pool] == owner).sum()) for owner in order}
    place = 0
    for part, share in shares.items():
        taken = 0
        while share and place < len(order) and taken < share * len(pool):
            chosen = order[place]
            # Stop if the share is closer without the next group.
            if taken and taken + counts[chosen] / 2 > share * len(pool):
                break
            parts[pool[owners[pool] == chosen]] = part
            taken, place = taken + counts[chosen], place + 1
    return _indices(parts, where, "groups")


def split_by_order(
    ranks: NDArray[Any], parts: NDArray[np.int8], validation: float, test: float, where: str
) -> tuple[Index, Index, Index]:
    """As :func:`split`, but in temporal order: training before validation before test, so that no
    model learns from the future.

    Args:
        ranks: (n,) times or other ordering values; examples with equal values are in one part.

    Raises:
        DataError: as :func:`split`; or too few different times.
    """
    _check_shares(parts, validation, test, where)
    shares, parts = _missing_shares(parts, validation, test), parts.copy()
    pool = np.flatnonzero(parts == TRAIN)
    ordered = pool[np.argsort(ranks[pool], kind="stable")]
    end = len(ordered)
    for part in (TEST, VALIDATION):
        start = end - round(len(pool) * shares[part])
        # Examples with equal times go to the later part.
        while 0 < start < end and ranks[ordered[start - 1]] == ranks[ordered[start]]:
            start -= 1
        parts[ordered[start:end]] = part
        end = start
    return _indices(parts, where, "different times")


def _check_shares(parts: NDArray[np.int8], validation: float, test: float, where: str) -> None:
    shares = _missing_shares(parts, validation, test)
    if min(validation, test) <= 0 or sum(shares.values()) >= 1:
        raise DataError(
            where, "positive shares that sum to less than 1", f"{validation} and {test}"
        )


def _missing_shares(parts: NDArray[np.int8], validation: float, test: float) -> dict[int, float]:
    """The share of each part; 0 for parts given by the source."""
    return {
        part: 0.0 if (parts == part).any() else share
        for part, share in ((TEST, test), (VALIDATION, validation))
    }


def _indices(
    parts: NDArray[np.int8], where: str, enough: str = "examples"
) -> tuple[Index, Index, Index]:
    indices = tuple(np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION, TEST))
    for part_name, index in zip(("training", "validation", "test"), indices, strict=True):
        if len(index) == 0:
            expected = f"enough {enough} for a {part_name} part"
            raise DataError(where, expected, f"{len(parts)} in total")
    return indices[0], indices[1], indices[2]


def named_parts(
    cells: Sequence[str], test_name: str, where: str, notes: list[str]
) -> NDArray[np.int8]:
    """The part of each row by names such as ``train``, ``dev`` and ``test``; ``UNUSED`` for other
    names, and training if there are no names at all.

    Args:
        test_name: of the test part; by default ``test``, else the first name that begins with it.
        notes: lines for people, to which what was decided is added.

    Raises:
        UnknownNameError: no such test part.
        DataError: no training part.
    """
    names = Counter(cells)
    if not any(names):
        return np.full(len(cells), TRAIN, dtype=np.int8)
    tests = sorted(name for name in names if name.lower().startswith("test"))
    if test_name and test_name not in names:
        raise unknown(f"{where}, test part", test_name, tests)
    chosen = test_name or ("test" if "test" in tests else next(iter(tests), None))
    part_of = {name: part for part, usual_names in _NAMES.items() for name in usual_names}
    parts = {name: part_of.get(name.lower(), UNUSED) for name in names}
    if chosen is not None:
        parts[chosen] = TEST
    if TRAIN not in parts.values():
        got = f"only {', '.join(map(repr, sorted(names)))}"
        hint = "rename the parts, or leave them out to draw them at random"
        raise DataError(where, "a part 'train'", got, hint)
    ignored = sorted(repr(name) for name, part in parts.items() if part == UNUSED)
    unused = f"; not used: {', '.join(ignored)}" if ignored else ""
    notes.append(f"test part: {chosen or 'drawn at random'}{unused}")
    return np.array([parts[cell] for cell in cells], dtype=np.int8)


def drawn_parts(parts: NDArray[np.int8]) -> tuple[str, ...]:
    """Parts that the source does not have, so that :func:`split` draws them."""
    named = (("validation", VALIDATION), ("test", TEST))
    return tuple(name for name, part in named if not (parts == part).any())


def subset(groups: Index, share: float, seed: int) -> Index:
    """Ascending indices of a stratified share of the examples, at least one per group."""
    if share >= 1:
        return np.arange(len(groups))
    rng = np.random.RandomState(seed % 2**32)
    kept = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        kept.append(rng.permutation(members)[: max(1, round(len(members) * share))])
    return np.sort(np.concatenate(kept))


def holdout(groups: Index, share: float, seed: int) -> Tensor:
    """Ascending indices of a held-out share, stratified by group.

    Args:
        share: from 0 to less than 1.

    Raises:
        InputError: too few examples.
    """
    import torch

    kept = torch.zeros(len(groups), dtype=torch.bool)
    kept[torch.from_numpy(subset(groups, 1.0 - share, seed))] = True
    held_out = (~kept).nonzero().flatten()
    if share and len(held_out) < 2:
        expected = f"enough examples to hold {share:g} of them out"
        raise InputError("training data", expected, f"{len(groups)}")
    return held_out
