"""Kinds of torch layers with chosen sizes: the promise, and which entries a narrow one takes."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

import archsmith as nas
from archsmith.supernet.supernet import Supernet
from archsmith.testing import supernet as promise

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
NOISE = torch.Generator().manual_seed(0)
CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {}


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=NOISE)


def case(example: Tensor) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    def register(builder: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        CASES[builder.__name__] = builder, example
        return builder

    return register


def width() -> int:
    return nas.choose("width", [4, 8, 6])


class First(nn.Module):
    """The first output of a layer that has several."""

    def __init__(self, layer: nn.Module, **named: Any) -> None:
        super().__init__()
        self.layer, self.named = layer, named

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, **self.named)[0]


@case(noise(3, 2, 9))
def conv1d() -> nn.Module:
    w, k = width(), nas.choose("kernel", [3, 1, 5])
    return nn.Sequential(nn.Conv1d(2, w, k, padding=k // 2), nn.BatchNorm1d(w), nn.Conv1d(w, 3, 1))


@case(noise(2, 2, 5, 5, 5))
def conv3d() -> nn.Module:
    w, k = width(), nas.choose("kernel", [3, 1])
    conv = nn.Conv3d(2, w, k, padding=k // 2)
    return nn.Sequential(conv, nn.BatchNorm3d(w), nn.ConvTranspose3d(w, 2, 2))


@case(noise(3, 2, 5, 5))
def depthwise_and_transposed() -> nn.Module:
    w, k = width(), nas.choose("kernel", [3, 5])
    return nn.Sequential(
        nn.Conv2d(2, w, 1),
        nn.Conv2d(w, w, k, padding=k // 2, groups=w),
        nn.ConvTranspose2d(w, 2 * w, k, stride=2, groups=2),
        nn.ConvTranspose2d(2 * w, 3, 2),
    )


@case(noise(3, 2, 5, 5))
def grouped() -> nn.Module:
    w = nas.choose("width", [12, 24, 36])
    return nn.Sequential(nn.Conv2d(2, w, 1), nn.Conv2d(w, 2 * w, 3, groups=3), nn.PReLU(2 * w))


@case(noise(3, 2, 5, 5))
def chosen_groups() -> nn.Module:
    w, groups = nas.choose("width", [12, 24]), nas.choose("groups", [1, 2, 3, "each"])
    groups = w if groups == "each" else groups
    return nn.Sequential(nn.Conv2d(2, w, 1), nn.Conv2d(w, w, 3, groups=groups))


@case(noise(3, 2, 5, 5))
def groups_of_one_width() -> nn.Module:
    w = nas.choose("width", [12, 20, 16])
    return nn.Sequential(nn.Conv2d(2, w, 1), nn.Conv2d(w, w, 3, groups=w // 4))


class Paired(nn.Module):
    def __init__(self, w: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, w), nn.Linear(4, w + 1)
        self.both = nn.Bilinear(w, w + 1, w)

    def forward(self, x: Tensor) -> Tensor:
        return self.both(self.one(x), self.two(x))


@case(noise(3, 4))
def linear_and_bilinear() -> nn.Module:
    w = width()
    return nn.Sequential(Paired(w), nn.Linear(w, 3, bias=nas.choose("bias", [True, False])))


@case(torch.tensor([[1, 2, 0], [3, 4, 5]]))
def embedding() -> nn.Module:
    w = width()
    return nn.Sequential(
        nn.Embedding(nas.choose("rows", [6, 9]), w, padding_idx=0), nn.LayerNorm(w)
    )


@case(torch.tensor([[1, 2, 0], [3, 4, 5]]))
def embedding_bag() -> nn.Module:
    w = width()
    return nn.Sequential(nn.EmbeddingBag(6, w, mode="mean"), nn.RMSNorm(w), nn.Linear(w, 2))


@case(noise(3, 2, 5, 5))
def norms() -> nn.Module:
    w = nas.choose("width", [4, 8])
    return nn.Sequential(
        nn.Conv2d(2, w, 1),
        nn.BatchNorm2d(w),
        nn.GroupNorm(2, w),
        nn.PReLU(w),
        nn.InstanceNorm2d(w, affine=True, track_running_stats=True),
        nn.BatchNorm2d(w, affine=False, momentum=None),
        nn.LayerNorm([w, 5, 5]),
        nn.LocalResponseNorm(2),
    )


def recurrent(kind: Any, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        w = nas.choose("width", [4, 8, 6])
        options.setdefault("num_layers", 1)
        return First(kind(3, w, batch_first=True, **options))

    return build


for kind in (nn.LSTM, nn.GRU, nn.RNN):
    for layers in (1, 2):
        for both in (False, True):
            name = f"{kind.__name__.lower()}_{layers}_{'both' if both else 'one'}"
            builder = recurrent(
                kind, num_layers=layers, bidirectional=both, dropout=0.2 * layers - 0.2
            )
            CASES[name] = builder, noise(2, 5, 3)
CASES["lstm_projected"] = (
    recurrent(nn.LSTM, num_layers=2, proj_size=2, bidirectional=True),
    noise(2, 5, 3),
)


class Cells(nn.Module):
    def __init__(self, w: int) -> None:
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTMCell(3, w), nn.GRUCell(w, w), nn.RNNCell(w, w)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.lstm(x)
        return self.rnn(self.gru(hidden))


@case(noise(4, 3))
def cells() -> nn.Module:
    return Cells(width())


class Attending(nn.Module):
    def __init__(self, w: int, heads: int, **options: Any) -> None:
        super().__init__()
        self.inner = nn.Linear(4, w)
        self.attention = nn.MultiheadAttention(w, heads, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        key, value = x[..., : self.attention.kdim], x[..., : self.attention.vdim]
        return self.attention(x, key, value)[0]


@case(noise(2, 5, 4))
def attention() -> nn.Module:
    return Attending(nas.choose("width", [8, 16]), nas.choose("heads", [1, 2, 4]), dropout=0.1)


@case(noise(2, 5, 4))
def attention_with_everything() -> nn.Module:
    w = nas.choose("width", [8, 16])
    return Attending(w, 2, kdim=w // 2, vdim=4, add_bias_kv=True, add_zero_attn=True)


@case(noise(2, 5, 8))
def transformer_encoder() -> nn.Module:
    hidden, heads = 8 * nas.choose("ratio", [1, 2, 3]), nas.choose("heads", [1, 2])
    layer = nn.TransformerEncoderLayer(8, heads, hidden, batch_first=True)
    return nn.TransformerEncoder(layer, nas.choose("depth", [1, 2, 3]), enable_nested_tensor=False)


class Decoding(nn.Module):
    def __init__(self, w: int, heads: int) -> None:
        super().__init__()
        self.inner = nn.Linear(4, w)
        self.decoder = nn.TransformerDecoderLayer(
            w, heads, 2 * w, batch_first=True, norm_first=True
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        return self.decoder(x, x.flip(1))


@case(noise(2, 5, 4))
def transformer_decoder() -> nn.Module:
    return Decoding(nas.choose("width", [8, 16]), nas.choose("heads", [1, 2]))


NORMALISED = {
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "orthogonal": orthogonal,
    "old_weight_norm": old_weight_norm,
    "old_spectral_norm": old_spectral_norm,
}


def normalised(wrap: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        w = nas.choose("width", [4, 6])
        k = 3 if wrap is spectral_norm else nas.choose("kernel", [3, 5])  # slow on meta
        places = {"plain": lambda: nn.Conv2d(w, w, 5, padding=2), "skip": nn.Identity}
        places["normalised"] = lambda: wrap(nn.Conv2d(w, w, 1))
        return nn.Sequential(
            wrap(nn.Conv2d(2, w, k, padding=k // 2)),
            nas.one_of("op", places),
            nn.Flatten(),
            wrap(nn.Linear(25 * w, 3)),
        )

    return build


for name, wrap in NORMALISED.items():
    CASES[name] = normalised(wrap), noise(3, 2, 5, 5)


class Tied(nn.Module):
    """Embedding and output are one matrix, and a block is used twice."""

    def __init__(self, w: int, tied: bool) -> None:
        super().__init__()
        self.embed, self.block = nn.Embedding(7, w), nn.Linear(w, w)
        self.again, self.output = self.block, nn.Linear(w, 7, bias=False)
        if tied:
            self.output.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.again(torch.relu(self.block(self.embed(x)))))


@case(torch.tensor([[1, 2, 0], [3, 4, 5]]))
def tied() -> nn.Module:
    return Tied(width(), nas.choose("tied", [True, False]))


class Positions(nn.Module):
    """Buffers of all kinds: computed from the width, a mask, not saved, not registered, counted."""

    table: Tensor
    mask: Tensor
    scale: Tensor
    seen: Tensor
    spread: Tensor

    def __init__(self, w: int, length: int, frozen: bool) -> None:
        super().__init__()
        place = torch.arange(length)[:, None] / 10_000 ** (torch.arange(w) / w)
        self.register_buffer(
            "table", torch.where(torch.arange(w) % 2 == 0, place.sin(), place.cos())
        )
        self.register_buffer("mask", torch.tril(torch.ones(length, length)))
        self.register_buffer("scale", torch.tensor(1 / math.sqrt(w)), persistent=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("spread", torch.rand(w))
        self.order = torch.arange(w).flip(0)
        self.gain = nn.Parameter(torch.randn(1, 1, w))
        self.kept = nn.Linear(4, w).requires_grad_(not frozen)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        if self.training:
            self.seen += 1
            self.spread.mul_(0.9)
        x = (self.kept(x) + self.table[:n]) * self.gain * self.scale + self.spread
        return self.mask[:n, :n] @ x[..., self.order]


@case(noise(2, 5, 4))
def buffers() -> nn.Module:
    return Positions(width(), nas.choose("length", [5, 9]), nas.choose("frozen", [True, False]))


@case(noise(3, 4).bfloat16())
def bfloat16() -> nn.Module:
    w = width()
    return nn.Sequential(nn.Linear(4, w, dtype=torch.bfloat16), nn.LayerNorm(w)).bfloat16()


@case(noise(3, 4).double())
def double() -> nn.Module:
    w = width()
    return nn.Sequential(nn.Linear(4, w), nn.BatchNorm1d(w), nn.Linear(w, 2)).double()


@case(noise(3, 4))
def slashes() -> nn.Module:
    """Labels and names may hold what separates names elsewhere."""
    options = {"a/b": lambda: nn.Linear(4, width()), "a|b": lambda: nn.Linear(4, 3)}
    return nn.Sequential(nas.one_of("op", options))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_layer_keeps_the_promise(name, tmp_path):
    builder, example = CASES[name]
    space, rng = nas.Space(builder), random.Random(0)
    net = Supernet(space)

    def run(model: nn.Module) -> Tensor:
        return model(example)

    drawn = [net.survey.smallest, net.survey.largest, *(space.sample(rng) for _ in range(3))]
    promise.only_the_path_moves(net, drawn, run, promise.OPTIMIZERS[0])
    for architecture in drawn:
        for train in (True, False):
            promise.same_outputs_and_gradients(net, architecture, run, train)
        promise.gradients_inside(net, architecture, run)
        promise.plain(net, architecture, run, 0.0, pickles=False)
    net.save(tmp_path / "net.safetensors")
    back = Supernet.load(tmp_path / "net.safetensors", space)
    for key, tensor in back.stored():
        assert tensor.dtype == net.get(key).dtype
    one, two = (promise.output(n.subnet(drawn[0]).eval(), run) for n in (net, back))
    assert torch.equal(one, two)


def entries(builder: Callable[[], nn.Module], **answers: Any) -> tuple[nn.Module, Supernet]:
    """A subnet whose weights are their own places in the stored tensors; and the supernet."""
    net = Supernet(nas.Space(builder))
    for _, tensor in net.stored():
        tensor.data = torch.arange(tensor.numel(), dtype=torch.float64).view(tensor.shape)
    return net.subnet(net.space.complete(answers)), net


def test_the_narrow_gates_are_prefixes_of_the_wide_gates():
    for kind, gates in ((nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)):
        builder = recurrent(kind, num_layers=2, bidirectional=True)
        model, net = entries(builder, width=4)
        layer = model.layer
        for name in ("weight_ih_l0", "weight_hh_l1_reverse", "bias_hh_l0"):
            stored, narrow = net.get(f"layer.{name}"), getattr(layer, name)
            assert stored.shape[0] == 8 * gates
            for gate in range(gates):
                wide = stored[8 * gate : 8 * gate + 4]
                wide = wide if wide.ndim == 1 else wide[:, : narrow.shape[1]]
                assert torch.equal(narrow[4 * gate : 4 * gate + 4], wide)
        # The second layer reads both directions, side by side.
        stored, narrow = net.get("layer.weight_ih_l1"), layer.weight_ih_l1
        assert torch.equal(narrow[:4, :4], stored[:4, :4])
        assert torch.equal(narrow[:4, 4:], stored[:4, 8:12])


def test_the_narrow_queries_keys_and_values_are_prefixes_of_their_own():
    model, net = entries(attention, width=8)
    stored, narrow = net.get("attention.in_proj_weight"), model.attention.in_proj_weight
    bias, narrow_bias = net.get("attention.in_proj_bias"), model.attention.in_proj_bias
    for part in range(3):
        here, there = slice(8 * part, 8 * part + 8), slice(16 * part, 16 * part + 8)
        assert torch.equal(narrow[here], stored[there, :8])
        assert torch.equal(narrow_bias[here], bias[there])


def test_each_group_is_a_prefix_of_the_same_group():
    model, net = entries(grouped, width=12)
    stored, narrow = net.get("1.weight"), model[1].weight
    assert stored.shape[:2] == (72, 12)
    for group in range(3):
        here, there = slice(8 * group, 8 * group + 8), slice(24 * group, 24 * group + 8)
        assert torch.equal(narrow[here], stored[there, :4])
        assert torch.equal(model[1].bias[here], net.get("1.bias")[there])


def test_chosen_groups_take_the_blocks_of_the_dense_kernel():
    stored = entries(chosen_groups)[1].get("1.weight")
    assert stored.shape == (24, 24, 3, 3)
    for groups in (2, 3):
        narrow = entries(chosen_groups, width=24, groups=groups)[0][1].weight
        size = 24 // groups
        for group in range(groups):
            block = slice(group * size, (group + 1) * size)
            assert torch.equal(narrow[block], stored[block, block])
    each = entries(chosen_groups, width=24, groups="each")[0][1].weight
    assert torch.equal(each[:, 0], stored[torch.arange(24), torch.arange(24)])


def test_without_a_dense_kernel_chosen_groups_take_blocks_of_the_widest_group():
    def two_or_four() -> nn.Module:
        return nn.Sequential(nn.Conv2d(8, 8, 1, groups=nas.choose("groups", [2, 4])))

    model, net = entries(two_or_four, groups=4)
    stored = net.get("0.weight")
    assert stored.shape == (8, 4, 1, 1)
    for row in range(8):  # of four groups, the second and the last are the right half of a group
        half = (row // 2) % 2
        assert torch.equal(model[0].weight[row], stored[row, 2 * half : 2 * half + 2])
    assert torch.equal(entries(two_or_four, groups=2)[0][0].weight, stored)


def test_the_small_kernel_is_the_centre_of_the_large_one():
    model, net = entries(depthwise_and_transposed, width=4, kernel=3)
    assert torch.equal(model[1].weight, net.get("1.weight")[:4, :, 1:4, 1:4])
    transposed = net.get("2.weight")[:, :, 1:4, 1:4]  # two groups of input channels
    assert torch.equal(model[2].weight, transposed[[0, 1, 4, 5], :4])


def test_computed_buffers_are_constants_and_the_rest_is_kept():
    net = Supernet(nas.Space(buffers))
    assert net.survey.constants == {"table"}
    kept = {key for key, _ in net.stored()}
    assert {"mask", "seen", "spread", "gain"} <= kept
    assert not {"scale", "table", "order"} & kept
    narrow = net.extract(net.space.complete({"width": 4}))
    assert torch.equal(narrow.table, Positions(4, 5, False).table)
    assert not net.extract(net.space.complete({"frozen": True})).kept.weight.requires_grad
    assert net.extract(net.space.complete({"frozen": False})).kept.weight.requires_grad


def test_tied_weights_are_one_tensor_with_one_gradient():
    net = Supernet(nas.Space(tied))
    keys = dict(net.stored())
    assert keys["output.weight"].shape == keys["embed.weight"].shape == (7, 8)
    for model in (net.subnet(net.space.default()), net.extract(net.space.default())):
        assert model.output.weight is model.embed.weight
        assert model.again.weight is model.block.weight
        model(torch.tensor([1, 2])).sum().backward()
    assert keys["output.weight"].grad is None
    assert bool(keys["embed.weight"].grad.any())


def test_a_kind_of_layer_can_register_how_it_shrinks():
    class Gated(nn.Module):
        def __init__(self, w: int) -> None:
            super().__init__()
            self.both = nn.Parameter(torch.randn(2 * w, 3))

        def forward(self, x: Tensor) -> Tensor:
            gate, value = (x @ self.both.T).chunk(2, -1)
            return gate.sigmoid() * value

    @nas.slice_rule(Gated)
    def _(layer: nn.Module, name: str) -> nas.SlicingRule:
        return nas.SlicingRule(parts=((0, 2),))

    model, net = entries(lambda: Gated(width()), width=4)
    stored = net.get("both")
    assert torch.equal(model.both, torch.cat([stored[:4], stored[8:12]]))


class Late(nn.Module):
    """One number of many asks for a larger kernel, wider gates and another buffer."""

    def __init__(self) -> None:
        super().__init__()
        rare = nas.integer("number", 1, 4000) == 237 and nas.choose("sure", [False, True])
        self.conv = nn.Conv2d(1, 2, 7 if rare else 3, padding="same")
        self.cell = nn.LSTMCell(2, 6 if rare else 4)
        self.register_buffer("share", torch.tensor(0.25 if rare else 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(self.conv(x).mean((2, 3)))[0] * self.share


def test_what_the_survey_has_not_met_is_taken_in_and_trained_weights_stay(tmp_path):
    space = nas.Space(Late)
    net = Supernet(space)
    assert net.get("conv.weight").shape == (2, 1, 3, 3)
    assert net.get("share") is not None
    usual, rare = space.default(), nas.Architecture({"number": 237, "sure": True})
    before, version = net.extract(usual), net.version
    assert net.extract(rare).conv.weight.shape == (2, 1, 7, 7)
    assert net.version > version
    after = net.extract(usual)
    for (name, one), two in zip(before.state_dict().items(), after.state_dict().values()):
        assert torch.equal(one, two), name
    assert net.get("share") is None  # it depends on the architecture
    assert net.extract(rare).share == 0.25
    net.save(tmp_path / "late.safetensors")
    back = Supernet.load(tmp_path / "late.safetensors", space)
    for architecture in (usual, rare):
        one, two = net.extract(architecture), back.extract(architecture)
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, two.state_dict()[name]), name


def test_warnings_do_not_come_from_sharing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = Supernet(nas.Space(grouped))
        net.subnet(net.survey.smallest)
