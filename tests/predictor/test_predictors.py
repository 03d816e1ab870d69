"""The predictors: the contract, and each against an independent computation or a known answer."""

from __future__ import annotations

import random

import numpy as np
import pytest
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith.history.objective import Objective
from archsmith.history.trial import Fidelity, History, State, Trial
from archsmith.predictor import cross_validate, fit_on, predictors
from archsmith.predictor.base import Predictor, Scale
from archsmith.predictor.blocks import blocks_of, distances
from archsmith.predictor.boosted import BoostedTrees
from archsmith.predictor.calibration import Calibration
from archsmith.predictor.folds import folds_of
from archsmith.predictor.graph import GraphNetwork
from archsmith.predictor.linear import LinearEnsemble
from archsmith.predictor.mlp import MLPEnsemble
from archsmith.predictor.process import GaussianPredictor
from archsmith.predictor.table import Rows
from archsmith.testing.predictor import PredictorContract, drawn, layered, size


class TestLinear(PredictorContract):
    make = staticmethod(lambda: LinearEnsemble(0.1))


@pytest.mark.slow
class TestGaussian(PredictorContract):
    make = staticmethod(lambda: GaussianPredictor())


@pytest.mark.slow
class TestBoosted(PredictorContract):
    least_tau = 0.6
    make = staticmethod(lambda: BoostedTrees(members=2, trees=40))


@pytest.mark.slow
class TestMLP(PredictorContract):
    make = staticmethod(lambda: MLPEnsemble(members=2, hidden=(16,), steps=50))


@pytest.mark.slow
class TestGraph(PredictorContract):
    least_tau = 0.6
    make = staticmethod(lambda: GraphNetwork(members=2, hidden=16, steps=50))


def test_all_are_tested_here():
    tested = {found.make().name for found in PredictorContract.__subclasses__()}
    assert tested == set(predictors.names())


@pytest.fixture(scope="module")
def space() -> nas.Space:
    return nas.Space(layered)


def test_a_linear_function_is_recovered_exactly(space):
    """With hardly any noise assumed, the posterior mean is the function itself."""
    architectures = drawn(space, 90)
    predictor = LinearEnsemble(noise=1e-8)
    predictor.fit(space, architectures[:60], [size(a) for a in architectures[:60]])
    found = predictor.predict(architectures[60:])
    assert found.mean == pytest.approx([size(a) for a in architectures[60:]], abs=1e-2)


