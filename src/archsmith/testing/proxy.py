"""The contract suite of a zero-cost proxy: what evaluators and strategies rely on.

Test your own proxy in one line::

    class TestMine(ProxyContract):
        proxy = MyProxy()
"""

from __future__ import annotations

import copy
import math
import pickle
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from .._support.errors import InputError
from ..proxy import Batch, CannotScore, Proxy, score_proxies

#: Proxies to run together with the one under test, so that they share passes.
_COMPANY = ("grad_norm", "snip", "fisher", "jacov", "naswot", "swap")


class ProxyContract:
    """Subclass it, name the subclass ``Test…`` and set ``proxy``.

    Attributes:
        proxy: the proxy to test.
    """

    proxy: ClassVar[Proxy]

    def model(self) -> nn.Sequential:
        """A network for the proxy to score, with convolutions, BatchNorm in both modes, dropout,
        an in-place operation and a frozen bias."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers: list[nn.Module] = []
            for inside, outside in ((3, 6), (6, 8), (8, 8)):
                layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside)]
                layers += [nn.ReLU(inplace=True)]
            layers += [nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
            model = nn.Sequential(*layers)
        model[1].eval()
        model[3].get_parameter("bias").requires_grad_(False)
        return model

    def batch(self, count: int = 12) -> Batch:
        """Inputs and targets for :meth:`model`."""
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(count, 3, 8, 8, generator=generator)
        return Batch(inputs, torch.arange(count) % 4, F.cross_entropy)

    def test_it_has_a_name_and_a_sentence(self) -> None:
        assert self.proxy.name
        assert type(self.proxy).__doc__

    def test_it_gives_a_finite_number(self) -> None:
        value = self.proxy.score(self.model(), self.batch())
        assert type(value) is float
        assert math.isfinite(value)

    def test_the_seed_decides_the_score(self) -> None:
        model, batch = self.model(), self.batch()
        assert self.proxy.score(model, batch, 3) == self.proxy.score(model, batch, 3)

    def test_it_leaves_the_model_and_the_batch_as_they_were(self) -> None:
        model, batch = self.model(), self.batch()
        weight = model[0].get_parameter("weight")
        weight.grad = torch.ones_like(weight)
        before, inputs = copy.deepcopy(model), batch.inputs.clone()
        self.proxy.score(model, batch)
        after = model.state_dict()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.state_dict().items())
        modes = [(m.training, p.training) for m, p in zip(model.modules(), before.modules())]
        assert all(mine == theirs for mine, theirs in modes)
        for mine, theirs in zip(model.parameters(), before.parameters()):
            assert mine.requires_grad == theirs.requires_grad
        assert torch.equal(weight.grad, torch.ones_like(weight))
        assert all(p.grad is None for p in list(model.parameters())[1:])
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        assert torch.equal(batch.inputs, inputs)
        assert not batch.inputs.requires_grad

    def test_it_leaves_the_global_generator_alone(self) -> None:
        model, batch = self.model(), self.batch()
        torch.manual_seed(5)
        before = torch.get_rng_state()
        self.proxy.score(model, batch)
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_global_generator_does_not_matter(self) -> None:
        model, batch = self.model(), self.batch()
        scores = []
        with torch.random.fork_rng():
            for seed in (1, 2):
                torch.manual_seed(seed)
                scores.append(self.proxy.score(model, batch))
        assert scores[0] == scores[1]

    def test_the_mode_of_the_model_does_not_matter(self) -> None:
        batch = self.batch()
        one, two = self.model().train(), self.model().eval()
        assert self.proxy.score(one, batch) == self.proxy.score(two, batch)

    def test_it_scores_the_same_in_company(self) -> None:
        model, batch = self.model(), self.batch()
        others = [name for name in _COMPANY if name != self.proxy.name]
        together = score_proxies(model, batch, [*others, self.proxy])
        assert together[self.proxy.name] == self.proxy.score(model, batch)

    def test_it_travels(self) -> None:
        model, batch = self.model(), self.batch()
        other: Proxy = pickle.loads(pickle.dumps(self.proxy))
        assert other.score(model, batch) == self.proxy.score(model, batch)

    def test_a_batch_that_is_too_small_is_refused(self) -> None:
        if self.proxy.smallest < 2:
            return
        try:
            self.proxy.score(self.model(), self.batch(self.proxy.smallest - 1))
        except InputError:
            return
        raise AssertionError("a batch smaller than the smallest was scored")

    def test_a_single_class_is_refused_where_targets_matter(self) -> None:
        batch = self.batch()
        same = Batch(batch.inputs, torch.zeros_like(batch.targets), batch.loss)
        try:
            self.proxy.score(self.model(), same)
        except CannotScore:
            assert self.proxy.labelled
            return
        assert not self.proxy.labelled
