"""Kept features: what is read again, what is computed anew, and what is never believed."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from archsmith._support.errors import InputError
from archsmith.space import Architecture, Space
from archsmith.transfer.features import Features
from archsmith.transfer.features.fingerprint import model_digest
from archsmith.zoo.convnet import convnet
from archsmith.zoo.rnn_cells import rnn_cells

SIZE = 12


class Counted(nn.Module):
    """Counts what goes through it, out of sight of what a model is."""

    calls: list[int] = []  # noqa: RUF012  (of the class, so that it is no attribute of a model)

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale = scale
        self.one, self.two = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        self.calls.append(len(x))
        return self.two(torch.relu(self.one(x)) * self.scale)


@pytest.fixture
def rows():
    Counted.calls.clear()
    return torch.randn(10, 6, generator=torch.Generator().manual_seed(1))


def test_the_same_again_does_not_run_the_model(rows, tmp_path):
    first = Features(Counted(), cache=tmp_path / "kept")(rows)
    assert Counted.calls
    Counted.calls.clear()
    seen = []
    again = Features(Counted(), cache=tmp_path / "kept", batch_size=3)
    found = again(rows.numpy().copy(), progress=lambda *at: seen.append(at))
    assert torch.equal(found, first)
    assert again.layer == "two:input"
    assert not Counted.calls
    assert seen == [(10, 10)]
    head = nn.Linear(5, 1)
    head(found).sum().backward()
    assert head.weight.grad is not None


def test_normalisation_is_not_part_of_what_is_kept(rows, tmp_path):
    plain = Features(Counted(), cache=tmp_path)(rows)
    Counted.calls.clear()
    scaled = Features(Counted(), cache=tmp_path, normalise="l2")(rows)
    assert not Counted.calls
    assert torch.allclose(scaled, plain / plain.norm(dim=1, keepdim=True))


def test_whatever_changes_the_features_misses(rows, tmp_path):
    model = Counted()
    reader = Features(model, "one", cache=tmp_path)
    reader(rows)

    def runs(features: Features, given: torch.Tensor = rows) -> bool:
        Counted.calls.clear()
        fresh = Features(
            features.model, features._layer, pool=features.pool, prepare=features.prepare
        )(given)
        Counted.calls.clear()
        assert torch.allclose(features(given), fresh)
        return bool(Counted.calls)

    assert not runs(reader)
    assert runs(reader, rows + 1e-6)
    assert runs(reader, rows[:9])
    assert runs(Features(model, "two", cache=tmp_path))
    assert runs(Features(model, None, cache=tmp_path))
    assert runs(Features(model, "one", cache=tmp_path, pool="flatten"))
    assert runs(Features(model, "one", cache=tmp_path, prepare=lambda x: x * 2))
    assert runs(Features(Counted(2.0), "two", cache=tmp_path))  # a number that is no weight
    with torch.no_grad():
        model.two.bias[0] += 1e-3
    assert runs(Features(model, "two", cache=tmp_path))
    # A hook can change what a layer says.
    model.one.register_forward_hook(lambda m, a, out: out + 1)
    assert runs(Features(model, "one", cache=tmp_path))


def test_one_layer_that_is_missing_is_computed_alone(rows, tmp_path):
    model = Counted()
    one = Features(model, cache=tmp_path).at(rows, ["one"])
    Counted.calls.clear()
    reader = Features(model, cache=tmp_path)
    both = reader.at(rows, ["one", "two"])
    assert Counted.calls
    assert torch.equal(both["one"], one["one"])
    Counted.calls.clear()
    reader.at(rows, ["two", "one"])
    assert not Counted.calls


@pytest.mark.parametrize("harm", ["cut", "turned", "foreign", "empty", "moved"])
def test_a_damaged_file_is_computed_anew(rows, tmp_path, harm):
    model = Counted()
    first = Features(model, cache=tmp_path)(rows)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(data[:-8])
    elif harm == "turned":
        data[-3] ^= 1
        path.write_bytes(data)
    elif harm == "foreign":
        path.write_bytes(b"{} and what not" * 10)
    elif harm == "empty":
        path.write_bytes(b"")
    else:  # whole, but of other inputs
        Features(model, cache=tmp_path)(rows + 1)
        (other,) = (p for p in tmp_path.iterdir() if p != path)
        path.write_bytes(other.read_bytes())
    Counted.calls.clear()
    assert torch.equal(Features(model, cache=tmp_path)(rows), first)
    assert Counted.calls
    Counted.calls.clear()
    assert torch.equal(Features(model, cache=tmp_path)(rows), first)
    assert not Counted.calls  # and mended


def test_a_full_disk_costs_a_warning(rows, tmp_path, monkeypatch):
    from archsmith._support import weights
    from archsmith._support.errors import StoreError

    def full(path, *_):
        raise StoreError(str(path), "room on the disk", "none")

    monkeypatch.setattr(weights, "write", full)
    with pytest.warns(UserWarning, match="not kept"):
        found = Features(Counted(), cache=tmp_path)(rows)
    assert torch.equal(found, Features(Counted())(rows))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder"):
        Features(Counted(), cache=tmp_path / "file")


def test_models_that_differ_in_what_no_weight_tells():
    space = Space(rnn_cells, vocabulary=7, embedding=4, hidden=4, layers=1)
    default = space.default()
    other = Architecture({**default, "node1.op": "activation_sigm"})
    models = [space.build(a, seed=0) for a in (default, other)]
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert model_digest(models[0]) != model_digest(models[1])
    assert model_digest(space.build(default, seed=0)) == model_digest(models[0])


def test_code_that_changed_is_another_model():
    def made(body: str) -> nn.Module:
        names = {"nn": nn, "torch": torch, "__name__": "made"}
        code = f"class Net(nn.Module):\n    def forward(self, x):\n        return {body}\n"
        exec(code, names)
        return names["Net"]()

    assert model_digest(made("x + 1")) == model_digest(made("x + 1"))
    assert model_digest(made("x + 1")) != model_digest(made("x + 2"))
    assert model_digest(made("x + 1")) != model_digest(made("x * 1"))
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    two.load_state_dict(one.state_dict())
    assert model_digest(one) == model_digest(two)
    two.attached = lambda x: x
    assert model_digest(one) != model_digest(two)
    two.attached = torch.Generator()
    with pytest.raises(InputError, match="attached of type Generator"):
        model_digest(two)


def test_models_with_cycles_and_odd_attributes():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net.parent = [net]
    net[0].config = {"sizes": (1, 2), "kind": nn.GELU, "array": np.ones(3), "set": {"b", "a"}}
    assert model_digest(net) == model_digest(net)
    before = model_digest(net)
    net[0].config["array"][1] = 2
    assert model_digest(net) != before


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(3, 4, 2, bidirectional=True),
        lambda: nn.GRU(3, 4),
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 2, 3)),
        lambda: nn.MultiheadAttention(4, 2),
    ],
)
def test_torch_modules_have_a_digest(make):
    torch.manual_seed(0)
    one, two = make(), make()
    for to, start in zip(two.parameters(), one.parameters(), strict=True):
        to.data.copy_(start.data)
    for to, start in zip(two.buffers(), one.buffers(), strict=True):
        to.copy_(start)
    assert model_digest(one) == model_digest(two)
    next(two.parameters()).data.add_(1e-4)
    assert model_digest(one) != model_digest(two)


@pytest.mark.processes
def test_the_key_is_the_same_in_another_process():
    code = (
        "from archsmith.space import Space\n"
        "from archsmith.zoo.convnet import convnet\n"
        "from archsmith.transfer.features.fingerprint import model_digest\n"
        f"space = Space(convnet, channels=1, classes=3, height={SIZE}, width={SIZE})\n"
        "print(model_digest(space.build(space.default(), seed=0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12"},
    )
    space = Space(convnet, channels=1, classes=3, height=SIZE, width=SIZE)
    assert done.stdout.strip() == model_digest(space.build(space.default(), seed=0))
