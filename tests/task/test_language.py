"""Language modelling: windows without leaks, known bits, text that is written with and without a
cache."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import torch
from torch import nn

from archsmith._support.errors import DataError, InputError
from archsmith.data.coding import coding_of, learn_bytes
from archsmith.data.text import UNKNOWN
from archsmith.data.windows import NOT_ASKED, WindowSplit
from archsmith.space import Space
from archsmith.task import task, task_for
from archsmith.task.base import Data, ReadOptions
from archsmith.task.language import LanguageMeter, LanguageModelling
from archsmith.task.references import NetworkReference
from archsmith.task.writing import Order, drawn, write
from archsmith.testing.task import TaskContract
from archsmith.zoo.language import language

WORDS = ["the cat ", "sat on ", "a mat ", "and saw ", "the dog ", "run off "]


def story(count: int = 1200) -> str:
    rng = random.Random(0)
    return "".join(rng.choice(WORDS) for _ in range(count))


def tiny(vocabulary: int, length: int) -> nn.Module:
    sizes = {"widths": (16,), "depths": (1,), "head_size": 8, "heads": (1, 2)}
    return language(vocabulary, length, **sizes)


@pytest.mark.slow
class TestLanguage(TaskContract):
    task = LanguageModelling("length=16")
    builder = staticmethod(tiny)

    def write(self, folder: Path) -> Path:
        (folder / "story.txt").write_text(story(), encoding="utf-8")
        return folder / "story.txt"

    def test_it_is_known_by_its_name(self) -> None:
        assert task("language-modelling").name == "language-modelling"
        assert task(self.task.name).name == "language-modelling:length=16"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text(story(), encoding="utf-8")
    return task("language-modelling:length=16").read(str(path), ReadOptions())


def model_of(data: Data, **answers: object) -> nn.Module:
    space = Space(tiny, vocabulary=data.facts["vocabulary"], length=16)
    return space.build(space.complete(answers), seed=0).eval()


def test_parts_are_contiguous_and_each_character_is_asked_for_once(data: Data) -> None:
    whole, alphabet = story(), data.facts["alphabet"]
    parts = (data.train, data.validation, data.test)
    codes = torch.cat([part.codes for part in parts])
    assert "".join(alphabet[code] for code in codes.tolist()) == whole
    assert len(data.test.codes) == round(0.05 * len(whole))
    for part in (data.validation, data.test):
        targets, most = [], 0
        for inputs, wanted in part.chunks(5):
            asked = wanted != NOT_ASKED
            targets.append(wanted[asked])
            most = max([most, *asked.sum(1)[1:].tolist()])
            assert torch.equal(inputs[:, 1:][asked[:, :-1]], wanted[:, :-1][asked[:, :-1]])
        assert torch.equal(torch.cat(targets), part.codes[1:].long())
        assert most == 8


@pytest.mark.parametrize(("tokens", "windows"), [(9, 1), (10, 2), (13, 2), (14, 3), (17, 3)])
def test_the_last_window_ends_where_the_text_does(tokens: int, windows: int) -> None:
    part = WindowSplit(torch.arange(tokens), 8, 4)
    inputs, targets = part.head(100)
    assert len(part) == len(inputs) == windows
    assert targets[targets >= 0].tolist() == list(range(1, tokens))


def test_training_windows_are_at_random_offsets_inside_what_may_be_drawn(data: Data) -> None:
    lm, index = task(data.task), torch.arange(100, 400)
    assert isinstance(lm, LanguageModelling)
    drawn_ones = torch.cat(list(lm.draw(index, data.train, 4, torch.Generator().manual_seed(0))))
    assert len(drawn_ones) == round(300 / 16)
    assert len({int(i) % 16 for i in drawn_ones}) > 5
    assert 100 <= int(drawn_ones.min()) <= int(drawn_ones.max()) < 400
    inputs, targets = data.train.take(torch.tensor([7]))
    assert torch.equal(inputs[0], data.train.codes[7:23].long())
    assert torch.equal(targets[0], data.train.codes[8:24].long())
    joined = data.train.joined(data.validation)
    assert len(joined) == len(data.train) + len(data.validation.codes)


def test_bits_of_a_uniform_guess(data: Data) -> None:
    meter = LanguageMeter(torch.ones(8, dtype=torch.int64))
    meter.update(torch.zeros(3, 16, 8), torch.zeros(3, 16, dtype=torch.int64))
    one = torch.full((1, 16), NOT_ASKED)
    one[0, -1] = 3
    meter.update(torch.zeros(1, 16, 8), one)
    found = meter.result()
    assert found["bits_per_character"] == pytest.approx(3)
    assert found["perplexity"] == pytest.approx(8)
    assert found["loss"] == pytest.approx(math.log(8))
    assert found["accuracy"] == pytest.approx(48 / 49)


def test_characters_of_later_parts_are_no_part_of_the_alphabet(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(story(600))
    (tmp_path / "b.txt").write_text(story(200) + "Ω" * 5)
    (tmp_path / "notes.md").write_text("no text file")
    lm = task_for(str(tmp_path))
    assert lm.name == "language-modelling"
    data = task("language-modelling:length=16").read(str(tmp_path), ReadOptions())
    assert "Ω" not in data.facts["alphabet"]
    assert data.facts["alphabet"][-1] == UNKNOWN
    assert int(data.test.codes[-1]) == data.facts["vocabulary"] - 1
    chosen = ReadOptions(validation=0.1, test=0.3)
    again = task("language-modelling:length=16").read(str(tmp_path), chosen)
    whole = sum(len(part.codes) for part in (again.train, again.validation, again.test))
    assert len(again.test.codes) == round(0.3 * whole)
    assert len(again.validation.codes) == round(0.1 * whole)


@pytest.mark.parametrize(
    "answers",
    [
        {"layers.0.mixer": "lstm"},
        {"layers.0.mixer": "convolution"},
        {"layers.0.mixer": "attention"},
        {"layers.0.mixer": "attention", "positions": "learned"},
    ],
)
def test_text_is_the_same_with_and_without_a_cache(data: Data, answers: dict[str, str]) -> None:
    model, order = model_of(data, **answers), Order("the c", count=40, seed=3)
    prompt = coding_of(data.facts).encode(order.prompt)
    # Much longer than a window, so that attention goes on from the middle of one.
    one, two = (write(model, prompt, order, 16, cached=cached) for cached in (True, False))
    assert one == two
    assert len(one) == 40
    assert len(set(one)) > 3
    other = write(model, prompt, Order("the c", count=40, seed=4), 16)
    assert other != one


def test_temperature_and_top_p_cut_the_distribution() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    generator = torch.Generator().manual_seed(0)

    def seen(order: Order, never: tuple[int, ...] = ()) -> list[int]:
        return [int(drawn(logits, order, never, generator)) for _ in range(300)]

    assert set(seen(Order(temperature=0))) == {0}
    assert set(seen(Order(temperature=1, top_p=0.79))) == {0, 1}
    assert set(seen(Order(temperature=1, top_p=0.81))) == {0, 1, 2}
    assert set(seen(Order(temperature=1, top_p=1), (0,))) == {1, 2, 3}
    sharp = seen(Order(temperature=0.5, top_p=1))
    # Squared probabilities: 0.25 of 0.365.
    assert sharp.count(0) / 300 == pytest.approx(0.685, abs=0.08)


def test_references_are_about_a_million_parameters_wide(data: Data) -> None:
    lm = task("language-modelling")
    assert isinstance(lm, LanguageModelling)
    for reference in lm.references():
        assert isinstance(reference, NetworkReference)
        model = reference.build({"vocabulary": 65, "length": 128}, 0, device="meta")
        small = reference.build({"vocabulary": 65, "length": 128}, 0, 0.5, device="meta")
        counts = [sum(p.numel() for p in m.parameters()) for m in (model, small)]
        assert counts[0] == pytest.approx(1e6, rel=0.1)
        assert counts[1] < counts[0] / 3


def test_subwords_keep_every_character_and_count_them(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    text = story(400) + "\n\n  Ü ¡ 漢字 \t end"
    coding = learn_bytes(story(400), 300)
    tokens = coding.encode(text)
    assert coding.decode(tokens.tolist()) == text
    assert int(coding.characters[tokens].sum()) == len(text)
    assert len(coding.characters) == coding.facts["vocabulary"] <= 300
    assert coding_of(coding.facts).encode(text).equal(tokens)
    (tmp_path / "story.txt").write_text(story(), encoding="utf-8")
    lm = task("language-modelling:tokens=subwords,vocabulary=280,length=8")
    data = lm.read(str(tmp_path / "story.txt"), ReadOptions())
    meter = lm.meter(data.facts)
    vocabulary = data.facts["vocabulary"]
    for _, targets in data.test.chunks(7):
        meter.update(torch.zeros(*targets.shape, vocabulary), targets)
    # All but the first token are asked for.
    codes = data.test.codes.long()
    characters = int(coding_of(data.facts).characters[codes[1:]].sum())
    bits = (len(codes) - 1) * math.log2(vocabulary) / characters
    assert meter.result()["bits_per_character"] == pytest.approx(bits, rel=1e-5)
    order = Order("the c", count=5)
    model = Space(tiny, vocabulary=vocabulary, length=8)
    assert isinstance(lm.write(model.build(model.default()).eval(), order, data.facts), str)


def test_bad_input_is_refused(data: Data, tmp_path: Path) -> None:
    lm = task("language-modelling")
    assert isinstance(lm, LanguageModelling)
    with pytest.raises(InputError, match="length: expected from 4 to 4096, got 2"):
        task("language-modelling:length=2")
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(DataError, match="256 characters or more for each part"):
        lm.read(str(tmp_path / "short.txt"), ReadOptions())
    with pytest.raises(InputError, match=r"character: expected one of: .*got 'Ω'"):
        coding_of(data.facts).encode("Ω")
    with pytest.raises(InputError, match="top_p: expected above 0 and at most 1, got 0"):
        Order(top_p=0)
    with pytest.raises(InputError, match="prompt: expected one character or more"):
        Order("")
