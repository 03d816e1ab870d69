"""The contract suite of a few-shot learner: what episodes, searches and deployment rely on.

Test your own learner in one line::

    class TestMine(FewShotContract):
        make = staticmethod(lambda: MyLearner(dim=8))
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .._support.errors import InputError
from ..data.episodes import Episodes
from ..transfer.fewshot import FewShotLearner, evaluate_episodes, train_episodes

__all__ = ["FewShotContract"]

WIDTH = 8


def clouds(classes: int = 60, each: int = 12, seed: int = 0) -> tuple[Tensor, NDArray[Any]]:
    """Clouds of points that hardly overlap, (classes * each, 8), and their labels."""
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(classes, WIDTH, generator=generator)
    labels = np.repeat(np.arange(classes), each)
    points = centres[torch.from_numpy(labels)]
    return points + 0.3 * torch.randn(points.shape, generator=generator), labels


class FewShotContract:
    """Subclass it, name the subclass ``Test…`` and set ``make``.

    Attributes:
        make: gives a fresh learner for inputs of 8 features and up to 3 classes, always the same.
        steps: training steps on episodes before it is evaluated, if it has weights to train.
        symmetric: whether it treats all classes alike (outputs of a trained head do not).
    """

    make: ClassVar[Callable[[], FewShotLearner]]
    steps: ClassVar[int] = 100
    symmetric: ClassVar[bool] = True

    def support(self) -> tuple[Tensor, list[str], Tensor]:
        """Inputs and labels of three classes of 1, 2 and 3 examples; 9 queries."""
        points, _ = clouds(3, 6, seed=1)
        rows = [0, 6, 7, 12, 13, 14]
        queries = [3, 4, 5, 9, 10, 11, 15, 16, 17]
        return points[rows], ["cat", "dog", "dog", "eel", "eel", "eel"], points[queries]

    def members(self) -> Tensor:
        """Classes of :meth:`support`, one-hot."""
        return F.one_hot(torch.tensor([0, 1, 1, 2, 2, 2]), 3).float()

    def test_it_has_a_name_and_a_sentence(self) -> None:
        learner = type(self).make()
        assert learner.name
        assert type(learner).__doc__

    def test_it_tells_clouds_apart(self) -> None:
        points, labels = clouds(seed=2)
        learner = type(self).make()
        if any(p.requires_grad for p in learner.parameters()):
            losses = train_episodes(
                learner, points, Episodes(labels, 3, 1, 5), steps=self.steps, batch=4, lr=0.01
            )
            assert np.mean(losses[-10:]) < np.mean(losses[:10])
        held_out, kinds = clouds(seed=3)
        result = evaluate_episodes(
            learner, held_out, kinds, ways=3, shots=2, queries=5, episodes=40
        )
        assert result.accuracy > 0.9

    def test_many_episodes_are_each_by_itself(self) -> None:
        learner = type(self).make().eval()
        support, _, query = self.support()
        supports = torch.stack([support, support.flip(-1) + 1])
        queries = torch.stack([query, query.flip(-1) + 1])
        members = self.members().expand(2, -1, -1)
        with torch.no_grad():
            together = learner.compare(supports, members, queries)
            assert together.shape == (2, len(query), 3)
            assert torch.isfinite(together).all()
            for i in range(2):
                alone = learner.compare(supports[i : i + 1], members[:1], queries[i : i + 1])
                torch.testing.assert_close(together[i], alone[0], rtol=1e-3, atol=1e-3)

    def test_the_order_of_the_support_does_not_matter(self) -> None:
        learner = type(self).make()
        support, labels, query = self.support()
        mixed = [5, 2, 0, 4, 1, 3]
        before = learner.fit(support, labels).probabilities(query)
        after = learner.fit(support[mixed], [labels[i] for i in mixed]).probabilities(query)
        torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)

    def test_what_classes_are_called_does_not_matter(self) -> None:
        if not self.symmetric:
            return
        learner = type(self).make()
        support, labels, query = self.support()
        before = learner.fit(support, labels).probabilities(query)
        number = {"cat": 7, "dog": 5, "eel": 3}
        after = learner.fit(support, [number[name] for name in labels]).probabilities(query)
        torch.testing.assert_close(before, after.flip(-1), rtol=1e-3, atol=1e-4)

    def test_an_answer_does_not_depend_on_what_else_is_asked(self) -> None:
        learner = type(self).make()
        support, labels, query = self.support()
        learner.fit(support, labels)
        together = learner.probabilities(query)
        alone = torch.cat([learner.probabilities(one) for one in torch.split(query, 1)])
        same = torch.allclose(together, alone, rtol=1e-3, atol=1e-4)
        assert same or learner.transductive

    def test_predictions_are_labels_of_the_support(self) -> None:
        learner = type(self).make()
        support, labels, query = self.support()
        probabilities = learner.fit(support, labels).probabilities(query)
        assert learner.classes_ == ["cat", "dog", "eel"]
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(query)))
        named = [learner.classes_[i] for i in probabilities.argmax(dim=1)]
        assert learner.predict(query) == named
        assert learner.predict(query.numpy()) == named

    def test_a_second_fit_forgets_the_first(self) -> None:
        learner = type(self).make()
        support, labels, query = self.support()
        before = learner.fit(support, labels).probabilities(query)
        learner.fit(-support[:3], [1, 1, 2])
        assert learner.classes_ == [1, 2]
        assert learner.probabilities(query).shape == (len(query), 2)
        torch.testing.assert_close(before, learner.fit(support, labels).probabilities(query))

    def test_it_leaves_everything_else_alone(self) -> None:
        learner = type(self).make().train()
        support, labels, query = self.support()
        inputs, weights = support.clone(), [p.clone() for p in learner.parameters()]
        state = torch.get_rng_state()
        learner.fit(support, labels).predict(query)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(support, inputs)
        assert all(m.training for m in learner.modules())
        assert all(torch.equal(p, w) for p, w in zip(learner.parameters(), weights))
        assert all(p.grad is None for p in learner.parameters())

    def test_what_it_learned_is_kept(self, tmp_path: Path) -> None:
        learner = type(self).make()
        support, labels, query = self.support()
        learner.fit(support, labels).save(tmp_path / "learned.safetensors")
        other = FewShotLearner.load(tmp_path / "learned.safetensors", learner.embed)
        assert type(other) is type(learner)
        assert other.classes_ == learner.classes_
        torch.testing.assert_close(other.probabilities(query), learner.probabilities(query))

    def test_gradients_reach_the_embeddings(self) -> None:
        learner = type(self).make()
        support, _, query = self.support()
        support, query = support.clone().requires_grad_(), query.clone().requires_grad_()
        logits = learner(support[None], self.members()[None], query[None])
        target = torch.tensor([0, 1, 2]).repeat_interleave(3)
        F.cross_entropy(logits[0], target).backward()  # type: ignore[no-untyped-call]
        # First-order learners treat the effect of the support on them as constant.
        for slope in (query.grad,) if learner.adapts else (query.grad, support.grad):
            assert slope is not None
            assert torch.isfinite(slope).all()
            assert slope.abs().sum() > 0
        for p in learner.parameters():
            assert p.grad is None or torch.isfinite(p.grad).all()

    def test_bad_input_is_refused(self) -> None:
        learner = type(self).make()
        support, labels, query = self.support()
        with pytest.raises(InputError, match="fit before predict"):
            learner.predict(query)
        with pytest.raises(InputError, match="two classes or more"):
            learner.fit(support[:1], labels[:1])
        with pytest.raises(InputError, match="one for each example"):
            learner.fit(support, labels[1:])
        broken = support.clone()
        broken[4, 2] = torch.nan
        with pytest.raises(InputError, match="finite values, got NaN or infinity in example 4"):
            learner.fit(broken, labels)
        learner.fit(support, labels)
        with pytest.raises(InputError, match="as the support"):
            learner.predict(query[:, :5])
