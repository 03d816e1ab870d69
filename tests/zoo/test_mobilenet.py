"""Mobile networks: the published ones, all sizes of image, and shared weights."""

import random

import pytest
import torch
from torch import nn
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.inverted import Bottleneck, Excitation, resized, rounded, scaled
from archsmith.zoo.mobilenet import mobilenet
from archsmith.zoo.named import architectures

SMALL = {"scale": 0.125, "expansions": (0, 2), "deepest": 1}
TINY = Space(mobilenet, channels=2, classes=3, height=8, width=8, **SMALL)


@pytest.mark.slow
class TestMobileNet(SpaceContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 4


@pytest.mark.slow
class TestShared(SupernetContract):
    space, shape, samples = TINY, (1, 2, 8, 8), 1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mobilenet_v2", 3_504_872),
        ("mobilenet_v3_large", 5_483_032),
        ("mobilenet_v3_small", 2_542_856),
        ("mnasnet_a1", 3_887_038),
        ("mnasnet_b1", 4_383_312),
        ("fbnet_c", 5_572_200),
        ("proxylessnas_cpu", 4_361_648),
        ("proxylessnas_gpu", 7_119_848),
        ("proxylessnas_mobile", 4_080_512),
        ("proxylessnas_mobile_14", 6_857_568),
        ("ofa_largest", 7_664_760),
        ("ofa_note8", 4_595_536),
    ],
)
def test_published_networks(name, parameters):
    is_published(name, parameters)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 160), (1, 5, 9)])
def test_images_of_any_size_give_logits(shape):
    runs(Space(mobilenet, channels=shape[0], classes=7, height=shape[1], width=shape[2]), shape)


@pytest.mark.parametrize(("side", "sides"), [(224, [128, 160, 192, 224]), (28, [16, 20, 24, 28])])
def test_images_are_interpolated_first(side, sides):
    space = Space(mobilenet, channels=1, classes=3, height=side, width=2 * side)
    decision = {d.name: d for d in space.decisions(space.default())}["resolution"]
    images = torch.zeros(1, 1, side, 2 * side, device="meta")
    for answer, expected in list(zip(decision.answers(), sides, strict=True))[:-1]:
        model = space.build(space.complete({"resolution": answer}), device="meta")
        assert model.resize(images).shape == (1, 1, expected, 2 * expected)
    assert not hasattr(space.build(space.default(), device="meta"), "resize")


def test_an_interpolation_keeps_at_least_a_pixel():
    assert resized(5, 9, 1.0) == {}
    assert resized(1, 3, 0.2)["resize"][0](torch.ones(1, 1, 1, 3)).shape == (1, 1, 1, 1)


def test_neither_the_side_nor_the_resolution_changes_parameters():
    sizes = set()
    for side in (8, 32, 224):
        space = Space(mobilenet, channels=3, classes=10, height=side, width=side)
        for answer in (0.571, 1.0):
            architecture = space.complete({"resolution": answer})
            assert architecture["resolution"] == answer
            sizes.add(size(space.build(architecture, device="meta")))
    assert len(sizes) == 1


def test_the_default_is_small():
    space = Space(mobilenet, channels=1, classes=10, height=28, width=28)
    assert 0.1e6 < size(space.build(space.default(), device="meta")) < 0.6e6


def test_stages_that_are_absent_are_asked_nothing():
    found = TINY.complete({"stage1.depth": 0, "stage7.depth": 1})
    assert [name for name in found if name.startswith("stage1.")] == ["stage1.depth"]
    assert "stage7.width" in found


def test_names_do_not_depend_on_what_else_there_is():
    bare = {"stage2.excitation": "none", "stage2.block0.expansion": 0}
    full = {"stage2.excitation": "input", "stage2.block0.expansion": 2, "head.features": 1024}
    one, two = (
        TINY.build(TINY.complete(answers), device="meta").state_dict() for answers in (bare, full)
    )
    assert one.keys() < two.keys()
    parts = {name.split(".")[3] for name in two if name.startswith("stage2.0.body")}
    assert parts == {"expand", "filter", "excite_input", "project"}


def test_where_shortcuts_are_depends_on_no_image():
    def residual(side):
        space, architecture = architectures.get("mobilenet_v2").within(height=side, width=side)
        model = space.build(architecture, device="meta")
        return [block.residual for block in model.modules() if isinstance(block, Bottleneck)]

    depths = (1, 2, 3, 4, 3, 3, 1)
    assert residual(224) == residual(32) == residual(8)
    assert residual(224) == [number > 0 for depth in depths for number in range(depth)]


def test_published_networks_fit_small_images():
    space, architecture = architectures.get("mnasnet_a1").within(1, 10, 28, 28)
    assert space.build(architecture, device="meta")(
        torch.zeros(2, 1, 28, 28, device="meta")
    ).shape == (2, 10)


def test_a_network_without_its_expansions_is_refused():
    named = architectures.get("mobilenet_v3_large")
    space = Space(mobilenet, channels=3, classes=1000, height=224, width=224, scale=1.0)
    with pytest.raises(SpaceError):
        space.validate(named.within()[1])


def test_an_excitation_weighs_channels_of_its_own_image():
    excitation = Excitation(8, 2, nn.ReLU, nn.Sigmoid)
    x = torch.randn(2, 8, 3, 3)
    weights = excitation(x) / x
    assert torch.allclose(weights, weights[:, :, :1, :1].expand_as(weights), atol=1e-4)
    assert torch.allclose(excitation(x[:1]), excitation(x)[:1], atol=1e-6)


@pytest.mark.parametrize(
    ("wide", "multiple"), [(1, 8), (12, 16), (19, 24), (20, 24), (36, 40), (88.08, 88), (184, 184)]
)
def test_widths_are_multiples_of_8(wide, multiple):
    assert rounded(wide) == multiple


def test_widths_that_become_equal_are_one():
    assert scaled((16, 24, 32, 40), 24, 1.0) == {16: 16, 24: 24, 32: 32, 40: 40}
    assert scaled((16, 24, 32, 40), 24, 0.5) == {16: 8, 24: 16, 40: 24}
    assert scaled((16, 24, 32, 40), 32, 0.5) == {16: 8, 32: 16, 40: 24}


def test_what_was_found_small_fits_the_large_space():
    large = Space(mobilenet, channels=2, classes=3, height=224, width=224, scale=1.0)
    rng = random.Random(0)
    for _ in range(3):
        large.validate(TINY.sample(rng))


@pytest.mark.slow
def test_random_ones_train_a_step():
    random_ones_train_a_step(TINY, (1, 2, 8, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(mobilenet, scale=0.25)
