"""Similarity of layers: centred kernel alignment with a linear kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..._support.errors import InputError
from ..._support.trees import count_examples, take
from .extract import Features, Progress
from .layers import weighted
from .running import as_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Most layers that are compared if none are named: a picture of more could not be read.
MOST_LAYERS = 40
_LEAST = 4  # examples that the unbiased estimate needs


@dataclass(frozen=True)
class Similarity:
    """How similar layers are.

    Attributes:
        rows, columns: names of layers of the first and of the second model.
        values: (rows, columns), 1 for layers that are equal up to rotation and scale; NaN for a
            layer whose output is the same for every example. An unbiased estimate may fall below 0.
        examples: number of examples that it was measured on.
        own: whether a model is compared with itself.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    examples: int
    own: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN as ``None``."""
        values = [[None if v != v else float(v) for v in row] for row in self.values]
        return {
            "rows": list(self.rows),
            "columns": list(self.columns),
            "values": values,
            "examples": self.examples,
        }


def cka(one: Tensor, two: Tensor, *, unbiased: bool = False) -> float:
    """Linear CKA of two sets of features of the same examples (Kornblith et al. 2019,
    arXiv:1905.00414).

    It does not change when either set is rotated, mirrored, shifted or scaled as a whole.

    Args:
        one: (n, d); ``two`` (n, e).
        unbiased: use the unbiased estimate of HSIC (Song et al. 2012, as Nguyen et al. 2021,
            arXiv:2010.15327 do); the plain one is too high for few examples and many features.

    Returns:
        From 0 to 1, or a little below 0 if unbiased; NaN if a set is constant.

    Raises:
        InputError: other shapes, different numbers of examples, or too few.
    """
    for features in (one, two):
        if features.dim() != 2:
            raise InputError("cka", "features (n, d)", str(tuple(features.shape)))
    least = _LEAST if unbiased else 2
    if len(one) != len(two) or len(one) < least:
        got = f"{len(one)} and {len(two)}"
        raise InputError("cka", f"the same examples, {least} or more", got)
    centred = [_centred_gram(features, unbiased) for features in (one, two)]
    products = _products(centred, centred)
    return float(_cka_values(products[:1, 1:], products[:1, 0], products[1:, 1])[0, 0])


def similarity(
    model: nn.Module,
    other: nn.Module | None,
    inputs: Any,
    layers: Sequence[str] | None = None,
    other_layers: Sequence[str] | None = None,
    *,
    unbiased: bool = True,
    batch: int = 256,
    pool: str = "flatten",
    device: str = "cpu",
    prepare: Any = None,
    progress: Progress | None = None,
) -> Similarity:
    """Linear CKA between all layers of a model and of another, or of itself.

    Args:
        other: ``None`` compares the model's layers with each other.
        inputs: as :class:`~.extract.Features` takes them, the same for both.
        layers: names; by default those with weights, at most 40 spread evenly over the depth.
        other_layers: of the other model, in the same way.
        unbiased: HSIC by its unbiased estimate, a mean over batches of ``batch`` examples (Nguyen
            et al. 2021, arXiv:2010.15327). Otherwise all examples are one batch.
        pool: ``"flatten"`` compares all positions; ``"mean"`` and others compare pooled features.

    Raises:
        InputError: too few examples, and what :class:`~.extract.Features` refuses.
    """
    examples = as_inputs(inputs)
    count = count_examples(examples)
    least = _LEAST if unbiased else 2
    if count < least or batch < least:
        raise InputError("inputs", f"{least} examples or more in a batch", f"{min(count, batch)}")
    parts = np.array_split(np.arange(count), -(-count // batch) if unbiased else 1)
    if len(parts[-1]) < least:
        parts = np.array_split(np.arange(count), len(parts) - 1)
    readers = [
        Features(m, pool=pool, device=device, prepare=prepare, batch_size=batch)
        for m in ([model] if other is None else [model, other])
    ]
    requested = [layers, other_layers]
    names = [
        list(own) if own is not None else _default(reader, examples)
        for reader, own in zip(readers, requested, strict=False)
    ]
    total: list[NDArray[np.float64]] = []
    for part in parts:
        index = torch.from_numpy(part)
        chosen = take(examples, index)
        centred = [
            [_centred_gram(f.flatten(1), unbiased) for f in reader.at(chosen, own).values()]
            for reader, own in zip(readers, names, strict=True)
        ]
        first, last = centred[0], centred[-1]
        sums = [_products(first, last), _norms(first), _norms(last)]
        total = sums if not total else [a + b for a, b in zip(total, sums, strict=True)]
        if progress is not None:
            progress(int(part[-1]) + 1, count)
    values = _cka_values(*total)
    return Similarity(tuple(names[0]), tuple(names[-1]), values, count, other is None)


def _default(reader: Features, inputs: Any) -> list[str]:
    names = weighted(reader.layers(inputs), MOST_LAYERS)
    if not names:
        raise InputError(
            "layers", "a model with layers that have weights", "none", "name the layers"
        )
    return names


def _centred_gram(features: Tensor, unbiased: bool) -> Tensor:
    """The centred Gram matrix of features (n, d), float64 (n, n).

    HSIC of two sets is, up to a factor that cancels in CKA, the inner product of two of these. The
    unbiased kind is U-centred (Székely & Rizzo 2014): no diagonal, and sums over others only.
    """
    wide = features.double()
    # The Gram matrix of values far from the origin would lose its digits in centring; what is
    # left of a constant is rounding error.
    rounding = 1e-14 * wide.abs().amax(dim=0)
    wide = wide - wide.mean(dim=0)
    wide = wide.masked_fill(wide.abs() <= rounding, 0.0)
    gram = wide @ wide.T
    if not unbiased:
        return gram
    count = len(gram)
    gram.fill_diagonal_(0.0)
    sums = gram.sum(dim=1)
    gram -= (sums[:, None] + sums[None, :]) / (count - 2)
    gram += sums.sum() / ((count - 1) * (count - 2))
    return gram.fill_diagonal_(0.0)


def _products(one: Sequence[Tensor], two: Sequence[Tensor]) -> NDArray[np.float64]:
    """Inner products of centred Gram matrices, over the pairs that they sum."""
    count = len(one[0])
    left = torch.stack([gram.reshape(-1) for gram in one])
    right = torch.stack([gram.reshape(-1) for gram in two])
    products: NDArray[np.float64] = (left @ right.T / (count * max(1, count - 3))).numpy()
    return products


def _norms(grams: Sequence[Tensor]) -> NDArray[np.float64]:
    count = len(grams[0])
    scale = count * max(1, count - 3)
    return np.array([float((gram * gram).sum()) / scale for gram in grams])


def _cka_values(
    products: NDArray[np.float64], one: NDArray[np.float64], two: NDArray[np.float64]
) -> NDArray[np.float64]:
    spread = np.outer(one, two)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = products / np.sqrt(spread)
    return np.where(spread > 0, values, np.nan)
