"""timm and the hub: what is asked of them, and what is said where they cannot be had."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from archsmith._support import extras
from archsmith._support.errors import InputError, MissingExtraError, UnknownNameError
from archsmith.transfer.pretrained import backbone


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))


@pytest.fixture
def timm(monkeypatch):
    """A stand-in with the three functions of timm that are used."""
    made = ModuleType("timm")
    made.asked = []

    def create_model(name, pretrained, num_classes):
        made.asked.append((name, pretrained, num_classes))
        if pretrained and name == "resnet18":
            raise OSError("Network is unreachable\nmore")
        return Flat()

    made.list_models = lambda: ["resnet18", "tiny"]
    made.create_model = create_model
    config = {"input_size": (3, 20, 24), "mean": (0.4,) * 3, "std": (0.2,) * 3}
    made.data = SimpleNamespace(resolve_model_data_config=lambda model: config)
    monkeypatch.setitem(sys.modules, "timm", made)
    return made


def test_a_model_of_timm_comes_without_its_head(timm):
    found = backbone("timm:tiny.a1_in1k")
    assert timm.asked == [("tiny.a1_in1k", True, 0)]
    assert (found.name, found.dim) == ("timm:tiny.a1_in1k", 5)
    assert found.prepare.size == (20, 24)
    assert found.embed(torch.zeros(2, 1, 9, 9, dtype=torch.uint8)).shape == (2, 5)


def test_without_a_network_it_says_how_to_go_offline(timm):
    with pytest.raises(InputError, match="Network is unreachable") as told:
        backbone("timm:resnet18")
    assert "hf download timm/resnet18" in str(told.value)
    assert "fit_checkpoint" in str(told.value)
    assert backbone("timm:resnet18", weights=False).dim == 5
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        backbone("timm:resnet81")


def test_timm_that_is_missing_or_broken_is_told_apart(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'archsmith\[timm\]'"):
        backbone("timm:resnet18")
    monkeypatch.delitem(sys.modules, "timm")

    real = extras.importlib.import_module

    def broken(name):
        if name == "timm":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    monkeypatch.setattr(extras.importlib, "import_module", broken)
    with pytest.raises(MissingExtraError, match=r"torchvision::nms(.|\n)*--index-url"):
        backbone("timm:resnet18")


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs the extra `timm`")
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="needs torchvision")
def test_the_real_timm_has_these_functions():
    found = backbone("timm:resnet18", weights=False)
    assert found.dim == 512


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stand-in that serves files of a folder."""
    made = ModuleType("huggingface_hub")

    class EntryNotFoundError(Exception):
        pass

    class LocalEntryNotFoundError(EntryNotFoundError):
        pass

    def hf_hub_download(repo, name):
        if repo == "far/away":
            raise LocalEntryNotFoundError("no connection, and nothing in the cache")
        if not (tmp_path / name).exists():
            raise EntryNotFoundError(name)
        return str(tmp_path / name)

    made.hf_hub_download = hf_hub_download
    made.utils = SimpleNamespace(
        EntryNotFoundError=EntryNotFoundError, LocalEntryNotFoundError=LocalEntryNotFoundError
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", made)
    return tmp_path


def own(**changes):
    options = {"model": Flat(), "dim": 5, "prepare": lambda images: images.float()}
    return backbone(changes.pop("name", "hub:some/one"), **options | changes)


def test_weights_of_the_hub_go_into_a_module(hub):
    source = Flat()
    torch.save(source.state_dict(), hub / "pytorch_model.bin")
    found = own()
    assert torch.equal(found.model.conv.weight, source.conv.weight)
    torch.save({"conv.weight": torch.zeros(1)}, hub / "other.pt")
    with pytest.raises(InputError, match=r"missing: conv\.bias"):
        own(file="other.pt")


def test_what_the_hub_lacks_is_said(hub):
    with pytest.raises(InputError, match=r"one of model\.safetensors"):
        own()
    with pytest.raises(InputError, match="nothing in the cache") as told:
        own(name="hub:far/away")
    assert "hf download far/away" in str(told.value)
    with pytest.raises(InputError, match="EntryNotFoundError"):
        own(file="missing.pt")
    with pytest.raises(InputError, match="dim= and prepare="):
        own(dim=None)
    (hub / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="without an architecture of timm"):
        backbone("hub:some/one")


def test_repositories_of_timm_are_opened_by_timm(hub, timm):
    (hub / "config.json").write_text(json.dumps({"architecture": "tiny"}))
    found = backbone("hub:some/one")
    assert timm.asked == [("hf-hub:some/one", True, 0)]
    assert (found.name, found.dim) == ("hub:some/one", 5)


def test_without_the_client_it_says_which_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'archsmith\[hub\]'"):
        backbone("hub:some/one")
