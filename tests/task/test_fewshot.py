from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import archsmith as nas
from archsmith._support.errors import DataError, InputError, UnknownNameError
from archsmith.data.splits import TensorSplit
from archsmith.evaluate.proxy import _draw_batch
from archsmith.history.trial import Fidelity
from archsmith.space import Space
from archsmith.supernet import methods
from archsmith.supernet.training import train_supernet
from archsmith.task import task
from archsmith.task.base import Data, ReadOptions, Recipe
from archsmith.task.embedding import distorted
from archsmith.task.fewshot import EpisodeMeter, FewShotImages
from archsmith.train import paces, score, train


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> str:
    """24 classes of 12 x 12 pixels: a pattern on the left half; what is on the right says nothing,
    which training can find out on other classes."""
    rng = np.random.RandomState(0)
    labels = np.arange(24).repeat(12)
    shown = rng.rand(288, 4, 4)
    shown[:, :, :2] = (0.3 * rng.rand(24, 4, 2))[labels] + 0.05 * rng.rand(288, 4, 2)
    images = (255 * shown.repeat(3, axis=1).repeat(3, axis=2)).astype(np.uint8)
    path = tmp_path_factory.mktemp("letters") / "letters.npz"
    np.savez(path, images=images, labels=labels)
    return str(path)


@pytest.fixture(scope="module")
def few() -> FewShotImages:
    found = task("few-shot:queries=5,episodes=200")
    assert isinstance(found, FewShotImages)
    return found


@pytest.fixture(scope="module")
def data(letters: str, few: FewShotImages) -> Data:
    return few.read(letters, ReadOptions(validation=0.25, test=0.25))


