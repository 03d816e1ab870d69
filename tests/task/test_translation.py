"""Translation: BLEU of what models say, padding that does nothing, a language that is learned."""

from __future__ import annotations

import itertools
import json
import random
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import archsmith as nas
from archsmith._support.errors import DataError, InputError
from archsmith.data.padding import padded, trimmed
from archsmith.data.splits import Batch
from archsmith.data.tokens import BEGIN, END, PAD, Tokens
from archsmith.history.paired import compare
from archsmith.space import Space
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.task.decoding import Translator, length_penalty, shifted, translate
from archsmith.task.gallery import translated_lines
from archsmith.task.problem import open_space
from archsmith.task.translation import Translation
from archsmith.train import parts, score, train

#: A language and another, word for word; the second one says them in the opposite order.
WORDS = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four", "rot": "red"}
TINY = {"widths": (32, 48), "encoder_depths": (1, 2), "decoder_depths": (1,), "heads": (1, 2)}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, rows = random.Random(0), ["split,de,en"]
    for number in range(1500):
        said = rng.choices(list(WORDS), k=rng.randint(2, 5))
        part = "train" if number < 1300 else "val" if number < 1400 else "test"
        rows.append(f"{part},{' '.join(said)},{' '.join(WORDS[w] for w in reversed(said))}")
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def pairs() -> Translation:
    found = task("translation:source=de,target=en,merges=60,cased=no")
    assert isinstance(found, Translation)
    return found


@pytest.fixture(scope="module")
def data(pairs: Translation, table: Path) -> Data:
    return pairs.read(str(table), ReadOptions())


class Copies(nn.Module):
    """Tells the tokens of the source, whatever it has said before."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        wide = F.pad(source, (0, max(0, target.shape[1] - source.shape[1])))
        return 9.0 * F.one_hot(wide[:, : target.shape[1]], self.vocabulary).float()


def test_sentences_come_back_and_facts_are_json(data: Data) -> None:
    facts = json.loads(json.dumps(data.facts))
    assert facts == data.facts
    words = Tokens(facts["tokens"])
    source, target = data.test.take(torch.arange(5))
    for one, two in zip(source.tolist(), target.tolist(), strict=True):
        said = words.decode(one).split()
        assert words.decode(two).split() == [WORDS[word] for word in reversed(said)]
    assert len(words) == facts["vocabulary"]


def test_a_batch_is_as_wide_as_its_longest(pairs: Translation, data: Data) -> None:
    raw = data.train.take(torch.tensor([0, 1, 2]))
    (source, given), wanted = pairs.prepare_batch(raw, data.facts)
    assert (source != PAD).any(0).all()
    assert (given[:, 0] == BEGIN).all()
    for row in range(3):
        length = int((wanted[row] != PAD).sum())
        assert wanted[row, length - 1] == END
        assert torch.equal(given[row, 1:length], wanted[row, : length - 1])
    assert END not in given


@pytest.mark.parametrize("decoded", [0, 30])
def test_a_model_that_copies_has_bleu_100(data: Data, pairs: Translation, decoded: int) -> None:
    facts = data.facts | {"decoded": decoded, "target_length": data.facts["source_length"]}
    same = data.validation.inputs
    part = type(data.validation)(same, same)
    found = score(Copies(facts["vocabulary"]), pairs, part, facts)
    assert found["bleu"] == pytest.approx(100)
    assert found["chrf"] == pytest.approx(100)
    assert found["token_accuracy"] == 1.0
    meter = pairs.meter(facts)
    meter.see(Copies(facts["vocabulary"]), Batch(pairs.prepare(same, facts), same))
    assert len(meter.found) == (decoded or len(same))


def test_the_meter_counts_tokens_and_no_padding(data: Data, pairs: Translation) -> None:
    targets = trimmed(data.validation.targets[:5])
    vocabulary, meter = data.facts["vocabulary"], pairs.meter(data.facts)
    outputs = torch.randn(*targets.shape, vocabulary, generator=torch.Generator().manual_seed(0))
    meter.update(outputs[:2], targets[:2])
    meter.update(outputs[2:], targets[2:])
    asked = [(n, t) for n, t in targets.nonzero().tolist()]
    losses = [-float(outputs[n, t].log_softmax(0)[targets[n, t]]) for n, t in asked]
    right = [int(outputs[n, t].argmax()) == int(targets[n, t]) for n, t in asked]
    result = meter.result()
    assert result["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert result["token_accuracy"] == pytest.approx(sum(right) / len(right))
    assert float(pairs.criterion(outputs, targets)) == pytest.approx(result["loss"], rel=1e-5)
    with pytest.raises(ValueError, match="shape"):
        meter.update(outputs[:, 0], targets)


@pytest.mark.slow
@settings(max_examples=12)
@given(st.integers(0, 3), st.integers(0, 3), st.floats(0, 0.3))
def test_padding_changes_no_loss(one: int, two: int, smoothing: float) -> None:
    pairs = Translation("source=de,target=en")
    space = open_space("seq2seq", {"vocabulary": 12} | TINY)
    model = space.build(space.default(), seed=0).eval()
    targets = padded([[5, 6, END], [7, END], [8, 9, 10, END]], 4)
    source = padded([[4, 5, END], [6, END], [7, END]], 3)
    with torch.no_grad():
        plain = pairs.loss(model, Batch((source, shifted(targets)), targets), smoothing)
        wide = F.pad(targets, (0, two))
        batch = Batch((F.pad(source, (0, one)), shifted(wide)), wide)
        assert float(pairs.loss(model, batch, smoothing)) == pytest.approx(float(plain), rel=1e-5)
        found = translate(model, source, 6)
        assert torch.equal(translate(model, F.pad(source, (0, one)), 6), found)
        for n in range(3):  # nor do others, which a sentence was padded for
            assert torch.equal(translate(model, source[n : n + 1], 6), found[n : n + 1])


class Wrapped(nn.Module):
    """The same model, which cannot go on with what it has begun."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.model(source, target)


