"""Fine-tuning a network of six digits to the four others."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError
from archsmith.task.base import Recipe
from archsmith.train import score, train
from archsmith.transfer.tuning import FineTuning, fine_tune

from .tuning_toys import IMAGES, TARGET, digits, network, of_classes, pretrained, small_backbone

RECIPE = Recipe(epochs=3, batch_size=16)


@pytest.fixture(scope="module")
def few():
    return of_classes(digits(), TARGET, few=5)


def tune(few, **changes):
    model = changes.pop("model", None) or pretrained()
    return fine_tune(model, IMAGES, few, FineTuning(**changes), recipe=RECIPE, seed=1)


def changed(before: nn.Module, after: nn.Module) -> set[str]:
    """Names of tensors that differ."""
    new = after.state_dict()
    return {
        name
        for name, tensor in before.state_dict().items()
        if name in new and (tensor.shape != new[name].shape or not torch.equal(tensor, new[name]))
    }


@pytest.mark.slow
def test_four_digits_are_learned_from_five_labels_each(few):
    recipe = replace(RECIPE, epochs=30)
    options = FineTuning(batchnorm="frozen", lr=1e-2)
    tuned = fine_tune(pretrained(), IMAGES, few, options, recipe=recipe, seed=0)
    assert tuned.metrics["accuracy"] > 0.85
    again = score(tuned.model, IMAGES, few.validation, few.facts)
    assert again == pytest.approx(tuned.metrics)
    probe = FineTuning(freeze="all", lr=5e-2)
    rows = fine_tune(pretrained(), IMAGES, few, probe, recipe=recipe, seed=0)
    assert 0.5 < rows.metrics["accuracy"] < tuned.metrics["accuracy"]  # chance is a quarter


def test_a_head_that_is_kept_has_to_fit(few):
    told = []
    with pytest.raises(InputError, match=r"fine-tuning: expected a model for .*\(2, 6\)"):
        fine_tune(
            pretrained(), IMAGES, few, FineTuning(head="keep"), recipe=RECIPE, on_epoch=told.append
        )
    assert not told


def test_a_linear_probe_changes_the_head_alone(few):
    before = copy.deepcopy(pretrained().state_dict())
    tuned = tune(few, freeze="all")
    assert changed(pretrained(), tuned.model) == {"head.weight", "head.bias"}
    assert tuned.trained == 24 * 4 + 4
    assert tuned.blocks == ("block1", "block2", "block3")
    assert all(torch.equal(t, before[n]) for n, t in pretrained().state_dict().items())


def test_leading_blocks_stay_bit_for_bit(few):
    tuned = tune(few, freeze=2)
    parts = {name.split(".")[0] for name in changed(pretrained(), tuned.model)}
    assert parts == {"block3", "head"}
    assert [type(m) for m in tuned.model.modules()] == [type(m) for m in pretrained().modules()]
    assert all(p.requires_grad for p in tuned.model.parameters())
    assert pickle.loads(pickle.dumps(tuned.model))(few.test.inputs[:1].float()).shape == (1, 4)


@pytest.mark.parametrize(
    ("mode", "moving"),
    [
        ("frozen", set()),
        ("adapt", {"running_mean", "running_var", "num_batches_tracked"}),
        ("train", {"running_mean", "running_var", "num_batches_tracked", "weight", "bias"}),
    ],
)
def test_normalisations_do_what_they_are_told(few, mode, moving):
    tuned = tune(few, batchnorm=mode)
    found = {n.rpartition(".")[2] for n in changed(pretrained(), tuned.model) if ".1." in n}
    assert found == moving


def test_statistics_without_scale_and_shift_stay_in_frozen_blocks(few):
    model = nn.Sequential(
        nn.BatchNorm2d(1, affine=False),
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, affine=False),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4, affine=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 4),
    )
    tuned = tune(few, model=model, freeze=1)
    assert {name.split(".")[0] for name in changed(model, tuned.model)} == {"4", "5", "8"}
    assert not {
        n for n in changed(model, tune(few, model=model, freeze="all").model) if n[0] != "8"
    }


def test_normalisations_of_blocks_that_wait_wait_too(few):
    options = FineTuning(unfreeze=2, epochs=3)
    tuned = fine_tune(pretrained(), IMAGES, few, options, recipe=RECIPE, seed=1)
    assert tuned.best_epoch == 3
    assert {n.split(".")[0] for n in changed(pretrained(), tuned.model)} == {"block3", "head"}
    assert tuned.model.block3[1].num_batches_tracked > pretrained().block3[1].num_batches_tracked


def test_statistics_adapt_in_frozen_blocks_too(few):
    tuned = tune(few, freeze="all", batchnorm="adapt")
    kinds = {n.rpartition(".")[2] for n in changed(pretrained(), tuned.model) if "block" in n}
    assert kinds == {"running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.parametrize("kind", ["lora", "bottleneck"])
def test_adapters_leave_the_weights_and_are_few(few, kind):
    tuned = tune(few, adapter=kind, rank=2, batchnorm="frozen", lr=1e-2)
    if kind == "lora":
        conv = {f"block{i}.0.weight" for i in (1, 2, 3)}
        assert changed(pretrained(), tuned.model) == conv | {"head.weight", "head.bias"}
        assert [type(m) for m in tuned.model.modules()] == [type(m) for m in pretrained().modules()]
        products = 2 * ((12 + 9) + (16 + 12 * 9) + (24 + 16 * 9))
        assert tuned.trained == products + 24 * 4 + 4
    else:
        own = pretrained().block2.state_dict()
        kept = tuned.model.block2.inner.state_dict()
        assert all(torch.equal(own[name], kept[name]) for name in own)
        widths = (12, 16, 24)
        assert tuned.trained == sum(2 * w + 2 + 2 * w + w for w in widths) + 24 * 4 + 4


def test_adapters_go_behind_frozen_blocks_alone(few):
    tuned = tune(few, freeze=2, adapter="lora", batchnorm="frozen")
    assert changed(pretrained(), tuned.model) == {"block3.0.weight", "head.weight", "head.bias"}
    named = tune(few, adapter="lora", places=("block2",), batchnorm="frozen")
    assert changed(pretrained(), named.model) == {"block2.0.weight", "head.weight", "head.bias"}


def test_blocks_join_one_after_the_other(few):
    """After one epoch the head has moved, after two the last block as well, and so on."""
    moved = []
    for epochs in (1, 2, 3, 4):
        tuned = fine_tune(
            pretrained(),
            IMAGES,
            few,
            FineTuning(unfreeze=1, freeze=1, epochs=epochs),
            recipe=RECIPE,
            seed=1,
            goal=None,
        )
        if tuned.best_epoch == epochs:
            moved.append({n.split(".")[0] for n in changed(pretrained(), tuned.model)})
    assert moved[0] == {"head"}
    assert {"head", "block3"} in moved
    assert max(map(len, moved)) <= 3  # block1 never joins


def test_rates_of_the_blocks_are_those_asked_for(few):
    """One step of SGD from the same start moves each block by its share of the rate."""
    one = replace(RECIPE, epochs=1, batch_size=64, optimizer="sgd", weight_decay=0.0, clip=0.0)

    def moves(decay: float) -> list[float]:
        options = FineTuning(lr=1e-3, layer_decay=decay, batchnorm="frozen", head="keep")
        model = nn.Sequential(*list(pretrained().children())[:-1], nn.Linear(24, 4))
        with torch.no_grad():
            for parameter in model[-1].parameters():
                parameter.fill_(0.01)
            model[-1].weight[0] += 0.05
        tuned = fine_tune(model, IMAGES, few, options, recipe=one, seed=0)
        return [(tuned.model[i][0].weight - model[i][0].weight).norm().item() for i in (0, 2, 4)]

    plain, decayed = moves(1.0), moves(0.5)
    shares = [b / a for a, b in zip(plain, decayed, strict=True)]
    assert shares == pytest.approx([0.125, 0.25, 0.5], rel=0.02)


def test_l2sp_keeps_weights_near_their_start(few):
    def away(strength: float) -> float:
        model = tune(few, l2sp=strength, lr=1e-2).model
        start = pretrained().state_dict()
        return sum(
            (p - start[n]).square().sum().item()
            for n, p in model.named_parameters()
            if "block" in n
        )

    assert away(10.0) < 0.2 * away(1e-9)


def test_the_head_is_as_wide_as_asked(few):
    tuned = tune(few, head=7, dropout=0.1, freeze="all")
    assert [type(m) for m in tuned.model.head] == [nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    assert tuned.trained == 24 * 7 + 7 + 7 * 4 + 4
    kept = fine_tune(tuned.model, IMAGES, few, FineTuning(head="keep", epochs=1), recipe=RECIPE)
    assert kept.blocks[-1].startswith("head")  # the hidden layer is a block like any other


def test_a_backbone_brings_its_own_preparation(few):
    """Features through the task's images are those of the backbone on the bytes."""
    found = small_backbone()
    tuned = fine_tune(
        replace(found, prepare=replace(found.prepare, size=(12, 12))),
        IMAGES,
        few,
        FineTuning(freeze="all", epochs=1),
        recipe=RECIPE,
    )
    bytes_ = few.test.inputs[:9]
    wide = replace(found.prepare, size=(12, 12))
    with torch.no_grad():
        prepared = tuned.model.inputs(IMAGES.prepare(bytes_, few.facts))
        assert torch.allclose(prepared, wide(bytes_), atol=1e-4)
        rows = tuned.model.backbone(prepared)
    assert torch.allclose(rows, replace(found, prepare=wide).embed(bytes_), atol=1e-4)


