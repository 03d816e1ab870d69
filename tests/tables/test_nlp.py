"""NAS-Bench-NLP's reader: known facts of the real file, averages, and wrong files."""

import json
import math
import os
import random
from pathlib import Path

import numpy as np
import pytest

from archsmith._support.errors import InputError, UnknownNameError
from archsmith.tables.nlp import NASBenchNLP

READER = NASBenchNLP()
NAN = float("nan")


@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip(f"ARCHSMITH_DATA does not name a folder with {READER.file}")
    pytest.importorskip("pyarrow")
    return Path(folder) / READER.file


def recipe(activation="tanh", name="f"):
    return json.dumps(
        {
            name: {"op": "linear", "input": ["x", "h_prev_0"]},
            "h_new_0": {"op": f"activation_{activation}", "input": [name]},
        }
    )


@pytest.fixture
def write(tmp_path):
    """Writes a small right file: two cells, the first one run twice; changed as asked."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")

    def make(**changes):
        columns = {
            "recepie": [recipe(), recipe(name="g"), recipe("sigm")],
            "num_params": [10, 10, 12],
            "train_losses": ["[3, 2, 1, 1]"] * 3,
            "val_losses": ["[5, 4, 2, 3]", "[5, 4, 4, 4]", "[6, 6, 6, 5]"],
            "test_losses": ["[5, 4, 2.5, 3]", "[5, 4.5, 4, 4]", "[6, 6, 6, 5.5]"],
            "wall_times": ["[1, 1, 1, 1]", "[2, 2, 2, 2]", "[3, 3, 3, 3]"],
            **changes,
        }
        path = tmp_path / "table.parquet"
        kept = {name: column for name, column in columns.items() if column is not None}
        pandas.DataFrame(kept).to_parquet(path)
        return path

    return make


def test_the_real_file(real):
    assert READER.datasets(real) == ["wikitext2"]
    table = READER.read(real, "wikitext2")
    assert len(table.architectures) == table.graphs == 258
    assert table.epochs == (3, 10, 50)
    assert table.optimum == pytest.approx(math.exp(4.567582), rel=1e-6)
    # Better after more epochs, and the early ones tell much of the last.
    at = [table.early[3], table.early[10], table.values]
    losses = [np.log(values["valid_perplexity"]) for values in at]
    assert (losses[0] >= losses[1]).all()
    assert (losses[1] >= losses[2]).all()
    ranks = [loss.argsort().argsort() for loss in losses]
    assert np.corrcoef(ranks[0], ranks[2])[0, 1] == pytest.approx(0.86, abs=0.03)
    assert np.corrcoef(ranks[1], ranks[2])[0, 1] == pytest.approx(0.94, abs=0.03)
    assert 50 * 130 < table.seconds.min() < table.seconds.max() < 50 * 1140
    assert "4 runs that diverged" in table.note
    assert table.row(table.space.sample(random.Random(0))) is not None


def test_runs_of_one_cell_are_averaged(write):
    table = READER.read(write(), "wikitext2")
    assert len(table.architectures) == 2
    # The best epoch by validation: 2 and 4, tested at 2.5 and 4.5 (the first of the equal ones).
    assert np.allclose(np.log(table.values["valid_perplexity"]), [3, 5])
    assert np.allclose(np.log(table.values["test_perplexity"]), [3.5, 5.5])
    assert table.epochs == (3, 4)
    assert np.allclose(np.log(table.early[3]["valid_perplexity"]), [3, 6])
    assert table.values["wall_s"].tolist() == [6.0, 12.0]
    assert table.values["params"].tolist() == [10.0, 12.0]


def test_diverged_and_short_runs_are_left_out_and_said(write):
    path = write(
        train_losses=["[3, 2, 1, NaN]", "[1]", "[6, 6, 6, 5]"],
        val_losses=["[5, 4, 2, 3]", "[5]", "[6, 6, 6, 5]"],
        test_losses=["[5, 4, 2, 3]", "[5]", "[6, 6, 6, 5]"],
        wall_times=["[1, 1, 1, 1]", "[1]", "[1, 1, 1, 1]"],
    )
    table = READER.read(path, "wikitext2")
    assert len(table.architectures) == 1
    assert "2 runs that diverged or stopped early" in table.note
    with pytest.raises(InputError, match="runs without NaN"):
        READER.read(write(val_losses=["[NaN, 1, 1, 1]"] * 3), "wikitext2")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"wall_times": None}, "columns wall_times"),
        ({"recepie": [recipe(), recipe("relu"), recipe()]}, "row 1, recipe, h_new_0.*relu"),
        ({"recepie": [recipe(), recipe(), "[]"]}, "column recepie, row 2.*JSON dict"),
        ({"val_losses": ["[5, 4, 3]", *["[5, 4, 3, 2]"] * 2]}, "row 0.*as many epochs"),
        ({"val_losses": ['[5, 4, 3, "x"]', *["[5, 4, 3, 2]"] * 2]}, "row 0.*numbers in"),
        ({"num_params": [NAN, 1, 1]}, "num_params, row 0.*finite"),
    ],
)
def test_wrong_files_say_where(write, changes, part):
    with pytest.raises(InputError, match=part):
        READER.read(write(**changes), "wikitext2")


def test_wrong_names_and_places(write, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'wikitext2'"):
        READER.read(write(), "wikitext-2")
    with pytest.raises(InputError, match="nothing there"):
        READER.read(tmp_path / "missing.parquet", "wikitext2")
