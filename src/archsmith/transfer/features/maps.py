"""Features in two dimensions, for plots."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ..._support.errors import InputError, MissingExtraError, unknown
from ...data.partition import strata, subset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_WIDE = 50  # features that the slow methods use, after PCA
_MOST = 3000  # points: beyond this t-SNE takes minutes, and points hide one another


@dataclass(frozen=True)
class FeatureMap:
    """Examples as points of a plane.

    Attributes:
        points: (n, 2).
        labels: int64 (n,), or ``None``.
        names: of the classes 0, 1, ...; the labels themselves if no names were given.
        method: ``"pca"``, ``"tsne"`` or ``"umap"``.
        index: (n,), for each point the row of the features it shows.
        explained: of PCA, the share of the variance along each axis.
    """

    points: Floats
    labels: NDArray[np.int64] | None
    names: tuple[str, ...]
    method: str
    index: NDArray[np.int64]
    explained: tuple[float, ...] = ()


def feature_map(
    features: Tensor,
    labels: Tensor | None = None,
    method: str = "pca",
    *,
    names: Sequence[str] | None = None,
    seed: int = 0,
    most: int = _MOST,
    perplexity: float = 30.0,
    neighbours: int = 15,
) -> FeatureMap:
    """Project features to two dimensions.

    PCA keeps distances as well as a plane can. t-SNE (van der Maaten & Hinton 2008) and UMAP
    (McInnes et al. 2018, arXiv:1802.03426) keep neighbours; distances between clusters mean
    little. Both use the first 50 principal components.

    Args:
        features: (n, d), 3 examples or more.
        labels: whole numbers (n,).
        method: ``"pca"``, ``"tsne"`` or ``"umap"``.
        names: of the classes.
        most: limit on the examples drawn; beyond it they are sampled by class.
        perplexity: of t-SNE, at most a third of the examples.
        neighbours: of UMAP, below the number of examples.

    Raises:
        InputError: an unknown method, or features that do not fit.
        MissingExtraError: UMAP without the ``maps`` extra.
    """
    if method not in _METHODS:
        raise unknown("map", method, _METHODS)
    if method == "umap":
        require_umap()
    x, own = _check(features, labels, names)
    index = _pick_examples(len(x), own, most, seed)
    x, own = x[index], None if own is None else own[index]
    if not np.ptp(x, axis=0).any():
        raise InputError("features", "examples that differ", "the same vector for all")
    points, explained = _METHODS[method](x, seed, {"perplexity": perplexity, "near": neighbours})
    default_names = () if own is None else tuple(map(str, range(int(own.max()) + 1)))
    class_names = default_names if names is None else tuple(map(str, names))
    return FeatureMap(points, own, class_names, method, index, explained)


def require_umap() -> None:
    """Check that umap-learn is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("umap") is None:
        raise MissingExtraError("map umap", "umap-learn", "none", "pip install 'archsmith[maps]'")


def _check(
    features: Tensor, labels: Tensor | None, names: Sequence[str] | None
) -> tuple[Floats, NDArray[np.int64] | None]:
    if features.dim() != 2 or len(features) < 3 or features.shape[1] < 2:
        shape = str(tuple(features.shape))
        raise InputError("features", "(n, d) with 3 examples and 2 features or more", shape)
    x = features.detach().cpu().double().numpy()
    if not np.isfinite(x).all():
        raise InputError("features", "finite numbers", "NaN or infinity")
    if labels is None:
        return x, None
    own = labels.detach().cpu().numpy()
    if own.shape != (len(x),) or own.dtype.kind not in "biu":
        raise InputError("labels", f"whole numbers ({len(x)},)", f"{own.dtype} {own.shape}")
    own = own.astype(np.int64)
    most = None if names is None else len(names) - 1
    if own.min() < 0 or (most is not None and own.max() > most):
        expected = "0 or more" if most is None else f"0 to {most}, the places of names"
        raise InputError("labels", expected, f"{own.min()} to {own.max()}")
    return x, own


def _pick_examples(
    count: int, labels: NDArray[np.int64] | None, most: int, seed: int
) -> NDArray[np.int64]:
    if most < 3:
        raise InputError("most", "3 or more", str(most))
    if count <= most:
        return np.arange(count)
    of = np.zeros(count, np.int64) if labels is None else labels
    return np.sort(subset(strata(of), most / count, seed))


def _pca(x: Floats, seed: int, options: dict[str, Any]) -> tuple[Floats, tuple[float, ...]]:
    from sklearn.decomposition import PCA

    pca = PCA(2, random_state=seed)
    points = pca.fit_transform(x)
    return points, tuple(float(share) for share in pca.explained_variance_ratio_)


def _narrow(x: Floats, seed: int) -> Floats:
    from sklearn.decomposition import PCA

    wide = min(_WIDE, len(x))
    if x.shape[1] <= wide:
        return x
    components: Floats = PCA(wide, random_state=seed).fit_transform(x)
    return components


def _tsne(x: Floats, seed: int, options: dict[str, Any]) -> tuple[Floats, tuple[float, ...]]:
    from sklearn.manifold import TSNE

    near = min(options["perplexity"], (len(x) - 1) / 3)
    model = TSNE(2, perplexity=near, init="pca", random_state=seed)
    return np.asarray(model.fit_transform(_narrow(x, seed)), dtype=np.float64), ()


def _umap(x: Floats, seed: int, options: dict[str, Any]) -> tuple[Floats, tuple[float, ...]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap warns that a seed turns off its threads
        umap = import_module("umap")  # it has no type stubs
        near = max(2, min(options["near"], len(x) - 1))
        # Spectral initialisation needs more examples than a handful.
        init = "spectral" if len(x) > 10 else "random"
        model = umap.UMAP(n_neighbors=near, init=init, random_state=seed, n_jobs=1)
        points = model.fit_transform(_narrow(x, seed))
    return np.asarray(points, dtype=np.float64), ()


_METHODS: dict[str, Callable[[Floats, int, dict[str, Any]], tuple[Floats, tuple[float, ...]]]] = {
    "pca": _pca,
    "tsne": _tsne,
    "umap": _umap,
}
#: Methods by name.
METHODS = tuple(_METHODS)