def test_the_process_against_sklearn(space):
    """The same kernel and noise in sklearn's GaussianProcessRegressor: same mean and deviation."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    architectures = drawn(space, 40)
    known, asked = architectures[:30], architectures[30:]
    targets = Scale.of(np.array([size(a) for a in known])).targets(
        np.array([size(a) for a in known])
    )
    learned = GaussianPredictor().learn(space, known, targets, 0)
    mean, std = learned.predict(asked)
    process = learned._process
    rows = blocks_of(space).rows(architectures)
    scaled = np.concatenate(
        [block / length for block, length in zip(rows.values(), process.kernel.lengths)], axis=1
    ).astype(float)
    kernel = ConstantKernel(process.signal, "fixed") * Matern(1.0, "fixed", nu=2.5)
    other = GaussianProcessRegressor(kernel, alpha=process.noise, optimizer=None)
    other.fit(scaled[:30], targets - targets.mean())
    wanted, spread = other.predict(scaled[30:], return_std=True)
    assert mean == pytest.approx(wanted + targets.mean(), abs=1e-4)
    assert std == pytest.approx(spread, rel=0.02, abs=2e-3)


def test_distances_of_rows_are_those_of_blocks(space):
    architectures = drawn(space, 6)
    rows = blocks_of(space).rows(architectures)
    for block, between in zip(rows.values(), distances(rows, rows)):
        wanted = ((block[:, None] - block[None]) ** 2).sum(axis=2)
        assert between == pytest.approx(wanted, abs=1e-5)


def test_trees_and_networks_are_the_mean_of_their_members(space):
    architectures = drawn(space, 30)
    targets = np.linspace(-1, 1, 30)
    for predictor in (BoostedTrees(3, 10), MLPEnsemble(3, (8,), steps=10)):
        learned = predictor.learn(space, architectures, targets, 1)
        members = vars(learned).get("_members") or vars(learned)["_networks"]
        rows = Rows(space, architectures)(architectures)
        each = np.stack([member.predict(rows) for member in members])
        mean, std = learned.predict(architectures)
        assert mean == pytest.approx(each.mean(axis=0))
        assert std == pytest.approx(each.std(axis=0))
        assert not np.allclose(each[0], each[1])


def test_rows_have_zero_mean_unit_variance_and_known_columns(space):
    architectures = drawn(space, 40)
    rows = Rows(space, architectures)
    made = rows(architectures)
    assert made.mean(axis=0) == pytest.approx(0.0, abs=1e-5)
    assert made.std(axis=0) == pytest.approx(1.0, abs=1e-4)
    alone = rows(architectures[:1])
    assert alone[0] == pytest.approx(made[0])


def test_scale_moves_a_far_tail_on_either_side():
    values = np.array([0.1, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95])
    for turned in (values, -values):
        targets = Scale.of(turned).targets(turned)
        assert targets.mean() == pytest.approx(0.0, abs=1e-9)
        assert targets.std() == pytest.approx(1.0)
        assert np.abs(targets).max() < 2.4  # untouched it would be further off and the rest alike


def test_calibration_holds_what_it_promises():
    """Residuals twice as wide as the spread says; the spread itself is right in proportion."""
    rng = np.random.default_rng(0)
    spreads = rng.uniform(0.5, 2.0, 2000)
    residuals = 2 * spreads * rng.normal(size=2000)
    found = Calibration.of(residuals[:1000], spreads[:1000])
    inside = np.abs(residuals[1000:]) <= found.interval(spreads[1000:])
    assert inside.mean() == pytest.approx(0.8, abs=0.04)
    assert found(spreads) == pytest.approx(2 * spreads, rel=0.25)


def test_a_spread_that_says_nothing_is_not_listened_to():
    rng = np.random.default_rng(1)
    spreads, residuals = rng.uniform(0.0, 5.0, 1000), rng.normal(size=1000)
    found = Calibration.of(residuals, spreads)
    assert found.share * 5.0 < 0.5
    assert found(spreads) == pytest.approx(np.ones(1000), abs=0.25)


def test_all_spellings_of_a_graph_are_in_one_part():
    parts = folds_of(["a", "b", "a", "c", "d", "b", "e"], 3, 0)
    assert parts[0] == parts[2]
    assert parts[1] == parts[5]
    assert set(parts) == {0, 1, 2}
    assert sorted(np.bincount(parts[[0, 1, 3, 4, 6]])) == [1, 2, 2]


class Known(Predictor):
    """Knows the answer, and remembers what it was taught."""

    name = "known"

    def __init__(self) -> None:
        self.taught: list[set] = []

    def learn(self, space, architectures, targets, seed):
        self.taught.append(set(architectures))
        shift = np.mean([size(a) for a in architectures]), np.std([size(a) for a in architectures])
        return _Answer(self.taught[-1], *shift)


class _Answer:
    def __init__(self, taught, middle, spread) -> None:
        self.taught, self.middle, self.spread = taught, middle, spread

    def predict(self, architectures):
        assert not self.taught & set(architectures), "asked for what it was taught"
        values = np.array([size(a) for a in architectures])
        return (values - self.middle) / self.spread, np.ones(len(values))


def test_cross_validation_asks_for_what_was_not_taught(space):
    architectures = drawn(space, 23)
    predictor = Known()
    found = cross_validate(predictor, space, architectures, [size(a) for a in architectures], 4)
    assert found.folds == 4
    assert [len(taught) for taught in predictor.taught] == [17, 17, 17, 18]
    assert found.tau.value == pytest.approx(1.0, abs=0.02)
    assert found.mae < 1.0
    assert found.believed
    assert "tau 1.00" in found.sentence or "tau 0.9" in found.sentence
    assert found.to_json()["believed"] is True


def test_a_study_is_learned_from(space):
    history = History([Objective("accuracy", "maximize")])
    for number, architecture in enumerate(drawn(space, 20)):
        state = State.FAILED if number == 3 else State.FINISHED
        fidelity = Fidelity(1 if number == 4 else 9)
        metrics = {"accuracy": size(architecture), "flops": 2.0 * number}
        trial = Trial(number, architecture, fidelity, state=state, metrics=metrics)
        history.add(trial)
        history.close(trial)
    predictor = fit_on("linear", space, history)
    assert predictor.validation.count == 18  # without what failed and what was a short look
    assert fit_on(LinearEnsemble(), space, history, "flops").validation.count == 18
    with pytest.raises(UnknownNameError, match="accuracy"):
        fit_on("linear", space, history, "acuracy")


def test_wrong_arguments_are_refused(space):
    with pytest.raises(UnknownNameError, match="boosted"):
        cross_validate("bosted", space, drawn(space, 6), range(6))
    with pytest.raises(InputError, match="folds"):
        cross_validate("linear", space, drawn(space, 6), range(6), folds=1)
    for make in (MLPEnsemble, BoostedTrees, GraphNetwork):
        with pytest.raises(InputError, match="members"):
            make(members=1)
    with pytest.raises(InputError, match="noise"):
        LinearEnsemble(noise=0)


def test_large_pools_are_predicted_in_parts(space, monkeypatch):
    from archsmith.predictor import process

    architectures = drawn(space, 40)
    predictor = GaussianPredictor()
    predictor.fit(space, architectures[:20], [size(a) for a in architectures[:20]])
    whole = predictor.predict(architectures).mean
    monkeypatch.setattr(process, "_BATCH", 7)
    assert predictor.predict(architectures).mean == pytest.approx(whole, abs=1e-5)


def test_a_module_is_not_touched_by_learning():
    """Predictors that look at decisions build nothing."""
    built = []

    def counting() -> nn.Module:
        nas.choose("a", list(range(9)))
        nas.choose("b", list(range(9)))
        built.append(1)
        return nn.Identity()

    space = nas.Space(counting)
    rng = random.Random(0)
    architectures = list({space.sample(rng): None for _ in range(40)})
    LinearEnsemble().fit(space, architectures, [float(a["a"]) for a in architectures])
    before = len(built)
    LinearEnsemble().fit(space, architectures, [float(a["b"]) for a in architectures])
    assert len(built) == before
