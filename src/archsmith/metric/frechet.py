"""Distance of two sets of features, as of real and of generated images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def frechet_distance(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """The squared Fréchet distance of normal distributions with the means and covariances of two
    sets of features (Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X).

    It is called FID if the features are those of a certain Inception network (Heusel et al. 2017,
    arXiv:1706.08500); distances by the features of another network are not comparable with these.

    Args:
        one, two: (n, d) and (m, d), n and m of 2 or more.
    """
    means = [features.mean(axis=0) for features in (one, two)]
    # For centred features a and b, the trace of the root of the product of the covariances is the
    # sum of the singular values of a b', which are those of the small factors of a and b.
    roots = [
        np.linalg.qr(features - mean, mode="r") / np.sqrt(len(features) - 1)
        for features, mean in zip((one, two), means, strict=True)
    ]
    common = np.linalg.norm(roots[0] @ roots[1].T, "nuc")
    spread = sum(float(np.square(root).sum()) for root in roots)
    return float(np.square(means[0] - means[1]).sum() + spread - 2 * common)
