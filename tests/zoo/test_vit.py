"""Vision transformers: published sizes, images of all sizes, and what positions and pooling do."""

import pytest
import torch
from train_checks import random_ones_train_a_step
from vision_checks import digits_are_learnt, is_published, runs, size

from archsmith.space import Space
from archsmith.supernet.supernet import Supernet
from archsmith.testing.space import SpaceContract
from archsmith.testing.supernet import SupernetContract
from archsmith.zoo.attention import Attention, Biased, Offsets
from archsmith.zoo.named import architectures
from archsmith.zoo.vit import Pool, Tokens, fitted_patches, vit

TINY = {"widths": (8, 16), "depths": (1, 2), "heads": (1, 2), "ratios": (1.0, 2.5), "head_size": 8}
SMALL = Space(vit, channels=2, classes=4, height=14, width=8, **TINY)


@pytest.mark.slow
class TestViT(SpaceContract):
    space, shape, samples = SMALL, (1, 2, 14, 8), 6


@pytest.mark.slow
class TestSharedViT(SupernetContract):
    space, shape, samples = SMALL, (1, 2, 14, 8), 3


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("deit_tiny", 5_717_416),
        ("deit_small", 22_050_664),
        ("deit_base", 86_567_656),
        ("vit_b_16", 86_567_656),
        ("vit_b_32", 88_224_232),
        ("vit_l_16", 304_326_632),
        ("autoformer_tiny", 5_867_944),
        ("autoformer_small", 22_891_432),
        ("autoformer_base", 53_691_688),
    ],
)
def test_published_networks(name, parameters):
    is_published(name, parameters)


def test_published_networks_fit_small_images():
    space, architecture = architectures.get("autoformer_tiny").within(1, 10, 28, 28)
    model = space.build(architecture, device="meta").eval()
    assert model.tokens(torch.zeros(2, 1, 28, 28, device="meta")).shape == (2, 50, 192)
    assert model(torch.zeros(2, 1, 28, 28, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(
    ("side", "patches", "tokens"),
    [(1, (2, 4), 1), (8, (2, 4), 16), (28, (4, 8), 49), (32, (4, 8), 64), (224, (16, 32), 196)],
)
def test_patches_fit_the_image(side, patches, tokens):
    assert fitted_patches(side) == patches
    space = Space(vit, channels=1, classes=3, height=side, width=side)
    model = space.build(space.default(), device="meta").eval()
    images = torch.zeros(2, 1, side, side, device="meta")
    assert model.tokens(images).shape == (2, tokens, 128)
    assert model(images).shape == (2, 3)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 224, 160), (1, 5, 9)])
def test_images_of_any_size_give_logits(shape):
    runs(Space(vit, channels=shape[0], classes=7, height=shape[1], width=shape[2]), shape, 2)


def test_the_default_is_small():
    space = Space(vit, channels=3, classes=10)
    model = space.build(space.default(), device="meta")
    assert 1e5 < size(model) < 6e5


def test_sides_that_are_no_multiple_of_the_patch_are_padded():
    tokens = Tokens(1, 1, 4, (2, 1), 0, False)
    torch.nn.init.ones_(tokens.patches.weight)
    torch.nn.init.zeros_(tokens.patches.bias)
    assert tokens(torch.ones(1, 1, 5, 3)).flatten().tolist() == [12.0, 3.0]


def test_the_class_token_comes_last_and_patches_keep_their_positions():
    with_token, without = (Tokens(1, 8, 4, (2, 2), extra, True) for extra in (1, 0))
    without.load_state_dict(
        {**with_token.state_dict(), "positions": with_token.positions[:, :4]}, strict=False
    )
    images = torch.randn(2, 1, 8, 8)
    both, patches = with_token(images), without(images)
    assert torch.equal(both[:, :4], patches)
    assert torch.equal(both[0, 4], both[1, 4])
    assert torch.equal(Pool("class")(both), both[:, 4])
    assert torch.equal(Pool("patches")(both), Pool("mean")(patches))


def test_relative_positions_are_added_to_keys_and_values():
    """As in the paper's formula, one pair of tokens after the other."""
    torch.manual_seed(0)
    grid, reach, size = (2, 3), 1, 4
    positions = Offsets(grid, 1, size, reach)
    query, key, value = (torch.randn(1, 2, 7, size) for _ in range(3))

    def embedding(rows, columns, i, j):
        if 6 in (i, j):
            return rows[3] + columns[3]
        down, right = j // 3 - i // 3, j % 3 - i % 3
        return rows[min(max(down, -1), 1) + 1] + columns[min(max(right, -1), 1) + 1]

    expected = torch.zeros(1, 2, 7, size)
    for head in range(2):
        for i in range(7):
            keys = [embedding(positions.key_rows, positions.key_columns, i, j) for j in range(7)]
            scores = (key[0, head] + torch.stack(keys)) @ query[0, head, i] / size**0.5
            values = [
                embedding(positions.value_rows, positions.value_columns, i, j) for j in range(7)
            ]
            expected[0, head, i] = scores.softmax(0) @ (value[0, head] + torch.stack(values))
    assert torch.allclose(positions(query, key, value), expected, atol=1e-6)


def test_attention_moves_with_the_patches_if_positions_do_not_matter():
    torch.manual_seed(0)
    attention, order = Attention(8, 6, 2, 4), torch.randperm(9)
    x = torch.randn(2, 9, 8)
    assert torch.allclose(attention(x[:, order]), attention(x)[:, order], atol=1e-6)
    biased = Attention(8, 6, 2, 4, Biased(2, (3, 3)))
    torch.nn.init.normal_(biased.positions.bias)
    assert not torch.allclose(biased(x[:, order]), biased(x)[:, order], atol=1e-3)


@pytest.mark.slow
def test_narrow_networks_take_their_part_of_queries_keys_and_values():
    images = torch.randn(2, 2, 14, 8)
    net = Supernet(SMALL, example=images)
    assert set(net.survey.fused.values()) == {3}
    narrow = SMALL.complete({"layers": 1, "layers.0.heads": 1, "embed": 8})
    taken = net.extract(narrow).layers[0].attention.query_key_value.weight
    stored = net.get("layers.0.attention.query_key_value.weight")
    for part in range(3):
        assert torch.equal(taken[8 * part :][:8], stored[16 * part :][:8, :8])


@pytest.mark.slow
def test_the_space_is_large():
    assert Space(vit, channels=3, classes=10).size().count > 1e7


@pytest.mark.slow
def test_random_ones_train_a_step():
    random_ones_train_a_step(SMALL, (1, 2, 14, 8))


@pytest.mark.slow
def test_digits_are_learnt():
    digits_are_learnt(vit)
