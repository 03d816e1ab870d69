"""The contract suite of a predictor. Test your own predictor in one line::

class TestMine(PredictorContract):
    make = staticmethod(lambda: MyPredictor())
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from .._support.errors import InputError
from ..predictor.base import Predictor
from ..space import Space, choose
from ..space.architecture import Architecture
from .walk import flat, generated, nested

__all__ = ["PredictorContract"]


def layered() -> Any:
    """1,024 architectures; each answer above 0 adds a layer of that width."""
    from torch import nn

    layers: list[nn.Module] = []
    for i in range(5):
        width = choose(f"width{i}", [0, 8, 16, 32])
        if width:
            layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers)


def size(architecture: Architecture) -> float:
    """A sum over the answers, which every predictor can learn."""
    return float(sum(int(str(answer)) for answer in architecture.values()))


def drawn(space: Space, count: int, seed: int = 0) -> list[Architecture]:
    """Different random architectures."""
    rng, architectures = random.Random(seed), dict.fromkeys([space.default()])
    while len(architectures) < count:
        architectures[space.sample(rng)] = None
    return list(architectures)


class PredictorContract:
    """Tests of a predictor. ``make`` gives a new one.

    Attributes:
        trained: number of architectures of :func:`layered` that it is fitted on.
        least_tau: Kendall's tau that it must reach on others, whose value is a plain sum.
    """

    trained: ClassVar[int] = 50
    least_tau: ClassVar[float] = 0.7

    @staticmethod
    def make() -> Predictor:
        """A new predictor to test."""
        raise NotImplementedError("a subclass says how to make its predictor")

    def fitted(self, seed: int = 0) -> tuple[Predictor, Space, list[Architecture]]:
        """A predictor fitted on the first architectures, the space, and thirty others."""
        space = Space(layered)
        architectures = drawn(space, self.trained + 30)
        training = architectures[: self.trained]
        predictor = self.make()
        predictor.fit(space, training, [size(a) for a in training], seed)
        return predictor, space, architectures[self.trained :]

    def test_has_a_name(self) -> None:
        assert self.make().name

    def test_it_learns_a_sum_and_says_how_well(self) -> None:
        from scipy.stats import kendalltau

        predictor, _, others = self.fitted()
        predicted, true = predictor.predict(others), [size(a) for a in others]
        assert predicted.mean.shape == predicted.std.shape == (len(others),)
        assert predicted.mean.dtype == predicted.std.dtype == np.float64
        assert np.isfinite(predicted.mean).all()
        assert (predicted.std > 0).all()
        assert kendalltau(predicted.mean, true).statistic > self.least_tau
        validation = predictor.validation
        assert validation.believed
        assert validation.tau.value is not None
        assert validation.tau.value > self.least_tau - 0.15
        assert validation.count == self.trained
        # In the unit of the values, errors are much smaller than the spread of the values.
        assert np.abs(predicted.mean - true).mean() < np.std(true)
        assert 0.6 <= validation.coverage <= 0.95

    def test_noise_is_not_believed(self) -> None:
        """One in forty is believed by chance, so one of three may be."""
        space = Space(flat)
        architectures = drawn(space, 30)
        validations = [
            self.make().fit(space, architectures, np.random.default_rng(seed).normal(size=30))
            for seed in range(3)
        ]
        unsure = [validation for validation in validations if not validation.believed]
        assert len(unsure) >= 2
        assert all("not believed" in validation.sentence for validation in unsure)

    def test_the_same_seed_gives_the_same_and_the_scale_follows(self) -> None:
        predictor, space, others = self.fitted(seed=5)
        again, _, _ = self.fitted(seed=5)
        one, two = predictor.predict(others), again.predict(others)
        assert np.array_equal(one.mean, two.mean)
        assert np.array_equal(one.std, two.std)
        training = drawn(space, self.trained + 30)[: self.trained]
        turned = self.make()
        turned.fit(space, training, [1000.0 - 10.0 * size(a) for a in training], 5)
        inverted = turned.predict(others)
        rest = np.corrcoef(inverted.mean, one.mean)[0, 1]
        assert rest < -0.9, "with opposite sign and ten times the scale, it is the same task"
        assert 5 < inverted.std.mean() / one.std.mean() < 20

    def test_what_is_asked_beside_makes_no_difference(self) -> None:
        predictor, _, others = self.fitted()
        alone = predictor.predict(others[:1])
        together = predictor.predict(others)
        assert alone.mean[0] == pytest.approx(together.mean[0], rel=1e-3, abs=1e-2)
        assert predictor.predict([]).mean.shape == (0,)

    def test_global_random_state_is_left_alone(self) -> None:
        import torch

        state, there = random.getstate(), torch.get_rng_state()
        plain = np.random.get_state(legacy=False)["state"]["key"].copy()
        self.fitted()
        assert random.getstate() == state
        assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], plain)
        assert torch.equal(torch.get_rng_state(), there)

    @pytest.mark.parametrize("builder", [nested, generated], ids=lambda b: b.__name__)
    def test_spaces_with_conditions(self, builder: Callable[..., Any]) -> None:
        space = Space(builder)
        architectures = drawn(space, 24)
        predictor = self.make()
        predictor.fit(space, architectures[:16], [float(len(a)) for a in architectures[:16]])
        assert np.isfinite(predictor.predict(architectures).mean).all()

    def test_bad_input_is_refused(self) -> None:
        space = Space(flat)
        architectures = drawn(space, 8)
        for some, values, message in (
            (architectures[:4], [1.0, 2.0, 3.0, 4.0], "5 different"),
            (architectures[:1] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "5 different"),
            (architectures, [1.0] * 7, "value for each"),
            (architectures, [1.0] * 8, "differ"),
            (architectures, [1.0] * 7 + [float("nan")], "finite"),
        ):
            with pytest.raises(InputError, match=message):
                self.make().fit(space, some, values)
        with pytest.raises(InputError, match="fitted"):
            self.make().predict(architectures)

    def test_it_travels(self) -> None:
        copy = pickle.loads(pickle.dumps(self.make()))
        assert copy.name == self.make().name
