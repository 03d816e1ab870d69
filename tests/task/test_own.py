"""Tasks on the spot: data, loss and metrics given as objects go through the whole of a search."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

import archsmith as nas
from archsmith._support.errors import InputError, RunFolderError
from archsmith._support.trees import leaves
from archsmith.data.objects import parts_of
from archsmith.data.splits import Batch
from archsmith.task.own import OwnTask

SHORT = {"trials": 2, "epochs": 1, "final_epochs": 1, "finalists": 1}
PIXELS, LABELS = load_digits(return_X_y=True)
HALF = torch.tensor(PIXELS[:600], dtype=torch.float32) / 16
DIGITS = torch.tensor(LABELS[:600])


class Halves(nn.Module):
    """Takes the upper and the lower half of a picture."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.top, self.bottom = nn.Linear(32, width), nn.Linear(32, width)
        self.head = nn.Linear(width, classes)

    def forward(self, top: Tensor, bottom: Tensor) -> Tensor:
        return self.head(torch.relu(self.top(top) + self.bottom(bottom)))


def halves(classes: int) -> nn.Module:
    return Halves(nas.choose("width", [8, 16]), classes)


class Autoencoder(nn.Module):
    """Takes a mapping and gives one, random while it trains."""

    def __init__(self, width: int, code: nn.Module) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, width), code, nn.Linear(width, 8))
        self.decode = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 64))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        mean, log = self.encode(pixels).chunk(2, 1)
        code = mean + torch.randn_like(mean) * (log / 2).exp() if self.training else mean
        return {"pixels": self.decode(code), "mean": mean, "log": log}


def autoencoder() -> nn.Module:
    code = nas.one_of("code", {"relu": nn.ReLU, "tanh": nn.Tanh})
    return Autoencoder(16, code)


def elbo(outputs: dict[str, Tensor], targets: Tensor) -> Tensor:
    near = F.mse_loss(outputs["pixels"], targets, reduction="none").sum(1)
    mean, log = outputs["mean"], outputs["log"]
    return (near - 0.05 * (1 + log - mean**2 - log.exp()).sum(1)).mean()


