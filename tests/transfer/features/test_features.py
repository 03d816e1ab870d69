"""Features held against forward passes of truncated models, written here by hand."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import archsmith as nas
from archsmith._support.errors import InputError, UnknownNameError
from archsmith.space import Space
from archsmith.transfer.features import Features
from archsmith.zoo import spaces

N, T, D = 7, 5, 8


def built(name: str, **arguments) -> nn.Module:
    space = Space(spaces.get(name), **arguments)
    return space.build(space.default(), seed=3)


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)


class Tagger(nn.Module):
    """Embedding, any sequence layer, and a linear head on every place."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.embedding, self.body, self.head = nn.Embedding(11, D), body, nn.LazyLinear(3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        out = self.body(x)
        out = out[0] if isinstance(out, tuple) else out
        return self.head(out)


def tagger(body: nn.Module) -> Tagger:
    torch.manual_seed(1)
    model = Tagger(body)
    model(torch.zeros(2, T, dtype=torch.long))
    return model


def tokens(n: int = N) -> Tensor:
    return torch.randint(11, (n, T), generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_the_penultimate_layer_of_zoo_networks(noise):
    images = torch.randn(N, 1, 12, 12, generator=noise)
    net = built("convnet", channels=1, classes=10, height=12, width=12)
    features = Features(net, batch_size=3)
    truncated = nn.Sequential(*list(net)[:-1], *list(net.head)[:-1])
    assert torch.allclose(features(images), truncated.eval()(images), atol=1e-6)
    assert features.layer == "head.3:input"

    net = built("nasbench201", channels=1, classes=10, width=4, cells=1)
    assert torch.allclose(Features(net)(images), net[:-1].eval()(images), atol=1e-6)

    rows = torch.randn(N, 6, generator=noise)
    net = built("mlp", features=6, outputs=3)
    assert torch.allclose(Features(net)(rows), net[:-1].eval()(rows), atol=1e-6)


@torch.no_grad()
def test_the_penultimate_layer_of_language_models():
    words = tokens()
    net = built("gpt", vocabulary=11, widths=(16,), depths=(2,), heads=(2,), head_size=8).eval()
    features = Features(net)
    hidden = net.norm(net.layers(net.embedding(words)))
    assert torch.allclose(features(words), hidden.mean(dim=1), atol=1e-6)
    assert features.layer == "logits:input"
    last = Features(net, pool="last")(words)
    assert torch.allclose(last, hidden[:, -1], atol=1e-6)

    net = built("rnn_cells", vocabulary=11, embedding=8, hidden=12, layers=2).eval()
    x = net.embedding(words)
    for layer in net.layers:
        x = layer(x)
    assert torch.allclose(Features(net, pool="max")(words), x.amax(dim=1), atol=1e-6)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("both", [False, True])
@torch.no_grad()
def test_recurrent_layers(kind, both):
    model = tagger(kind(D, 6, num_layers=2, batch_first=True, bidirectional=both))
    words = tokens()
    out, hidden = model.body(model.embedding(words))
    hidden = hidden[0] if kind is nn.LSTM else hidden
    wide = 12 if both else 6
    assert torch.allclose(Features(model, "body")(words), out.mean(dim=1), atol=1e-6)
    assert torch.allclose(Features(model, "body", pool="last")(words), out[:, -1], atol=1e-6)
    found = Features(model, "body", pool="hidden", batch_size=2)(words)
    wanted = torch.cat([hidden[-2], hidden[-1]], 1) if both else hidden[-1]
    assert found.shape == (N, wide)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(Features(model)(words), out.mean(dim=1), atol=1e-6)


@pytest.mark.parametrize("count", [N, T])  # with as many examples as places nothing else tells
@torch.no_grad()
def test_sequences_that_come_first(count):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.body = nn.Embedding(11, D), nn.LSTM(D, 6)
            self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

        def forward(self, words):
            out = self.norm(self.body(self.embedding(words.T))[0])
            return self.head(out.mean(dim=0))

    torch.manual_seed(0)
    model, words = First(), tokens(count)
    out = model.norm(model.body(model.embedding(words.T))[0])  # (t, n, d)
    assert torch.allclose(Features(model, "norm")(words), out.mean(dim=0), atol=1e-6)
    first = Features(model, "norm", pool="first", batch_size=3)(words)
    assert torch.allclose(first, out[0], atol=1e-6)
    whole = Features(model, "norm", pool="none")(words)
    assert torch.allclose(whole, out.transpose(0, 1), atol=1e-6)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@torch.no_grad()
def test_transformer_encoders_inside_and_out(batch_first, norm_first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        D, 2, 16, 0.1, batch_first=batch_first, norm_first=norm_first
    )
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.encoder, self.head = nn.Embedding(11, D), encoder, nn.Linear(D, 3)

        def forward(self, words):
            x = self.embedding(words)
            if batch_first:
                return self.head(self.encoder(x)[:, 0])
            return self.head(self.encoder(x.transpose(0, 1))[0])

    model, words = Encoder().eval(), tokens()
    x = model.embedding(words)
    x = x if batch_first else x.transpose(0, 1)
    axis = 1 if batch_first else 0
    one, two = encoder.layers
    middle = one(x)
    found = Features(model).at(
        words,
        ["encoder.layers.0", "encoder", "encoder.layers.1.self_attn", "encoder.layers.1.linear1"],
    )
    # The first layer is run by torch's fused path here and by the plain one under hooks.
    assert torch.allclose(found["encoder.layers.0"], middle.mean(dim=axis), atol=1e-5)
    assert torch.allclose(found["encoder"], two(middle).mean(dim=axis), atol=1e-5)
    read = two.norm1(middle) if norm_first else middle
    mixed = two.self_attn(read, read, read)[0]
    assert torch.allclose(found["encoder.layers.1.self_attn"], mixed.mean(dim=axis), atol=1e-5)
    after = middle + mixed
    wide = two.linear1(two.norm2(after) if norm_first else two.norm1(after))
    assert torch.allclose(found["encoder.layers.1.linear1"], wide.mean(dim=axis), atol=1e-5)
    features = Features(model)
    at_first = encoder(x)[:, 0] if batch_first else encoder(x)[0]
    assert torch.allclose(features(words), at_first, atol=1e-5)
    assert features.layer == "head:input"


@torch.no_grad()
def test_a_residual_network_without_a_classifier_is_read_at_its_end(noise):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(6, 9), nn.Linear(9, 6)

        def forward(self, x):
            return x + self.two(torch.relu(self.one(x)))

    torch.manual_seed(0)
    rows, model = torch.randn(N, 6, generator=noise), Residual()
    features = Features(model)
    # The last linear layer is no classifier: what it says is added to something else.
    assert torch.allclose(features(rows), model(rows), atol=1e-6)
    assert features.layer == ""
    ended = nn.Sequential(model, nn.Linear(6, 2), nn.Softmax(dim=1))
    features = Features(ended)
    assert torch.allclose(features(rows), model(rows), atol=1e-6)
    assert features.layer == "1:input"
    convolved = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    assert Features(convolved)(torch.randn(N, 1, 6, 6)).shape == (N, 4)
    backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    assert Features(backbone)(torch.randn(N, 1, 6, 6)).shape == (N, 4)


@torch.no_grad()
def test_pools_of_images_and_of_one_dimension(noise):
    images = torch.randn(N, 2, 6, 5, generator=noise)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(48, 2))
    plain = net[0](images)

    def read(pool: str) -> Tensor:
        return Features(net, "0", pool=pool, batch_size=4)(images)

    assert torch.allclose(read("mean"), plain.mean(dim=(2, 3)), atol=1e-6)
    assert torch.allclose(read("max"), plain.amax(dim=(2, 3)))
    both = torch.cat([plain.mean(dim=(2, 3)), plain.amax(dim=(2, 3))], 1)
    assert torch.allclose(read("mean+max"), both, atol=1e-6)
    # Kept although the next layer writes over it.
    assert torch.allclose(read("flatten"), plain.flatten(1), atol=1e-6)
    assert torch.allclose(read("none"), plain, atol=1e-6)
    with pytest.raises(InputError, match="a layer of sequences"):
        read("first")

    waves = torch.randn(N, 2, 9, generator=noise)
    net = nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert torch.allclose(Features(net, "1")(waves), net[:2](waves).mean(dim=2), atol=1e-6)
    volumes = torch.randn(N, 1, 4, 4, 4, generator=noise)
    net = nn.Sequential(nn.Conv3d(1, 3, 3), nn.Flatten(), nn.Linear(24, 2))
    assert torch.allclose(Features(net, "0")(volumes), net[0](volumes).mean((2, 3, 4)), atol=1e-6)