@cache
def decoder_space(vocabulary: int) -> Space:
    one = {name: values[-1:] for name, values in TINY.items()}
    return open_space("seq2seq", {"vocabulary": vocabulary} | one)


def untrained(seed: int, vocabulary: int = 12) -> nn.Module:
    """A small model whose translations are of different lengths."""
    return decoder_space(vocabulary).build(decoder_space(vocabulary).default(), seed=seed).eval()


def points(model: nn.Module, source: Tensor, rows: list[list[int]]) -> list[float]:
    """What beam search maximises, of translations of one source (1, length), by the full model."""
    targets = padded(rows, max(map(len, rows)))
    with torch.no_grad():
        chances = model(source.expand(len(rows), -1), shifted(targets)).log_softmax(-1)
    said = chances.gather(2, targets[..., None])[..., 0].masked_fill(targets == PAD, 0.0).sum(1)
    lengths = (targets != PAD).sum(1).tolist()
    return [float(one) / length_penalty(length) for one, length in zip(said, lengths)]


def spoken(row: list[int]) -> list[int]:
    """The tokens of a translation without padding."""
    return row[: row.index(END) + 1] if END in row else row


def test_one_beam_is_greedy_decoding() -> None:
    for seed in range(2):
        model = untrained(seed)
        source = torch.randint(4, 12, (3, 6), generator=torch.Generator().manual_seed(seed))
        for n, row in enumerate(translate(model, source, 7).tolist()):
            said: list[int] = []
            while len(said) < 7 and END not in said:
                begun = torch.tensor([[BEGIN, *said]])
                with torch.no_grad():
                    logits = model(source[n : n + 1], begun)[0, -1]
                said.append(int(logits[END:].argmax()) + END)
            assert row == [*said, *[PAD] * (7 - len(said))]


def test_a_wide_beam_finds_the_best_of_all_translations() -> None:
    steps, vocabulary = 4, 6  # tokens are END, UNKNOWN, and two more
    for seed in range(4):
        model = untrained(seed, vocabulary)
        source = torch.randint(4, vocabulary, (2, 3), generator=torch.Generator().manual_seed(seed))
        words = [token for token in range(END, vocabulary) if token != END]
        ended = [
            [*begun, END] for n in range(steps) for begun in itertools.product(words, repeat=n)
        ]
        every = [*ended, *map(list, itertools.product(words, repeat=steps))]
        found = translate(model, source, steps, beam=100)
        for n in range(2):
            scores = points(model, source[n : n + 1], every)
            assert spoken(found[n].tolist()) == every[scores.index(max(scores))]


def test_more_beams_find_likelier_translations() -> None:
    better = worse = 0
    for seed in range(4):
        model = untrained(seed)
        source = torch.randint(4, 12, (8, 6), generator=torch.Generator().manual_seed(seed))
        greedy, searched = (translate(model, source, 7, beam) for beam in (1, 5))
        for n in range(len(source)):
            rows = [greedy[n].tolist(), searched[n].tolist()]
            before, after = points(model, source[n : n + 1], rows)
            gain = after - before
            better, worse = better + (gain > 1e-5), worse + (gain < -1e-5)
    assert better > 5
    assert worse == 0


@pytest.mark.slow
@pytest.mark.parametrize("beam", [1, 4])
def test_all_ways_to_decode_say_the_same(beam: int) -> None:
    for seed in range(2):
        model = untrained(seed)
        source = torch.randint(4, 12, (5, 6), generator=torch.Generator().manual_seed(seed))
        source[0, 3:] = PAD
        found = translate(model, source, 7, beam)
        assert torch.equal(translate(Wrapped(model), source, 7, beam), found)
        deployed = Translator(model, 7, beam).eval()
        with torch.no_grad():
            assert torch.equal(deployed._exported(source), found)
            assert torch.equal(deployed(source), found)
        for n, row in enumerate(found.tolist()):
            assert not any(row[len(spoken(row)) :])
            # Other sentences of a batch do not matter.
            assert torch.equal(translate(model, source[n : n + 1], 7, beam)[0], found[n])


