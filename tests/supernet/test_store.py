"""The store: names, growth in place, files, splitting."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import nn

import archsmith as nas
from archsmith.supernet.slicing import PREFIX, SlicingRule, take
from archsmith.supernet.store import WeightStore, beyond, filled
from archsmith.supernet.supernet import Supernet


def small(width: int = 4) -> nn.Module:
    w, k = nas.choose("width", [2, width]), nas.choose("kernel", [1, 3])
    op = nas.one_of("op", {"conv": lambda: nn.Conv2d(w, w, 1), "norm": lambda: nn.BatchNorm2d(w)})
    return nn.Sequential(nn.Conv2d(1, w, k, padding=k // 2), op)


def test_keys_may_hold_what_names_of_torch_must_not():
    store = WeightStore()
    keys = ["a.b.weight", "a/b.weight", "op=x/y.c|d.weight"]
    for place, key in enumerate(keys):
        store.put(key, torch.tensor([float(place)]), trained=place % 2 == 0)
    assert {key for key, _ in store.stored()} == {*keys}
    assert [store.get(key).item() for key in keys] == [0.0, 1.0, 2.0]
    assert store.get("a.b") is None
    for key in keys:
        store.remove(key)
    assert not list(store.stored())


GROWN = [
    ((2, 1, 3), (3, 2, 5), SlicingRule(align=((2, "centre"),))),
    ((6, 2), (9, 4), SlicingRule(parts=((0, 3),))),
    ((4, 4), (8, 8), SlicingRule(parts=((0, 4), (1, 2)))),
    ((3,), (5,), PREFIX),
    ((), (), PREFIX),
]


@pytest.mark.parametrize(("before", "after", "rule"), GROWN)
def test_what_was_there_stays_where_its_architecture_finds_it(before, after, rule):
    store, values = WeightStore(), torch.randn(before)
    store.put("w", values, trained=True)
    old = store.get("w")
    store.grow("w", torch.zeros(after), rule)
    parameter = store.get("w")
    assert parameter is not old  # which a graph may still hold on to
    assert isinstance(parameter, torch.nn.Parameter)
    assert parameter.shape == torch.Size(after)
    assert torch.equal(take(parameter, torch.Size(before), rule), values)
    if before != after:
        assert int((parameter == 0).sum()) == parameter.numel() - values.numel()


def test_filled_has_the_tensor_in_front_and_its_kind_behind():
    noise = torch.Generator().manual_seed(0)
    spread = filled(torch.randn(50, 20, generator=noise) * 3 + 1, torch.Size([100, 40]), noise)
    behind = spread[50:]
    assert abs(float(behind.std()) - 3) < 0.3
    assert abs(float(behind.mean()) - 1) < 0.3
    assert torch.equal(filled(torch.ones(2), torch.Size([4]), noise), torch.ones(4))
    counted = filled(torch.tensor([7, 8]), torch.Size([3]), noise)
    assert counted.tolist() == [7, 8, 7]
    assert filled(torch.zeros(0), torch.Size([2]), noise).tolist() == [0, 0]


def test_beyond():
    assert beyond(torch.Size([2, 3]), torch.Size([2, 4]))
    assert beyond(torch.Size([2, 3]), torch.Size([2]))
    assert not beyond(torch.Size([2, 3]), torch.Size([1, 3]))


def test_weights_of_another_supernet_are_refused():
    net = Supernet(nas.Space(small))
    good = {key: tensor.detach().clone() for key, tensor in net.stored()}
    for bad, part in (
        ({k: t for k, t in good.items() if k != "0.bias"}, "0.bias in only one of them"),
        ({**good, "more": torch.zeros(1)}, "more in only one of them"),
        ({**good, "0.bias": torch.zeros(5)}, r"\(5,\) for 0.bias"),
    ):
        with pytest.raises(nas.InputError, match=part):
            net.fill_from(bad, "file")
    net.fill_from({key: tensor + 1 for key, tensor in good.items()}, "file")
    assert torch.equal(net.get("0.bias"), good["0.bias"] + 1)


def test_a_store_is_a_module_like_any_other():
    net = Supernet(nas.Space(small))
    names = dict(net.named_parameters())
    assert len(names) == len(list(net.parameters())) == 6
    assert not any("." in name for name in names)
    twin = copy.deepcopy(net)
    other = Supernet(nas.Space(small), seed=9)
    other.load_state_dict(net.state_dict())
    for same in (twin, other):
        assert all(torch.equal(t, net.get(key)) for key, t in same.stored())
    assert net.double().subnet(net.survey.largest)[0].weight.dtype == torch.float64


def test_subnets_can_have_buffers_of_their_own():
    net = Supernet(nas.Space(small))
    norm = net.space.complete({"op": "norm", "width": 4})
    before = net.get("1=norm.running_mean").clone()
    images = torch.randn(4, 1, 3, 3)
    apart = net.subnet(norm, own_buffers=True)
    apart(images)
    assert torch.equal(net.get("1=norm.running_mean"), before)
    assert not torch.equal(apart[1].running_mean, before)
    net.subnet(norm)(images)
    assert not torch.equal(net.get("1=norm.running_mean"), before)
    assert net.get("1=norm.num_batches_tracked") == 1


def test_forward_is_the_subnets_in_the_same_mode():
    net = Supernet(nas.Space(small)).eval()
    norm, images = net.space.complete({"op": "norm"}), torch.randn(4, 1, 3, 3)
    assert torch.equal(net(images, architecture=norm), net.subnet(norm).eval()(images))
    assert net.get("1=norm.num_batches_tracked") == 0
    net.train()(images, architecture=norm)
    assert net.get("1=norm.num_batches_tracked") == 1


def split_net() -> Supernet:
    net = Supernet(nas.Space(small))
    net.split("op")
    return net


def test_a_split_copies_and_then_the_copies_go_their_own_ways():
    net = Supernet(nas.Space(small))
    rng = random.Random(0)
    drawn = [net.space.sample(rng) for _ in range(8)]
    images = torch.randn(2, 1, 3, 3)
    before = [net.subnet(a).eval()(images) for a in drawn]
    version = net.version
    net.split("op")
    assert net.version > version
    assert net.splits == ("op",)
    for architecture, expected in zip(drawn, before, strict=True):
        assert torch.equal(net.subnet(architecture).eval()(images), expected)
    conv, norm = (net.space.complete({"op": op}) for op in ("conv", "norm"))
    net.subnet(conv)(images).sum().backward()
    torch.optim.SGD(net.parameters(), 1.0).step()
    after = net.get("op=conv|0.weight"), net.get("op=norm|0.weight")
    assert not torch.equal(*after)
    assert torch.equal(net.extract(norm)[0].weight, after[1][:2, :, 1:2, 1:2])
    assert net.facts("op=conv|0.weight").kind is nn.Conv2d


def test_a_split_by_a_number_has_every_answer():
    def build() -> nn.Module:
        return nn.Linear(3, nas.choose("width", list(range(2, 20))))

    net = Supernet(nas.Space(build))
    net.split("width")
    assert len(dict(net.stored())) == 2 * 18
    version = net.version
    for width in range(2, 20):
        net.subnet(nas.Architecture({"width": width}))
    assert net.version == version


@pytest.mark.parametrize("name", ["op", "kernels", "deep"])
def test_what_cannot_be_split_by_is_refused(name):
    def build() -> nn.Module:
        options = {"a": lambda: nn.Linear(2, nas.choose("deep", [1, 2])), "b": nn.Identity}
        return nn.Sequential(nas.one_of("op", options))

    net = Supernet(nas.Space(build))
    net.split("op")
    with pytest.raises(nas.SpaceError, match="a decision that all architectures are asked"):
        net.split("op.a.deep" if name == "deep" else name)


def test_splits_and_growth_are_saved_in_their_order(tmp_path):
    def build() -> nn.Module:
        rare = nas.integer("number", 1, 4000) == 237 and nas.choose("sure", [False, True])
        twice = nas.choose("twice", [False, True])
        return nn.Linear(5 if rare else 3, 4 if twice else 2)

    space = nas.Space(build)
    net = Supernet(space)
    net.split("twice")
    rare = nas.Architecture({"number": 237, "sure": True, "twice": False})
    net.subnet(rare)
    for _, tensor in net.stored():
        tensor.data.normal_()
    net.save(tmp_path / "net.safetensors")
    back = Supernet.load(tmp_path / "net.safetensors", space)
    assert back.splits == net.splits
    for architecture in (rare, nas.Architecture({**rare, "sure": False}), space.default()):
        assert torch.equal(net.extract(architecture).weight, back.extract(architecture).weight)
    # One that had gone on in another way takes the file over as it is.
    other = Supernet(space, seed=0)
    other.subnet(nas.Architecture({**rare, "twice": True}))
    from archsmith._support.weights import read

    other.restore(*read(tmp_path / "net.safetensors"), "net")
    assert dict(other.stored()).keys() == dict(net.stored()).keys()


def test_a_survey_that_ran_out_of_time_is_repeated_as_it_was(tmp_path, monkeypatch):
    """A slow machine looks at fewer random architectures; its file opens on a fast one."""
    from archsmith.supernet import survey

    def build() -> nn.Module:
        parts = [nas.choose(f"part{i}", [0, 1]) for i in range(6)]
        return nn.Linear(1 + (sum(parts) == 3), 2)  # no single change of the default shows it

    space = nas.Space(build)
    monkeypatch.setattr(survey, "_SECONDS", -1.0)
    slow = Supernet(space)
    assert slow.survey.drawn == 0
    slow.save(tmp_path / "net.safetensors")
    monkeypatch.setattr(survey, "_SECONDS", 20.0)
    assert Supernet(space).get("weight").shape != slow.get("weight").shape
    back = Supernet.load(tmp_path / "net.safetensors", space)
    assert torch.equal(back.get("weight"), slow.get("weight"))