@pytest.mark.parametrize("left", [False, True])
@torch.no_grad()
def test_pools_under_a_mask(left):
    model, words = tagger(nn.Identity()), tokens()
    lengths = [1, 2, 3, 4, 5, 2, 3]
    mask = torch.zeros(N, T, dtype=torch.bool)
    for row, length in enumerate(lengths):
        place = slice(T - length, T) if left else slice(length)
        mask[row, place] = True
    x = model.embedding(words)
    kept = [x[row][mask[row]] for row in range(N)]
    wanted = {
        "mean": [k.mean(dim=0) for k in kept],
        "max": [k.amax(dim=0) for k in kept],
        "first": [k[0] for k in kept],
        "last": [k[-1] for k in kept],
        "mean+max": [torch.cat([k.mean(dim=0), k.amax(dim=0)]) for k in kept],
    }
    for pool, rows in wanted.items():
        found = Features(model, "body", pool=pool, batch_size=3)(words, mask)
        assert torch.allclose(found, torch.stack(rows), atol=1e-6), pool
    # Numbers 0 and 1 do as well, and what stands at padded places does not matter.
    with torch.no_grad():
        model.embedding.weight[0] = torch.nan
    padded = words.clamp(min=1).masked_fill(~mask, 0)
    found = Features(model, "body")(padded, mask.long())
    kept = [model.embedding(padded)[row][mask[row]].mean(dim=0) for row in range(N)]
    assert torch.allclose(found, torch.stack(kept), atol=1e-6)


