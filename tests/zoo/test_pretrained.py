"""Trained image classifiers of every family as backbones, and how they are trained further."""

import copy
import inspect

import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError
from archsmith.evaluate.training import LayerwiseRates
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo import spaces
from archsmith.zoo.backbone import backbone
from archsmith.zoo.classifier import classifier
from archsmith.zoo.detector import detector
from archsmith.zoo.efficientnet_lite import efficientnet_lite
from archsmith.zoo.pretrained import LAYER_DECAY, TRAININGS, Pretrained, Renormalised
from archsmith.zoo.segmenter import segmenter

#: The smallest member of each family of image classifiers; the size of images is offered to each.
FAMILIES = {
    "channel_bench": {"width": 8},
    "convnet": {},
    "convnext": {},
    "darts": {"cells": 1, "filters": 4},
    "efficientnet": {},
    "enas_micro": {"cells": 1, "filters": 4},
    "hrnet": {},
    "hybrid": {},
    "mobilenet": {},
    "nasbench101": {"width": 8},
    "nasbench201": {"width": 8},
    "nasbench_macro": {"width": 8},
    "nasnet": {"cells": 1, "filters": 8},
    "regnet": {},
    "resnet": {},
    "transnas_macro": {"width": 8},
    "transnas_micro": {"width": 8},
    "vit": {},
}
SEEN = [[0.4, 0.5, 0.6], [0.2, 0.25, 0.3]]


def classifier_in(name, side=32):
    builder, own = spaces.get(name), FAMILIES[name]
    offered = {"channels": 3, "classes": 4, "height": side, "width": side} | own
    asked = inspect.signature(builder).parameters
    space = Space(builder, **{n: v for n, v in offered.items() if n in asked})
    return space, space.build(space.default(), seed=3)


def described(space, model, training=("tuned",), channels=3):
    names = {"space": space.name, "arguments": space.plain_arguments()}
    names |= {"answers": space.default().to_json(), "checksum": "", "training": [*training]}
    mean, std = [0.5] * channels, [0.25] * channels
    return Pretrained(names | {"mean": mean, "std": std, "seen": SEEN}, model.state_dict())


def built(given, channels=3, height=32, width=32, seed=0, **answers):
    arguments = {"channels": channels, "height": height, "width": width, "pretrained": given}
    space = Space(backbone, **arguments)
    return space.build(space.complete(answers), seed=seed)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_the_maps_of_the_trained_network(name):
    space, model = classifier_in(name)
    base = built(described(space, model))
    images = torch.rand(2, 3, 32, 32)
    maps = base.eval()(images)
    assert [x.shape[1] for x in maps] == [scale.channels for scale in base.scales]
    sizes = [x.shape[2] for x in maps]
    assert sizes == sorted(set(sizes), reverse=True)
    # The network itself, with the same weights, passes such a map on to its head.
    seen = []
    for part in model.modules():
        part.register_forward_hook(lambda m, args, out: seen.append(out))
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in SEEN)
    model.eval()((images * std + mean - 0.5) / 0.25)
    last = maps[-1] if name != "vit" else maps[-1].flatten(2).transpose(1, 2)
    flat = [out for item in seen for out in (item if isinstance(item, list) else [item])]
    assert any(x.shape == last.shape and torch.allclose(x, last, atol=1e-4) for x in flat)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("vit", "hybrid")])
def test_convolutions_take_images_of_any_size(name):
    space, model = classifier_in(name)
    maps = built(described(space, model), height=40, width=56).eval()(torch.rand(1, 3, 40, 56))
    assert all(x.shape[3] > x.shape[2] for x in maps[:1])


def test_positions_keep_a_transformer_to_its_size():
    space, model = classifier_in("vit")
    with pytest.raises(InputError, match="48x64 pixels"):
        built(described(space, model), height=48, width=64)


