"""Reading checkpoints: what training programs write, and what is refused."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from archsmith._support.errors import InputError
from archsmith.transfer.pretrained.checkpoint import read_checkpoint

STATE = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}
EMA = {name: tensor + 1 for name, tensor in STATE.items()}


def same(read, expected=STATE):
    return read.keys() == expected.keys() and all(
        torch.equal(read[name], expected[name]) for name in expected
    )


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin"])
def test_safetensors_are_read_under_any_name(tmp_path, name):
    save_file(STATE, tmp_path / name)
    assert same(read_checkpoint(tmp_path / name))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"state": {}}},
        lambda s: {"model": s},
        lambda s: {"model": {"state_dict": s}, "args": {"lr": 0.1}},
        lambda s: {"model": s, "ema": EMA},
    ],
    ids=["bare", "lightning", "model", "two deep", "beside an average"],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_state_dicts_are_found(tmp_path, wrap, zipped):
    path = tmp_path / "model.pt"
    torch.save(wrap(STATE), path, _use_new_zipfile_serialization=zipped)
    assert same(read_checkpoint(path))


@pytest.mark.parametrize(
    "saved",
    [
        {"model": STATE, "model_ema": EMA},
        {"state_dict": STATE, "state_dict_ema": EMA},
        {"model": STATE, "ema": {"state_dict": EMA, "decay": 0.999}},
        {"model": {"state_dict": STATE, "ema": EMA}},
    ],
)
def test_averaged_weights_are_found(tmp_path, saved):
    torch.save(saved, tmp_path / "model.pt")
    assert same(read_checkpoint(tmp_path / "model.pt", ema=True), EMA)


def test_a_file_without_averaged_weights_says_so(tmp_path):
    torch.save({"model": STATE}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"averaged weights under one of .*, got model"):
        read_checkpoint(tmp_path / "model.pt", ema=True)
    save_file(STATE, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="leave out ema"):
        read_checkpoint(tmp_path / "model.safetensors", ema=True)


class Bomb:
    def __reduce__(self):
        return open, ("went-off", "w")


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "extra": Bomb()}, "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(InputError, match="pickled objects") as told:
            read_checkpoint(name)
        assert "model.state_dict()" in str(told.value)
    assert not (tmp_path / "went-off").exists()


def test_a_whole_module_is_named_and_refused(tmp_path):
    torch.save(nn.Linear(3, 2), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(tmp_path / "model.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_told_apart(tmp_path):
    torch.jit.script(nn.Linear(3, 2)).save(tmp_path / "model.pt")
    with pytest.raises(InputError, match="TorchScript"):
        read_checkpoint(tmp_path / "model.pt")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(InputError, match="a file of weights, got none"):
        read_checkpoint(path)
    for content in (b"", b"not a checkpoint", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"model\.pt: expected"):
            read_checkpoint(path)
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="a complete safetensors file"):
        read_checkpoint(path)
    torch.save({"epoch": 1, "lr": 0.1}, path)
    with pytest.raises(InputError, match="got epoch, lr"):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="tensors by name, got list"):
        read_checkpoint(path)
