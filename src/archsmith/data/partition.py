"""Fixed, stratified splits. The same seed gives the same split on every machine and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError, InputError
from .raw import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Index = NDArray[np.int64]


def strata(targets: NDArray[Any], bins: int = 10) -> Index:
    """Groups to keep in proportion: classes as they are, values by their quantile; (n,) int64.

    Targets of more than one number an example are one group.
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

    A part that the source brings is kept. A missing one is drawn from the training part, in
    proportion within each group; a group of fewer than three stays in training whole.

    Args:
        groups: (n,) groups to keep in proportion, see :func:`strata`.
        parts: (n,) parts that the source brings.
        validation, test: shares of the examples that the source has not put elsewhere.

    Raises:
        DataError: shares that leave nothing to train on, or a part that would be empty.
    """
    _check_shares(parts, validation, test, where)
    # RandomState's streams are frozen by numpy's promise; those of default_rng are not.
    rng = np.random.RandomState(seed)
    wanted, parts = _wanted(parts, validation, test), parts.copy()
    pool = np.flatnonzero(parts == TRAIN)
    for group in np.unique(groups[pool]):
        members = rng.permutation(pool[groups[pool] == group])
        if len(members) < 3:
            continue
        start = 0
        for part, share in wanted.items():
            take = max(1, round(len(members) * share)) if share else 0
            parts[members[start : start + take]] = part
            start += take
    return _indices(parts, where)


def split_by_group(
    owners: Index, parts: NDArray[np.int8], validation: float, test: float, seed: int, where: str
) -> tuple[Index, Index, Index]:
    """As :func:`split`, but examples of one owner (a patient, a speaker) are all in one part.

    Owners are drawn until a part holds its share of the examples.

    Args:
        owners: (n,) a number for the owner of each example.

    Raises:
        DataError: as :func:`split`; or too few owners, or one in two parts that the source brings.
    """
    _check_shares(parts, validation, test, where)
    rng = np.random.RandomState(seed)
    wanted, parts = _wanted(parts, validation, test), parts.copy()
    outside = np.unique(owners[parts != TRAIN])
    pool = np.flatnonzero(parts == TRAIN)
    if np.isin(owners[pool], outside).any():
        raise DataError(where, "each group in one part", "one that the source has in two")
    order = rng.permutation(np.unique(owners[pool]))
    counts = {owner: int((owners[pool] == owner).sum()) for owner in order}
    place = 0
    for part, share in wanted.items():
        held = 0
        while share and place < len(order) and held < share * len(pool):
            chosen = order[place]
            # Where it is nearer to the share without the next group, that goes elsewhere.
            if held and held + counts[chosen] / 2 > share * len(pool):
                break
            parts[pool[owners[pool] == chosen]] = part
            held, place = held + counts[chosen], place + 1
    return _indices(parts, where, "groups")


def split_by_order(
    ranks: NDArray[Any], parts: NDArray[np.int8], validation: float, test: float, where: str
) -> tuple[Index, Index, Index]:
    """As :func:`split`, but the parts follow each other: training is before validation, and that
    before test, so that nothing of the future is learned from.

    Args:
        ranks: (n,) times, or whatever orders the examples; equal ones are in one part.

    Raises:
        DataError: as :func:`split`; or too few different times.
    """
    _check_shares(parts, validation, test, where)
    wanted, parts = _wanted(parts, validation, test), parts.copy()
    pool = np.flatnonzero(parts == TRAIN)
    ordered = pool[np.argsort(ranks[pool], kind="stable")]
    end = len(ordered)
    for part in (TEST, VALIDATION):
        start = end - round(len(pool) * wanted[part])
        # Equal times go together, to the later part.
        while 0 < start < end and ranks[ordered[start - 1]] == ranks[ordered[start]]:
            start -= 1
        parts[ordered[start:end]] = part
        end = start
    return _indices(parts, where, "different times")


def _check_shares(parts: NDArray[np.int8], validation: float, test: float, where: str) -> None:
    wanted = _wanted(parts, validation, test)
    if min(validation, test) <= 0 or sum(wanted.values()) >= 1:
        raise DataError(
            where, "positive shares that sum to less than 1", f"{validation} and {test}"
        )


def _wanted(parts: NDArray[np.int8], validation: float, test: float) -> dict[int, float]:
    """The share of each part that the source does not bring."""
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
            wanted = f"enough {enough} for a {part_name} part"
            raise DataError(where, wanted, f"{len(parts)} in all")
    return indices[0], indices[1], indices[2]


def drawn_parts(parts: NDArray[np.int8]) -> tuple[str, ...]:
    """Parts that the source does not bring, so that :func:`split` draws them."""
    named = (("validation", VALIDATION), ("test", TEST))
    return tuple(name for name, part in named if not (parts == part).any())


def subset(groups: Index, share: float, seed: int) -> Index:
    """Ascending indices of a share of the examples, in proportion and one at least a group."""
    if share >= 1:
        return np.arange(len(groups))
    rng = np.random.RandomState(seed % 2**32)
    kept = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        kept.append(rng.permutation(members)[: max(1, round(len(members) * share))])
    return np.sort(np.concatenate(kept))


def holdout(groups: Index, share: float, seed: int) -> Tensor:
    """Ascending indices of a share that is held out, in proportion within each group.

    Args:
        share: from 0 up to, not including, 1.

    Raises:
        InputError: too few to hold some out.
    """
    import torch

    inside = torch.zeros(len(groups), dtype=torch.bool)
    inside[torch.from_numpy(subset(groups, 1.0 - share, seed))] = True
    back = (~inside).nonzero().flatten()
    if share and len(back) < 2:
        wanted = f"enough examples to hold {share:g} of them out"
        raise InputError("training data", wanted, f"{len(groups)}")
    return back