@torch.no_grad()
def test_packed_sequences_bring_their_own_mask():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.body = nn.Embedding(11, D), nn.GRU(D, 6, batch_first=True)
            self.head = nn.Linear(6, 2)

        def forward(self, words, lengths):
            packed = pack_padded_sequence(
                self.embedding(words), lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            return self.head(self.body(packed)[1][-1])

    torch.manual_seed(0)
    model, words = Packed(), tokens()
    lengths = torch.tensor([1, 5, 3, 4, 5, 2, 5])
    outs = [model.body(model.embedding(words[i : i + 1, :k]))[0][0] for i, k in enumerate(lengths)]
    given = (words, lengths)
    mean = torch.stack([out.mean(dim=0) for out in outs])
    assert torch.allclose(Features(model, "body")(given), mean, atol=1e-6)
    last = torch.stack([out[-1] for out in outs])
    assert torch.allclose(Features(model, "body", pool="last")(given), last, atol=1e-6)
    assert torch.allclose(Features(model, "body", pool="hidden")(given), last, atol=1e-6)
    assert torch.allclose(Features(model)(given), last, atol=1e-6)


@torch.no_grad()
def test_mappings_in_and_out():
    class Output(OrderedDict):
        """As encoders of the hub give it."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.linear = nn.Embedding(11, D), nn.Linear(D, 6)

        def forward(self, input_ids, attention_mask=None):
            x = self.embedding(input_ids)
            return Output(pooler_output=x[:, 0], last_hidden_state=torch.tanh(self.linear(x)))

    torch.manual_seed(0)
    model, words = Encoder(), tokens()
    mask = torch.ones(N, T, dtype=torch.long)
    mask[:, 3:] = 0
    inputs = {"input_ids": words, "attention_mask": mask}
    hidden = torch.tanh(model.linear(model.embedding(words)))
    # The mask that comes with the inputs is used.
    assert torch.allclose(Features(model, "")(inputs), hidden[:, :3].mean(dim=1), atol=1e-6)
    made = Features(model, "", prepare=lambda ids: {"input_ids": ids})(words)
    assert torch.allclose(made, hidden.mean(dim=1), atol=1e-6)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@torch.no_grad()
def test_encoders_that_cut_a_batch_at_its_longest_sequence():
    class Encoder(nn.Module):
        def __init__(self, nested):
            super().__init__()
            self.embedding, self.head = nn.Embedding(11, D), nn.Linear(D, 3)
            layer = nn.TransformerEncoderLayer(D, 2, 16, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)

        def forward(self, ids, attention_mask):
            x = self.encoder(self.embedding(ids), src_key_padding_mask=attention_mask == 0)
            return self.head(x.mean(dim=1))

    torch.manual_seed(0)
    model, plain = Encoder(True), Encoder(False).eval()
    plain.load_state_dict(model.state_dict())
    words = tokens()
    mask = torch.ones(N, T, dtype=torch.long)
    mask[:, 4:] = 0
    mask[1, 2:] = 0
    x = plain.embedding(words)
    one = plain.encoder.layers[0](x, src_key_padding_mask=mask == 0)
    both = {"encoder.layers.0": one, "encoder": plain.encoder(x, src_key_padding_mask=mask == 0)}
    found = Features(model).at({"ids": words, "attention_mask": mask}, list(both))
    for name, out in both.items():
        kept = torch.stack([out[i][mask[i].bool()].mean(dim=0) for i in range(N)])
        assert torch.allclose(found[name], kept, atol=1e-5)


def test_several_layers_come_from_one_pass(noise):
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    rows = torch.randn(N, 6, generator=noise)
    features = Features(net)
    features(rows)
    calls = []
    net.register_forward_hook(lambda *_: calls.append(1))
    found = features.at(rows, ["0", "2", "4:input"])
    assert calls == [1]
    with torch.no_grad():
        assert torch.allclose(found["2"], net[:3](rows), atol=1e-6)
        assert torch.allclose(found["4:input"], net[:4](rows), atol=1e-6)


def test_layers_are_listed_with_their_shapes():
    net = built("convnet", channels=1, classes=10, height=12, width=12)
    features = Features(net)
    with pytest.raises(InputError, match="inputs to run"):
        features.layers()
    listed = {layer.name: layer for layer in features.layers(torch.zeros(1, 1, 12, 12))}
    assert listed["stem.0"].shape == (16, 12, 12)
    assert listed["stem.0"].kind == "Conv2d"
    assert listed["stage2"].shape == (64, 6, 6)
    assert listed["head.3"].shape == (10,)
    assert [name for name, layer in listed.items() if layer.weights] == [
        "stem.0",
        "stage1.0.body.0",
        "stage2.0.body.0",
        "stage2.0.shortcut.0",
        "head.3",
    ]
    assert list(listed)[-1] == ""


def test_the_model_and_the_world_are_left_as_they_were(noise):
    net = built("convnet", channels=1, classes=10, height=12, width=12)
    net.train()
    net.stem.eval()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    images = torch.randn(N, 1, 12, 12, generator=noise)
    kept = images.clone()
    found = Features(net, prepare=lambda x: x.mul_(2))(images)
    assert torch.equal(images, kept)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    # Features can be trained on.
    head = nn.Linear(64, 2)
    head(found).sum().backward()
    assert head.weight.grad is not None

    def broken(*_):
        raise RuntimeError("broken")

    net.head.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="broken"):
        Features(net)(images)
    assert [module.training for module in net.modules()] == modes
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()) == 1


def test_normalisation(noise):
    net = nn.Linear(6, 4)
    rows, other = (torch.randn(N, 6, generator=noise) for _ in range(2))
    plain = Features(net, "")(rows).numpy()
    scaled = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.allclose(Features(net, "", normalise="l2")(rows), scaled, atol=1e-6)
    rooted = np.sign(plain) * np.sqrt(np.abs(plain))
    rooted = rooted / np.linalg.norm(rooted, axis=1, keepdims=True)
    assert np.allclose(Features(net, "", normalise="power")(rows), rooted, atol=1e-6)
    standard = Features(net, "", normalise="standard")
    with pytest.raises(InputError, match="call fit"):
        standard(rows)
    reference = Features(net, "")(other).numpy()
    wanted = (plain - reference.mean(axis=0)) / reference.std(axis=0)
    assert np.allclose(standard.fit(other)(rows), wanted, atol=1e-5)
    both = Features(net, normalise="standard").fit(other, names=["", ":input"])
    found = both.at(rows, ["", ":input"])
    assert np.allclose(found[""], wanted, atol=1e-5)
    taken = (rows.numpy() - other.numpy().mean(axis=0)) / other.numpy().std(axis=0)
    assert np.allclose(found[":input"], taken, atol=1e-5)


def test_progress_and_arrays():
    net, seen = nn.Linear(6, 4), []
    rows = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32)
    found = nas.Features(net, "", batch_size=4)(rows, progress=lambda *at: seen.append(at))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert torch.allclose(found, net(torch.from_numpy(rows)).detach(), atol=1e-6)
    assert found.dtype == torch.float32


def test_wrong_names_are_told_with_the_nearest():
    net = built("convnet", channels=1, classes=10, height=12, width=12)
    with pytest.raises(UnknownNameError, match=r"nearest: .*stage1\.0\.body"):
        Features(net, "stage1.0.bdy")
    with pytest.raises(UnknownNameError, match=r"stem\.0"):
        Features(net).at(torch.zeros(2, 1, 12, 12), ["stem.O"])
    with pytest.raises(UnknownNameError, match="pool"):
        Features(net, pool="average")
    with pytest.raises(UnknownNameError, match="normalise"):
        Features(net, normalise="l1")


def test_what_cannot_be_read_is_refused(noise):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.unused, self.merged = nn.Linear(6, 4), nn.Linear(1, 1), nn.Identity()

        def forward(self, x):
            self.merged(x.reshape(-1))
            return self.one(x)

    rows, net = torch.randn(N, 6, generator=noise), Odd()
    with pytest.raises(InputError, match="never called"):
        Features(net, "unused")(rows)
    with pytest.raises(InputError, match="an axis that counts the examples"):
        Features(net, "merged")(rows)
    bad = rows.clone()
    bad[4, 0] = torch.inf
    with pytest.raises(InputError, match="NaN or infinity for example 4"):
        Features(net, "one", batch_size=3)(bad)
    with pytest.raises(InputError, match="same number of examples"):
        Features(net)(torch.empty(0, 6))
    with pytest.raises(InputError, match="same number of examples"):
        Features(net)((rows, rows[:2]))
    with pytest.raises(InputError, match="recurrent layer"):
        Features(net, "one", pool="hidden")(rows)
    with pytest.raises(InputError, match="a layer of sequences"):
        Features(net, "one")(rows, torch.ones(N, T))
    with pytest.raises(InputError, match="one row for each"):
        Features(net, "one")(rows, torch.ones(N))
    with pytest.raises(InputError, match="meta"):
        Features(nn.Linear(2, 2, device="meta"))
    with pytest.raises(InputError, match="1 or more"):
        Features(net, batch_size=0)
    model, words = tagger(nn.Identity()), tokens()
    with pytest.raises(InputError, match="one value for each place"):
        Features(model, "body")(words, torch.ones(N, T + 1))
    with pytest.raises(InputError, match="at least one real place"):
        Features(model, "body")(words, torch.zeros(N, T))
    with pytest.raises(InputError, match=r"features \(n, d\)"):
        Features(model, "body", pool="none", normalise="l2")


def test_a_layer_that_is_exchanged_is_looked_at_again(noise):
    rows = torch.randn(N, 6, generator=noise)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    features = Features(net, "0")
    features(rows)
    net[0] = nn.Linear(6, 3)
    net[2] = nn.Linear(3, 2)
    with torch.no_grad():
        assert torch.allclose(features(rows), net[0](rows), atol=1e-6)
