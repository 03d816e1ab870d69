"""Text classification: tokens, batches, references, reasons, and a search from end to end."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

import archsmith as nas
from archsmith._support.errors import DataError
from archsmith.data.padding import of_like_length
from archsmith.data.tokens import END, PAD, UNKNOWN, Tokens
from archsmith.export import predict
from archsmith.task import task, task_for
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.task.occlusion import Effect, word_effects
from archsmith.task.prose import Shown, mistaken_texts
from archsmith.task.text import TextClassification
from archsmith.testing.task import TaskContract
from archsmith.train import score, train
from archsmith.zoo.text_cnn import text_cnn

TASK = TextClassification("merges=200")
TINY = {"embeddings": (16,), "widths": (8,), "depths": (1,), "heads": (2,), "head_size": 8}
GOOD, BAD = ("fine", "great", "lovely"), ("dull", "awful", "boring")
OTHERS = ("the", "film", "was", "a", "story", "of", "and", "its", "actors", "plot")


def lines(count: int) -> list[str]:
    """Texts of neutral words and one that decides."""
    rng, rows = random.Random(0), []
    for number in range(count):
        words = rng.choices(OTHERS, k=rng.randint(4, 12))
        words[rng.randrange(len(words))] = rng.choice((BAD, GOOD)[number % 2])
        rows.append(f"{' '.join(words)},{('bad', 'good')[number % 2]}")
    return rows


def write(folder: Path, count: int = 120) -> Path:
    path = folder / "reviews.csv"
    path.write_text("\n".join(["text,label", *lines(count)]) + "\n")
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("reviews"), 400)


@pytest.fixture(scope="module")
def data(source: Path) -> Data:
    return TASK.read(str(source), ReadOptions())


@pytest.mark.slow
class TestText(TaskContract):
    task = TextClassification("merges=200")
    builder = staticmethod(text_cnn)

    def write(self, folder: Path) -> Path:
        return write(folder)

    def test_the_example_is_what_batches_are_like(self, data: Data) -> None:
        """But for the width, which is that of the longest text of a batch."""
        example, ready = self.task.example(data.facts, 2), self.ready(data).inputs
        assert example.dtype == ready.dtype
        assert example.shape == (2, data.facts["length"])
        assert ready.shape[1] <= data.facts["length"]


def test_it_is_found_by_evidence(source: Path) -> None:
    assert isinstance(task_for(str(source)), TextClassification)
    named = task("text-classification:merges=10,cased=yes")
    assert named.name == "text-classification:merges=10,cased=yes"


def test_texts_come_back_from_tokens(source: Path, data: Data) -> None:
    words = Tokens(json.loads(json.dumps(data.facts))["tokens"])
    texts = {row.partition(",")[0] for row in lines(400)}
    for part in (data.train, data.validation, data.test):
        assert {words.decode(row) for row in part.inputs.tolist()} <= texts
        ended = part.inputs == END
        assert bool((ended.sum(1) == 1).all())


def test_long_texts_are_cut_and_told(source: Path) -> None:
    short = TextClassification("merges=0,length=20").read(str(source), ReadOptions())
    assert short.train.inputs.shape[1] == 20
    assert bool(((short.train.inputs == END).sum(1) == 1).all())
    assert any("cut off" in line for line in short.summary)
    path = source.with_name("more.csv")
    path.write_text("text\n" + "film " * 50 + "\n")
    assert TASK.load_input(path, short.facts).shape == (1, 20)


def test_a_class_without_examples_in_a_part_is_told(tmp_path: Path) -> None:
    rows = [f"{'train' if i < 100 else 'test'},{row}" for i, row in enumerate(lines(104))]
    path = tmp_path / "parts.csv"
    path.write_text("\n".join(["split,text,label", *rows[:100], *rows[100::2]]) + "\n")
    read = TASK.read(str(path), ReadOptions())
    assert any("no test examples of 'good'" in line for line in read.summary)
    path.write_text("\n".join(["split,text,label", *rows[:100:2], *rows[100:]]) + "\n")
    with pytest.raises(DataError, match="training examples of every class, got none of 'good'"):
        TASK.read(str(path), ReadOptions())


def test_batches_are_of_like_length() -> None:
    lengths = torch.randint(1, 50, (500,), generator=torch.Generator().manual_seed(0))
    drawn = of_like_length(torch.arange(500), lengths, 16, torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat(list(drawn)).sort().values, torch.arange(500))
    spread = sum(float(lengths[part].float().std()) for part in drawn) / len(drawn)
    assert spread < 0.2 * float(lengths.float().std())


def test_dropped_words_are_unknown_and_no_others(data: Data) -> None:
    tokens, facts = data.train.inputs, data.facts | {"drop": 0.1}
    assert torch.equal(TASK.augment(tokens, torch.Generator(), data.facts), tokens)
    changed = TASK.augment(tokens, torch.Generator().manual_seed(0), facts)
    different = changed != tokens
    assert bool((changed[different] == UNKNOWN).all())
    inside = (tokens != PAD) & (tokens != END)
    assert not bool(different[~inside].any())
    assert float(different[inside].float().mean()) == pytest.approx(0.1, abs=0.03)


class Counts(torch.nn.Module):
    """Logits by how many tokens of two kinds a text has."""

    def __init__(self, good: set[int], bad: set[int]) -> None:
        super().__init__()
        self.kinds = [sorted(bad), sorted(good)]

    def forward(self, tokens: Tensor) -> Tensor:
        counts = [torch.isin(tokens, torch.tensor(kind)).sum(1) for kind in self.kinds]
        return 3.0 * torch.stack(counts, 1).float()


def test_the_words_that_decide_are_found(data: Data) -> None:
    words = Tokens(data.facts["tokens"])
    kinds = [{words.encode(f"{word}")[0] for word in group} for group in (GOOD, BAD)]
    assert all(len(words.encode(word)) == 2 for word in (*GOOD, *BAD))
    model = TASK.deployable(Counts(*kinds), data.facts)
    tokens = torch.tensor([words.encode("a great story of dull actors and a lovely plot")])
    effects = word_effects(model, tokens[0], 1, words)
    assert [effect.word for effect in effects] == words.decode(tokens[0].tolist()).split()
    said = {word: effect for word, effect in effects if abs(effect) > 1e-6}
    assert set(said) == {"great", "dull", "lovely"}
    assert said["great"] == pytest.approx(said["lovely"])
    assert said["great"] > 0 > said["dull"]
    (answer,) = TASK.explain(model, tokens, model(tokens), data.facts)
    assert set(answer["words"]) > {"great", "dull", "lovely"}
    assert word_effects(model, torch.tensor([END, PAD]), 1, words) == []


def test_the_picture_shows_texts_with_their_words(data: Data) -> None:
    words = Tokens(data.facts["tokens"])
    kinds = [{words.encode(word)[0] for word in group} for group in (GOOD, BAD)]
    model = TASK.deployable(Counts(*kinds), data.facts)
    inputs, targets = data.validation.head(20)
    seen = (inputs, targets, model(inputs), data.facts)
    plain, full = TASK.picture(*seen), TASK.explained_picture(model, *seen)
    assert full.height > plain.height + 12 * 80
    words_of = [Effect("word", 0.1)]
    heights = [
        mistaken_texts([Shown(words_of * count, "a", 0.5, "b")], 1, 1).height
        for count in (0, 1, 60, 6000)
    ]
    assert heights == sorted(set(heights))
    assert heights[3] < full.height


@pytest.mark.slow
def test_what_decides_is_learned_by_networks_and_references(data: Data) -> None:
    space = nas.Space(text_cnn, vocabulary=data.facts["vocabulary"], classes=2, embeddings=(16,))
    model = space.build(space.default(), seed=0)
    train(model, TASK, data, Recipe(epochs=12, batch_size=16, lr=5e-3), seed=0)
    assert score(model, TASK, data.test, data.facts)["accuracy"] > 0.9
    linear, network = TASK.references()
    fitted = linear.fit(TASK, data, seed=0)
    assert score(fitted.model, TASK, data.test, data.facts)["accuracy"] > 0.95
    assert network.build(TASK.arguments(data.facts), 0)(data.test.inputs).shape[1] == 2


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "spos"])
def test_a_search_its_export_and_an_answer(source: Path, tmp_path: Path, strategy: str) -> None:
    result = nas.search(
        None,
        str(source),
        task="text-classification:merges=200",
        strategy=strategy,
        trials=2,
        epochs=1,
        arguments=TINY,
        finalists=1,
        final_epochs=1,
        run=tmp_path / "run",
    )
    assert result.best is not None
    assert not result.problems
    assert {"accuracy", "macro_f1"} < set(result.best.test)
    if strategy == "spos":
        return
    *_, parity = nas.Run(tmp_path / "run").export(tmp_path / "model")
    assert parity.ok
    assert not parity.absent
    (tmp_path / "new.txt").write_text("a great film\nThe plot was AWFUL\n")
    answers = predict(tmp_path / "model", tmp_path / "new.txt")
    assert [answer["input"] for answer in answers] == ["a great film", "The plot was AWFUL"]
    assert set(answers[1]["words"]) == {"the", "plot", "was", "awful"}
    (tmp_path / "new.csv").write_text('id,text\n1,a great film\n2,"the plot, dull"\n')
    again = predict(tmp_path / "model", tmp_path / "new.csv")
    assert again[0]["probability"] == pytest.approx(answers[0]["probability"], rel=1e-3)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,b\n1,2\n", "a column 'text', as in training"),
        ("id,text\n1, \n", "row 2: expected a text, got an empty one"),
    ],
)
def test_what_is_wrong_with_an_input_is_told(
    data: Data, tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(DataError, match=told):
        TASK.load_input(tmp_path / "new.csv", data.facts)


@pytest.mark.parametrize(
    ("options", "flags", "told"),
    [
        ("length=1", (), "length: expected from 2 to 4096"),
        ("merges=-1", (), "merges: expected from 0 to 50000"),
        ("drop=1", (), "drop: expected a share"),
        ("words=4", (), "text-classification option"),
        ("text=review", (), "column of reviews.csv"),
        ("", ("--target", "text"), "one column of texts"),
        ("", ("--where", "label=worse"), "expected one of: bad, good, got 'worse'"),
        ("", ("--image-size", "8"), "an option that text-classification uses"),
    ],
)
def test_bad_input_is_told_with_status_2(
    archsmith, source: Path, options: str, flags: tuple[str, ...], told: str
) -> None:
    name = f"text-classification:{options}".rstrip(":")
    ended = archsmith("search", source, "--task", name, *flags)
    assert ended.status == 2
    assert told in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
