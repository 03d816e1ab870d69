"""LoRA and bottleneck adapters: nothing changes at first, little is trained, merging is exact."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archsmith._support.errors import InputError
from archsmith.transfer.tuning import Adapted, LowRank, add_adapters, add_lora, merge


def conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 6, 1, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


class Attention(nn.Module):
    """Self-attention over (n, t, 8) with other widths of key and value, or the same."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        other = {} if fused else {"kdim": 8, "vdim": 8}
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **other)
        if not fused:
            # Torch fuses equal widths; what a stranger's model does not fuse, it has like this.
            self.attention = nn.MultiheadAttention(8, 2, kdim=4, vdim=4, batch_first=True)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        other = x if self.fused else x[..., :4]
        return self.attention(x, other, other)[0]


def layer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv": (conv, (4, 2, 7, 7)),
    "fused attention": (lambda: Attention(True), (4, 5, 8)),
    "attention": (lambda: Attention(False), (4, 5, 8)),
    "transformer layer": (layer, (4, 5, 8)),
}


def made(name: str) -> tuple[nn.Module, Tensor]:
    build, shape = MODELS[name]
    torch.manual_seed(0)
    return build().eval(), torch.randn(shape)


@pytest.mark.parametrize("name", MODELS)
def test_lora_starts_as_the_model_and_merges_into_it(name):
    model, x = made(name)
    with torch.no_grad():
        before = model(x)
    plain = copy.deepcopy(model)
    told = add_lora(model, rank=2)
    assert told
    with torch.no_grad():
        assert torch.allclose(model(x), before, atol=1e-6)
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("up"):
                parameter.normal_()
        changed = model(x)
    assert not torch.allclose(changed, before, atol=1e-3)
    assert merge(model) is model
    with torch.no_grad():
        assert torch.allclose(model(x), changed, atol=1e-6)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert [type(m) for m in model.modules()] == [type(m) for m in plain.modules()]
    again = pickle.loads(pickle.dumps(model))
    with torch.no_grad():
        assert torch.allclose(again(x), changed, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_lora_trains_the_products_alone(name):
    model, x = made(name)
    before = copy.deepcopy(model.state_dict())
    told = add_lora(model, rank=2)
    model.train()
    model(x).square().mean().backward()
    for weight in told:
        layer_name, _, role = weight.rpartition(".")
        module = model.get_submodule(layer_name)
        original = module.parametrizations[role].original
        product = module.parametrizations[role][0]
        assert original.grad is None
        assert torch.equal(original, before[weight])
        assert product.up.grad.abs().sum() > 0
        assert product.down.grad.abs().sum() == 0  # up is zero: the first step moves it alone


def test_a_product_is_what_the_paper_says():
    torch.manual_seed(0)
    linear = nn.Linear(5, 7)
    weight = linear.weight.detach().clone()
    assert add_lora(linear, rank=3, alpha=6.0) == ["weight"]
    product = linear.parametrizations["weight"][0]
    assert isinstance(product, LowRank)
    assert (tuple(product.up.shape), tuple(product.down.shape)) == ((1, 7, 3), (1, 3, 5))
    with torch.no_grad():
        product.up.normal_()
    expected = weight + 2.0 * product.up[0] @ product.down[0]
    assert torch.allclose(linear.weight, expected)
    assert torch.linalg.matrix_rank(linear.weight - weight) == 3


def test_query_key_and_value_have_products_of_their_own():
    model, _ = made("fused attention")
    add_lora(model, "attention", rank=1)
    product = model.attention.parametrizations["in_proj_weight"][0]
    with torch.no_grad():
        product.up[1].normal_()
    change = (model.attention.in_proj_weight - product(torch.zeros(24, 8)) * 0).detach()
    original = model.attention.parametrizations["in_proj_weight"].original
    moved = (change - original).view(3, 8, 8).abs().sum((1, 2))
    assert moved[0] == moved[2] == 0
    assert moved[1] > 0


def test_lora_goes_where_it_is_told():
    assert add_lora(conv(), "4") == ["4.weight"]
    assert add_lora(conv(), ["0", "8"]) == ["0.weight", "8.weight"]
    assert add_lora(conv()) == ["0.weight", "4.weight", "8.weight"]  # 3 is depthwise
    assert add_lora(layer(), "self_attn.*") == ["self_attn.out_proj.weight"]
    with pytest.raises(InputError, match="pattern 'head': expected a name in the model"):
        add_lora(conv(), "head")
    with pytest.raises(InputError, match="rank: expected 1 or more"):
        add_lora(conv(), rank=0)
    twice = conv()
    add_lora(twice, "0")
    with pytest.raises(InputError, match="without a parametrisation"):
        add_lora(twice)


def test_other_parametrisations_stay_when_products_are_merged():
    model = nn.Sequential(nn.Linear(3, 3), nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    add_lora(model, "0")
    merge(model)
    assert [name for name, _ in model.named_parameters() if "parametrizations" in name] == [
        "1.parametrizations.weight.original0",
        "1.parametrizations.weight.original1",
    ]


@pytest.mark.parametrize(("name", "places"), [("conv", ["1", "4"]), ("transformer layer", None)])
def test_adapters_start_as_the_model_and_train_alone(name, places):
    model, x = made(name)
    if places is None:
        model, places = nn.Sequential(model, layer()).eval(), "*"
    with torch.no_grad():
        before = model(x)
    old = {id(p) for p in model.parameters()}
    mode = model.training
    told = add_adapters(model, places, x, rank=2)
    assert len(told) == 2
    assert model.training == mode
    with torch.no_grad():
        assert torch.equal(model(x), before)
    model.train()
    model(x).square().sum().backward()
    adapters = [m for m in model.modules() if isinstance(m, Adapted)]
    assert len(adapters) == 2
    for adapter in adapters:
        assert not any(p.requires_grad for p in adapter.inner.parameters())
        assert adapter.up.weight.grad.abs().sum() > 0
    for parameter in model.parameters():
        if id(parameter) in old and not parameter.requires_grad:
            assert parameter.grad is None


def test_an_adapter_is_what_the_paper_says():
    model, x = made("conv")
    with torch.no_grad():
        inner = model[0](x)
    add_adapters(model, "0", x, rank=3)
    adapter = model[0]
    with torch.no_grad():
        adapter.up.weight.normal_()
        down = torch.einsum("nchw,rc->nrhw", inner, adapter.down.weight[:, :, 0, 0])
        hidden = F.gelu(down + adapter.down.bias[:, None, None])
        change = torch.einsum("nrhw,cr->nchw", hidden, adapter.up.weight[:, :, 0, 0])
        assert torch.allclose(adapter(x), inner + change, atol=1e-5)


def test_adapters_are_refused_where_they_would_not_be_run():
    model, x = made("transformer layer")
    with pytest.raises(InputError, match="which reads its weights"):
        add_adapters(nn.Sequential(model), "0.linear2", x.clone())
    with pytest.raises(InputError, match="got a value of type tuple"):
        add_adapters(Attention(True), "attention", x)
    model, x = made("conv")
    model.unused = nn.Linear(2, 2)
    model.forward = lambda inputs: model[0](inputs)
    with pytest.raises(InputError, match="the model does not call it"):
        add_adapters(model, "unused", x)
    with pytest.raises(InputError, match="expected a name in the model"):
        add_adapters(conv(), "stage1", x)


def test_a_place_inside_another_gets_none():
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear(3, 2))
    assert add_adapters(model, ["0"], torch.randn(2, 3)) == ["0"]
