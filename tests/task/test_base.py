"""What the contract of a task checks by itself: options, recipes, the digest of data."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from archsmith._support.errors import InputError
from archsmith.data.splits import TensorSplit
from archsmith.task.base import Data, ReadOptions, Recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("optimizer", "adam"),
        ("lr", 0.0),
        ("lr", -1e-3),
        ("lr", math.nan),
        ("lr", math.inf),
        ("weight_decay", -0.1),
        ("warmup", 1.0),
        ("warmup", -0.1),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
        ("clip", -1.0),
        ("patience", 0),
    ],
)
def test_a_recipe_outside_its_ranges_is_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"recipe {field.replace('_', ' ')}: expected"):
        Recipe(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(InputError):
        replace(Recipe(), **{field: value})  # type: ignore[arg-type]


def test_a_recipe_at_the_ends_of_its_ranges_is_taken() -> None:
    recipe = Recipe(
        epochs=1, batch_size=2, weight_decay=0, warmup=0, label_smoothing=0, clip=0, patience=1
    )
    assert recipe.patience == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"image_size": 0}, "image size"),
        ({"image_size": -8}, "image size"),
        ({"validation": 0.0}, "validation"),
        ({"test": -0.1}, "test"),
        ({"validation": 0.5, "test": 0.5}, "validation"),
        ({"test": math.nan}, "validation|test"),
        ({"unreadable": "ignore"}, "unreadable"),
    ],
)
def test_options_outside_their_ranges_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=f"reading ({said}): expected"):
        ReadOptions(**options)  # type: ignore[arg-type]


def data(pixel: int = 0, target: float = 0.0, shape: tuple[int, ...] = (4, 2, 3)) -> Data:
    def part(count: int) -> TensorSplit:
        return TensorSplit(torch.zeros(count, *shape[1:], dtype=torch.uint8), torch.zeros(count))

    train, validation, test = part(shape[0]), part(2), part(2)
    test.inputs[-1, -1, -1] = pixel
    validation.targets[-1] = target
    return Data("x", "x", "x", train, validation, test, {})


def test_the_digest_tells_any_change() -> None:
    first = data().digest()
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert data().digest() == first
    others = [data(pixel=1), data(target=1.0), data(shape=(4, 3, 2)), data(shape=(5, 2, 3))]
    assert len({first, *(other.digest() for other in others)}) == 5
    assert replace(data(), name="y", source="y").digest() == first


def test_the_digest_does_not_depend_on_the_layout_in_memory() -> None:
    plain = data()
    turned = plain.train.inputs.transpose(1, 2).contiguous().transpose(1, 2)
    assert not turned.is_contiguous()
    assert replace(plain, train=TensorSplit(turned, plain.train.targets)).digest() == plain.digest()
