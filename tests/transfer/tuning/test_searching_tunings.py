"""Which layers to freeze, where adapters go, how large the head: searched."""

from __future__ import annotations

import pickle
import random

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith._support.errors import InputError
from archsmith.export.bundle import export
from archsmith.history.trial import Fidelity
from archsmith.task.base import Recipe
from archsmith.train import train
from archsmith.transfer.pretrained.base import Backbone
from archsmith.transfer.tuning import Adapted, LowRank, merge, thawed, tuned

from .tuning_toys import IMAGES, digits, pretrained, small_backbone


@pytest.fixture(scope="module")
def space():
    return nas.Space(tuned, **IMAGES.arguments(digits().facts), backbone=small_backbone)


def parts(model: nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


@pytest.mark.slow
def test_the_choices_are_those_that_matter(space):
    found = list(space.enumerate())
    # head and dropout: 6. All frozen: 2 norm modes. 3 other freezes: plainly 3 modes, or one of 2
    # adapters at 2 places of 3 ranks with 2 modes.
    assert len(found) == 6 * (2 + 3 * (3 + 2 * 2 * 3 * 2))
    assert space.default()["freeze"] == 3
    assert dict(space.default()) == {"head": 0, "dropout": 0.0, "freeze": 3, "batchnorm": "frozen"}


def test_every_architecture_starts_from_the_pretrained_weights(space):
    own = pretrained()
    images = digits().test.inputs[:5]
    inputs = IMAGES.prepare(images, digits().facts)
    with torch.no_grad():
        expected = small_backbone().model(inputs)
        for seed in range(12):
            architecture = space.sample(random.Random(seed))
            model = space.build(architecture, seed=seed).eval()
            assert torch.allclose(model.backbone(model.inputs(inputs)), expected, atol=1e-4)
    assert all(p.requires_grad for p in own.parameters())


def test_the_decisions_are_what_is_built(space):
    def built(**answers):
        return space.build(space.complete(answers), seed=0)

    probe = built(head=64, dropout=0.2)
    assert [n for n, p in probe.named_parameters() if p.requires_grad] == [
        "head.1.weight",
        "head.1.bias",
        "head.3.weight",
        "head.3.bias",
    ]
    whole = built(freeze=0, batchnorm="train")
    assert all(p.requires_grad for p in whole.parameters())
    lora = built(freeze=0, adapter="lora", rank=2)
    assert parts(lora, LowRank) == 3
    assert parts(built(freeze=1, adapter="lora", places="late"), LowRank) == 1
    assert parts(built(freeze=0, adapter="bottleneck"), Adapted) == 3
    plain = thawed(merge(lora))
    assert plain.state_dict().keys() == built().state_dict().keys()
    pickle.dumps(plain)


def test_building_is_repeatable_and_works_on_meta(space):
    architecture = space.complete({"freeze": 0, "adapter": "lora"})
    one, two = (space.build(architecture, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())
    other = space.build(architecture, seed=4)
    assert not torch.equal(one["head.weight"], other.state_dict()["head.weight"])
    meta = space.build(architecture, device="meta")
    assert all(p.is_meta for p in meta.parameters())


@pytest.mark.slow
def test_a_search_finds_trains_and_exports_a_tuning(tmp_path):
    result = nas.search(
        tuned,
        "digits",
        arguments={"backbone": small_backbone},
        strategy="random",
        trials=4,
        epochs=1,
        share=0.3,
        recipe=Recipe(epochs=2, lr=5e-3),
        finalists=1,
        seed=0,
    )
    assert {"freeze", "head"} <= set(result.best.architecture)
    assert result.best.metrics["accuracy"] > 0.3
    result.best.export(tmp_path / "model", onnx=False)
    assert (tmp_path / "model" / "model.pt2").exists()


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "bottleneck"])
def test_what_is_trained_can_be_exported(space, tmp_path, adapter):
    """Read back into a model that the space builds anew, and as a program."""
    architecture = space.complete({"freeze": 1, "adapter": adapter, "batchnorm": "adapt"})
    model = space.build(architecture, seed=0)
    train(model, IMAGES, digits(), Recipe(lr=5e-3), Fidelity(1, share=0.2), seed=0)
    parity = export(model, IMAGES, digits(), space, architecture, tmp_path / "out", onnx=False)
    assert all(check.ok for check in parity.checks)
    kept = small_backbone().model.state_dict()
    own = model.backbone.state_dict()
    frozen = [n for n in kept if n in own and not n.rpartition(".")[2].startswith(("run", "num"))]
    assert frozen
    assert all(torch.equal(kept[name], own[name]) for name in frozen)


def test_backbones_that_do_not_fit_are_refused():
    texts = Backbone("words", nn.Linear(2, 2), 2, lambda texts: texts, "texts")
    with pytest.raises(InputError, match="one that reads images, got texts"):
        tuned(1, 10, 8, 8, [0.5], [0.5], backbone=lambda: texts)
    with pytest.raises(InputError, match="1 or 1 channels"):
        tuned(3, 10, 8, 8, [0.5] * 3, [0.5] * 3, backbone=small_backbone)
