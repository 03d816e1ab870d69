"""New classes learned from folders of examples by an exported embedding."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import archsmith as nas
from archsmith._support.errors import DataError, InputError, UnknownNameError
from archsmith.data.bundled import DIGITS
from archsmith.export import predict, predict_from_support
from archsmith.task.base import ReadOptions, Recipe


def save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Grey values of the bundled digits go from 0 to 16; files hold bytes.
    Image.fromarray(image[0]).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of an embedding of digits, and folders of digits that it was not trained on."""
    root = tmp_path_factory.mktemp("support")
    nas.search(
        "embedder",
        "digits",
        task="few-shot:ways=2,queries=5,episodes=50",
        trials=1,
        finalists=1,
        epochs=1,
        run=root / "run",
        recipe=Recipe(epochs=10, batch_size=64, lr=3e-3),
        read=ReadOptions(validation=0.2, test=0.3),
    )
    nas.Run(root / "run").export(root / "model", None, False)
    data = nas.Run(root / "run").problem.data
    raw = DIGITS.read()
    for label in sorted(set(data.test.targets.tolist())):
        name = data.facts["class_names"][label]
        rows = np.flatnonzero(raw.labels == int(name))
        for number, row in enumerate(rows[:5]):
            save(raw.images[row], root / "support" / f"digit {name}" / f"{number}.png")
        for number, row in enumerate(rows[10:16]):
            save(raw.images[row], root / "query" / f"{name}-{number}.png")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["prototypical", "ridge", "nearest-neighbour"])
def test_new_classes_are_told_apart(place: Path, learner: str) -> None:
    answers = predict_from_support(place / "model", place / "support", place / "query", learner)
    asked = sorted((place / "query").iterdir())
    assert len(answers) == len(asked) == 18
    right = sum(
        answer["class"] == f"digit {path.name[0]}"
        for answer, path in zip(answers, asked, strict=True)
    )
    assert right >= 13  # of 18; chance is 6
    assert all(abs(sum(a["probabilities"].values()) - 1) < 1e-6 for a in answers)


@pytest.mark.processes
def test_the_command_line_in_a_fresh_process(place: Path) -> None:
    one = sorted((place / "query").iterdir())[0]
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "archsmith.cli",
            "predict",
            str(place / "model"),
            str(one),
            "--support",
            str(place / "support"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    (answer,) = json.loads(ran.stdout)
    assert answer["class"] in answer["probabilities"]
    assert len(predict(place / "model", one)[0]["embedding"]) > 1


@pytest.mark.slow
def test_what_cannot_be_learned_from_is_refused(place: Path, tmp_path: Path) -> None:
    model, query = place / "model", place / "query"
    with pytest.raises(DataError, match="two classes or more, got none"):
        predict_from_support(model, tmp_path, query)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="only 'a'"):
        predict_from_support(model, tmp_path, query)
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="images in the folder, got none"):
        predict_from_support(model, tmp_path, query)
    with pytest.raises(DataError, match="nothing there"):
        predict_from_support(model, tmp_path / "c", query)
    with pytest.raises(InputError, match="trained over episodes"):
        predict_from_support(model, place / "support", query, "relation")
    with pytest.raises(UnknownNameError, match="did you mean 'ridge'"):
        predict_from_support(model, place / "support", query, "rigde")


@pytest.mark.slow
def test_a_model_that_gives_classes_has_no_embeddings(place: Path, tmp_path: Path) -> None:
    nas.search("convnet", "digits", trials=1, epochs=1, final_epochs=1, run=tmp_path / "run")
    nas.Run(tmp_path / "run").export(tmp_path / "model", None, False)
    with pytest.raises(InputError, match="gives probabilities"):
        predict_from_support(tmp_path / "model", place / "support", place / "query")


@pytest.mark.slow
def test_features_read_labelled_data_again(place: Path, tmp_path: Path, archsmith) -> None:
    """Neither episodes nor parts without a class in common are a matter of features."""
    done = archsmith(
        "features",
        str(place / "model"),
        "digits",
        "--to",
        str(tmp_path / "f.npz"),
        "--probe",
        "--json",
    )
    assert done.status == 0, done.err
    document = json.loads(done.out)
    assert document["examples"] == 1797
    assert {probe["probe"] for probe in document["probes"]} == {"linear", "centroid", "knn"}
    assert max(probe["accuracy"] for probe in document["probes"]) > 0.5


@pytest.mark.slow
def test_a_learner_without_examples_is_refused(place: Path, archsmith) -> None:
    query = next((place / "query").iterdir())
    done = archsmith("predict", str(place / "model"), str(query), "--learner", "ridge")
    assert done.status == 2
    assert "--support FOLDER" in done.err