def test_parts_have_no_class_in_common(data: Data) -> None:
    parts = [set(part.targets.tolist()) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [12, 6, 6]
    assert len(set.union(*parts)) == 24
    assert parts[0] == set(range(12))
    assert json.loads(json.dumps(data.facts)) == data.facts
    assert "12 classes to train on, 6 others to validate and 6 to test on" in data.summary


def test_the_name_keeps_the_options(few: FewShotImages) -> None:
    assert few.name == "few-shot:queries=5,episodes=200"
    assert task(few.name).name == few.name
    assert task("few-shot").name == "few-shot"
    with pytest.raises(UnknownNameError, match="did you mean 'shots'"):
        task("few-shot:shot=5")
    with pytest.raises(InputError, match="episodes: expected 100,000 or fewer, got 1000000000"):
        task("few-shot:episodes=1000000000")
    with pytest.raises(InputError, match=r"together: expected a share from 0 to 1, got 1\.5"):
        task("few-shot:together=1.5")
    with pytest.raises(InputError, match="ways: expected 2 or more, got 1"):
        task("few-shot:ways=1")
    with pytest.raises(UnknownNameError, match="loss"):
        task("few-shot:loss=cross")
    with pytest.raises(InputError, match="no options"):
        task("tabular-regression:ways=3")


def test_too_little_is_refused_before_anything_starts(letters: str) -> None:
    with pytest.raises(DataError, match="16 examples of every class"):
        task("few-shot").read(letters, ReadOptions())
    with pytest.raises(DataError, match="at least 20 classes"):
        task("few-shot:ways=20,queries=3").read(letters, ReadOptions())


def test_the_meter_counts_what_nearest_means_get_right(data: Data) -> None:
    """Against a loop over the same episodes."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(72, 3, generator=generator)
    targets = torch.arange(6).repeat(12)
    facts = {"few_shot": {"ways": 3, "shots": 2, "queries": 4, "episodes": 50}}
    meter = EpisodeMeter(facts)
    for rows in torch.split(torch.arange(72), 20):
        meter.update(embeddings[rows], targets[rows])
    support, query = nas.Episodes(targets.numpy(), 3, 2, 4).draw(50, 0)
    right = 0
    loss = 0.0
    for episode in range(50):
        means = torch.stack([embeddings[support[episode, n]].mean(0) for n in range(3)])
        for n in range(3):
            for place in query[episode, n]:
                distances = (embeddings[place] - means).square().sum(1)
                right += int(distances.argmin() == n)
                loss -= float((-distances).log_softmax(0)[n])
    found = meter.result()
    assert found["accuracy"] == pytest.approx(right / 600)
    assert found["loss"] == pytest.approx(loss / 600, rel=1e-4)


def test_a_meter_of_one_batch_takes_what_there_is() -> None:
    facts = {"few_shot": {"ways": 5, "shots": 1, "queries": 15, "episodes": 20}}
    meter = EpisodeMeter(facts)
    targets = torch.tensor([4, 4, 9, 9, 9, 2])
    meter.update(torch.eye(3)[torch.tensor([0, 0, 1, 1, 1, 2])], targets)
    assert meter.result()["accuracy"] == 1.0
    lone = EpisodeMeter(facts)
    lone.update(torch.randn(3, 2), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="two classes"):
        lone.result()


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["prototypical", "triplet", "proxy-anchor"])
def test_training_makes_new_classes_easier(letters: str, loss: str) -> None:
    few = task(f"few-shot:queries=5,episodes=200,loss={loss}")
    data = few.read(letters, ReadOptions(validation=0.25, test=0.25))
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 32))
    torch.manual_seed(0)
    nn.init.normal_(model[1].weight)
    before = score(model, few, data.test, data.facts)["accuracy"]
    recipe = Recipe(epochs=60, batch_size=48, lr=0.01, augment=False)
    train(model, few, data, recipe, seed=0)
    after = score(model, few, data.test, data.facts)["accuracy"]
    assert before < 0.8
    assert after > before + 0.05


def test_a_learned_loss_trains_beside_the_model_alone(letters: str) -> None:
    few = task("few-shot:queries=5,loss=proxy-nca")
    with pytest.raises(InputError, match="the loss's parameters of each class"):
        few.criterion(torch.randn(4, 3), torch.tensor([0, 0, 1, 1]))


def net(channels: int, height: int, width: int, classes: int) -> nn.Module:
    hidden = nas.choose("hidden", [8, 16, 32])
    size = nas.choose("embedding", [4, classes])
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, size),
    )


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "bignas+random"])
def test_a_search_and_its_export(letters: str, tmp_path: Path, strategy: str) -> None:
    result = nas.search(
        net,
        letters,
        task="few-shot:queries=5,episodes=100,dim=24",
        strategy=strategy,
        trials=3,
        epochs=4,
        run=tmp_path / "run",
        recipe=Recipe(epochs=30, lr=0.01, batch_size=48),
        read=ReadOptions(validation=0.25, test=0.25),
    )
    assert result.best is not None
    assert result.best.test["accuracy"] > 0.5
    assert dict(result.best.architecture)["embedding"] in (4, 24)
    run = nas.Run(tmp_path / "run")
    _, parity = run.export(tmp_path / "model", None, False)
    assert all(check.ok for check in parity.checks)
    record = json.loads((tmp_path / "model" / "architecture.json").read_text())
    assert record["signature"]["output_name"] == "embeddings"


def test_one_shared_weight_serves_every_embedding_size(data: Data, few: FewShotImages) -> None:
    """Teacher and student of the sandwich have embeddings of different size."""
    space = Space(net, channels=1, height=12, width=12, classes=24)
    supernet = nas.Supernet(space)
    recipe = Recipe(epochs=4, batch_size=48, lr=0.01)
    session = nas.train_supernet(supernet, nas.BigNAS(), few, data, recipe, seed=0)
    losses = [row["train_loss"] for row in session.curve]
    assert losses[-1] < losses[0]


def test_the_same_seed_trains_the_same(data: Data, few: FewShotImages) -> None:
    space = Space(net, channels=1, height=12, width=12, classes=24)
    curves = []
    for _ in range(2):
        model = space.build(space.default(), seed=1)
        recipe = few.recipe(data)
        trained = train(model, few, data, recipe, Fidelity(2, 0.5), seed=3)
        curves.append([row["train_loss"] for row in trained.curve])
    assert curves[0] == curves[1]


def test_a_meter_of_one_batch_has_fewer_shots_too() -> None:
    """Four of a class, as batches hold them, are too few for episodes of five shots."""
    asked = {"ways": 5, "shots": 5, "queries": 15, "episodes": 20}
    targets = torch.arange(3).repeat_interleave(4)
    meter = EpisodeMeter({"few_shot": asked})
    meter.update(torch.eye(3)[targets], targets)
    assert meter.result()["accuracy"] == 1.0


def test_whole_classes_are_kept_back(few: FewShotImages) -> None:
    targets = torch.arange(14).repeat_interleave(7)
    train = TensorSplit(targets, targets)
    back = few.holdout_indices(train, 0.1, seed=0)
    classes = targets[back].unique()
    assert len(classes) == few.options.ways
    assert len(back) == 7 * len(classes)
    assert len(few.holdout_indices(train, 0.5, seed=0)) == 49
    assert len(few.holdout_indices(train, 0.0, seed=0)) == 0
    three = torch.arange(3).repeat_interleave(7)
    with pytest.raises(InputError, match="4 or more with two examples"):
        few.holdout_indices(TensorSplit(three, three), 0.1, seed=0)


@pytest.mark.parametrize("name", ["enas", "darts"])
def test_methods_that_judge_on_held_classes(data: Data, name: str) -> None:
    """A tenth of twelve examples of a class holds no pair: it is classes that are held out."""
    few = task("few-shot:queries=5,episodes=20,shots=5")
    space = Space(_small, channels=1, classes=8, height=12, width=12)
    method = methods.get(name)()
    recipe = Recipe(epochs=1, batch_size=32)
    session = train_supernet(nas.Supernet(space), method, few, data, recipe, seed=0)
    if name == "enas":
        assert 0 <= session.curve[0]["reward"] <= 1
    held = data.train.targets[session._parts.held].unique()
    assert not torch.isin(data.train.targets[session._parts.kept], held).any()


def test_examples_without_a_partner_are_refused(few: FewShotImages, tmp_path: Path) -> None:
    """Validation and test have enough of each class, training one."""
    counts = np.array([1] * 6 + [6] * 10)
    labels = np.arange(16).repeat(counts)
    images = np.zeros((len(labels), 8, 8), np.uint8)
    for part, start, end in (("train", 0, 6), ("val", 6, 11), ("test", 11, 16)):
        for label in range(start, end):
            folder = tmp_path / part / f"c{label:02d}"
            folder.mkdir(parents=True)
            for number, image in enumerate(images[labels == label]):
                Image.fromarray(image).save(folder / f"{number}.png")
    with pytest.raises(DataError, match="two classes of two examples or more, got 0 of 6"):
        few.read(str(tmp_path), ReadOptions())


def test_a_share_without_pairs_is_refused(data: Data, few: FewShotImages) -> None:
    space = Space(_small, channels=1, classes=8, height=12, width=12)
    with pytest.raises(InputError, match="a share that leaves"):
        train(space.build(space.default()), few, data, few.recipe(data), Fidelity(1, 0.05), seed=0)


def test_paces_leave_out_what_is_made_of_all_embeddings(
    data: Data, few: FewShotImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A thousand episodes once a validation are not a thousand for each batch of it.
    monkeypatch.setattr(EpisodeMeter, "result", lambda self: pytest.fail("episodes were drawn"))
    space = Space(_small, channels=1, classes=8, height=12, width=12)
    model = space.build(space.default())
    steps, passes = paces(model, few, data, few.recipe(data), seed=0, seconds=0.0)
    assert steps
    assert passes


def test_a_loss_with_points_is_refused_over_shared_weights_before_a_run_begins(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="shared weights, or no training"):
        nas.search(
            "embedder",
            "digits",
            task="few-shot:ways=2,queries=5,loss=proxy-nca",
            strategy="spos",
            trials=1,
            run=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_labels_are_those_that_episodes_are_made_of(few: FewShotImages, tmp_path: Path) -> None:
    for name in ("a/x", "a/y", "b/x", "b/z"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(8):
            picture = np.random.RandomState(number).randint(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    found = few.labelled().read(str(tmp_path), ReadOptions())
    assert found.facts["class_names"] == ["a/x", "a/y", "b/x", "b/z"]


def test_options_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="queries: expected each option once, got it twice"):
        task("few-shot:queries=4,queries=3")
    with pytest.raises(
        InputError, match="together: expected training classes of two or more groups"
    ):
        task("few-shot:together=0.5,queries=5,ways=2").read("digits", ReadOptions())


def test_bending_moves_what_is_near_together() -> None:
    ramp = torch.linspace(0, 1, 28).expand(40, 1, 28, 28)
    still = {"turn": 0.0, "scale": 0.0, "shift": 0.0}
    same = distorted(ramp, torch.Generator().manual_seed(0), **still)
    assert torch.allclose(same, ramp, atol=1e-5)
    bent = distorted(ramp, torch.Generator().manual_seed(0), **still, bend=0.03)
    # The ramp tells by how much of the side each pixel's source lies to the left or right.
    moved = (bent - ramp)[:, 0, 4:24, 4:24]
    assert 0.01 < float(moved.std()) < 0.05
    steps = (moved[:, 1:] - moved[:, :-1]).abs().max()
    assert float(steps) < 0.05  # smooth from row to row


def test_a_proxy_is_given_pairs(data: Data, few: FewShotImages) -> None:
    batch = _draw_batch(few, data, 32, 0)
    counts = batch.targets.unique(return_counts=True)[1]
    assert len(batch.targets) == 32
    assert (counts >= 2).all()


def test_fine_tuning_gives_embeddings_of_the_size_asked_for(data: Data) -> None:
    small = task("few-shot:queries=5,episodes=20,dim=6")
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 3))
    tuned = nas.fine_tune(model, small, data, nas.FineTuning(epochs=1))
    inputs = small.prepare(data.test.inputs[:2], data.facts)
    assert tuned.model(inputs).shape == (2, 6)


def _small(channels: int, classes: int, height: int, width: int) -> nn.Module:
    ops = {"relu": nn.ReLU, "tanh": nn.Tanh}
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 32),
        nas.one_of("op", ops),
        nn.Linear(32, classes),
    )