def test_early_stopping_is_the_recipes(few):
    tuned = tune(few, freeze="all", lr=1e-9, epochs=20, patience=2)
    assert len(tuned.curve) < 10


def test_the_seed_decides_and_the_generator_stays(few):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, two = (tune(few, adapter="lora") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert not changed(one.model, two.model)
    assert [{**r, "seconds": 0} for r in one.curve] == [{**r, "seconds": 0} for r in two.curve]


def test_what_cannot_be_trained_is_refused_before_it_starts(few):
    def never(_):
        raise AssertionError("it started")

    for tuning in (FineTuning(freeze="all", head="keep"),):
        frozen = copy.deepcopy(network(4))
        for parameter in frozen.head.parameters():
            parameter.requires_grad_(False)
        with pytest.raises(InputError, match="something to train, got all parameters frozen"):
            fine_tune(frozen, IMAGES, few, tuning, on_epoch=never)
    with pytest.raises(InputError, match="parameters that can be trained, got all of them frozen"):
        train(network(4).requires_grad_(False), IMAGES, few, RECIPE, seed=0)
    with pytest.raises(InputError, match="at most 3 blocks, or 'all', got 4"):
        tune(few, freeze=4)
    with pytest.raises(InputError, match="a block that is not frozen to put it in"):
        tune(few, freeze="all", adapter="lora")
    with pytest.raises(InputError, match="a linear layer as the last one"):
        fine_tune(nn.Sequential(nn.Flatten(), nn.Bilinear(2, 2, 2)), IMAGES, few)
    with pytest.raises(InputError, match="on a backbone, got 'keep'"):
        fine_tune(small_backbone(), IMAGES, few, FineTuning(head="keep"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"freeze": -1},
        {"freeze": "some"},
        {"layer_decay": 0.0},
        {"unfreeze": -1},
        {"batchnorm": "off"},
        {"adapter": "prefix"},
        {"rank": 0},
        {"l2sp": -1.0},
        {"head": "mlp"},
        {"dropout": 1.0},
        {"places": ("a",)},
        {"unfreeze": 1, "adapter": "lora"},
    ],
)
def test_wrong_options_are_named(wrong):
    with pytest.raises(InputError, match=f"tuning {next(iter(wrong))}"):
        FineTuning(**wrong)