def test_efficientnet_lite_gives_maps():
    model = efficientnet_lite()
    given = {"space": "efficientnet-lite0", "training": ["frozen"], "seen": SEEN}
    given |= {"mean": [0.5] * 3, "std": [0.5] * 3}
    base = built(Pretrained(given, model.state_dict()), height=64, width=64)
    assert [scale.reduction for scale in base.scales] == pytest.approx([2, 4, 8, 16, 32])
    assert [scale.channels for scale in base.scales] == [16, 24, 40, 112, 1280]
    fresh = copy.deepcopy(model).eval()[:9]
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in SEEN)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(base(images)[-1], fresh((images * std + mean - 0.5) / 0.5), atol=1e-4)


def test_grey_and_coloured_images_fit_each_other():
    grey, colour = ([0.5], [0.25]), ([0.5] * 3, [0.25] * 3)
    images = torch.rand(2, 3, 4, 4)
    assert torch.allclose(Renormalised(colour, colour)(images), images, atol=1e-6)
    assert torch.allclose(Renormalised(colour, grey)(images), images.mean(1, True), atol=1e-6)
    assert Renormalised(grey, colour)(images[:, :1]).shape == (2, 3, 4, 4)
    with pytest.raises(InputError, match="3 channels"):
        Renormalised(([0.5] * 4, [0.25] * 4), colour)


def test_frozen_weights_and_statistics_stay_and_tuned_ones_move():
    space, source = classifier_in("convnet")
    given = described(space, source, TRAININGS)
    for training in TRAININGS:
        base = built(given, **{"backbone.weights": training})
        before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
        head = nn.Conv2d(base.scales[-1].channels, 2, 1)
        model = nn.ModuleDict({"base": base, "head": head}).train()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.1)
        head(base(torch.rand(4, 3, 32, 32))[-1]).square().sum().backward()
        optimizer.step()
        same = [torch.equal(before[name], t) for name, t in base.state_dict().items()]
        assert all(same) if training == "frozen" else not any(same), training
        assert base.layers[0].training == (training != "frozen")


@pytest.mark.parametrize("builder", [segmenter, detector])
def test_dense_predictions_build_on_its_weights(builder):
    space, source = classifier_in("convnet")
    arguments = {"channels": 3, "classes": 2, "pretrained": described(space, source)}
    dense = Space(builder, height=64, width=96, **arguments)
    model = dense.build(dense.default())
    layers = model.base.layers.state_dict()
    assert len(layers) > 20
    assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in layers.items())
    model(torch.rand(2, 3, 64, 96))


def test_a_frozen_backbone_survives_copies():
    space, source = classifier_in("convnet")
    base = copy.deepcopy(built(described(space, source, ["frozen"]))).train()
    assert not any(p.requires_grad for p in base.parameters())
    assert not any(m.training for m in base.modules())


def test_layerwise_rates_fall_towards_the_images():
    space, source = classifier_in("convnet")
    arguments = {"channels": 3, "classes": 2, "pretrained": described(space, source, TRAININGS)}
    heads = Space(classifier, **arguments)
    model = heads.build(heads.default())
    rates = LayerwiseRates(model)
    scales = [rates.scale(name) for name, _ in model.named_parameters()]
    steps = sorted(set(scales))
    assert scales == sorted(scales)
    assert steps == pytest.approx([LAYER_DECAY**n for n in reversed(range(len(steps)))])
    assert len(steps) > 4
    assert rates.scale("head.2.weight") == 1
    tuned = heads.build(heads.complete({"backbone.weights": "tuned"}))
    assert {LayerwiseRates(tuned).scale(name) for name, _ in tuned.named_parameters()} == {1}


def test_without_weights_the_description_builds_the_same_network():
    space, source = classifier_in("resnet")
    with_weights = built(described(space, source))
    plain = built(dict(described(space, source)))
    assert [*plain.state_dict()] == [*with_weights.state_dict()]


SOURCE, MODEL = classifier_in("convnet", 16)
HEADS = {"channels": 3, "classes": 5, "height": 16, "width": 16}


@pytest.mark.slow
class TestClassifier(SpaceContract):
    space = Space(classifier, **HEADS, backbones=("convnet",))
    shape, samples = (1, 3, 16, 16), 4


@pytest.mark.slow
class TestClassifierOnABackbone(SpaceContract):
    space = Space(classifier, **HEADS, pretrained=described(SOURCE, MODEL, TRAININGS))
    shape, samples = (1, 3, 16, 16), 4