def test_two_models_are_compared_by_sentences(pairs: Translation, data: Data) -> None:
    same = data.validation.inputs
    part = type(data.validation)(same, same)
    facts = data.facts | {"target_length": data.facts["source_length"]}
    one = parts(Copies(facts["vocabulary"]), pairs, part, facts)["bleu"].numpy()
    other = one.copy()
    other[:20, 3] = 0  # their quadruples are wrong
    found = compare("bleu", "maximize", one, other, pooled=partial(pairs.pooled, "bleu"))
    assert found.value == pytest.approx(100)
    assert found.other < 100
    assert 0 < found.low < found.value - found.other < found.high


def test_batches_hold_each_pair_once_and_sentences_of_like_length(
    pairs: Translation, data: Data
) -> None:
    index = torch.arange(0, len(data.train), 2)
    drawn = pairs.draw(index, data.train, 32, torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat(list(drawn)).sort().values, index)
    again = pairs.draw(index, data.train, 32, torch.Generator().manual_seed(1))
    assert len(again) == len(drawn)
    widths = [(data.train.inputs[part] != PAD).sum(1).float() for part in drawn]
    whole = (data.train.inputs != PAD).sum(1).float().std()
    assert sum(float(w.std()) for w in widths) / len(widths) < 0.5 * float(whole)


@pytest.mark.slow
def test_a_language_is_learned(pairs: Translation, data: Data) -> None:
    small = {"widths": (48,), "encoder_depths": (1,), "decoder_depths": (1,), "dropouts": (0.0,)}
    space = open_space("seq2seq", pairs.arguments(data.facts) | small)
    model = space.build(space.default(), seed=0)
    recipe = Recipe(epochs=8, batch_size=32, lr=5e-3)
    train(model, pairs, data, recipe, seed=0)
    assert score(model, pairs, data.test, data.facts)["bleu"] > 80


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "spos"])
def test_a_search_its_export_and_an_answer(table: Path, tmp_path: Path, strategy: str) -> None:
    result = nas.search(
        None,
        str(table),
        task="translation:source=de,target=en,merges=60,decoded=20,beam=3,cased=no",
        strategy=strategy,
        trials=2,
        epochs=1,
        share=None if strategy == "spos" else 0.3,
        arguments=TINY,
        finalists=1,
        final_epochs=1,
        run=tmp_path / "run",
    )
    assert result.best is not None
    assert not result.problems
    assert set(result.best.test) == {"bleu", "chrf", "token_accuracy", "loss"}
    assert "no predictions" not in (tmp_path / "run" / "report.html").read_text("utf-8")
    if strategy == "spos":
        return
    *_, parity = nas.Run(tmp_path / "run").export(tmp_path / "model")
    assert parity.ok
    assert not parity.absent
    # The program inside is not compressed.
    assert (
        str(Path(nas.__file__).parent).encode() not in (tmp_path / "model/model.pt2").read_bytes()
    )
    from archsmith.export import predict

    (tmp_path / "lines.txt").write_text("eins rot\nZwei\n")
    answers = predict(tmp_path / "model", tmp_path / "lines.txt")
    assert [answer["input"] for answer in answers] == ["eins rot", "Zwei"]
    assert all(isinstance(answer["translation"], str) for answer in answers)


def test_sentences_to_translate_are_looked_at(
    pairs: Translation, data: Data, tmp_path: Path
) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("eins\n\nzwei\n")
    with pytest.raises(DataError, match="line 2: expected a sentence, got an empty line"):
        pairs.load_input(path, data.facts)
    path.write_text("eins\n" + "eins " * 100)
    with pytest.raises(DataError, match=r"line 2: expected at most \d+ subwords"):
        pairs.load_input(path, data.facts)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        pairs.load_input(path, data.facts)
    path.write_text("\n")
    with pytest.raises(DataError, match="an empty file"):
        pairs.load_input(path, data.facts)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("source=de,target=de", "another column than the source"),
        ("source=de", "translation, target: expected the name of a column"),
        ("", "translation, source: expected the name of a column"),
        ("source=de,target=nl", "expected one of: de, en, split, got 'nl'"),
        ("source=de,target=en,length=1", "length: expected from 2 to 512"),
        ("source=de,target=en,length=2", "training pairs of at most 2 subwords"),
        ("source=de,target=en,beam=0", "beam: expected from 1 to 64"),
        ("source=de,target=en,temperature=1", "translation option"),
        ("source=de,target=en,test=later", "pairs.csv, test part"),
    ],
)
def test_bad_input_is_told_with_status_2(archsmith, table: Path, options: str, told: str) -> None:
    ended = archsmith("search", table, "--task", f"translation:{options}".rstrip(":"))
    assert ended.status == 2
    assert told in " ".join(ended.err.split())
    assert "Traceback" not in ended.err


def test_a_table_of_sentences_is_no_other_task_by_itself(table: Path) -> None:
    assert not Translation().suits(str(table))
    with pytest.raises(InputError, match="source: expected the name of a column"):
        Translation().read(str(table), ReadOptions())


def test_a_picture_of_sentences() -> None:
    picture = translated_lines(["ein hund"] * 3, ["a dog"] * 3, ["a cat"] * 3, ("de", "en"))
    assert picture.size == (1960, 2 * (40 + 3 * 84))
