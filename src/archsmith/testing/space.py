"""The contract suite of a space: what every strategy and evaluator relies on.

Test your own space in one line::

    class TestMine(SpaceContract):
        space, shape = Space(my_net, channels=3, classes=10), (1, 3, 32, 32)
"""

from __future__ import annotations

import itertools
import json
import pickle
import random
from typing import ClassVar

import torch

from .._support.errors import SpaceError
from .._support.trees import (
    Spec,
    Tree,
    as_spec,
    call,
    count_examples,
    example_of,
    leaves,
    take,
)
from ..space import Space
from ..space.architecture import Architecture


class SpaceContract:
    """Subclass it, name the subclass ``Test…`` and set ``space`` and ``shape``.

    Attributes:
        space: the space to test.
        shape: of the model's input, the batch first; for several inputs, the tree that the model
            takes of their :class:`~archsmith._support.trees.TensorSpec`.
        dtype: name of the input's torch type, if ``shape`` is that of a single input.
        samples: number of random architectures in each test.
    """

    space: ClassVar[Space]
    shape: ClassVar[Spec | tuple[int, ...]]
    dtype: ClassVar[str] = "float32"
    samples: ClassVar[int] = 8

    def drawn(self, seed: int = 0) -> list[Architecture]:
        """The default and random architectures."""
        rng = random.Random(seed)
        return [self.space.default(), *(self.space.sample(rng) for _ in range(self.samples))]

    def inputs(self, batch: int, device: str = "cpu") -> Tree:
        """Model inputs with this batch."""
        return example_of(as_spec(self.shape, self.dtype), batch, device)

    def test_drawn_architectures_are_valid(self) -> None:
        for architecture in self.drawn():
            self.space.validate(architecture)

    def test_what_is_drawn_is_what_the_builder_asks(self) -> None:
        # Early draws matter most: the tree of decisions is still small then.
        for seed in range(4):
            fresh: Space = pickle.loads(pickle.dumps(self.space))
            rng = random.Random(seed)
            for _ in range(2 * self.samples):
                fresh.build(fresh.sample(rng), device="meta")

    def test_sampling_is_a_function_of_the_seed(self) -> None:
        fresh: Space = pickle.loads(pickle.dumps(self.space))
        assert self.drawn(3) == self.drawn(3)
        expected = [self.space.sample(random.Random(seed)) for seed in range(self.samples)]
        assert [fresh.sample(random.Random(seed)) for seed in range(self.samples)] == expected

    def test_an_architecture_survives_json(self) -> None:
        for architecture in self.drawn():
            text = json.dumps(architecture.to_json())
            back = Architecture.from_json(json.loads(text))
            assert back == architecture
            assert back.id == architecture.id

    def test_a_foreign_architecture_is_refused(self) -> None:
        foreign = Architecture({**self.space.default(), "no such decision": 1})
        try:
            self.space.validate(foreign)
        except SpaceError:
            return
        raise AssertionError("an architecture with an unknown decision was accepted")

    def test_mutation_stays_inside_and_changes_something(self) -> None:
        rng = random.Random(0)
        for architecture in self.drawn():
            mutant = self.space.mutate(architecture, rng)
            self.space.validate(mutant)
            assert mutant != architecture

    def test_crossing_stays_inside_and_invents_nothing(self) -> None:
        rng = random.Random(0)
        for a, b in itertools.pairwise(self.drawn()):
            child = self.space.cross(a, b, rng)
            self.space.validate(child)
            assert self.space.cross(a, a, rng) == a

    def test_neighbours_are_other_architectures_of_the_space(self) -> None:
        here = self.space.default()
        near = list(itertools.islice(self.space.neighbours(here), 4 * self.samples))
        assert near
        assert here not in near
        for architecture in near:
            self.space.validate(architecture)

    def test_enumeration_gives_each_architecture_once(self) -> None:
        try:
            first = list(itertools.islice(self.space.enumerate(), 8 * self.samples))
        except SpaceError:
            return  # a continuous decision cannot be listed, and says so
        assert len(set(first)) == len(first)
        for architecture in first:
            self.space.validate(architecture)

    def test_encodings_have_one_length_and_tell_architectures_apart(self) -> None:
        architectures = set(self.drawn())
        codes = [self.space.encode(architecture) for architecture in architectures]
        assert {code.shape for code in codes} == {(len(self.space.columns()),)}
        assert len({code.tobytes() for code in codes}) == len(architectures)

    def test_the_space_pickles(self) -> None:
        back = pickle.loads(pickle.dumps(self.space))
        assert back.fingerprint == self.space.fingerprint

    def test_models_run_on_meta(self) -> None:
        for architecture in self.drawn():
            model = self.space.build(architecture, device="meta").eval()
            assert count_examples(call(model, self.inputs(3, "meta"))) == 3

    def test_models_are_plain_modules(self) -> None:
        for module in self.space.build(self.drawn()[-1]).modules():
            assert not type(module).__module__.startswith("archsmith.space")

    def test_the_seed_decides_the_weights(self) -> None:
        for architecture in self.drawn()[:2]:
            one, two = (self.space.build(architecture, seed=7).state_dict() for _ in range(2))
            assert one.keys() == two.keys()
            assert all(torch.equal(one[name], two[name]) for name in one)

    def test_examples_do_not_see_each_other_in_evaluation(self) -> None:
        inputs = self.inputs(3)
        for architecture in self.drawn()[:3]:
            model = self.space.build(architecture, seed=0).eval()
            with torch.no_grad():
                together, alone = (
                    list(leaves(call(model, part))) for part in (inputs, take(inputs, slice(1)))
                )
            for one, two in zip(together, alone, strict=True):
                assert torch.allclose(one[:1], two, atol=1e-4)

    def test_the_default_trains_a_step(self) -> None:
        model = self.space.build(self.space.default(), seed=0).train()
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = [out.square().mean() for out in leaves(call(model, self.inputs(4)))]
        torch.autograd.backward(losses)
        optimizer.step()
        after = dict(model.named_parameters())
        assert all(bool(p.isfinite().all()) for p in after.values())
        assert any(not torch.equal(before[name], after[name]) for name in before)

    def test_weight_keys_are_the_same_on_every_build_and_never_shared(self) -> None:
        for architecture in self.drawn():
            keys = self.space.parameter_keys(architecture)
            assert keys == self.space.parameter_keys(architecture)
            assert len(set(keys.values())) == len(keys)