class Letters(nn.Module):
    """A language model as they are written: it takes its targets and gives its loss."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(12, width)
        self.layer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, batch_first=True)
        self.head = nn.Linear(width, 12)

    def forward(
        self, tokens: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        logits = self.head(self.layer(self.table(tokens), mask, is_causal=True))
        loss = None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits, loss


def letters() -> nn.Module:
    return Letters(nas.choose("width", [8, 16]), nas.choose("heads", [1, 2]))


class Counting(Dataset[tuple[Tensor, Tensor]]):
    """Sequences that go on by their step."""

    def __len__(self) -> int:
        return 120

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        line = (torch.arange(9) * (1 + place % 3) + place) % 12
        return line[:-1], line[1:]


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) == targets).float()


PAIR = ((HALF[:, :32], HALF[:, 32:]), DIGITS)


@pytest.mark.processes
def test_two_inputs_are_searched_reported_and_exported(tmp_path: Path) -> None:
    found = nas.search(
        halves,
        PAIR,
        loss=F.cross_entropy,
        metrics={"accuracy": accuracy},
        limits={"params": 5000},
        minimize="latency_ms",
        run=tmp_path / "run",
        **SHORT | {"final_epochs": 20},
    )
    assert found.best is not None
    assert not found.problems
    assert found.best.test["accuracy"] > 0.5  # chance is 0.1
    assert found.best.metrics["flops"] > 0
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "no predictions" not in page
    assert "no diagram" not in page
    told = nas.Run(tmp_path / "run").meta["command"]
    assert "data=<tuple>, loss=cross_entropy, metrics={'accuracy': accuracy}" in told
    parity = found.best.export(tmp_path / "out")
    assert parity.ok
    assert not parity.absent
    record = json.loads((tmp_path / "out" / "architecture.json").read_text())
    assert [each["shape"] for each in record["signature"]["inputs"]] == [[1, 32], [1, 32]]
    card = (tmp_path / "out" / "README.md").read_text()
    for code in card.split("```python\n")[1:]:
        script = code.split("```")[0]
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path / "out", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "spos", "bignas", "darts", "enas"])
def test_a_mapping_comes_out_by_every_kind_of_strategy(strategy: str) -> None:
    data = ({"pixels": HALF}, HALF)
    found = nas.search(autoencoder, data, loss=elbo, strategy=strategy, **SHORT)
    assert found.best is not None
    assert found.best.test["loss"] < 60
    assert set(found.best.model(pixels=HALF[:2])) == {"pixels", "mean", "log"}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "spos"])
def test_a_loss_may_call_the_model_itself(strategy: str) -> None:
    found = nas.search(
        letters,
        Counting(),
        loss=lambda model, tokens, targets: model(tokens, targets)[1],
        metrics={"accuracy": lambda model, tokens, targets: accuracy(model(tokens)[0], targets)},
        strategy=strategy,
        **SHORT,
    )
    assert found.best is not None
    assert 0 <= found.best.test["accuracy"] <= 1


@pytest.mark.slow
def test_a_study_goes_on_with_the_same_objects_and_with_no_others(tmp_path: Path) -> None:
    run, own = tmp_path / "run", {"loss": F.cross_entropy, "metrics": {"accuracy": accuracy}}
    nas.search(halves, PAIR, run=run, trials=1, epochs=1, finalists=0, **own)
    found = nas.search(halves, PAIR, run=run, trials=2, epochs=1, finalists=0, **own)
    assert len(found.history.finished) == 2
    changed = ((HALF[:, :32] + 1, HALF[:, 32:]), DIGITS)
    with pytest.raises(RunFolderError, match="other data"):
        nas.search(halves, changed, run=run, trials=3, epochs=1, finalists=0, **own)
    assert len(nas.Run(run).history.trials) == 2
    with pytest.raises(InputError, match="give the same search again"):
        _ = nas.Run(run).problem


def test_losses_and_metrics_are_means_over_examples() -> None:
    task = OwnTask(
        F.cross_entropy,
        {"accuracy": accuracy, "wrong": (lambda o, t: 1 - accuracy(o, t).mean(), "minimize")},
    )
    model, targets = nn.Identity(), torch.tensor([0, 1, 1, 2, 0])
    outputs = torch.randn(5, 3)
    meter = task.meter({})
    for part in (slice(2), slice(2, 5)):
        meter.see(model, Batch(outputs[part], targets[part]))
    result = meter.result()
    assert result["loss"] == pytest.approx(float(F.cross_entropy(outputs, targets)), rel=1e-6)
    right = float((outputs.argmax(1) == targets).float().mean())
    assert result["accuracy"] == pytest.approx(right)
    assert result["wrong"] == pytest.approx(1 - right)
    assert [metric.direction for metric in task.metrics] == ["maximize", "minimize"]
    assert OwnTask(elbo).metrics[0].name == "loss"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"loss": 3}, r"a function of \(outputs, targets\)"),
        ({"loss": lambda outputs: 0}, "needs 1 arguments"),
        ({"loss": elbo, "metrics": {"goodness": accuracy}}, "which way is better"),
        ({"loss": elbo, "metrics": {"loss": accuracy}}, "another name"),
        ({"loss": elbo, "task": "image-classification"}, "a loss or a task by name, not both"),
        ({"metrics": {"accuracy": accuracy}}, "a loss together with them"),
        ({}, "nas.search"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_read(options, told) -> None:
    with pytest.raises(InputError, match=told):
        nas.search(halves, PAIR, **options)


@pytest.mark.parametrize(
    "data",
    [
        (HALF, DIGITS),
        (PIXELS[:600], LABELS[:600]),
        Counting(),
        nas.TensorSplit(HALF, DIGITS),
    ],
)
def test_one_part_is_split_without_overlap(data) -> None:
    parts = parts_of(data, 0.2, 0.2, 0)
    sizes = [len(part) for part in parts]
    assert sum(sizes) in (600, 120)
    assert sizes[1] == pytest.approx(0.2 * sum(sizes), abs=6)
    again = parts_of(data, 0.2, 0.2, 0)
    for one, two in zip(parts, again, strict=True):
        for first, second in zip(leaves(tuple(one.head(3))), leaves(tuple(two.head(3)))):
            assert torch.equal(first, second)


def test_arrays_become_float32_unless_that_would_round_them() -> None:
    seconds = 1.7e9 + np.arange(20.0)
    parts = parts_of((np.stack([seconds, seconds], 1), np.arange(20) % 2), 0.2, 0.2, 0)
    assert parts[0].head(1).inputs.dtype == torch.float64
    assert parts_of((PIXELS, LABELS), 0.2, 0.2, 0)[0].head(1).inputs.dtype == torch.float32


def test_three_parts_stay_as_they_are() -> None:
    three = (PAIR, (PAIR[0], DIGITS), nas.TensorSplit(PAIR[0], DIGITS))
    assert [len(part) for part in parts_of(three, 0.2, 0.2, 0)] == [600, 600, 600]


@pytest.mark.parametrize(
    "data",
    [
        3,
        [HALF],
        (HALF, DIGITS[:5]),
        (np.array(["a", "b"]), np.arange(2)),
        (HALF, torch.tensor(1)),
        (np.full((20, 2), np.nan), np.arange(20) % 2),
    ],
)
def test_what_is_no_data_is_told(data) -> None:
    with pytest.raises(InputError):
        parts_of(data, 0.2, 0.2, 0)
