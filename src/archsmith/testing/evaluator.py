"""The contract suite of an evaluator: what the study relies on.

Test your own evaluator in one line::

    class TestMine(EvaluatorContract):
        space, evaluator = my_space, MyEvaluator(my_space)
"""

from __future__ import annotations

import pickle
import random
from typing import ClassVar

import torch

from .._support.errors import ArchsmithError
from ..evaluate import Evaluator, Price, TrialFailed, Watch
from ..history.trial import Fidelity
from ..space import Space
from ..space.architecture import Architecture


class EvaluatorContract:
    """Subclass it, name the subclass ``Test…`` and set ``space`` and ``evaluator``.

    Attributes:
        space: the space of the architectures.
        evaluator: the evaluator to test.
        fidelity: of each evaluation.
        samples: number of random architectures to evaluate in addition to the default.
        repeatable: whether the same seed must give the same metrics (measured times do not).
    """

    space: ClassVar[Space]
    evaluator: ClassVar[Evaluator]
    fidelity: ClassVar[Fidelity] = Fidelity(epochs=1)
    samples: ClassVar[int] = 2
    repeatable: ClassVar[bool] = True

    def drawn(self) -> list[Architecture]:
        """The default and random architectures."""
        rng = random.Random(0)
        return [self.space.default(), *(self.space.sample(rng) for _ in range(self.samples))]

    def metrics(self, architecture: Architecture, seed: int = 0) -> dict[str, float]:
        """One evaluation."""
        return self.evaluator.evaluate(architecture, self.fidelity, seed, Watch())

    def test_it_has_a_name_and_a_price(self) -> None:
        assert self.evaluator.name
        assert isinstance(self.evaluator.price, Price)

    def test_metric_names_can_be_used_in_limits(self) -> None:
        names = self.evaluator.provides
        assert names
        assert len(set(names)) == len(names)
        assert all(name.isidentifier() for name in names)

    def test_it_gives_what_it_provides_as_numbers(self) -> None:
        for architecture in self.drawn():
            metrics = self.metrics(architecture)
            assert set(metrics) == set(self.evaluator.provides)
            assert all(type(value) in (int, float) for value in metrics.values())
            assert all(value == value for value in metrics.values())

    def test_the_seed_decides_the_metrics(self) -> None:
        architecture = self.drawn()[-1]
        one, two = self.metrics(architecture, 5), self.metrics(architecture, 5)
        assert not self.repeatable or one == two

    def test_it_works_the_same_after_a_journey_to_another_process(self) -> None:
        other: Evaluator = pickle.loads(pickle.dumps(self.evaluator))
        architecture = self.space.default()
        metrics = other.evaluate(architecture, self.fidelity, 0, Watch())
        assert set(metrics) == set(self.evaluator.provides)
        assert not self.repeatable or metrics == self.metrics(architecture)

    def test_it_leaves_the_number_of_threads_alone(self) -> None:
        before = torch.get_num_threads()
        self.metrics(self.space.default())
        assert torch.get_num_threads() == before

    def test_a_foreign_architecture_fails(self) -> None:
        try:
            self.metrics(Architecture({"no such decision": 1}))
        except (ArchsmithError, TrialFailed):
            return
        raise AssertionError("an architecture that is not of the space was given metrics")
