"""Every learner passes the shipped suite."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archsmith.testing.fewshot import WIDTH, FewShotContract
from archsmith.transfer.fewshot import learners
from archsmith.transfer.fewshot.centroids import Prototypical, SimpleShot
from archsmith.transfer.fewshot.heads import BaselinePlusPlus, FineTuning, Ridge
from archsmith.transfer.fewshot.mahalanobis import Mahalanobis
from archsmith.transfer.fewshot.maml import ANIL, MAML, FirstOrderMAML
from archsmith.transfer.fewshot.neighbours import Matching, NearestNeighbour
from archsmith.transfer.fewshot.pairs import Relation, Siamese
from archsmith.transfer.fewshot.propagation import LabelPropagation


def classifier() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, 3))


def embedding() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(WIDTH, 16), nn.BatchNorm1d(16), nn.Dropout(0.1))


def relation() -> Relation:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Relation(dim=WIDTH)


class TestPrototypical(FewShotContract):
    make = staticmethod(lambda: Prototypical())


class TestPrototypicalWithEmbedding(FewShotContract):
    make = staticmethod(lambda: Prototypical(embedding(), metric="cosine", scale=10.0))


class TestSimpleShot(FewShotContract):
    make = staticmethod(lambda: SimpleShot(transform="cl2n", base_mean=torch.full((WIDTH,), 0.1)))


class TestNearestNeighbour(FewShotContract):
    make = staticmethod(lambda: NearestNeighbour())


class TestMatching(FewShotContract):
    make = staticmethod(lambda: Matching())


class TestSiamese(FewShotContract):
    make = staticmethod(lambda: Siamese(dim=WIDTH))


class TestRelation(FewShotContract):
    steps = 300
    make = staticmethod(relation)


class TestRidge(FewShotContract):
    make = staticmethod(lambda: Ridge())


class TestFineTuning(FewShotContract):
    make = staticmethod(lambda: FineTuning())


class TestBaselinePlusPlus(FewShotContract):
    make = staticmethod(lambda: BaselinePlusPlus())


class TestMahalanobis(FewShotContract):
    make = staticmethod(lambda: Mahalanobis())


class TestLabelPropagation(FewShotContract):
    make = staticmethod(lambda: LabelPropagation())


class TestMAML(FewShotContract):
    steps = 40
    symmetric = False
    make = staticmethod(lambda: MAML(classifier(), lr=0.3, steps=3))


class TestFirstOrderMAML(FewShotContract):
    steps = 40
    symmetric = False
    make = staticmethod(lambda: FirstOrderMAML(classifier(), lr=0.3, steps=3))


class TestANIL(FewShotContract):
    steps = 40
    symmetric = False
    make = staticmethod(lambda: ANIL(classifier(), lr=0.5, steps=3))


@pytest.mark.parametrize("name", learners.names())
def test_no_learner_is_forgotten(name):
    if not learners.get(name).__module__.startswith("archsmith."):
        pytest.skip("comes from another package, with its own tests")
    suites = FewShotContract.__subclasses__()
    assert name in {suite.make().name for suite in suites}
