"""Spaces for series: the contracts, what may be seen, and the published sizes."""

from __future__ import annotations

import pytest

from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.inceptiontime import inceptiontime
from archsmith.zoo.patches import patch_transformer
from archsmith.zoo.recurrent import recurrent
from archsmith.zoo.resnet1d import resnet1d
from archsmith.zoo.series import forecaster, series
from archsmith.zoo.tcn import tcn

FORM = {"channels": 2, "outputs": 3, "length": 33}
SHAPE = (1, 2, 33)
TCN = Space(tcn, **FORM, widths=(4, 8), depths=(2, 3), kernels=(2, 3, 5))
RESNET = Space(resnet1d, **FORM, widths=(4, 8), depths=(1, 2))
INCEPTION = Space(inceptiontime, **FORM, filters=(2, 4), depths=(3, 4))
RECURRENT = Space(recurrent, **FORM, widths=(4, 6), depths=(1, 2))
PATCHES = Space(patch_transformer, **FORM, widths=(8, 16), depths=(1, 2), heads=(1, 2), head_size=8)
FORECASTER = Space(forecaster, **FORM, families=("resnet1d", "recurrent"))
SERIES = Space(series, **FORM, families=("recurrent", "patch_transformer"))
SPACES = {
    "tcn": TCN,
    "resnet1d": RESNET,
    "inceptiontime": INCEPTION,
    "recurrent": RECURRENT,
    "patch_transformer": PATCHES,
    "forecaster": FORECASTER,
}


@pytest.mark.slow
class TestTCN(SpaceContract):
    space, shape, samples = TCN, SHAPE, 3


@pytest.mark.slow
class TestSharedTCN(SupernetContract):
    space, shape, samples = TCN, SHAPE, 2


@pytest.mark.slow
class TestResNet(SpaceContract):
    space, shape, samples = RESNET, SHAPE, 3


@pytest.mark.slow
class TestSharedResNet(SupernetContract):
    space, shape, samples = RESNET, SHAPE, 2


@pytest.mark.slow
class TestInception(SpaceContract):
    space, shape, samples = INCEPTION, SHAPE, 3


@pytest.mark.slow
class TestSharedInception(SupernetContract):
    space, shape, samples = INCEPTION, SHAPE, 2


@pytest.mark.slow
class TestRecurrent(SpaceContract):
    space, shape, samples = RECURRENT, SHAPE, 3


@pytest.mark.slow
class TestSharedRecurrent(SupernetContract):
    space, shape, samples = RECURRENT, SHAPE, 2


@pytest.mark.slow
class TestPatches(SpaceContract):
    space, shape, samples = PATCHES, SHAPE, 3


@pytest.mark.slow
class TestSharedPatches(SupernetContract):
    space, shape, samples = PATCHES, SHAPE, 2


@pytest.mark.slow
class TestForecaster(SpaceContract):
    space, shape, samples = FORECASTER, SHAPE, 2


@pytest.mark.slow
class TestSharedForecaster(SupernetContract):
    space, shape, samples = FORECASTER, SHAPE, 2


@pytest.mark.slow
class TestSeries(SpaceContract):
    space, shape, samples = SERIES, SHAPE, 2


@pytest.mark.slow
class TestSharedSeries(SupernetContract):
    space, shape, samples = SERIES, SHAPE, 1
