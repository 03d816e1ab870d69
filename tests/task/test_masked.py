from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import archsmith as nas
from archsmith._support.errors import DataError, InputError
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.task.gallery import masked_lines
from archsmith.task.masked import MaskedPrediction
from archsmith.task.problem import open_space
from archsmith.train import score, train

WORDS = ["the cat ", "sat on ", "a mat ", "and saw ", "the dog ", "run off "]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(0)
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text("".join(rng.choice(WORDS) for _ in range(2500)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def masked() -> MaskedPrediction:
    found = task("masked-prediction:length=24,copies=2")
    assert isinstance(found, MaskedPrediction)
    return found


@pytest.fixture(scope="module")
def data(masked: MaskedPrediction, text: Path) -> Data:
    return masked.read(str(text), ReadOptions())


def test_what_is_asked_was_there(masked: MaskedPrediction, data: Data, text: Path) -> None:
    whole, alphabet = text.read_text(), data.facts["alphabet"]
    count = len(data.train) // 2
    stood = torch.where(data.train.targets >= 0, data.train.targets, data.train.inputs)
    for copy in (stood[:count], stood[count:]):
        assert "".join(alphabet[c] for c in copy.flatten().tolist()) == whole[: count * 24]
    assert not torch.equal(data.train.inputs[:count], data.train.inputs[count:])
    asked = data.train.targets >= 0
    assert asked.any(1).all()
    # A row of 24 has none of its own in one of 49 cases, and one is asked for then.
    assert 0.14 < float(asked.float().mean()) < 0.165
    shown = data.train.inputs[asked]
    share = (shown == data.facts["vocabulary"] - 1).float().mean()
    assert 0.75 < float(share) < 0.85
    assert json.loads(json.dumps(data.facts)) == data.facts


def test_the_meter_counts_what_is_asked_alone(masked: MaskedPrediction, data: Data) -> None:
    meter, vocabulary = masked.meter(data.facts), data.facts["vocabulary"]
    outputs = torch.randn(5, 24, vocabulary, generator=torch.Generator().manual_seed(0))
    targets = data.validation.targets[:5]
    meter.update(outputs[:2], targets[:2])
    meter.update(outputs[2:], targets[2:])
    right = total = loss = 0.0
    for n in range(5):
        for t in range(24):
            if targets[n, t] >= 0:
                total += 1
                right += float(outputs[n, t].argmax() == targets[n, t])
                loss -= float(outputs[n, t].log_softmax(0)[targets[n, t]])
    assert meter.result()["accuracy"] == pytest.approx(right / total)
    assert meter.result()["loss"] == pytest.approx(loss / total, rel=1e-5)
    assert float(masked.criterion(outputs, targets)) == pytest.approx(loss / total, rel=1e-5)
    with pytest.raises(ValueError, match="shape"):
        meter.update(outputs[:, 0], targets)


@pytest.mark.slow
def test_a_network_learns_to_tell_what_was_masked(masked: MaskedPrediction, data: Data) -> None:
    space = open_space("gpt", masked.arguments(data.facts) | {"widths": (48,), "depths": (2,)})
    model = space.build(space.default(), seed=0)
    recipe = Recipe(epochs=6, batch_size=32, lr=4e-3)
    train(model, masked, data, recipe, seed=0)
    frequent = float((data.test.targets[data.test.targets >= 0] == 0).float().mean())
    assert score(model, masked, data.test, data.facts)["accuracy"] > frequent + 0.3


def test_masked_places_see_both_sides(masked: MaskedPrediction, data: Data) -> None:
    space = open_space("gpt", masked.arguments(data.facts) | {"depths": (1,)})
    model = space.build(space.default(), seed=0).eval()
    tokens = data.test.inputs[:1].clone()
    before = model(tokens)[0, 0]
    tokens[0, -1] = (tokens[0, -1] + 1) % 5
    assert not torch.allclose(model(tokens)[0, 0], before)
    causal = open_space("gpt", masked.arguments(data.facts) | {"depths": (1,), "causal": True})
    model = causal.build(causal.default(), seed=0).eval()
    before = model(tokens)[0, 0]
    tokens[0, -1] = (tokens[0, -1] + 1) % 5
    assert torch.allclose(model(tokens)[0, 0], before)


@pytest.mark.slow
def test_a_search_its_export_and_an_answer(text: Path, tmp_path: Path) -> None:
    result = nas.search(
        None,
        str(text),
        task="masked-prediction:length=24,copies=1",
        trials=2,
        share=0.3,
        arguments={"widths": (16, 32), "depths": (1, 2)},
        finalists=1,
        final_epochs=1,
        run=tmp_path / "run",
    )
    assert result.best is not None
    nas.Run(tmp_path / "run").export(tmp_path / "model", None, False)
    from archsmith.export import predict

    (tmp_path / "gap.txt").write_text("the c_t sat on a mat and saw")
    answers = predict(tmp_path / "model", tmp_path / "gap.txt")
    assert [len(answer["text"]) for answer in answers] == [24, 24]
    assert "_" not in answers[0]["text"]


def test_what_training_has_not_seen_is_a_mask(
    masked: MaskedPrediction, data: Data, tmp_path: Path
) -> None:
    (tmp_path / "odd.txt").write_text("the Ω cat_", encoding="utf-8")
    codes = masked.load_input(tmp_path / "odd.txt", data.facts)[0]
    mask = data.facts["vocabulary"] - 1
    assert (codes == mask).nonzero().flatten().tolist() == [4, 9, *range(10, 24)]


def test_a_picture_of_lines(data: Data) -> None:
    guesses = torch.where(data.test.targets >= 0, data.test.targets, 0)
    picture = masked_lines(data.test.inputs, data.test.targets, guesses, data.facts["alphabet"])
    assert picture.size == (2 * (40 + 24 * 11), 2 * (40 + 10 * 40))


def test_bad_texts_and_options_are_refused(masked: MaskedPrediction, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="text file"):
        masked.read("digits", ReadOptions())
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(InputError, match="copies: expected from 1 to 100, got 1000"):
        task("masked-prediction:copies=1000")
    with pytest.raises(DataError, match="72 characters or more"):
        masked.read(str(tmp_path / "short.txt"), ReadOptions())
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        masked.read(str(tmp_path / "bytes.txt"), ReadOptions())
    (tmp_path / "torn.txt.gz").write_bytes(gzip.compress(b"a" * 5000)[:20])
    with pytest.raises(DataError, match="UTF-8"):
        masked.read(str(tmp_path / "torn.txt.gz"), ReadOptions())
    with pytest.raises(InputError, match="share: expected between 0 and 1, got 1"):
        task("masked-prediction:share=1")


def test_smoothing_reaches_the_loss(masked: MaskedPrediction) -> None:
    outputs = torch.randn(2, 3, 4)
    targets = torch.tensor([[0, -100, 1], [3, -100, -100]])
    logits, truth = outputs.flatten(0, 1), targets.flatten()
    expected = F.cross_entropy(logits[truth >= 0], truth[truth >= 0], label_smoothing=0.1)
    assert float(masked.criterion(outputs, targets, 0.1)) == pytest.approx(
        float(expected), rel=1e-5
    )
