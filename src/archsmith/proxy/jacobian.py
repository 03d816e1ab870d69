"""Proxies that read how outputs change with inputs: the Jacobian of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .._support.trees import shapes
from .base import Proxy
from .passes import Passes

#: Added to divisors and arguments of logarithms, as in the programs of both papers.
_SMALL = 1e-5
#: Highest number of classes for which EPE-NAS sums scores instead of comparing them.
_FEW = 100


class JacobianCovariance(Proxy):
    """How differently a model responds around different inputs (Mellor et al. 2020, first version
    of arXiv:2006.04647; jacob_cov of Abdelfattah et al. 2021).

    Rows of J are the gradients of the sum of outputs with respect to each input, v the eigenvalues
    of their n x n correlations. The score is minus the sum of log(v + k) + 1 / (v + k), k = 1e-5.
    BatchNorm is kept.
    """

    name = "jacov"
    needs = frozenset({"jacobian"})
    smallest = 2

    def value(self, passes: Passes) -> float:
        values = np.linalg.eigvalsh(correlations(self, passes.jacobian)) + _SMALL
        return float(-(np.log(values) + 1 / values).sum())


class EPENAS(Proxy):
    """Correlation of Jacobians within classes (Lopes et al. 2021, EPE-NAS, arXiv:2102.08099).

    For each class, s is the sum of log(|correlation| + k) over all pairs of its inputs, k = 1e-5;
    the score is the sum of |s|. With more than 100 classes in the batch s is divided by the number
    of inputs and the score is the mean over classes of the differences to all classes.
    """

    name = "epe-nas"
    needs = frozenset({"jacobian"})
    labelled = True
    smallest = 2

    def value(self, passes: Passes) -> float:
        targets = passes.batch.targets
        if not isinstance(targets, Tensor) or targets.dim() != 1 or targets.is_floating_point():
            raise self.refuse("one class for each example", f"targets {shapes(targets)}")
        labels = targets.cpu().numpy()
        kinds = np.unique(labels)
        if len(kinds) == len(labels):
            raise self.refuse(
                "two examples of a class",
                f"{len(labels)} of {len(kinds)} classes",
                "use a larger batch",
            )
        jacobian = passes.jacobian
        few = len(kinds) <= _FEW
        sums = np.array([self._within(jacobian[labels == kind], few) for kind in kinds])
        if few:
            return float(np.abs(sums).sum())
        return float(np.abs(sums[:, None] - sums[None, :]).sum() / len(kinds))

    def _within(self, rows: NDArray[np.float64], few: bool) -> float:
        total = float(np.log(np.abs(correlations(self, rows)) + _SMALL).sum())
        return total if few else total / len(rows)


def correlations(proxy: Proxy, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations (n, n) of the rows (n, d).

    Raises:
        CannotScore: a row is constant.
    """
    if (rows.std(axis=1) == 0).any():
        raise proxy.refuse(
            "outputs that depend on every input",
            "a Jacobian that is constant for some input",
            "no path leads from input to output, or the output is flat; score by params or flops",
        )
    return np.atleast_2d(np.corrcoef(rows))
